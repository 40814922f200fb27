//! One worker polls for all, and another takes its place.

use super::*;

fn polling(gateway: &Gateway) -> usize {
    gateway
        .unanswered()
        .iter()
        .filter(|request| request.path() == "/v1/feed")
        .count()
}

/// Which workers have made a call whose path ends so, by their own count of host calls.
fn callers(gateway: &Gateway) -> Vec<usize> {
    let calls = |vm: &gatelatch_filter_tests::Vm| {
        vm.host_calls()
            .values()
            .filter_map(|calls| calls.get("proxy_http_call"))
            .sum::<u64>()
            > 0
    };
    gateway
        .host
        .vms()
        .iter()
        .filter(|vm| calls(vm))
        .map(gatelatch_filter_tests::Vm::index)
        .collect()
}

#[test]
fn one_worker_polls_whatever_their_number() {
    let mut gateway = Setup::new().workers(8).start();
    gateway.advance(Duration::from_secs(60));
    assert_eq!(polling(&gateway), 1);
    assert_eq!(callers(&gateway).len(), 1);
    assert!(gateway.idp.calls("/jwks").len() <= 2);
    let gateways: std::collections::BTreeSet<String> = gateway
        .control
        .calls("/feed")
        .iter()
        .flat_map(|call| call.query())
        .filter(|(name, _)| name == "gateway")
        .map(|(_, value)| value)
        .collect();
    assert_eq!(gateways.len(), 1, "one name for one Envoy: {gateways:?}");
}

#[test]
fn a_request_is_served_on_workers_that_never_polled() {
    let mut gateway = Setup::new().workers(4).start();
    for worker in 0..4 {
        let mut browser = Browser::new().at_worker(worker);
        browser.log_in(&mut gateway, "/");
        accepted(&browser.fetch(&mut gateway, "GET", "/"));
    }
}

#[test]
fn when_the_polling_worker_hangs_another_takes_over_and_enforces() {
    let mut gateway = Setup::new().workers(3).start();
    let ada = Browser::logged_in(&mut gateway);
    let leader = callers_of_feed(&gateway);
    gateway.vm(leader).stall();
    for vm in gateway.host.vms() {
        vm.forget_host_calls();
    }
    gateway.advance(Duration::from_secs(5));
    let next: Vec<usize> = callers(&gateway)
        .into_iter()
        .filter(|vm| *vm != leader)
        .collect();
    assert_eq!(next.len(), 1, "one successor");
    revoke_session(&mut gateway, &ada);
    for worker in (0..3).filter(|worker| *worker != leader) {
        refused(
            &ada.at_worker(worker).fetch(&mut gateway, "GET", "/"),
            401,
            "session_revoked",
        );
    }

    gateway.vm(leader).wake();
    gateway.settle();
    gateway.advance(Duration::from_secs(30));
    refused(
        &ada.at_worker(leader).fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
    assert_eq!(polling(&gateway), 1, "the old one has given up its place");
}

#[test]
fn an_answer_that_reaches_the_old_poller_late_undoes_nothing() {
    let mut gateway = Setup::new().workers(2).start();
    let (ada, other) = (
        Browser::logged_in(&mut gateway),
        Browser::logged_in(&mut gateway),
    );
    let leader = callers_of_feed(&gateway);
    gateway.vm(leader).stall();
    let late = gateway.take_unanswered("/feed");
    gateway.advance(Duration::from_secs(5));
    revoke_session(&mut gateway, &ada);
    revoke_session(&mut gateway, &other);

    gateway.vm(leader).wake();
    let Answer::Http {
        status,
        headers,
        body,
    } = page(1, 0, 0, 0, Vec::new())
    else {
        unreachable!()
    };
    late.answer(status, headers, body);
    gateway.advance(Duration::from_secs(3));
    for worker in 0..2 {
        refused(
            &ada.at_worker(worker).fetch(&mut gateway, "GET", "/"),
            401,
            "session_revoked",
        );
        refused(
            &other.at_worker(worker).fetch(&mut gateway, "GET", "/"),
            401,
            "session_revoked",
        );
    }
    gateway.advance(Duration::from_secs(30));
    assert_eq!(polling(&gateway), 1);
    let cursors: Vec<String> = gateway
        .control
        .calls("/feed")
        .iter()
        .flat_map(|call| call.query())
        .filter_map(|(name, value)| (name == "cursor").then_some(value))
        .collect();
    assert!(
        cursors.is_sorted(),
        "what was enforced stays enforced: {cursors:?}"
    );
}

#[test]
fn a_worker_that_was_away_catches_up_before_it_serves_as_synced() {
    let mut gateway = Setup::new().workers(2).start();
    let ada = Browser::logged_in(&mut gateway);
    let leader = callers_of_feed(&gateway);
    let follower = 1 - leader;
    gateway.vm(follower).stall();
    revoke_session(&mut gateway, &ada);
    gateway.vm(follower).wake();
    gateway.settle();
    refused(
        &ada.at_worker(follower).fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
}

#[test]
fn queues_of_workers_that_are_gone_do_not_fill_up() {
    let mut gateway = Setup::new().workers(2).start();
    let leader = callers_of_feed(&gateway);
    gateway.vm(1 - leader).stall();
    gateway.advance(Duration::from_secs(15));
    let before = gateway.host.queued();
    for nth in 0..50 {
        revoke(
            &mut gateway,
            &Revocation::Sid {
                id: format!("somebody-{nth}"),
            },
        );
    }
    assert_eq!(
        gateway.host.queued(),
        before,
        "nobody writes to a worker that has not shown itself for long"
    );
}

/// The worker whose feed poll waits for its answer.
fn callers_of_feed(gateway: &Gateway) -> usize {
    let metrics: Vec<usize> = callers(gateway);
    assert_eq!(metrics.len(), 1, "one worker has made calls: {metrics:?}");
    metrics[0]
}
