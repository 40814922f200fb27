//! Another gateway holds the lease, or the provider takes its time.

use super::*;

#[test]
fn a_request_waits_for_another_gateway_that_holds_the_lease() {
    let (mut gateway, browser) = expired();
    let sid = gateway.control.only_session().view.sid.clone();
    let now = gateway.host.now();
    gateway
        .control
        .lease_elsewhere(&sid, now + Duration::from_secs(10));
    let stream = browser.fetch(&mut gateway, "GET", "/");
    assert!(stream.is_paused());
    gateway.advance(Duration::from_secs(2));
    assert!(stream.is_paused());
    gateway
        .control
        .refreshed_elsewhere(&sid, gateway.host.now());
    gateway.settle();
    new_session(&stream.respond(200, Headers::new(), b""));
    assert_eq!(calls(&gateway)[1], 0);
}

#[test]
fn the_lease_of_a_gateway_that_died_runs_out_and_is_taken() {
    let (mut gateway, browser) = expired();
    let sid = gateway.control.only_session().view.sid.clone();
    gateway
        .control
        .lease_elsewhere(&sid, gateway.host.now() + Duration::from_secs(10));
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(11));
    new_session(&stream.respond(200, Headers::new(), b""));
    assert_eq!(calls(&gateway)[1], 1);
}

#[test]
fn a_busy_session_is_no_logout() {
    let setup =
        Setup::new().config(|config| config["refresh"] = json!({"grace": "30s", "wait": "5s"}));
    let (mut gateway, browser) = expired_in(setup);
    let sid = gateway.control.only_session().view.sid.clone();
    gateway
        .control
        .lease_elsewhere(&sid, gateway.host.now() + Duration::from_secs(600));
    let in_grace = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(6));
    went_on_in_grace(&in_grace);
    gateway.advance(Duration::from_secs(30));
    let late = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(6));
    let reply = refused(&late, 503, "refresh_unavailable");
    assert_eq!(
        reply.set_cookies(),
        Vec::<String>::new(),
        "the cookie is kept"
    );
    assert!(reply.headers.text("retry-after").is_some());
}

#[test]
fn a_slow_provider_does_not_cost_the_lease() {
    let (mut gateway, browser) = expired();
    gateway.idp.next("/token", Answer::Later);
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(18));
    let renewals = gateway.control.calls("/refresh/renew").len();
    assert!(
        (3..=9).contains(&renewals),
        "{renewals} renewals of a lease of 10 s in 18 s"
    );
    gateway.release("/token");
    new_session(&stream.respond(200, Headers::new(), b""));
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);
    gateway.advance(Duration::from_secs(10));
    assert_eq!(
        gateway.control.calls("/refresh/renew").len(),
        renewals,
        "no renewal once it is over"
    );
}

#[test]
fn a_provider_that_never_answers_is_timed_out() {
    let (mut gateway, browser) = expired();
    gateway.idp.next("/token", Answer::Later);
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(21));
    went_on_in_grace(&stream);
    assert_eq!(fail_report(&gateway)["class"], json!(FailClass::Transient));
}

#[test]
fn a_backoff_of_the_control_service_is_no_logout() {
    let (mut gateway, browser) = expired();
    gateway.control.next(
        "/refresh/begin",
        Answer::json(
            200,
            &BeginOutcome::Backoff {
                retry_after_ms: 5_000,
            },
        ),
    );
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    assert_eq!(calls(&gateway)[1], 0);
}
