//! What an application receives, and what it never does.

use bytes::Bytes;
use gatelatch_harness::raw::{self, Connection};
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Answer, Browser, Kind, Shared, Stack, StackOptions, user};
use http::Method;
use serde_json::json;

static STACK: Shared = Shared::new(StackOptions::new);

/// Identity headers as an attacker may spell them.
const SPOOFED: [&str; 12] = [
    "X-Auth-Request-User",
    "x-auth-request-user",
    "X-AUTH-REQUEST-USER",
    "x_auth_request_user",
    "X-Auth_Request-User",
    "x-auth-request_user",
    "X-Auth-Request-Email",
    "x-auth-request-preferred-username",
    "X_Auth_Request_Groups",
    "X-Auth-Request-Groups",
    "x-auth-request-groups",
    "X-Auth-Request-Session",
];

#[tokio::test]
async fn an_application_receives_the_identity_in_headers() {
    let stack = STACK.get();
    let browser = Browser::new();
    let name = user("ada@example.org");
    browser.login(stack, &name, "/").await.expect(200);
    let echo = browser.fetch(&stack.url("/api")).await.expect(200).echo();
    assert_eq!(echo.values("x-auth-request-user"), [name.as_str()]);
    assert_eq!(echo.values("x-auth-request-email"), [name.as_str()]);
    assert_eq!(
        echo.values("x-auth-request-preferred-username"),
        [name.as_str()]
    );
    assert_eq!(echo.values("x-auth-request-groups"), ["staff"]);
    assert_eq!(
        echo.values("x-auth-request-session"),
        [browser.session().text("sid")]
    );

    let admin = Browser::logged_in(stack, "admin").await;
    let echo = admin.fetch(&stack.url("/api")).await.expect(200).echo();
    assert_eq!(echo.values("x-auth-request-groups"), ["staff,admins"]);
}

#[tokio::test]
async fn claimed_identity_vanishes_in_every_spelling_on_every_kind_of_path() {
    let stack = STACK.get();
    let address = stack.address(0);
    let (browser, ada) = (Browser::new(), user("ada"));
    browser.login(stack, &ada, "/").await.expect(200);
    let sid = browser.session().text("sid");
    let own = [
        ada.as_str(),
        &format!("{ada}@example.test"),
        &ada,
        "staff",
        &sid,
    ];
    let cookie = cookie_of(&browser);
    for (path, cookie, expected) in [
        ("/public/x", "", &[] as &[&str]),
        ("/public/x", &cookie, &[]),
        ("/optional/x", "", &[]),
        ("/optional/x", "__Host-gatelatch=forged", &[]),
        ("/optional/x", &cookie, &own),
        ("/required/x", &cookie, &own),
        ("/assets/x", &cookie, &[]),
    ] {
        let mut lines: Vec<(&str, &[u8])> =
            vec![("Cookie", cookie.as_bytes()), ("Connection", b"close")];
        lines.retain(|(name, value)| *name != "Cookie" || !value.is_empty());
        for name in SPOOFED {
            lines.extend([(name, b"evil".as_slice()), (name, b"evil2")]);
        }
        let answer = raw::exchange(address, &raw::head("GET", path, address, &lines))
            .await
            .expect(200);
        let echo = answer.echo();
        let mut received: Vec<&str> = Vec::new();
        for name in [
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-preferred-username",
            "x-auth-request-groups",
            "x-auth-request-session",
        ] {
            received.extend(echo.values(name));
        }
        assert_eq!(received, expected, "{path} with {cookie:?}");
        assert_eq!(
            echo.names_with("auth").len(),
            expected.len(),
            "{path}: {:?}",
            echo.names_with("auth")
        );
        assert!(!answer.text().contains("evil"), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn an_identity_header_that_the_client_names_in_connection_still_arrives() {
    let stack = STACK.get();
    let address = stack.address(0);
    let (browser, ada) = (Browser::new(), user("ada"));
    browser.login(stack, &ada, "/").await.expect(200);
    let cookie = cookie_of(&browser);
    let lines: [(&str, &[u8]); 2] = [
        ("Connection", b"close, x-auth-request-user, cookie"),
        ("Cookie", cookie.as_bytes()),
    ];
    let answer = raw::exchange(address, &raw::head("GET", "/x", address, &lines)).await;
    match answer.status {
        200 => assert_eq!(answer.echo().values("x-auth-request-user"), [ada.as_str()]),
        status => assert!(status == 400 || status == 401, "{}", answer.brief()),
    }
}

#[tokio::test]
async fn cookies_of_the_application_arrive_byte_for_byte_and_ours_do_not() {
    let stack = STACK.get();
    let address = stack.address(0);
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let own = cookie_of(&browser);
    let (before, after) = ("a=1;b=\"x y\" ;c", "d=\u{fc};; e=%20");
    let mut line = format!("{before}; {own}; __Secure-gatelatch-login-abcdefgh=x; ").into_bytes();
    // A byte that is no UTF-8, as some applications set.
    line.extend_from_slice(b"l=\xff\xfe; ");
    line.extend_from_slice(after.as_bytes());
    let lines: [(&str, &[u8]); 2] = [("Connection", b"close"), ("Cookie", &line)];
    let echo = raw::exchange(address, &raw::head("GET", "/x", address, &lines))
        .await
        .expect(200)
        .echo();
    let expected = [before.as_bytes(), b"; l=\xff\xfe; ", after.as_bytes()].concat();
    let latin1: String = expected.into_iter().map(char::from).collect();
    assert_eq!(echo.values("cookie"), [latin1]);

    let only_ours: [(&str, &[u8]); 2] = [("Connection", b"close"), ("Cookie", own.as_bytes())];
    let echo = raw::exchange(address, &raw::head("GET", "/x", address, &only_ours))
        .await
        .expect(200)
        .echo();
    assert_eq!(echo.values("cookie"), [] as [&str; 0]);
}

#[tokio::test]
async fn rules_decide_who_needs_a_session() {
    let stack = STACK.get();
    let stranger = Browser::new();
    for (path, status) in [
        ("/public/a", 200),
        ("/assets/a.css", 200),
        ("/optional/a", 200),
        ("/public", 401),
        ("/publicity/a", 401),
        ("/Public/a", 401),
        ("/a/public/b", 401),
        ("/a", 401),
    ] {
        let answer = stranger.fetch(&stack.url(path)).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.brief());
    }
    let member = Browser::logged_in(stack, &user("ada")).await;
    let echo = member
        .fetch(&stack.url("/optional/a"))
        .await
        .expect(200)
        .echo();
    assert_eq!(echo.values("x-auth-request-user").len(), 1);
    let echo = member
        .fetch(&stack.url("/public/a"))
        .await
        .expect(200)
        .echo();
    assert_eq!(echo.names_with("x-auth-request"), [] as [&str; 0]);
}

#[tokio::test]
async fn no_spelling_of_a_path_makes_a_protected_page_public() {
    let stack = STACK.get();
    let address = stack.address(0);
    for target in [
        "/public/../secret",
        "/public/..",
        "/public/%2e%2e/secret",
        "/public/.%2e/secret",
        "/public/..;/secret",
        "/public/..%2fsecret",
        "/public/..%5csecret",
        "/public/..\\secret",
        "/public/x/../../secret",
        "/public/%252e%252e/secret",
        "/public/;/../secret",
        "/public/a;b=c",
        "//public/x/../../secret",
        "/secret?x=/public/",
        "/secret?/public/../",
        "/secret/?next=/public/",
        "/secret#/public/",
        "/secret;/public/",
        "/%70ublic/../secret",
        "/public%2f..%2fsecret",
        "/public/..%00/secret",
        "/public/\u{ff}",
        "http://localhost/secret",
        "http://x/public/../secret",
    ] {
        let lines: [(&str, &[u8]); 2] = [("Connection", b"close"), ("Accept", b"application/json")];
        let answer = raw::exchange(address, &raw::head("GET", target, address, &lines)).await;
        if answer.status == 200 {
            // Envoy has made it canonical, and then it is a public page indeed.
            let path = answer.echo().0["path"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(
                path.starts_with("/public/") && !path.contains(".."),
                "{target} reached {path}"
            );
        } else {
            let refused = matches!(answer.status, 400 | 401 | 404 | 307);
            assert!(refused, "{target}: {}", answer.brief());
        }
    }
}

#[tokio::test]
async fn a_protected_page_stays_protected_where_the_path_only_looks_public() {
    let stack = STACK.get();
    let address = stack.address(0);
    for target in [
        "/secret?x=/public/",
        "/secret/public/",
        "/public/../secret",
        "/public/%2e%2e/secret",
        "/public/a;b",
        "/public/..;/secret",
        "/public/%252e",
    ] {
        let lines: [(&str, &[u8]); 2] = [("Connection", b"close"), ("Accept", b"application/json")];
        let answer = raw::exchange(address, &raw::head("GET", target, address, &lines)).await;
        assert_eq!(answer.status, 401, "{target}: {}", answer.brief());
        assert_eq!(answer.reason(), "no_session", "{target}");
    }
}

#[tokio::test]
async fn bytes_that_are_no_utf8_harm_neither_the_request_nor_the_next() {
    let stack = STACK.get();
    let address = stack.address(0);
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let own = cookie_of(&browser);
    for (name, value) in [
        ("x-odd", b"\xff\xfe\x80".as_slice()),
        ("referer", b"\xc3\x28"),
        ("origin", b"\xff"),
        ("accept", b"text/html\xff"),
        ("sec-fetch-mode", b"\xff"),
        ("upgrade-insecure-requests", b"\xe2\x82"),
        ("authorization", b"Bearer \xff"),
    ] {
        let mut connection = Connection::open(address).await;
        let lines = [(name, value), ("Cookie", own.as_bytes())];
        connection
            .send(&raw::head("GET", "/x", address, &lines))
            .await;
        let echo = connection.answer().await.expect(200).echo();
        if name == "x-odd" {
            let latin1: String = value.iter().copied().map(char::from).collect();
            assert_eq!(echo.values(name), [latin1]);
        }
        let lines = [("Cookie", own.as_bytes())];
        connection
            .send(&raw::head("GET", "/next", address, &lines))
            .await;
        assert_eq!(
            connection.answer().await.expect(200).echo().0["path"],
            "/next"
        );
    }
    for cookie in [
        b"__Host-gatelatch=\xff\xfe".as_slice(),
        b"\xff=1; __Host-gatelatch=a.b.c",
        b"=;=;;\xff",
    ] {
        let lines: [(&str, &[u8]); 2] = [("Cookie", cookie), ("Connection", b"close")];
        let answer = raw::exchange(address, &raw::head("GET", "/x", address, &lines)).await;
        assert_eq!(answer.status, 401, "{}", answer.brief());
    }
    assert_no_trap(stack);
}

#[tokio::test]
async fn two_session_cookies_are_refused_whichever_is_right() {
    let stack = STACK.get();
    let address = stack.address(0);
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let own = cookie_of(&browser);
    for cookies in [
        vec![format!("{own}; {SESSION_COOKIE}=x")],
        vec![format!("{SESSION_COOKIE}=x; {own}")],
        vec![format!("{own}; {own}")],
        vec![own.clone(), format!("a=1; {SESSION_COOKIE}=")],
    ] {
        let mut lines: Vec<(&str, &[u8])> = vec![("Connection", b"close")];
        lines.extend(cookies.iter().map(|line| ("Cookie", line.as_bytes())));
        let answer = raw::exchange(address, &raw::head("GET", "/x", address, &lines)).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (401, "duplicate_session_cookie".into()),
            "{cookies:?}"
        );
    }
}

#[tokio::test]
async fn a_token_that_was_changed_anywhere_is_refused() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let token = browser.session().0;
    let parts: Vec<&str> = token.split('.').collect();
    let [header, payload, signature] = parts.as_slice() else {
        panic!("three parts")
    };
    let none = "eyJhbGciOiJub25lIiwidHlwIjoic2Vzc2lvbitqd3QifQ";
    for forged in [
        flip(&token, 10),
        flip(&token, header.len() + 20),
        flip(&token, token.len() - 10),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{none}.{payload}."),
        format!("{none}.{payload}.{signature}"),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!("{payload}.{header}.{signature}"),
        "a.b.c".to_owned(),
        "A".repeat(5000),
    ] {
        let other = Browser::new();
        other.edit_jar(|jar| jar.put(SESSION_COOKIE, &forged));
        let answer = other.fetch(&stack.url("/api")).await.expect(401);
        assert_eq!(answer.reason(), "invalid_session", "{forged}");
        assert!(
            answer
                .header("www-authenticate")
                .is_some_and(|value| value.contains("invalid_token"))
        );
        assert_eq!(
            answer.set_cookie(SESSION_COOKIE).len(),
            1,
            "the useless cookie is cleared"
        );
        assert_eq!(other.maybe_session(), None);
    }
    browser.fetch(&stack.url("/api")).await.expect(200);
}

#[tokio::test]
async fn an_application_keeps_its_cookies() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let answer = browser.fetch(&stack.url("/set-cookie")).await.expect(200);
    let expected = [
        "demo-theme=dark; Path=/; SameSite=Lax",
        "demo-seen=1; Path=/; HttpOnly",
    ];
    assert_eq!(answer.set_cookies(), expected);
    let echo = browser.fetch(&stack.url("/next")).await.expect(200).echo();
    let line = echo.values("cookie").join("; ");
    assert!(
        line.contains("demo-theme=dark") && line.contains("demo-seen=1"),
        "{line}"
    );
}

#[tokio::test]
async fn a_post_from_another_site_with_a_session_is_refused() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let url = stack.url("/transfer");
    let post = async |headers: &[(&str, &[u8])]| -> Answer {
        browser
            .send(Method::POST, &url, Kind::Plain, headers, Bytes::from("x=1"))
            .await
    };
    let own = stack.ready.public_url.clone().into_bytes();
    for headers in [
        [("sec-fetch-site", b"cross-site".as_slice()), ("x-a", b"")],
        [("sec-fetch-site", b"same-site"), ("x-a", b"")],
        [("sec-fetch-site", b"cross-site"), ("origin", &own)],
        [("origin", b"https://evil.example"), ("x-a", b"")],
        [("origin", b"null"), ("x-a", b"")],
        [("referer", b"https://evil.example/page"), ("x-a", b"")],
    ] {
        let answer = post(&headers).await.expect(403);
        assert_eq!(answer.reason(), "cross_site", "{headers:?}");
        assert_eq!(answer.set_cookies(), [] as [&str; 0], "the session stays");
    }
    for headers in [
        [("sec-fetch-site", b"same-origin".as_slice()), ("x-a", b"")],
        [("origin", &own), ("x-a", b"")],
        [("x-a", b""), ("x-b", b"")],
    ] {
        assert_eq!(post(&headers).await.expect(200).echo().0["body_bytes"], 3);
    }
    // A link on another site may lead here.
    let link: &[(&str, &[u8])] = &[("sec-fetch-site", b"cross-site")];
    browser
        .send(
            Method::GET,
            &stack.url("/x"),
            Kind::Navigation,
            link,
            Bytes::new(),
        )
        .await
        .expect(200);
}

#[tokio::test]
async fn the_session_path_tells_the_page_who_is_logged_in_and_for_how_long() {
    let stack = STACK.get();
    let (browser, ada) = (Browser::new(), user("ada"));
    let url = stack.url("/_gatelatch/session");
    let refused = browser.open(&url).await.expect(401);
    assert_eq!(refused.reason(), "no_session");
    browser.login(stack, &ada, "/").await.expect(200);
    let answer = browser.fetch(&url).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let told = answer.json();
    assert_eq!(told["sub"], ada);
    assert_eq!(told["exp"], browser.session().seconds("exp"));
    assert_eq!(told["claims"]["groups"], json!(["staff"]));
    assert!(
        told["seconds_left"]
            .as_u64()
            .is_some_and(|left| left > 800 && left <= 900)
    );
    assert!(!answer.text().contains(&browser.session().0));
}

#[tokio::test]
async fn http2_clients_get_the_same_answers() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let second = Browser::http2();
    assert_eq!(
        second.fetch(&stack.url("/api")).await.expect(401).version,
        http::Version::HTTP_2
    );
    second.edit_jar(|jar| *jar = browser.jar());
    let answer = second
        .post(&stack.url("/api"), vec![7; 100_000])
        .await
        .expect(200);
    assert_eq!(answer.version, http::Version::HTTP_2);
    assert_eq!(answer.echo().0["body_bytes"], 100_000);
}

#[tokio::test]
async fn a_head_request_and_options_are_answered_like_a_get() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    for method in [
        Method::HEAD,
        Method::OPTIONS,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ] {
        browser
            .send(method, &stack.url("/api"), Kind::Fetch, &[], Bytes::new())
            .await
            .expect(200);
    }
}

#[tokio::test]
async fn a_websocket_with_a_session_is_opened() {
    let stack = STACK.get();
    let address = stack.address(0);
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let cookie = cookie_of(&browser);
    let lines: [(&str, &[u8]); 5] = [
        ("Connection", b"Upgrade"),
        ("Upgrade", b"websocket"),
        ("Sec-WebSocket-Version", b"13"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Cookie", cookie.as_bytes()),
    ];
    let mut connection = Connection::open(address).await;
    connection
        .send(&raw::head("GET", "/ws", address, &lines))
        .await;
    let (status, headers) = connection.head().await;
    assert_eq!(status, 101);
    assert_eq!(
        headers["sec-websocket-accept"],
        "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    );
    // A masked frame "hi", and its echo.
    connection.send(b"\x81\x82\x00\x00\x00\x00hi").await;
    assert_eq!(connection.bytes(4).await, b"\x81\x02hi");
}

fn cookie_of(browser: &Browser) -> String {
    format!("{SESSION_COOKIE}={}", browser.session().0)
}

/// Another character of the same alphabet at this place, so that the form stays right.
fn flip(token: &str, at: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}

fn assert_no_trap(stack: &Stack) {
    let log = stack.log("envoy-0");
    for word in ["panicked", "RuntimeError", "Function: proxy_on"] {
        assert!(!log.contains(word), "Envoy's log has {word}");
    }
}
