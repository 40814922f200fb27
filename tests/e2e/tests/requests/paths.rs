//! Paths that only look public, and bytes that only look harmless.

use gatelatch_harness::raw::Connection;
use gatelatch_harness::{Browser, Stack, raw, user};

use crate::{STACK, cookie_of};

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

fn assert_no_trap(stack: &Stack) {
    let log = stack.log("envoy-0");
    for word in ["panicked", "RuntimeError", "Function: proxy_on"] {
        assert!(!log.contains(word), "Envoy's log has {word}");
    }
}
