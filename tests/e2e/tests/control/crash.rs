//! The service is killed while it writes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gatelatch_harness::{Control, Stack, StackOptions, eventually};
use http::Method;
use serde_json::json;

const ROUNDS: usize = 10;

const WRITERS: usize = 4;

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_service_is_killed_while_it_writes() {
    let stack = Stack::start(&StackOptions::new().envoys(1, 1));
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (control, stop) = (stack.control(), Arc::clone(&stop));
                tokio::spawn(async move {
                    write_until(&control, &format!("{round}-{writer}"), &stop).await
                })
            })
            .collect();
        // In the middle of writing: when some more than in the round before have been accepted.
        let control = stack.control();
        eventually("writes are under way", 10, async || {
            (control.metric("gatelatch_revocations_total").await > 20.0).then_some(())
        })
        .await;
        stack.order("kill", "control");
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            acknowledged.extend(writer.await.expect("no panic"));
        }
        stack.order("start", "control");
    }
    let kept = all_revoked(&stack.control()).await;
    let lost: Vec<&String> = acknowledged.difference(&kept).collect();
    println!(
        "{} acknowledged in {ROUNDS} rounds, {} lost",
        acknowledged.len(),
        lost.len()
    );
    assert!(acknowledged.len() > ROUNDS * 10, "{}", acknowledged.len());
    assert_eq!(lost, [] as [&String; 0]);
}

/// Revokes one id after the other; those that were acknowledged.
async fn write_until(control: &Control, name: &str, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let id = format!("{name}-{}", acknowledged.len());
        let body = json!({"kind": "sid", "id": id});
        match control
            .try_call(Method::POST, "/v1/revocations", Some(&body))
            .await
        {
            Some(answer) if answer.status == 201 => acknowledged.push(id),
            _ => break,
        }
    }
    acknowledged
}

async fn all_revoked(control: &Control) -> BTreeSet<String> {
    let (mut all, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = control
            .get(&format!("/v1/revocations?limit=1000&after={after}"))
            .await
            .expect(200)
            .json();
        let items = page["revocations"].as_array().expect("a list");
        all.extend(
            items
                .iter()
                .filter_map(|item| item["id"].as_str())
                .map(str::to_owned),
        );
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return all,
        }
    }
}
