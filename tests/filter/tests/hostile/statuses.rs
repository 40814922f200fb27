//! A host that refuses what it has: restricted capabilities, and functions that fail.

use gatelatch_filter_tests::Status;

use super::*;

/// A login whose ID token the filter asks the host to verify, which answers with `outcome`.
fn login_with(outcome: Result<Vec<u8>, Status>) -> u16 {
    let setup = Setup::new()
        .host(|host| host.foreign_function("verify_signature", move |_| outcome.clone()));
    let mut gateway = setup.start();
    let mut browser = Browser::new();
    let away = browser.navigate(&mut gateway, "/").reply();
    browser.keep(&away);
    let callback = gateway.idp.log_in(away.location());
    browser.follow(&mut gateway, &callback).status
}

#[test]
fn a_host_without_signature_verification_leaves_it_to_the_filter() {
    assert_eq!(login_with(Err(Status::NotFound)), 302);
}

#[test]
fn a_host_that_verifies_is_believed() {
    assert_eq!(login_with(Ok(vec![0x08, 0x01])), 302);
    assert_eq!(login_with(Ok(Vec::new())), 400);
    assert_eq!(login_with(Ok(vec![0x08, 0x00])), 400);
    assert_eq!(login_with(Ok(b"\x12\x05error".to_vec())), 400);
}

#[test]
fn a_host_that_fails_to_verify_costs_no_worker() {
    for status in [Status::BadArgument, Status::InternalFailure] {
        assert_eq!(login_with(Err(status)), 302, "{status:?}");
    }
}

/// An operator's list of capabilities that forgets a call without which the filter still decides
/// rightly must not take a worker down.
#[test]
fn a_forgotten_capability_for_telling_the_operator_something_costs_no_worker() {
    let traps = |call: &&str| {
        let mut gateway = Setup::new().host(|host| host.restrict(call)).start_cold();
        gateway.vm(0).expect_trap();
        gateway.advance(Duration::from_secs(3));
        Browser::new().fetch(&mut gateway, "GET", "/");
        gateway.vm(0).trap().is_some()
    };
    let fatal: Vec<&str> = [
        "proxy_define_metric",
        "proxy_increment_metric",
        "proxy_record_metric",
        "proxy_log",
        "proxy_call_foreign_function",
    ]
    .into_iter()
    .filter(traps)
    .collect();
    assert_eq!(fatal, Vec::<&str>::new());
}
