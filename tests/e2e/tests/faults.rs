//! Refresh while something fails: sessions are kept, tokens are not lost, and what is revoked
//! stays revoked. The tests share one stack and take turns, because they stop parts of it.

use std::time::Instant;

use bytes::Bytes;
use gatelatch_harness::control::envoy_stats;
use gatelatch_harness::raw::{self, Connection};
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Answer, Browser, Kind, Shared, Stack, StackOptions, eventually, user};
use http::Method;
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

static STACK: Shared = Shared::new(|| {
    StackOptions::new()
        .session_ttl("2s")
        .envoys(2, 2)
        .filter_config(json!({"refresh": {"grace": "3s"}}))
        .env("GATELATCH_LEASE", "2s")
});
static TURN: Mutex<()> = Mutex::const_new(());

const CLIENTS: usize = 100;

#[tokio::test]
async fn a_slow_provider_gets_one_call_however_many_wait_and_longer_than_a_lease() {
    let (stack, _turn) = turn().await;
    let (browser, ada) = expired_session(stack, "slow").await;
    let renewals = async || stack.control().metric(RENEWALS).await;
    let before = renewals().await;
    stack.order("pause", "idp");
    let waiting: Vec<_> = (0..20).map(|nth| begin(stack, &browser, nth % 2)).collect();
    eventually("the lease was renewed four times", 20, async || {
        (renewals().await >= before + 4.0).then_some(())
    })
    .await;
    stack.order("resume", "idp");
    for request in waiting {
        let answer = request.await.expect("no panic").expect(200);
        assert_eq!(answer.echo().values("x-auth-request-user"), [ada.as_str()]);
    }
    assert_one_refresh(stack, &ada);
}

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
async fn without_the_provider_a_session_lives_through_the_grace_and_is_kept_beyond_it() {
    let (stack, _turn) = turn().await;
    let (browser, ada) = expired_session(stack, "outage").await;
    let old = browser.session();
    stack.order("stop", "idp");

    let answer = browser.fetch(&stack.url("/api")).await.expect(200);
    assert_eq!(
        answer.echo().values("x-auth-request-user"),
        [ada.as_str()],
        "the old claims"
    );
    assert_eq!(answer.set_cookies(), [] as [&str; 0]);

    let answer = eventually("the grace is over", 10, async || {
        Some(browser.fetch(&stack.url("/api")).await).filter(|answer| answer.status != 200)
    })
    .await
    .expect(503);
    assert_eq!(answer.reason(), "refresh_unavailable");
    assert!(
        answer
            .header("retry-after")
            .is_some_and(|seconds| seconds.parse::<u32>().is_ok())
    );
    assert_eq!(answer.set_cookies(), [] as [&str; 0]);
    let page = browser.open(&stack.url("/api")).await.expect(503);
    assert!(
        page.text().contains("refresh_unavailable"),
        "{}",
        page.brief()
    );
    assert_eq!(browser.session(), old, "the browser keeps its cookie");

    stack.order("start", "idp");
    let answer = eventually("the session is renewed", 40, async || {
        Some(browser.fetch(&stack.url("/api")).await).filter(|answer| answer.status == 200)
    })
    .await;
    assert_eq!(answer.echo().values("x-auth-request-user"), [ada.as_str()]);
    assert_ne!(browser.session(), old);
    assert_one_refresh(stack, &ada);
}

#[tokio::test]
async fn a_refresh_token_that_the_provider_refuses_for_good_ends_the_session() {
    let (stack, _turn) = turn().await;
    let (navigator, _) = expired_session(stack, "refused").await;
    let (script, _) = expired_session(stack, "refused").await;
    let sid = script.session().text("sid");
    let thief = script.copy();
    // A killed provider has forgotten all its tokens.
    stack.order("kill", "idp");
    stack.order("start", "idp");

    let answer = script.fetch(&stack.url("/api")).await.expect(401);
    assert_eq!(answer.reason(), "session_ended");
    assert_eq!(script.maybe_session(), None, "the cookie is cleared");
    assert_eq!(
        stack.control().session(&sid).await["ended_reason"],
        "invalid_grant"
    );
    assert_eq!(
        thief.fetch(&stack.url("/api")).await.expect(401).reason(),
        "session_ended"
    );

    let answer = navigator.open(&stack.url("/api")).await.expect(302);
    assert!(
        answer.location().starts_with(&stack.ready.issuer),
        "{}",
        answer.location()
    );
    assert_eq!(navigator.maybe_session(), None, "the cookie is cleared");
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

const RENEWALS: &str = "gatelatch_request_seconds_count{method=\"POST\",path=\"/v1/sessions/{sid}/refresh/renew\",status=\"200\"}";

/// The stack with all its parts running, for one test at a time.
async fn turn() -> (&'static Stack, MutexGuard<'static, ()>) {
    let turn = TURN.lock().await;
    let stack = STACK.get();
    stack.mend();
    eventually("logins are possible on both Envoys", 40, async || {
        for nth in 0..stack.envoys() {
            let login = stack.url_at(nth, "/_gatelatch/login");
            if Browser::new().open(&login).await.status != 302 {
                return None;
            }
        }
        Some(())
    })
    .await;
    (stack, turn)
}

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

/// Sends a request that will be held.
fn begin(stack: &Stack, browser: &Browser, envoy: usize) -> JoinHandle<Answer> {
    let (client, url) = (browser.copy(), stack.url_at(envoy, "/api"));
    tokio::spawn(async move { client.fetch(&url).await })
}

async fn eventually_refreshing(stack: &Stack, sid: &str) {
    eventually("somebody holds the lease", 10, async || {
        stack.control().session(sid).await["refreshing"]
            .is_string()
            .then_some(())
    })
    .await;
}

fn assert_one_refresh(stack: &Stack, user: &str) {
    assert_eq!(stack.events().refreshes(user), 1, "token calls");
    assert_eq!(stack.events().revoked_grants(user), 0, "grants revoked");
}
