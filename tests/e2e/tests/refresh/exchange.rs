//! The request that meets an expiry, and its response: both whole.

use bytes::Bytes;
use gatelatch_harness::answer::sha256;
use gatelatch_harness::raw::Connection;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Answer, Browser, Kind, raw};
use http::Method;

use crate::{STACK, expired_session};

#[tokio::test]
async fn a_body_of_any_size_survives_an_expiry() {
    let stack = STACK.get();
    let (browser, ada) = expired_session(stack, "body").await;
    for size in [0, 1, 1 << 20, 10 << 20] {
        let body = pattern(size);
        for (name, client) in [("HTTP/1.1", Browser::new()), ("HTTP/2", Browser::http2())] {
            client.edit_jar(|jar| *jar = browser.jar());
            let answer = client
                .post(&stack.url("/upload"), body.clone())
                .await
                .expect(200);
            let echo = answer.echo();
            assert_eq!(echo.0["method"], "POST");
            assert_eq!(echo.0["body_bytes"], size, "{name}");
            assert_eq!(
                echo.body_sha256(),
                sha256(&body),
                "{size} bytes over {name}"
            );
            assert_new_cookie(&answer, &browser);
        }
    }
    assert_eq!(stack.events().refreshes(&ada), 1);
}

#[tokio::test]
async fn a_chunked_body_survives_an_expiry() {
    let stack = STACK.get();
    let address = stack.address(0);
    let (browser, _) = expired_session(stack, "chunked").await;
    let cookie = cookie_of(&browser);
    let body = pattern(300_000);
    let lines: [(&str, &[u8]); 2] = [
        ("Transfer-Encoding", b"chunked"),
        ("Cookie", cookie.as_bytes()),
    ];
    let mut connection = Connection::open(address).await;
    connection
        .send(&raw::head("POST", "/upload", address, &lines))
        .await;
    for chunk in body.chunks(40_000) {
        connection
            .send(format!("{:x}\r\n", chunk.len()).as_bytes())
            .await;
        connection.send(chunk).await;
        connection.send(b"\r\n").await;
    }
    connection.send(b"0\r\n\r\n").await;
    let answer = connection.answer().await.expect(200);
    assert_eq!(answer.echo().body_sha256(), sha256(&body));
    assert_new_cookie(&answer, &browser);
}

#[tokio::test]
async fn a_client_that_expects_100_continue_gets_it_over_an_expiry() {
    let stack = STACK.get();
    let address = stack.address(1);
    let (browser, _) = expired_session(stack, "continue").await;
    let cookie = cookie_of(&browser);
    let body = pattern(70_000);
    let length = body.len().to_string();
    let lines: [(&str, &[u8]); 3] = [
        ("Content-Length", length.as_bytes()),
        ("Expect", b"100-continue"),
        ("Cookie", cookie.as_bytes()),
    ];
    let mut connection = Connection::open(address).await;
    connection
        .send(&raw::head("POST", "/upload", address, &lines))
        .await;
    assert_eq!(connection.head().await.0, 100);
    connection.send(&body).await;
    let answer = connection.answer().await.expect(200);
    assert_eq!(answer.echo().body_sha256(), sha256(&body));
    assert_new_cookie(&answer, &browser);
}

#[tokio::test]
async fn the_new_cookie_is_on_whatever_the_application_answers() {
    let stack = STACK.get();
    let (browser, ada) = expired_session(stack, "statuses").await;
    for (path, status) in [
        ("/api", 200),
        ("/status/204", 204),
        ("/status/206", 206),
        ("/status/302", 302),
        ("/status/304", 304),
        ("/status/404", 404),
        ("/status/500", 500),
        ("/stream?chunks=3&every=20", 200),
        ("/optional/x", 200),
        ("/_gatelatch/session", 200),
    ] {
        for method in [Method::GET, Method::HEAD] {
            let client = browser.copy();
            let answer = client
                .send(method, &stack.url(path), Kind::Fetch, &[], Bytes::new())
                .await;
            assert_eq!(answer.status, status, "{}", answer.asked);
            assert_new_cookie(&answer, &browser);
        }
    }
    let streamed = browser
        .copy()
        .fetch(&stack.url("/stream?chunks=3&every=20"))
        .await;
    assert_eq!(streamed.text(), "chunk 1\nchunk 2\nchunk 3\n");
    let kept = browser
        .copy()
        .fetch(&stack.url("/set-cookie"))
        .await
        .expect(200);
    let own = kept
        .set_cookies()
        .into_iter()
        .filter(|line| line.starts_with("demo-"))
        .count();
    assert_eq!(
        (own, kept.set_cookies().len()),
        (2, 3),
        "the application's cookies stay"
    );
    assert_eq!(stack.events().refreshes(&ada), 1);
}

#[tokio::test]
async fn a_websocket_is_opened_over_an_expiry_and_brings_the_new_cookie() {
    let stack = STACK.get();
    let address = stack.address(0);
    let (browser, _) = expired_session(stack, "socket").await;
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
    let answer = connection.answer().await.expect(101);
    assert_new_cookie(&answer, &browser);
    connection.send(b"\x81\x82\x00\x00\x00\x00hi").await;
    assert_eq!(connection.bytes(4).await, b"\x81\x02hi");
}

fn assert_new_cookie(answer: &Answer, old: &Browser) {
    let lines = answer.set_cookie(SESSION_COOKIE);
    let [line] = lines.as_slice() else {
        panic!("{}: one session cookie, not {lines:?}", answer.asked)
    };
    let value = line
        .split(';')
        .next()
        .and_then(|pair| pair.split_once('='))
        .map(|(_, value)| value);
    assert!(
        value.is_some_and(|value| value.len() > 100 && value != old.session().0),
        "{line}"
    );
}

fn cookie_of(browser: &Browser) -> String {
    format!("{SESSION_COOKIE}={}", browser.session().0)
}

fn pattern(size: usize) -> Vec<u8> {
    (0..size).map(|nth| (nth * 31 % 251) as u8).collect()
}
