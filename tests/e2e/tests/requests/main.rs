//! What an application receives, and what it never does.

mod identity;
mod paths;
mod refusals;

use bytes::Bytes;
use gatelatch_harness::raw::Connection;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Browser, Kind, Shared, StackOptions, raw, user};
use http::Method;
use serde_json::json;

static STACK: Shared = Shared::new(StackOptions::new);

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
