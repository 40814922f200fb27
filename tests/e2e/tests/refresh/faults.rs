//! Refresh while something fails: sessions are kept, tokens are not lost, and what is revoked
//! stays revoked. The tests share one stack and take turns, because they stop parts of it.

mod crashes;
mod provider;
mod races;

use gatelatch_harness::{Answer, Browser, Shared, Stack, StackOptions, eventually};
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
