//! How soon a revocation holds on every worker of every Envoy.

use std::time::{Duration, Instant};

use gatelatch_harness::control::envoy_stats;
use gatelatch_harness::raw::Connection;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Browser, Stack, raw, user};
use serde_json::{Value, json};

use crate::{LIMIT, STACK};

const WORKERS: usize = 4;

const CONNECTIONS: usize = 32;

#[tokio::test]
async fn a_revoked_session_is_out_on_every_worker_of_every_envoy_within_a_second() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let bystander = Browser::logged_in(stack, &user("ada")).await;
    let sid = browser.session().text("sid");
    let worst = until_refused_everywhere(stack, &browser, &json!({"kind": "sid", "id": sid})).await;
    println!(
        "sid: the last of {} connections refused after {} ms",
        2 * CONNECTIONS,
        worst.as_millis()
    );
    assert!(worst < LIMIT, "{worst:?}");
    bystander.fetch(&stack.url("/api")).await.expect(200);
}

#[tokio::test]
async fn a_revoked_token_is_out_on_every_worker_of_every_envoy_within_a_second() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let jti = browser.session().text("jti");
    let worst = until_refused_everywhere(stack, &browser, &json!({"kind": "jti", "id": jti})).await;
    println!(
        "jti: the last of {} connections refused after {} ms",
        2 * CONNECTIONS,
        worst.as_millis()
    );
    assert!(worst < LIMIT, "{worst:?}");
}

#[tokio::test]
async fn a_cut_for_a_user_ends_all_sessions_that_began_before_and_none_after() {
    let stack = STACK.get();
    let (ada, other) = (user("ada"), Browser::logged_in(stack, &user("bob")).await);
    let first = Browser::logged_in(stack, &ada).await;
    let second = Browser::logged_in(stack, &ada).await;
    let cut = json!({"kind": "sub", "iss": stack.ready.issuer, "sub": ada});
    let worst = until_refused_everywhere(stack, &first, &cut).await;
    println!(
        "sub: the last of {} connections refused after {} ms",
        2 * CONNECTIONS,
        worst.as_millis()
    );
    assert!(worst < LIMIT, "{worst:?}");
    assert_eq!(
        second.fetch(&stack.url("/api")).await.expect(401).reason(),
        "session_revoked"
    );
    other.fetch(&stack.url("/api")).await.expect(200);

    // In the very second of the cut, most likely.
    let third = Browser::logged_in(stack, &ada).await;
    for nth in 0..stack.envoys() {
        third.fetch(&stack.url_at(nth, "/api")).await.expect(200);
    }
}

/// Opens connections to every worker of every Envoy, revokes, and asks on all of them until each
/// has refused. How long the last one took, from the moment the service had answered.
async fn until_refused_everywhere(stack: &Stack, browser: &Browser, what: &Value) -> Duration {
    let cookie = format!("{SESSION_COOKIE}={}", browser.session().0);
    let mut connections = Vec::new();
    for envoy in 0..stack.envoys() {
        let before = open_by_worker(stack, envoy).await;
        for _ in 0..CONNECTIONS {
            let mut connection = Connection::open(stack.address(envoy)).await;
            assert_eq!(ask(&mut connection, stack, envoy, &cookie).await, 200);
            connections.push((envoy, connection));
        }
        let after = open_by_worker(stack, envoy).await;
        let reached = after
            .iter()
            .zip(&before)
            .filter(|(after, before)| after > before)
            .count();
        assert_eq!(
            reached, WORKERS,
            "connections by worker: {before:?}, {after:?}"
        );
    }
    stack.control().revoke(what).await;
    let answered = Instant::now();
    let mut open: Vec<usize> = (0..connections.len()).collect();
    while !open.is_empty() {
        let mut rest = Vec::new();
        for nth in open {
            let (envoy, connection) = &mut connections[nth];
            match ask(connection, stack, *envoy, &cookie).await {
                401 => {}
                200 => rest.push(nth),
                other => panic!("{other} on a revoked session"),
            }
        }
        open = rest;
        assert!(
            answered.elapsed() < 10 * LIMIT,
            "{} connections still pass",
            open.len()
        );
    }
    answered.elapsed()
}

async fn ask(connection: &mut Connection, stack: &Stack, envoy: usize, cookie: &str) -> u16 {
    let lines = [("Cookie", cookie.as_bytes())];
    connection
        .send(&raw::head(
            "GET",
            "/status/204",
            stack.address(envoy),
            &lines,
        ))
        .await;
    match connection.answer().await.status {
        204 => 200,
        other => other,
    }
}

/// Connections that each worker of an Envoy has taken so far.
async fn open_by_worker(stack: &Stack, envoy: usize) -> Vec<u64> {
    let stats = envoy_stats(&stack.ready.gateways[envoy].admin_url).await;
    let count = |worker: usize| -> u64 {
        let end = format!(".worker_{worker}.downstream_cx_total");
        let lines = stats
            .iter()
            .filter(|(name, _)| name.ends_with(&end) && !name.contains("admin"));
        lines.map(|(_, count)| count).sum()
    };
    (0..WORKERS).map(count).collect()
}
