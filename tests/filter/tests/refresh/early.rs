//! `refresh.early`: a session is renewed beside a request, shortly before its token expires.

use super::*;

/// Ten seconds before the end of a minute, with one login behind it.
fn towards_the_end(workers: usize) -> (Gateway, Browser) {
    let setup = Setup::new()
        .workers(workers)
        .config(|config| config["refresh"] = json!({"early": "20s"}));
    let mut gateway = setup.start();
    let browser = Browser::logged_in(&mut gateway);
    gateway.advance(Duration::from_secs(50));
    (gateway, browser)
}

#[test]
fn the_first_request_does_not_wait_and_the_next_brings_the_cookie() {
    let (mut gateway, mut browser) = towards_the_end(1);
    let first = gateway.vm(0).request(browser.script("GET", "/"), "");
    assert_eq!(went_on(&first).text("x-auth-request-user"), Some("ada"));
    gateway.settle();
    assert_eq!(
        first.respond(200, Headers::new(), b"").set_cookies(),
        Vec::<String>::new()
    );
    let second = browser
        .fetch(&mut gateway, "GET", "/")
        .respond(200, Headers::new(), b"");
    new_session(&second);
    browser.keep(&second);
    gateway.advance(Duration::from_secs(20));
    let third = browser
        .fetch(&mut gateway, "GET", "/")
        .respond(200, Headers::new(), b"");
    assert_eq!(
        third.set_cookies(),
        Vec::<String>::new(),
        "past the old expiry, the new session just lives"
    );
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);
}

#[test]
fn a_session_that_is_young_is_left_alone() {
    let setup = Setup::new().config(|config| config["refresh"] = json!({"early": "20s"}));
    let mut gateway = setup.start();
    let browser = Browser::logged_in(&mut gateway);
    gateway.advance(Duration::from_secs(30));
    browser.fetch(&mut gateway, "GET", "/").forwarded();
    assert_eq!(calls(&gateway), [0, 0, 0, 0]);
}

#[test]
fn every_worker_may_ask_but_one_token_call_is_made() {
    let (mut gateway, browser) = towards_the_end(3);
    for nth in 0..12 {
        browser
            .at_worker(nth % 3)
            .fetch(&mut gateway, "GET", "/")
            .forwarded();
    }
    assert_eq!((calls(&gateway)[0], calls(&gateway)[1]), (3, 1));
}

#[test]
fn a_provider_that_fails_early_is_noticed_by_nobody() {
    let (mut gateway, browser) = towards_the_end(1);
    gateway.idp.next("/token", Answer::text(500, ""));
    for _ in 0..5 {
        let reply = browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b"");
        assert_eq!(reply.set_cookies(), Vec::<String>::new());
    }
    assert_eq!(calls(&gateway)[1], 1);
    gateway.advance(Duration::from_secs(11));
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
}

#[test]
fn the_last_token_of_a_session_is_not_renewed_over_and_over() {
    let setup = Setup::new().config(|config| {
        config["refresh"] = json!({"early": "20s"});
        config["session"] = json!({"ttl": "1m", "max_age": "1m"});
    });
    let mut gateway = setup.start();
    let mut browser = Browser::logged_in(&mut gateway);
    gateway.advance(Duration::from_secs(45));
    for _ in 0..10 {
        let reply = browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b"");
        browser.keep(&reply);
    }
    assert!(
        calls(&gateway)[0] <= 1,
        "no renewal can go past the session's end: {:?}",
        calls(&gateway)
    );
}
