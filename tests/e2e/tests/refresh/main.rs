//! Renewal of an expired session: nobody notices, and no token is spent twice.

mod exchange;
mod faults;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use gatelatch_harness::raw::tally;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::transport::Transport;
use gatelatch_harness::{Browser, Kind, Shared, Stack, StackOptions, eventually, user};
use http::Method;

/// Two Envoys of four workers; nothing is ever wrong here.
static STACK: Shared = Shared::new(|| StackOptions::new().session_ttl("2s").envoys(2, 4));

#[tokio::test]
async fn four_hundred_requests_with_one_expired_cookie_cost_one_token_call() {
    let stack = STACK.get();
    let (browser, ada) = expired_session(stack, "flood").await;
    let mut flood = Vec::new();
    for nth in 0..8 {
        let transport = if nth % 2 == 0 {
            Transport::http1()
        } else {
            Transport::http2()
        };
        for request in 0..50 {
            let client = Browser::with(browser.jar(), transport.clone());
            let url = stack.url_at(nth / 2 % 2, &format!("/api/{nth}/{request}"));
            flood.push(tokio::spawn(async move { client.fetch(&url).await }));
        }
    }
    let started = Instant::now();
    let mut answers = Vec::new();
    for request in flood {
        answers.push(request.await.expect("no request panics"));
    }
    println!(
        "400 requests with one expired cookie: {} ms",
        started.elapsed().as_millis()
    );
    assert_eq!(
        tally(answers.iter().map(|answer| answer.status)),
        [(200, 400)].into()
    );
    for answer in &answers {
        assert_eq!(answer.echo().values("x-auth-request-user"), [ada.as_str()]);
        assert_eq!(
            answer.set_cookie(SESSION_COOKIE).len(),
            1,
            "{}",
            answer.asked
        );
    }
    let versions = answers
        .iter()
        .filter(|answer| answer.version == http::Version::HTTP_2);
    assert_eq!(versions.count(), 200);
    assert_eq!(stack.events().refreshes(&ada), 1);
    assert_eq!(stack.events().revoked_grants(&ada), 0);
    assert_eq!(
        stack
            .events()
            .count("refresh_token.consumed", &[("sub", &ada)]),
        1
    );
}

#[tokio::test]
async fn the_old_cookie_is_served_for_half_a_minute_without_a_further_call() {
    let stack = STACK.get();
    let (old, ada) = expired_session(stack, "late").await;
    let sid = old.session().text("sid");
    old.copy().fetch(&stack.url("/api")).await.expect(200);
    for later_ms in [40, 1_000, 29_000] {
        let refreshed = stack.control().session(&sid).await["refreshed_at_ms"].as_u64();
        let due = refreshed.expect("a time") + later_ms;
        eventually("the time has come", 30, async || {
            (now_ms() >= due).then_some(())
        })
        .await;
        for nth in 0..stack.envoys() {
            let answer = old
                .copy()
                .fetch(&stack.url_at(nth, "/api"))
                .await
                .expect(200);
            assert_eq!(
                answer.echo().values("x-auth-request-user"),
                [ada.as_str()],
                "after {later_ms} ms"
            );
        }
    }
    assert_eq!(stack.events().refreshes(&ada), 1);
    assert_eq!(stack.events().revoked_grants(&ada), 0);
}

#[tokio::test]
async fn a_renewed_session_is_the_same_session_with_another_token() {
    let stack = STACK.get();
    let (browser, ada) = expired_session(stack, "same").await;
    let before = browser.session();
    browser.fetch(&stack.url("/api")).await.expect(200);
    let after = browser.session();
    for claim in ["sid", "sub"] {
        assert_eq!(before.text(claim), after.text(claim));
    }
    for claim in ["auth_time", "session_iat", "session_exp"] {
        assert_eq!(before.seconds(claim), after.seconds(claim), "{claim}");
    }
    assert_ne!(before.text("jti"), after.text("jti"));
    assert!(after.seconds("exp") > before.seconds("exp"));
    assert_eq!(stack.events().refreshes(&ada), 1);
}

#[tokio::test]
async fn a_forged_expired_token_refreshes_nothing() {
    let stack = STACK.get();
    let (browser, ada) = expired_session(stack, "forged").await;
    let token = browser.session().0;
    let (start, _) = token.rsplit_once('.').expect("a JWT");
    browser.edit_jar(|jar| jar.put(SESSION_COOKIE, &format!("{start}.{}", "A".repeat(43))));
    assert_eq!(
        browser.fetch(&stack.url("/api")).await.expect(401).reason(),
        "invalid_session"
    );
    assert_eq!(stack.events().refreshes(&ada), 0);
}

#[tokio::test]
async fn a_public_page_with_an_expired_cookie_refreshes_nothing() {
    let stack = STACK.get();
    let (browser, ada) = expired_session(stack, "public").await;
    let answer = browser.fetch(&stack.url("/public/x")).await.expect(200);
    assert_eq!(answer.set_cookies(), [] as [&str; 0]);
    assert_eq!(stack.events().refreshes(&ada), 0);
}

#[tokio::test]
async fn a_post_from_another_site_refreshes_nothing() {
    let stack = STACK.get();
    let (browser, ada) = expired_session(stack, "cross").await;
    let cross: &[(&str, &[u8])] = &[("sec-fetch-site", b"cross-site")];
    let answer = browser
        .send(
            Method::POST,
            &stack.url("/x"),
            Kind::Navigation,
            cross,
            Bytes::new(),
        )
        .await;
    assert_eq!(answer.expect(403).set_cookies(), [] as [&str; 0]);
    assert_eq!(stack.events().refreshes(&ada), 0);
}

/// A browser whose session JWT has expired and was never refreshed.
async fn expired_session(stack: &Stack, name: &str) -> (Browser, String) {
    let name = user(name);
    let browser = Browser::new();
    let page = browser
        .login(stack, &name, "/_gatelatch/login?return_to=/public/start")
        .await;
    page.expect(200);
    browser.expired().await;
    (browser, name)
}

fn now_ms() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970");
    u64::try_from(now.as_millis()).expect("a time of this age")
}
