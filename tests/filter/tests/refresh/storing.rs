//! A rotated token is stored, whoever is gone.

use super::*;

#[test]
fn a_client_that_leaves_at_any_point_costs_no_token() {
    let stages: [(&str, bool); 3] = [
        ("/refresh/begin", false),
        ("/token", true),
        ("/refresh/complete", false),
    ];
    for (stage, at_provider) in stages {
        let (mut gateway, browser) = expired();
        match at_provider {
            true => gateway.idp.next(stage, Answer::Later),
            false => gateway.control.next(stage, Answer::Later),
        }
        let stream = browser.fetch(&mut gateway, "GET", "/");
        assert!(stream.is_paused());
        stream.reset();
        gateway.release(stage);
        gateway.advance(Duration::from_secs(1));
        assert_eq!(calls(&gateway), [1, 1, 1, 0], "left during {stage}");
        assert_eq!(stream.state(), State::Reset);

        let next = browser.fetch(&mut gateway, "GET", "/");
        new_session(&next.respond(200, Headers::new(), b""));
        assert_eq!(
            calls(&gateway),
            [2, 1, 1, 0],
            "the next one finds it renewed"
        );
    }
}

#[test]
fn a_client_that_leaves_before_the_root_has_woken_costs_nothing_but_the_work() {
    let (mut gateway, browser) = expired();
    let stream = gateway.vm(0).request(browser.script("GET", "/"), "");
    stream.reset();
    gateway.settle();
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);
}

#[test]
fn a_rotated_token_is_stored_although_the_control_service_fails_for_a_while() {
    let outages = [
        Answer::text(500, ""),
        Answer::text(503, "{}"),
        Answer::TimedOut,
        Answer::Reset,
        Answer::text(200, "{"),
    ];
    let (mut gateway, browser) = expired();
    for outage in outages {
        gateway.control.next("/refresh/complete", outage);
    }
    let stream = browser.fetch(&mut gateway, "GET", "/");
    assert!(stream.is_paused());
    gateway.advance(Duration::from_secs(10));
    new_session(&stream.respond(200, Headers::new(), b""));
    assert_eq!(calls(&gateway), [1, 1, 6, 0]);
    let stored = gateway
        .control
        .only_session()
        .refresh_token
        .clone()
        .expect("a refresh token");
    let sent = gateway.control.calls("/refresh/complete")[5].json();
    assert_eq!(sent["refresh_token"], json!(stored.reveal()));
}

#[test]
fn a_client_that_leaves_does_not_stop_the_storing() {
    let (mut gateway, browser) = expired();
    gateway
        .control
        .next("/refresh/complete", Answer::text(503, ""));
    let stream = browser.fetch(&mut gateway, "GET", "/");
    stream.reset();
    gateway.advance(Duration::from_secs(2));
    assert_eq!(calls(&gateway), [1, 1, 2, 0]);
}

#[test]
fn storing_is_given_up_after_a_bounded_number_of_tries_and_the_client_is_answered() {
    let (mut gateway, browser) = expired();
    gateway.control.always("/refresh/complete", Answer::Reset);
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(180));
    assert!(!stream.is_paused());
    assert!(calls(&gateway)[2] < 40, "{:?}", calls(&gateway));
}
