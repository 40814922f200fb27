//! Revocations against time: expiries, restarts, and everybody at once.

use gatelatch_harness::{Browser, Shared, Stack, StackOptions, eventually, user};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard};

use crate::eventually_refused;

/// Short tokens; tests that restart parts of it or revoke everybody take turns.
static OWN: Shared = Shared::new(|| StackOptions::new().session_ttl("2s").envoys(2, 1));

static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn a_revoked_session_cannot_be_refreshed() {
    let stack = OWN.get();
    let _turn = turn(stack).await;
    let ada = user("ada");
    let revoked = logged_in_briefly(stack, &ada).await;
    let by_token = logged_in_briefly(stack, &ada).await;
    let bystander = logged_in_briefly(stack, &ada).await;
    let batch = json!([
        {"kind": "sid", "id": revoked.session().text("sid")},
        {"kind": "jti", "id": by_token.session().text("jti")},
    ]);
    stack.control().revoke(&batch).await;
    for browser in [&revoked, &by_token, &bystander] {
        browser.expired().await;
    }
    for browser in [&revoked, &by_token] {
        assert_eq!(
            browser.fetch(&stack.url("/api")).await.expect(401).reason(),
            "session_revoked"
        );
    }
    bystander.fetch(&stack.url("/api")).await.expect(200);
    assert_eq!(stack.events().refreshes(&ada), 1, "the bystander's");
}

#[tokio::test]
async fn a_cut_for_all_ends_every_session_and_lets_everybody_log_in_again() {
    let stack = OWN.get();
    let _turn = turn(stack).await;
    let users = [user("ada"), user("bob")];
    let browsers = [
        logged_in_briefly(stack, &users[0]).await,
        logged_in_briefly(stack, &users[1]).await,
    ];
    let (control, everybody) = (stack.control(), json!({"kind": "all"}));
    let call = control.post("/v1/revocations?wait=enforced", &everybody);
    let answer = call.await.expect(201).json();
    assert!(
        answer["sessions_ended"]
            .as_u64()
            .is_some_and(|count| count >= 2),
        "{answer}"
    );
    for (browser, name) in browsers.iter().zip(&users) {
        assert_eq!(
            browser
                .copy()
                .fetch(&stack.url("/api"))
                .await
                .expect(401)
                .reason(),
            "session_revoked"
        );
        browser.expired().await;
        assert_eq!(
            browser.copy().fetch(&stack.url_at(1, "/api")).await.status,
            401
        );
        let page = browser.login(stack, name, "/again").await.expect(200);
        assert_eq!(page.echo().0["path"], "/again");
    }
}

#[tokio::test]
async fn a_restart_of_any_part_brings_nothing_revoked_back() {
    let stack = OWN.get();
    let _turn = turn(stack).await;
    let ada = user("ada");
    let browser = logged_in_briefly(stack, &ada).await;
    let alive = logged_in_briefly(stack, &ada).await;
    stack
        .control()
        .revoke_sid(&browser.session().text("sid"))
        .await;
    eventually_refused(stack, &browser.copy()).await;
    for (verb, parts) in [
        ("kill", &["control"] as &[&str]),
        ("stop", &["envoy-0"]),
        ("kill", &["envoy-0", "control"]),
    ] {
        for part in parts {
            stack.order(verb, part);
        }
        for part in parts.iter().rev() {
            stack.order("start", part);
        }
        // From the first answer on: not one request may pass.
        let refused = eventually("the filter decides again", 30, async || {
            let answer = browser.copy().fetch(&stack.url("/api")).await;
            assert_ne!(answer.status, 200, "after {verb} {parts:?}");
            (answer.status == 401).then_some(answer)
        })
        .await;
        assert_eq!(
            refused.reason(),
            "session_revoked",
            "after {verb} {parts:?}"
        );
        eventually("the other session lives", 30, async || {
            (alive.fetch(&stack.url("/api")).await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_revocation_while_an_envoy_is_down_holds_from_its_first_answer() {
    let stack = OWN.get();
    let _turn = turn(stack).await;
    let browser = logged_in_briefly(stack, &user("ada")).await;
    stack.order("kill", "envoy-1");
    stack
        .control()
        .revoke_sid(&browser.session().text("sid"))
        .await;
    stack.order("start", "envoy-1");
    let refused = eventually("the filter decides", 30, async || {
        let answer = browser.copy().fetch(&stack.url_at(1, "/api")).await;
        assert_ne!(answer.status, 200);
        (answer.status == 401).then_some(answer)
    })
    .await;
    assert_eq!(refused.reason(), "session_revoked");
}

async fn turn(stack: &Stack) -> MutexGuard<'static, ()> {
    let turn = TURN.lock().await;
    stack.mend();
    eventually("logins are possible", 40, async || {
        let login = stack.url("/_gatelatch/login");
        (Browser::new().open(&login).await.status == 302).then_some(())
    })
    .await;
    turn
}

/// A session whose first page needs no live token, however short that lives.
async fn logged_in_briefly(stack: &Stack, name: &str) -> Browser {
    let browser = Browser::new();
    let page = browser
        .login(stack, name, "/_gatelatch/login?return_to=/public/start")
        .await;
    page.expect(200);
    browser
}
