//! Sessions and requests that are refused.

use bytes::Bytes;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Answer, Browser, Kind, raw, user};
use http::Method;

use crate::{STACK, cookie_of};

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

/// Another character of the same alphabet at this place, so that the form stays right.
fn flip(token: &str, at: usize) -> String {
    let mut bytes = token.as_bytes().to_vec();
    bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
    String::from_utf8(bytes).expect("ASCII")
}
