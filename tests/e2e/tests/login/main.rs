//! From a page without a session to the provider and back.

mod callback;
mod return_target;
mod several;

use std::collections::BTreeSet;

use bytes::Bytes;
use gatelatch_harness::raw::Connection;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Browser, Kind, Shared, Stack, StackOptions, raw, user};
use http::Method;
use url::Url;

static STACK: Shared = Shared::new(StackOptions::new);

const LOGIN_COOKIE: &str = "__Secure-gatelatch-login-";

const LIST_COOKIE: &str = "__Host-gatelatch-logins";

#[tokio::test]
async fn a_navigation_without_a_session_is_sent_to_the_provider_with_a_transaction_of_its_own() {
    let stack = STACK.get();
    let browser = Browser::new();
    let answer = browser.open(&stack.url("/orders?page=2")).await.expect(302);

    let location = Url::parse(answer.location()).expect("a URL");
    assert!(
        location
            .as_str()
            .starts_with(&format!("{}/auth?", stack.ready.issuer)),
        "{location}"
    );
    let parameter = |name: &str| {
        let mut found = location.query_pairs().filter(|(key, _)| key == name);
        let value = found.next().map(|(_, value)| value.into_owned());
        assert!(found.next().is_none(), "{name} twice in {location}");
        value.unwrap_or_else(|| panic!("no {name} in {location}"))
    };
    assert_eq!(parameter("response_type"), "code");
    assert_eq!(parameter("client_id"), "gatelatch");
    assert_eq!(parameter("redirect_uri"), stack.url("/_gatelatch/callback"));
    assert_eq!(parameter("code_challenge_method"), "S256");
    assert_eq!(parameter("code_challenge").len(), 43);
    assert!(parameter("state").len() >= 22 && parameter("nonce").len() >= 22);
    assert!(parameter("scope").split(' ').any(|scope| scope == "openid"));

    let cookies = answer.set_cookie(LOGIN_COOKIE.trim_end_matches('='));
    assert!(cookies.is_empty(), "the name goes on after the prefix");
    let lines = answer.set_cookies();
    let own: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with(LOGIN_COOKIE))
        .collect();
    let [line] = own.as_slice() else {
        panic!("one transaction cookie, not {lines:?}")
    };
    let attributes: BTreeSet<&str> = line.split("; ").skip(1).collect();
    let expected = [
        "Path=/_gatelatch/callback",
        "Max-Age=600",
        "Secure",
        "HttpOnly",
        "SameSite=Lax",
    ];
    assert_eq!(attributes, BTreeSet::from(expected));
    assert!(!line.contains("orders"), "the transaction is sealed");
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(browser.jar().refused(), [] as [String; 0]);
}

#[tokio::test]
async fn the_session_cookie_is_host_bound_secure_and_out_of_reach_of_scripts() {
    let stack = STACK.get();
    let browser = Browser::new();
    let form = browser.login_form(&stack.url("/")).await;
    let resumed = browser.type_name(&form, &user("ada")).await;
    let callback = browser.follow_to(resumed, "/_gatelatch/callback").await;
    let answer = browser.open(&callback).await.expect(302);
    let lines = answer.set_cookie(SESSION_COOKIE);
    let [line] = lines.as_slice() else {
        panic!("one session cookie, not {lines:?}")
    };
    let attributes: BTreeSet<&str> = line.split("; ").skip(1).collect();
    for expected in ["Path=/", "Secure", "HttpOnly", "SameSite=Lax"] {
        assert!(
            attributes.contains(expected),
            "{expected} in {attributes:?}"
        );
    }
    assert!(
        !attributes
            .iter()
            .any(|attribute| attribute.starts_with("Domain"))
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));

    let claims = browser.session().claims();
    assert_eq!(claims["iss"], stack.ready.public_url);
    assert_eq!(
        claims["exp"]
            .as_u64()
            .zip(claims["iat"].as_u64())
            .map(|(exp, iat)| exp - iat),
        Some(900)
    );
}

#[tokio::test]
async fn whatever_cannot_follow_a_redirect_gets_401_and_the_reason() {
    let stack = STACK.get();
    let browser = Browser::new();
    let url = stack.url("/api/orders");
    let html: &[(&str, &[u8])] = &[("accept", b"text/html")];
    let xhr: &[(&str, &[u8])] = &[
        ("accept", b"text/html"),
        ("x-requested-with", b"XMLHttpRequest"),
    ];
    let upgrade: &[(&str, &[u8])] = &[
        ("connection", b"Upgrade"),
        ("upgrade", b"websocket"),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    let image: &[(&str, &[u8])] = &[("sec-fetch-dest", b"image"), ("sec-fetch-mode", b"no-cors")];
    let frame: &[(&str, &[u8])] = &[
        ("sec-fetch-dest", b"iframe"),
        ("sec-fetch-mode", b"navigate"),
    ];
    let prefetch: &[(&str, &[u8])] = &[("sec-purpose", b"prefetch;prerender")];
    for (name, method, kind, headers) in [
        ("fetch", Method::GET, Kind::Fetch, &[] as &[(&str, &[u8])]),
        ("XHR", Method::GET, Kind::Plain, xhr),
        ("a program", Method::GET, Kind::Plain, &[]),
        ("a form", Method::POST, Kind::Navigation, &[]),
        ("PUT", Method::PUT, Kind::Plain, html),
        ("DELETE", Method::DELETE, Kind::Fetch, &[]),
        ("a WebSocket", Method::GET, Kind::Plain, upgrade),
        ("an image", Method::GET, Kind::Navigation, image),
        ("a frame", Method::GET, Kind::Navigation, frame),
        ("a guess", Method::GET, Kind::Navigation, prefetch),
    ] {
        let answer = browser
            .send(method, &url, kind, headers, Bytes::new())
            .await;
        assert_eq!(answer.status, 401, "{name}: {}", answer.brief());
        let expected =
            serde_json::json!({"reason": "no_session", "login": stack.url("/_gatelatch/login")});
        assert_eq!(answer.json(), expected, "{name}");
        let realm = format!("Bearer realm=\"{}\"", stack.ready.public_url);
        assert_eq!(
            answer.header("www-authenticate"),
            Some(realm.as_str()),
            "{name}"
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{name}");
        assert_eq!(answer.set_cookies(), [] as [&str; 0], "{name}");
    }
}

#[tokio::test]
async fn a_program_that_accepts_html_and_follows_redirects_is_sent_to_log_in() {
    let stack = STACK.get();
    let browser = Browser::new();
    let accept: &[(&str, &[u8])] = &[("accept", b"text/html")];
    for method in [Method::GET, Method::HEAD] {
        let answer = browser
            .send(method, &stack.url("/"), Kind::Plain, accept, Bytes::new())
            .await;
        assert!(
            answer
                .expect(302)
                .location()
                .starts_with(&stack.ready.issuer)
        );
    }
}

#[tokio::test]
async fn a_login_from_a_form_of_another_site_is_not_begun_by_post() {
    let stack = STACK.get();
    let browser = Browser::new();
    for (path, method) in [
        ("/_gatelatch/login", Method::POST),
        ("/_gatelatch/callback", Method::POST),
        ("/_gatelatch/session", Method::DELETE),
        ("/_gatelatch/logout", Method::GET),
        ("/_gatelatch/backchannel-logout", Method::GET),
    ] {
        let answer = browser
            .send(method, &stack.url(path), Kind::Fetch, &[], Bytes::new())
            .await;
        assert_eq!(
            (answer.status, answer.reason()),
            (405, "method_not_allowed".to_owned()),
            "{path}"
        );
    }
    let answer = browser
        .fetch(&stack.url("/_gatelatch/nothing"))
        .await
        .expect(404);
    assert_eq!(answer.reason(), "not_found");
}

#[tokio::test]
async fn a_host_header_of_the_client_does_not_steer_the_login() {
    let stack = STACK.get();
    let address = stack.address(0);
    let request = b"GET /a HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\n\
        X-Forwarded-Proto: https\r\nAccept: text/html\r\n\r\n";
    let answer = raw::exchange(address, request).await.expect(302);
    assert!(!answer.location().contains("evil"), "{}", answer.location());
    assert!(
        answer
            .location()
            .contains("redirect_uri=http%3A%2F%2Flocalhost%3A")
    );

    let mut connection = Connection::open(address).await;
    connection.send(b"GET http://evil.example/a HTTP/1.1\r\nHost: evil.example\r\nAccept: text/html\r\n\r\n").await;
    let answer = connection.answer().await;
    assert!(
        !answer
            .headers
            .get("location")
            .is_some_and(|to| to.as_bytes().windows(4).any(|part| part == b"evil"))
    );
}

#[tokio::test]
async fn without_the_provider_a_login_is_a_page_with_503_and_works_once_it_is_there() {
    let stack = Stack::start(&StackOptions::new().envoys(1, 1).without("idp"));
    let browser = Browser::new();
    let answer = browser.open(&stack.url("/")).await.expect(503);
    assert!(
        answer.text().contains("idp_unavailable"),
        "{}",
        answer.brief()
    );
    assert!(
        answer
            .header("content-type")
            .is_some_and(|kind| kind.starts_with("text/html"))
    );
    assert!(answer.header("retry-after").is_some());
    assert_eq!(
        browser.fetch(&stack.url("/api")).await.expect(401).reason(),
        "no_session"
    );

    stack.order("start", "idp");
    gatelatch_harness::eventually("the filter has found the provider", 30, async || {
        (browser.open(&stack.url("/")).await.status == 302).then_some(())
    })
    .await;
    browser.login(&stack, "ada", "/").await.expect(200);
}
