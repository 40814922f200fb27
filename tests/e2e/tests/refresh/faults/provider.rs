//! The provider is slow, gone, or refuses.

use gatelatch_harness::eventually;

use crate::expired_session;
use crate::faults::{assert_one_refresh, begin, turn};

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

const RENEWALS: &str = "gatelatch_request_seconds_count{method=\"POST\",path=\"/v1/sessions/{sid}/refresh/renew\",status=\"200\"}";
