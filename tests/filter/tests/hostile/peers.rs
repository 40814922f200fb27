//! Answers that no well-behaved peer gives.

use super::*;

fn nonsense() -> Vec<Answer> {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let nested = format!("{}1{}", "{\"a\":".repeat(50_000), "}".repeat(50_000));
    vec![
        Answer::text(200, ""),
        Answer::text(200, "null"),
        Answer::text(200, "[]"),
        Answer::text(200, "\"text\""),
        Answer::text(200, &deep),
        Answer::text(200, &nested),
        Answer::text(200, &"x".repeat(2_000_000)),
        Answer::text(200, "{\"outcome\":\"lease\"}"),
        Answer::text(200, "{\"outcome\":\"unheard_of\"}"),
        Answer::text(200, "{\"keys\":[]}"),
        Answer::text(
            200,
            "{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AA\",\"e\":\"AA\"}]}",
        ),
        Answer::text(
            200,
            "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}",
        ),
        Answer::text(204, ""),
        Answer::text(301, ""),
        Answer::text(600, ""),
        Answer::text(99, ""),
        Answer::Http {
            status: 200,
            headers: Headers::new(),
            body: vec![0xff; 300],
        },
        Answer::Http {
            status: 200,
            headers: Headers::new().with("retry-after", b"\xff"),
            body: Vec::new(),
        },
        Answer::Http {
            status: 429,
            headers: Headers::new().with("retry-after", "99999999999999999999"),
            body: Vec::new(),
        },
        Answer::Reset,
        Answer::TimedOut,
    ]
}

#[test]
fn no_answer_to_any_call_of_a_refresh_hurts_more_than_its_request() {
    for path in [
        "/refresh/begin",
        "/token",
        "/refresh/fail",
        "/refresh/complete",
    ] {
        for answer in nonsense() {
            let mut gateway = Gateway::new();
            let ada = Browser::logged_in(&mut gateway);
            gateway.expire();
            match path {
                "/token" => gateway.idp.next(path, answer.clone()),
                _ => gateway.control.next(path, answer.clone()),
            }
            if path == "/refresh/fail" {
                gateway.idp.next("/token", Answer::text(500, ""));
            }
            let stream = ada.fetch(&mut gateway, "GET", "/");
            gateway.advance(Duration::from_secs(1));
            assert!(!stream.is_paused(), "{path} {answer:?}");
            // A lease that nobody has given back runs out.
            gateway.advance(Duration::from_secs(10));
            let next = ada.fetch(&mut gateway, "GET", "/");
            assert_eq!(
                next.forwarded().headers.text("x-auth-request-user"),
                Some("ada"),
                "{path} {answer:?}"
            );
        }
    }
}

#[test]
fn no_answer_to_any_call_of_a_login_hurts_more_than_that_login() {
    let mut gateway = Gateway::new();
    for path in ["/claim", "/token", "/v1/sessions"] {
        for answer in nonsense() {
            let mut browser = Browser::new();
            let away = browser.navigate(&mut gateway, "/").reply();
            browser.keep(&away);
            let callback = gateway.idp.log_in(away.location());
            match path {
                "/token" => gateway.idp.next(path, answer.clone()),
                _ => gateway.control.next(path, answer.clone()),
            }
            let reply = browser.follow(&mut gateway, &callback);
            assert!(
                matches!(reply.status, 400 | 503),
                "{path} {answer:?}: {reply:#?}"
            );
            assert_eq!(browser.cookie(SESSION_COOKIE), None);
        }
    }
    Browser::logged_in(&mut gateway);
}

#[test]
fn no_document_of_the_provider_and_no_page_of_the_feed_hurts_what_is_known() {
    let mut gateway = Setup::new()
        .config(|config| config["session"] = json!({"ttl": "1h"}))
        .start();
    let ada = Browser::logged_in(&mut gateway);
    for path in ["/openid-configuration", "/jwks", "/feed"] {
        for answer in nonsense() {
            match path {
                "/feed" => gateway.control.always(path, answer.clone()),
                _ => gateway.idp.always(path, answer.clone()),
            }
            gateway
                .host
                .skip(Duration::from_secs(if path == "/feed" { 0 } else { 320 }));
            gateway.advance(Duration::from_secs(if path == "/feed" { 22 } else { 3 }));
            gateway.control.behave();
            gateway.idp.behave();
            gateway.advance(Duration::from_secs(32));
            let stream = ada.fetch(&mut gateway, "GET", "/");
            let status = match stream.state() {
                gatelatch_filter_tests::State::Forwarded(_) => 200,
                _ => stream.reply().status,
            };
            assert!(matches!(status, 200 | 401), "{path} {answer:?}: {status}");
        }
    }
    Browser::logged_in(&mut gateway);
}

#[test]
fn an_answer_without_a_status_is_no_answer() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    gateway.expire();
    for headers in [
        Headers::new().with("content-type", "application/json"),
        Headers::new().with(":status", ""),
        Headers::new().with(":status", "two hundred"),
        Headers::new().with(":status", b"\xff"),
        Headers::new().with(":status", "-200"),
    ] {
        gateway.idp.next("/token", Answer::Later);
        let stream = ada.fetch(&mut gateway, "GET", "/");
        let body = json!({"access_token": "a", "token_type": "Bearer"})
            .to_string()
            .into_bytes();
        gateway.take_unanswered("/token").end(headers.clone(), body);
        gateway.settle();
        assert_eq!(
            stream.forwarded().headers.text("x-auth-request-user"),
            Some("ada"),
            "{headers:?}"
        );
        assert_eq!(
            gateway.control.calls("/refresh/complete").len(),
            0,
            "{headers:?}"
        );
    }
}

#[test]
fn a_key_set_with_keys_that_nobody_knows_is_used_for_those_that_are_known() {
    let odd = [
        json!({"kty": "OKP", "crv": "Ed448", "x": "AA", "kid": "a"}),
        json!({"kty": "oct", "k": "c2VjcmV0", "kid": "key-0"}),
        json!({"kty": "unheard-of"}),
        json!({"kid": 7}),
        json!("text"),
    ];
    let mut gateway = Setup::new()
        .peers(move |_, idp| idp.further_keys = odd.to_vec())
        .start();
    Browser::logged_in(&mut gateway);
}
