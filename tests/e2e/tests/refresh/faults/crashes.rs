//! Parts of the gateway that are killed.

use std::time::Instant;

use bytes::Bytes;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Kind, eventually};
use http::Method;

use crate::expired_session;
use crate::faults::{assert_one_refresh, begin, eventually_refreshing, turn};

#[tokio::test]
async fn a_control_service_killed_during_a_refresh_loses_no_rotated_token() {
    let (stack, _turn) = turn().await;
    let (browser, ada) = expired_session(stack, "crash").await;
    let sid = browser.session().text("sid");
    stack.order("pause", "idp");
    let request = begin(stack, &browser, 0);
    eventually_refreshing(stack, &sid).await;
    stack.order("kill", "control");
    stack.order("resume", "idp");
    eventually("the provider has rotated the token", 10, async || {
        (stack.events().refreshes(&ada) == 1).then_some(())
    })
    .await;
    stack.order("start", "control");
    let started = Instant::now();
    let answer = request.await.expect("no panic").expect(200);
    println!(
        "renewed {} ms after the control service was back",
        started.elapsed().as_millis()
    );
    assert_eq!(answer.set_cookie(SESSION_COOKIE).len(), 1);
    assert_eq!(stack.control().session(&sid).await["refreshes"], 1);
    browser.fetch(&stack.url("/api")).await.expect(200);
    assert_one_refresh(stack, &ada);
}

#[tokio::test]
async fn without_the_control_service_a_session_lives_through_the_grace_and_is_kept_beyond_it() {
    let (stack, _turn) = turn().await;
    let (browser, ada) = expired_session(stack, "alone").await;
    let old = browser.session();
    stack.order("kill", "control");
    let answer = browser.fetch(&stack.url("/api")).await.expect(200);
    assert_eq!(answer.echo().values("x-auth-request-user"), [ada.as_str()]);
    let answer = eventually("the grace is over", 10, async || {
        Some(browser.fetch(&stack.url("/api")).await).filter(|answer| answer.status != 200)
    })
    .await
    .expect(503);
    assert_eq!(answer.reason(), "control_unavailable");
    assert_eq!(browser.session(), old);
    stack.order("start", "control");
    eventually("the session is renewed", 20, async || {
        (browser.fetch(&stack.url("/api")).await.status == 200).then_some(())
    })
    .await;
    assert_one_refresh(stack, &ada);
}

#[tokio::test]
async fn the_lease_of_a_killed_envoy_is_given_to_the_next_that_asks() {
    let (stack, _turn) = turn().await;
    let (browser, _) = expired_session(stack, "dead").await;
    let sid = browser.session().text("sid");
    let vanished = async || {
        stack
            .control()
            .metric("gatelatch_refresh_vanished_holders_total")
            .await
    };
    let before = vanished().await;
    stack.order("pause", "idp");
    let cut = tokio::spawn({
        let (client, url) = (browser.copy(), stack.url_at(1, "/api"));
        async move {
            client
                .try_send(Method::GET, &url, Kind::Fetch, &[], Bytes::new())
                .await
        }
    });
    eventually_refreshing(stack, &sid).await;
    stack.order("kill", "envoy-1");
    assert!(
        cut.await.expect("no panic").is_none(),
        "the connection broke"
    );
    // A killed provider has forgotten the token, so that the second try has one exact outcome.
    stack.order("kill", "idp");
    stack.order("start", "idp");

    let answer = browser.fetch(&stack.url("/api")).await.expect(401);
    assert_eq!(answer.reason(), "session_ended");
    assert_eq!(vanished().await, before + 1.0);
}

#[tokio::test]
async fn a_reply_of_envoy_itself_brings_the_new_cookie() {
    let (stack, _turn) = turn().await;
    let (browser, ada) = expired_session(stack, "local").await;
    stack.order("stop", "app");
    let answer = browser.fetch(&stack.url("/api")).await;
    stack.order("start", "app");
    let answer = answer.expect(503);
    let lines = answer.set_cookie(SESSION_COOKIE);
    assert!(
        lines.len() == 1 && !lines[0].contains("Max-Age=0"),
        "{lines:?}"
    );
    assert_one_refresh(stack, &ada);
}
