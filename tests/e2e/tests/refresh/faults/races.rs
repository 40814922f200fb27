//! Clients that leave, and decisions that come in between.

use gatelatch_harness::control::envoy_stats;
use gatelatch_harness::raw::Connection;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{eventually, raw};

use crate::expired_session;
use crate::faults::{assert_one_refresh, begin, eventually_refreshing, turn};

const CLIENTS: usize = 100;

#[tokio::test]
async fn clients_that_leave_during_a_refresh_take_no_token_with_them() {
    let (stack, _turn) = turn().await;
    let (browser, ada) = expired_session(stack, "gone").await;
    let sid = browser.session().text("sid");
    let cookie = format!("{SESSION_COOKIE}={}", browser.session().0);
    let active = async || {
        let stats = envoy_stats(&stack.ready.gateways[0].admin_url).await;
        stats["http.gateway.downstream_rq_active"]
    };
    stack.order("pause", "idp");
    let address = stack.address(0);
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut connection = Connection::open(address).await;
        let lines = [("Cookie", cookie.as_bytes())];
        connection
            .send(&raw::head("GET", "/api", address, &lines))
            .await;
        clients.push(connection);
    }
    eventually("all requests are held", 10, async || {
        (active().await >= CLIENTS as u64).then_some(())
    })
    .await;
    eventually_refreshing(stack, &sid).await;
    drop(clients);
    eventually("all clients are gone", 10, async || {
        (active().await == 0).then_some(())
    })
    .await;
    stack.order("resume", "idp");
    eventually("the rotated token is stored", 10, async || {
        (stack.control().session(&sid).await["refreshes"] == 1).then_some(())
    })
    .await;
    let answer = browser.fetch(&stack.url("/api")).await.expect(200);
    assert_eq!(answer.set_cookie(SESSION_COOKIE).len(), 1);
    assert_one_refresh(stack, &ada);
}

#[tokio::test]
async fn a_revocation_during_a_refresh_wins() {
    let (stack, _turn) = turn().await;
    let (browser, _) = expired_session(stack, "raced").await;
    let sid = browser.session().text("sid");
    stack.order("pause", "idp");
    let request = begin(stack, &browser, 0);
    eventually_refreshing(stack, &sid).await;
    stack.control().revoke_sid(&sid).await;
    stack.order("resume", "idp");
    let answer = request.await.expect("no panic").expect(401);
    assert_eq!(answer.reason(), "session_revoked");
    let lines = answer.set_cookie(SESSION_COOKIE);
    assert!(
        lines.iter().all(|line| line.contains("Max-Age=0")),
        "{lines:?}"
    );
    assert_eq!(
        stack.control().session(&sid).await["ended_reason"],
        "revoked"
    );
    assert_eq!(
        browser.fetch(&stack.url("/api")).await.expect(401).reason(),
        "session_revoked"
    );
}

#[tokio::test]
async fn a_logout_during_a_refresh_wins() {
    let (stack, _turn) = turn().await;
    let (browser, _) = expired_session(stack, "left").await;
    let sid = browser.session().text("sid");
    stack.order("pause", "idp");
    let request = begin(stack, &browser, 0);
    eventually_refreshing(stack, &sid).await;
    let left = browser
        .copy()
        .post(&stack.url("/_gatelatch/logout"), "")
        .await;
    left.expect(303);
    stack.order("resume", "idp");
    let answer = request.await.expect("no panic").expect(401);
    let lines = answer.set_cookie(SESSION_COOKIE);
    assert!(
        lines.iter().all(|line| line.contains("Max-Age=0")),
        "{lines:?}"
    );
    browser.fetch(&stack.url("/api")).await.expect(401);
}
