//! Refresh while something fails: sessions are kept, tokens are not lost, and what is revoked
//! stays revoked. The tests share one stack and take turns, because they stop parts of it.

mod crashes;
mod provider;
mod races;

use gatelatch_harness::Answer;
use gatelatch_harness::Browser;
use gatelatch_harness::Shared;
use gatelatch_harness::Stack;
use gatelatch_harness::StackOptions;
use gatelatch_harness::eventually;
use gatelatch_harness::user;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::sync::MutexGuard;
use tokio::task::JoinHandle;

static STACK: Shared = Shared::new(|| {
    StackOptions::new()
        .session_ttl("2s")
        .envoys(2, 2)
        .filter_config(json!({"refresh": {"grace": "3s"}}))
        .env("GATELATCH_LEASE", "2s")
});

static TURN: Mutex<()> = Mutex::const_new(());

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
