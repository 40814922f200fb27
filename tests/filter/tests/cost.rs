//! What a request costs in host calls: each is half a microsecond or more in Envoy.

use std::collections::BTreeMap;

use gatelatch_filter_tests::{Browser, Gateway, Headers};
use gatelatch_wire::revocation::Revocation;

/// The host calls of one request, from its creation to its end.
fn calls_of(gateway: &mut Gateway, act: impl Fn(&mut Gateway)) -> BTreeMap<&'static str, u64> {
    act(gateway);
    gateway.vm(0).forget_host_calls();
    act(gateway);
    let mut sum = BTreeMap::new();
    for calls in gateway.vm(0).host_calls().into_values() {
        for (name, count) in calls {
            *sum.entry(name).or_default() += count;
        }
    }
    sum
}

fn fetch(browser: &Browser, path: &str) -> impl Fn(&mut Gateway) {
    let headers = browser.script("GET", path);
    move |gateway| {
        let stream = gateway.vm(0).request(headers.clone(), "");
        stream.respond(200, Headers::new().with("content-type", "text/plain"), b"");
    }
}

#[test]
fn a_live_session_costs_the_header_block_the_clock_and_its_edits() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    let calls = calls_of(&mut gateway, fetch(&ada, "/"));
    let expected = [
        ("proxy_add_header_map_value", 5),
        ("proxy_get_current_time_nanoseconds", 1),
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_header_map_value", 1),
        ("proxy_remove_header_map_value", 1),
    ];
    assert_eq!(calls, expected.into());
}

#[test]
fn revocations_of_others_cost_a_request_nothing() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    let before = calls_of(&mut gateway, fetch(&ada, "/"));
    let now = gateway.host.now();
    for nth in 0..500 {
        gateway.control.revoke(
            &Revocation::Sid {
                id: format!("somebody-{nth}"),
            },
            now,
        );
    }
    gateway.settle();
    assert_eq!(calls_of(&mut gateway, fetch(&ada, "/")), before);
}

#[test]
fn a_public_request_costs_the_header_block() {
    let mut gateway = Gateway::new();
    let calls = calls_of(&mut gateway, fetch(&Browser::new(), "/public/a"));
    let expected = [
        ("proxy_get_current_time_nanoseconds", 1),
        ("proxy_get_header_map_pairs", 1),
        ("proxy_get_header_map_value", 1),
    ];
    assert_eq!(calls, expected.into());
}

#[test]
fn an_idle_worker_that_follows_costs_little() {
    let mut gateway = gatelatch_filter_tests::Setup::new().workers(2).start();
    for vm in gateway.host.vms() {
        vm.forget_host_calls();
    }
    gateway.advance(std::time::Duration::from_secs(10));
    for vm in gateway.host.vms() {
        let calls: u64 = vm.host_calls().values().flat_map(BTreeMap::values).sum();
        assert!(
            calls < 10 * 5 * 16,
            "{calls} host calls in ten idle seconds"
        );
    }
}
