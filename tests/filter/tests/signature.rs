//! The host verifies RSA signatures: what it is asked, decoded and done for real.

use std::cell::RefCell;
use std::rc::Rc;

use gatelatch_filter_tests::{Browser, Gateway, Setup, Status, verify_signature};

/// A gateway in whose host signatures are verified, and the outcomes.
fn gateway() -> (Gateway, Rc<RefCell<Vec<bool>>>) {
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&outcomes);
    let setup = Setup::new().host(|host| {
        host.foreign_function("verify_signature", move |message| {
            let outcome = verify_signature(message)?;
            seen.borrow_mut().push(!outcome.is_empty());
            Ok(outcome)
        });
    });
    (setup.start(), outcomes)
}

#[test]
fn the_host_is_asked_once_for_a_login_and_finds_the_signature_good() {
    let (mut gateway, outcomes) = gateway();
    Browser::logged_in(&mut gateway);
    assert_eq!(*outcomes.borrow(), [true]);
}

#[test]
fn a_signature_by_another_key_under_the_same_name_is_found_bad() {
    let (mut gateway, outcomes) = gateway();
    gateway.idp.lies_about_its_key = true;
    let mut browser = Browser::new();
    let away = browser.navigate(&mut gateway, "/").reply();
    browser.keep(&away);
    let callback = gateway.idp.log_in(away.location());
    assert_eq!(browser.follow(&mut gateway, &callback).status, 400);
    assert_eq!(*outcomes.borrow(), [false]);
}

#[test]
fn the_filter_finds_the_same_without_the_host() {
    let setup = Setup::new()
        .host(|host| host.foreign_function("verify_signature", |_| Err(Status::NotFound)));
    let mut gateway = setup.start();
    gateway.idp.lies_about_its_key = true;
    let mut browser = Browser::new();
    let away = browser.navigate(&mut gateway, "/").reply();
    browser.keep(&away);
    let callback = gateway.idp.log_in(away.location());
    assert_eq!(browser.follow(&mut gateway, &callback).status, 400);
    gateway.idp.lies_about_its_key = false;
    Browser::logged_in(&mut gateway);
}
