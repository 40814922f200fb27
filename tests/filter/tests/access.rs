//! Who gets to the application, and as whom.

use gatelatch_filter_tests::{Browser, Gateway, Headers, PUBLIC_URL, SESSION_COOKIE, Setup};
use serde_json::json;

const IDENTITY: [&str; 5] = [
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-preferred-username",
    "x-auth-request-groups",
    "x-auth-request-session",
];

#[test]
fn a_session_is_forwarded_with_its_identity_and_nothing_else_changed() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let sent = browser
        .navigation("/orders?id=7")
        .with("x-request-id", "r1");
    let seen = browser
        .send(&mut gateway, sent.clone(), "")
        .forwarded()
        .headers;

    let session = gateway.control.only_session();
    let identity = |name: &str| seen.text(name).map(str::to_owned);
    assert_eq!(identity("x-auth-request-user").as_deref(), Some("ada"));
    assert_eq!(
        identity("x-auth-request-email").as_deref(),
        Some("ada@example.test")
    );
    assert_eq!(
        identity("x-auth-request-preferred-username").as_deref(),
        Some("ada")
    );
    assert_eq!(
        identity("x-auth-request-groups").as_deref(),
        Some("staff,admins")
    );
    assert_eq!(
        identity("x-auth-request-session").as_deref(),
        Some(session.view.sid.as_str())
    );

    let rest: Headers = seen
        .iter()
        .filter(|(name, _)| !IDENTITY.iter().any(|own| own.as_bytes() == *name))
        .collect();
    let mut expected = sent;
    expected.remove("cookie");
    assert_eq!(rest, expected, "the session was the only cookie");
}

#[test]
fn own_cookies_are_removed_and_others_pass_byte_for_byte() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let own = format!("{SESSION_COOKIE}={}", browser.session());
    let cookie = |line: &[u8]| {
        let mut headers = browser.script("GET", "/");
        headers.replace("cookie", line);
        headers
    };
    for (sent, expected) in [
        (
            format!("a=1; {own}; b=\"x y\";c = =2"),
            Some("a=1; b=\"x y\";c = =2"),
        ),
        (format!("{own};a=1"), Some("a=1")),
        (format!("a=1; {own}"), Some("a=1")),
        (own.clone(), None),
        (
            format!("x{SESSION_COOKIE}=1; {own}; {SESSION_COOKIE}x=2"),
            Some("x__Host-gatelatch=1; __Host-gatelatchx=2"),
        ),
    ] {
        let seen = browser
            .send(&mut gateway, cookie(sent.as_bytes()), "")
            .forwarded()
            .headers;
        assert_eq!(seen.text("cookie"), expected, "{sent}");
    }
    let raw = [b"a=\xff\xfe; ".as_slice(), own.as_bytes(), b"; \x80=1"].concat();
    let seen = browser
        .send(&mut gateway, cookie(&raw), "")
        .forwarded()
        .headers;
    assert_eq!(seen.first("cookie"), Some(b"a=\xff\xfe; \x80=1".as_slice()));
}

#[test]
fn a_session_in_the_second_of_two_cookie_lines_is_found() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let mut headers = browser.script("GET", "/");
    headers.replace("cookie", "a=1");
    headers.add(
        "cookie",
        format!("{SESSION_COOKIE}={}; b=2", browser.session()),
    );
    let seen = browser.send(&mut gateway, headers, "").forwarded().headers;
    let cookies: Vec<_> = seen.all("cookie").join(b"; ".as_slice());
    assert_eq!(cookies, b"a=1; b=2");
    assert_eq!(seen.text("x-auth-request-user"), Some("ada"));
}

#[test]
fn two_session_cookies_are_refused_whichever_is_good() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let good = browser.session().to_owned();
    for pair in [["bad", &good], [&good, "bad"], [&good, &good]] {
        let mut headers = browser.script("GET", "/");
        headers.replace(
            "cookie",
            format!("{SESSION_COOKIE}={}; {SESSION_COOKIE}={}", pair[0], pair[1]),
        );
        let reply = browser.send(&mut gateway, headers, "").reply();
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (401, "duplicate_session_cookie")
        );
    }
}

/// Identity header names as a client could spell them so that some server reads them as ours.
fn spoofed(headers: Headers) -> Headers {
    IDENTITY.iter().fold(headers, |headers, name| {
        headers
            .with(name, "mallory")
            .with(name.to_uppercase(), "mallory")
            .with(name.replace('-', "_"), "mallory")
            .with(name.replacen('-', "_", 1), "mallory")
            .with(name.replace('-', "_").to_uppercase(), "mallory")
    })
}

#[test]
fn spoofed_identity_is_stripped_on_every_path_in_every_spelling() {
    let mut gateway = Gateway::new();
    let nobody = Browser::new();
    let ada = Browser::logged_in(&mut gateway);
    for (browser, path) in [
        (&nobody, "/public/a"),
        (&nobody, "/optional/a"),
        (&ada, "/public/a"),
        (&ada, "/optional/a"),
        (&ada, "/private"),
    ] {
        let seen = browser
            .send(&mut gateway, spoofed(browser.script("GET", path)), "")
            .forwarded()
            .headers;
        let spoof: Vec<_> = seen
            .iter()
            .filter(|(_, value)| *value == b"mallory")
            .collect();
        assert_eq!(spoof, [], "{path}");
    }
}

#[test]
fn spoofed_identity_is_stripped_from_a_request_that_waits_for_a_refresh() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    gateway.expire();
    let seen = browser
        .send(&mut gateway, spoofed(browser.script("GET", "/a")), "")
        .forwarded()
        .headers;
    assert!(
        seen.iter().all(|(_, value)| value != b"mallory"),
        "{seen:?}"
    );
    assert_eq!(seen.text("x-auth-request-user"), Some("ada"));
}

#[test]
fn public_paths_know_nobody_and_optional_ones_know_who_is_there() {
    let mut gateway = Gateway::new();
    let (nobody, ada) = (Browser::new(), Browser::logged_in(&mut gateway));
    let user = |gateway: &mut Gateway, browser: &Browser, path: &str| {
        let seen = browser.navigate(gateway, path).forwarded().headers;
        (
            seen.text("x-auth-request-user").map(str::to_owned),
            seen.first("cookie").is_some(),
        )
    };
    assert_eq!(user(&mut gateway, &nobody, "/public/a"), (None, false));
    assert_eq!(user(&mut gateway, &ada, "/public/a"), (None, false));
    assert_eq!(user(&mut gateway, &nobody, "/optional/a"), (None, false));
    assert_eq!(
        user(&mut gateway, &ada, "/optional/a"),
        (Some("ada".to_owned()), false)
    );
    assert_eq!(
        user(&mut gateway, &ada, "/private"),
        (Some("ada".to_owned()), false)
    );
}

#[test]
fn a_path_is_public_by_its_canonical_form_alone() {
    let mut gateway = Gateway::new();
    let nobody = Browser::new();
    for path in [
        "/private?x=/public/",
        "/public",
        "/Public/a",
        "/public/../private",
        "/public/%2e%2e/private",
        "/public/..%2fprivate",
        "/public/..;/private",
        "//public/a",
        "/public//a",
        "/public/\\..\\private",
        "/public/%00",
        "/x/../public/a",
        "/%70ublic/../private",
        "/a#/public/",
    ] {
        let reply = nobody.fetch(&mut gateway, "GET", path).reply();
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (401, "no_session"),
            "{path}"
        );
    }
    assert_eq!(
        nobody
            .fetch(&mut gateway, "GET", "/%70ublic/a")
            .forwarded()
            .headers
            .text(":path"),
        Some("/%70ublic/a")
    );
}

#[test]
fn a_navigation_is_sent_to_log_in_and_everything_else_is_refused() {
    let mut gateway = Gateway::new();
    let nobody = Browser::new();
    let away = nobody.navigate(&mut gateway, "/a?b=c").reply();
    assert_eq!(away.status, 302);
    assert!(
        away.location().starts_with("http://localhost:9400/auth?"),
        "{away:#?}"
    );
    assert_eq!(away.headers.text("cache-control"), Some("no-store"));

    let html = ("accept", "text/html");
    let cases = [
        nobody.script("GET", "/a"),
        nobody.script("POST", "/a"),
        nobody.request("GET", "/a"),
        nobody.request("POST", "/a").with(html.0, html.1),
        nobody.request("PUT", "/a").with(html.0, html.1),
        nobody
            .request("GET", "/a")
            .with(html.0, html.1)
            .with("x-requested-with", "XMLHttpRequest"),
        nobody
            .request("GET", "/a")
            .with(html.0, html.1)
            .with("upgrade", "websocket")
            .with("connection", "upgrade"),
        nobody
            .request("GET", "/a.png")
            .with("accept", "image/*")
            .with("sec-fetch-dest", "image")
            .with("sec-fetch-mode", "no-cors"),
        nobody
            .navigation("/a")
            .with("sec-purpose", "prefetch;prerender"),
    ];
    for headers in cases {
        let reply = nobody.send(&mut gateway, headers.clone(), "").reply();
        assert_eq!(reply.status, 401, "{headers:?}");
        assert_eq!(
            reply.json(),
            json!({"reason": "no_session", "login": format!("{PUBLIC_URL}/_gatelatch/login")})
        );
        assert!(
            reply
                .headers
                .text("www-authenticate")
                .is_some_and(|value| !value.is_empty())
        );
        assert_eq!(reply.headers.text("cache-control"), Some("no-store"));
        assert_eq!(reply.headers.first("location"), None);
    }
}

#[test]
fn a_head_navigation_is_redirected_without_a_body() {
    let mut gateway = Gateway::new();
    let nobody = Browser::new();
    let headers = nobody.request("HEAD", "/a").with("accept", "text/html");
    let reply = nobody.send(&mut gateway, headers, "").reply();
    assert_eq!((reply.status, reply.body.len()), (302, 0));
}

#[test]
fn a_grpc_call_without_a_session_gets_a_grpc_status() {
    let mut gateway = Gateway::new();
    let nobody = Browser::new();
    let headers = nobody
        .request("POST", "/svc/Method")
        .with("content-type", "application/grpc")
        .with("te", "trailers");
    let reply = nobody.send(&mut gateway, headers, "body").reply();
    assert_eq!(
        (reply.status, reply.headers.text("grpc-status")),
        (200, Some("16"))
    );
}

#[test]
fn a_forged_or_foreign_session_is_refused_and_its_cookie_cleared() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let good = browser.session().to_owned();
    let parts: Vec<&str> = good.split('.').collect();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoic2Vzc2lvbitqd3QifQ";
    let flipped = if parts[2].starts_with('A') { "B" } else { "A" };
    let forged = [
        format!("{}.{}.{flipped}{}", parts[0], parts[1], &parts[2][1..]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{none}.{}.", parts[1]),
        format!("{none}.{}.{}", parts[1], parts[2]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}."),
        format!("{good}="),
        format!("{} {}", parts[0], parts[1]),
        "%00".to_owned(),
        "a.b.c".to_owned(),
        "x".repeat(9_000),
        String::new(),
    ];
    for token in forged {
        let mut headers = browser.script("GET", "/");
        headers.replace("cookie", format!("{SESSION_COOKIE}={token}"));
        let reply = browser.send(&mut gateway, headers, "").reply();
        assert_eq!(
            (reply.status, reply.reason().as_str()),
            (401, "invalid_session"),
            "{token}"
        );
        let cleared = reply.set_cookies().concat();
        assert!(
            cleared.starts_with("__Host-gatelatch=; ") && cleared.contains("Max-Age=0"),
            "{cleared}"
        );
    }
    let stream = browser.fetch(&mut gateway, "GET", "/");
    assert_eq!(
        stream.forwarded().headers.text("x-auth-request-user"),
        Some("ada")
    );
}

#[test]
fn a_session_is_known_on_every_worker_and_under_a_second_key_that_only_verifies() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    let rotated = Setup::new()
        .workers(2)
        .config(|config| {
            config["session_keys"] =
                json!([{"kid": "k2", "env": "NEW_KEY"}, {"kid": "k1", "env": "GATELATCH_SESSION_KEY"}]);
        })
        .host(|host| host.environment("NEW_KEY", "another-key-of-at-least-32-bytes-0123456789"));
    let mut rotated = rotated.start();
    for worker in 0..2 {
        let ada = ada.at_worker(worker);
        let stream = ada.fetch(&mut rotated, "GET", "/");
        assert_eq!(
            stream.forwarded().headers.text("x-auth-request-user"),
            Some("ada"),
            "worker {worker}"
        );
    }
}

#[test]
fn a_request_with_effects_from_another_site_is_not_carried_out() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    let cross = ada
        .request("POST", "/transfer")
        .with("sec-fetch-site", "cross-site")
        .with("origin", "https://evil.example");
    let reply = ada.send(&mut gateway, cross, "amount=1").reply();
    assert_eq!((reply.status, reply.reason().as_str()), (403, "cross_site"));
    let own = ada.request("POST", "/transfer").with("origin", PUBLIC_URL);
    assert_eq!(
        ada.send(&mut gateway, own, "amount=1").forwarded().body,
        b"amount=1"
    );
}

#[test]
fn an_application_cannot_set_the_session_cookie() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    let response = Headers::new()
        .with("set-cookie", "theme=dark")
        .with(
            "set-cookie",
            format!("{SESSION_COOKIE}=evil; Path=/; Secure"),
        )
        .with("set-cookie", "lang=de");
    let reply = ada
        .fetch(&mut gateway, "GET", "/")
        .respond(200, response, b"hello");
    assert_eq!(reply.set_cookies(), ["theme=dark", "lang=de"]);
}
