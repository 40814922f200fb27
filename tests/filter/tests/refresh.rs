//! An expired session is renewed behind the user's back: one token call, whatever happens.

use std::time::Duration;

use gatelatch_filter_tests::{
    Answer, Browser, Cluster, Gateway, Headers, Reply, SESSION_COOKIE, Setup, State, Stream,
};
use gatelatch_wire::session::{BeginOutcome, FailClass, GoneReason};
use serde_json::{Value, json};

/// A gateway and a browser whose session JWT has just expired.
fn expired() -> (Gateway, Browser) {
    expired_in(Setup::new())
}

fn expired_in(setup: Setup) -> (Gateway, Browser) {
    let mut gateway = setup.start();
    let browser = Browser::logged_in(&mut gateway);
    gateway.expire();
    (gateway, browser)
}

/// Calls of a refresh, by the end of their paths.
fn calls(gateway: &Gateway) -> [usize; 4] {
    let control = |end: &str| gateway.control.calls(end).len();
    let tokens = gateway.idp.calls("/token").into_iter();
    let refreshes = tokens.filter(|call| {
        call.form()
            .contains(&("grant_type".into(), "refresh_token".into()))
    });
    [
        control("/refresh/begin"),
        refreshes.count(),
        control("/refresh/complete"),
        control("/refresh/fail"),
    ]
}

/// The new session cookie on a response, which must be there once.
#[track_caller]
fn new_session(reply: &Reply) -> String {
    let lines: Vec<String> = reply
        .set_cookies()
        .into_iter()
        .filter(|line| line.starts_with(&format!("{SESSION_COOKIE}=")))
        .collect();
    assert_eq!(lines.len(), 1, "{reply:#?}");
    assert!(
        lines[0].contains("; Secure; HttpOnly; SameSite=Lax") && lines[0].contains("Path=/;"),
        "{}",
        lines[0]
    );
    lines[0]
        .split(['=', ';'])
        .nth(1)
        .expect("a value")
        .to_owned()
}

#[track_caller]
fn went_on(stream: &Stream) -> Headers {
    stream.forwarded().headers
}

/// Went on with the old claims, and the client keeps its old cookie.
#[track_caller]
fn went_on_in_grace(stream: &Stream) {
    assert_eq!(went_on(stream).text("x-auth-request-user"), Some("ada"));
    let reply = stream.respond(200, Headers::new(), b"");
    assert_eq!(reply.set_cookies(), Vec::<String>::new());
}

#[track_caller]
fn refused(stream: &Stream, status: u16, reason: &str) -> Reply {
    let reply = stream.reply();
    assert_eq!(
        (reply.status, reply.reason().as_str()),
        (status, reason),
        "{reply:#?}"
    );
    reply
}

fn fail_report(gateway: &Gateway) -> Value {
    gateway
        .control
        .calls("/refresh/fail")
        .last()
        .map(|call| call.json())
        .unwrap_or_default()
}

#[test]
fn an_expired_session_is_renewed_and_the_request_goes_on_once_with_its_body() {
    let (mut gateway, mut browser) = expired();
    gateway.idp.claims["email"] = json!("ada@new.test");
    let headers = browser
        .script("POST", "/orders?x=1")
        .with("content-type", "application/json");
    let body = vec![b'x'; 100_000];
    let stream = browser.send(&mut gateway, headers.clone(), &body);
    let forwarded = stream.forwarded();
    assert_eq!(forwarded.body, body);
    assert_eq!(forwarded.headers.text(":path"), Some("/orders?x=1"));
    assert_eq!(
        forwarded.headers.text("x-auth-request-email"),
        Some("ada@new.test")
    );
    assert_eq!(forwarded.headers.first("cookie"), None);
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);

    let reply = stream.respond(
        201,
        Headers::new()
            .with("set-cookie", "theme=dark")
            .with("x-app", "1"),
        b"made",
    );
    let renewed = new_session(&reply);
    assert_ne!(renewed, browser.session());
    assert_eq!(
        (
            reply.status,
            reply.headers.text("x-app"),
            reply.body.as_slice()
        ),
        (201, Some("1"), &b"made"[..])
    );
    assert!(reply.set_cookies().contains(&"theme=dark".to_owned()));
    assert_eq!(reply.headers.text("cache-control"), Some("no-store"));

    browser.keep(&reply);
    assert_eq!(
        went_on(&browser.fetch(&mut gateway, "GET", "/")).text("x-auth-request-user"),
        Some("ada")
    );
    assert_eq!(
        calls(&gateway),
        [1, 1, 1, 0],
        "the new session needs nobody"
    );
}

#[test]
fn what_is_spent_and_stored_is_what_the_store_and_the_provider_gave() {
    let (mut gateway, browser) = expired();
    let spent = gateway
        .control
        .only_session()
        .refresh_token
        .clone()
        .expect("a refresh token");
    browser.fetch(&mut gateway, "GET", "/");
    let call = gateway.idp.calls("/token")[1].form();
    assert!(
        call.contains(&("refresh_token".to_owned(), spent.reveal().to_owned())),
        "{call:?}"
    );
    let stored = gateway
        .control
        .only_session()
        .refresh_token
        .clone()
        .expect("a refresh token");
    assert_ne!(stored.reveal(), spent.reveal());
    assert_eq!(
        gateway.idp.live_refresh_tokens(),
        1,
        "and it is the live one"
    );
}

#[test]
fn the_new_cookie_is_on_every_kind_of_response() {
    for status in [101, 200, 204, 301, 304, 404, 500, 503] {
        let (mut gateway, browser) = expired();
        let stream = browser.fetch(&mut gateway, "GET", "/");
        new_session(&stream.respond(status, Headers::new(), b""));
    }
}

#[test]
fn a_websocket_handshake_is_renewed_too() {
    let (mut gateway, browser) = expired();
    let headers = browser
        .request("GET", "/ws")
        .with("upgrade", "websocket")
        .with("connection", "Upgrade");
    let stream = browser.send(&mut gateway, headers, "");
    assert_eq!(went_on(&stream).text("upgrade"), Some("websocket"));
    new_session(&stream.respond(101, Headers::new().with("upgrade", "websocket"), b""));
}

#[test]
fn public_requests_do_not_renew_anything() {
    let (mut gateway, browser) = expired();
    let stream = browser.fetch(&mut gateway, "GET", "/public/a.css");
    assert_eq!(went_on(&stream).first("cookie"), None);
    assert_eq!(calls(&gateway), [0, 0, 0, 0]);
}

#[test]
fn any_number_of_requests_on_any_worker_make_one_token_call() {
    let (mut gateway, browser) = expired_in(Setup::new().workers(3));
    let streams: Vec<Stream> = (0..30)
        .map(|nth| {
            gateway
                .vm(nth % 3)
                .request(browser.script("GET", &format!("/{nth}")), "")
        })
        .collect();
    assert!(streams.iter().all(Stream::is_paused));
    gateway.settle();
    gateway.advance(Duration::from_secs(1));
    for (nth, stream) in streams.iter().enumerate() {
        assert_eq!(
            went_on(stream).text(":path"),
            Some(format!("/{nth}").as_str())
        );
        new_session(&stream.respond(200, Headers::new(), b""));
    }
    let [_, tokens, completes, fails] = calls(&gateway);
    assert_eq!((tokens, completes, fails), (1, 1, 0));
}

#[test]
fn a_session_that_another_gateway_has_renewed_costs_no_token_call() {
    let (mut gateway, browser) = expired();
    let sid = gateway.control.only_session().view.sid.clone();
    gateway
        .control
        .refreshed_elsewhere(&sid, gateway.host.now());
    let stream = browser.fetch(&mut gateway, "GET", "/");
    new_session(&stream.respond(200, Headers::new(), b""));
    assert_eq!(calls(&gateway), [1, 0, 0, 0]);
}

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
fn a_session_that_is_over_is_a_login_for_pages_and_a_401_for_scripts() {
    for (reason, code) in [
        (GoneReason::Unknown, "session_ended"),
        (GoneReason::Logout, "session_ended"),
        (GoneReason::Replaced, "session_ended"),
        (GoneReason::InvalidGrant, "session_ended"),
        (GoneReason::Revoked, "session_revoked"),
        (GoneReason::BackchannelLogout, "session_revoked"),
        (GoneReason::Expired, "session_expired"),
        (GoneReason::NoRefreshToken, "session_expired"),
    ] {
        let (mut gateway, browser) = expired();
        let sid = gateway.control.only_session().view.sid.clone();
        gateway.control.end(&sid, reason);
        let reply = refused(&browser.fetch(&mut gateway, "POST", "/"), 401, code);
        assert!(
            reply
                .set_cookies()
                .concat()
                .starts_with(&format!("{SESSION_COOKIE}=; ")),
            "{reply:#?}"
        );
        let page = browser.navigate(&mut gateway, "/page").reply();
        assert_eq!(page.status, 302);
        assert!(page.location().starts_with("http://localhost:9400/auth?"));
        assert!(
            page.set_cookies()
                .iter()
                .any(|line| line.starts_with(&format!("{SESSION_COOKIE}=; ")))
        );
        let optional = browser.fetch(&mut gateway, "GET", "/optional/a");
        assert_eq!(went_on(&optional).first("x-auth-request-user"), None);
        let cleared = optional
            .respond(200, Headers::new(), b"")
            .set_cookies()
            .concat();
        assert!(
            cleared.starts_with(&format!("{SESSION_COOKIE}=; ")),
            "{cleared}"
        );
        assert_eq!(calls(&gateway)[1], 0, "{reason:?}");
    }
}

#[test]
fn a_failure_that_is_not_the_sessions_keeps_it_and_the_next_request_renews_it() {
    let failures = [
        Answer::text(500, "oops"),
        Answer::text(502, ""),
        Answer::text(503, "<html>"),
        Answer::json(503, &json!({"error": "invalid_grant"})),
        Answer::json(429, &json!({"error": "invalid_grant"})),
        Answer::text(200, "<html>login</html>"),
        Answer::text(200, ""),
        Answer::text(200, "{}"),
        Answer::json(200, &json!({"access_token": "a"})),
        Answer::json(200, &json!({"access_token": 7, "token_type": "Bearer"})),
        Answer::json(
            200,
            &json!({"error": "invalid_grant", "access_token": "a", "token_type": "Bearer"}),
        ),
        Answer::text(400, "<html>invalid_grant</html>"),
        Answer::json(400, &json!({"error": "temporarily_unavailable"})),
        Answer::text(302, ""),
        Answer::TimedOut,
        Answer::Reset,
    ];
    for failure in failures {
        let (mut gateway, browser) = expired();
        gateway.idp.next("/token", failure.clone());
        went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
        assert_eq!(
            fail_report(&gateway)["class"],
            json!(FailClass::Transient),
            "{failure:?}"
        );
        assert_eq!(gateway.control.only_session().gone, None);
        let stream = browser.fetch(&mut gateway, "GET", "/");
        new_session(&stream.respond(200, Headers::new(), b""));
    }
}

#[test]
fn a_call_that_cannot_be_sent_is_a_failure_like_any_other() {
    let (mut gateway, browser) = expired();
    gateway.host.cluster("idp", Cluster::Refusing);
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    assert_eq!(fail_report(&gateway)["class"], json!(FailClass::Transient));
    gateway.host.cluster("idp", Cluster::Up);
    gateway.host.cluster("control", Cluster::Refusing);
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    gateway.host.cluster("control", Cluster::Up);
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
}

#[test]
fn a_throttled_provider_is_given_the_rest_that_it_asks_for() {
    let (mut gateway, browser) = expired();
    let headers = Headers::new().with("retry-after", "17");
    gateway.idp.next(
        "/token",
        Answer::Http {
            status: 429,
            headers,
            body: Vec::new(),
        },
    );
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    assert_eq!(fail_report(&gateway)["retry_after_s"], json!(17));
}

#[test]
fn past_the_grace_a_failing_provider_is_a_503_that_keeps_the_session() {
    let (mut gateway, browser) = expired();
    gateway.idp.always("/token", Answer::text(500, ""));
    gateway.advance(Duration::from_secs(61));
    for _ in 0..2 {
        let reply = refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            503,
            "refresh_unavailable",
        );
        assert_eq!(reply.set_cookies(), Vec::<String>::new());
        let page = browser.navigate(&mut gateway, "/").reply();
        assert_eq!(
            (page.status, page.location()),
            (503, ""),
            "no redirect loop"
        );
    }
    gateway.idp.behave();
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
}

#[test]
fn grace_can_be_for_safe_methods_only() {
    let policy = json!({"grace": "1m", "grace_safe_methods_only": true});
    let (mut gateway, browser) =
        expired_in(Setup::new().config(|config| config["refresh"] = policy));
    gateway.idp.always("/token", Answer::text(500, ""));
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    refused(
        &browser.fetch(&mut gateway, "POST", "/"),
        503,
        "refresh_unavailable",
    );
}

#[test]
fn only_an_invalid_grant_ends_the_session() {
    for status in [400, 401, 403] {
        let (mut gateway, browser) = expired();
        gateway.idp.next(
            "/token",
            Answer::json(status, &json!({"error": "invalid_grant"})),
        );
        refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            401,
            "session_ended",
        );
        assert_eq!(
            fail_report(&gateway)["class"],
            json!(FailClass::InvalidGrant)
        );
        refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            401,
            "session_ended",
        );
        assert_eq!(
            calls(&gateway)[1],
            1,
            "nothing is spent on a session that is over"
        );
    }
}

#[test]
fn a_client_that_the_provider_does_not_know_is_the_operators_matter() {
    for code in [
        "invalid_client",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ] {
        let (mut gateway, browser) = expired();
        gateway
            .idp
            .next("/token", Answer::json(401, &json!({"error": code})));
        went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
        assert_eq!(
            fail_report(&gateway)["class"],
            json!(FailClass::Misconfigured),
            "{code}"
        );
        assert_eq!(gateway.control.only_session().gone, None);
    }
}

#[test]
fn another_oauth_error_is_tried_once_more_with_what_the_store_then_holds() {
    let (mut gateway, browser) = expired();
    gateway.idp.next(
        "/token",
        Answer::json(400, &json!({"error": "invalid_request"})),
    );
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(1));
    new_session(&stream.respond(200, Headers::new(), b""));
    assert_eq!(calls(&gateway), [2, 2, 1, 1]);

    let (mut gateway, browser) = expired();
    gateway.idp.always(
        "/token",
        Answer::json(400, &json!({"error": "invalid_request"})),
    );
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(2));
    went_on_in_grace(&stream);
    assert_eq!(calls(&gateway), [2, 2, 0, 2]);
}

#[test]
fn a_refreshed_id_token_of_another_user_ends_the_session() {
    type Fault = (&'static str, fn(&mut Value));
    let faults: [Fault; 4] = [
        ("user", |claims| claims["sub"] = json!("mallory")),
        ("issuer", |claims| {
            claims["iss"] = json!("http://localhost:9400/other")
        }),
        ("audience", |claims| claims["aud"] = json!("another")),
        ("expired", |claims| claims["exp"] = json!(1_000)),
    ];
    for (fault, edit) in faults {
        let (mut gateway, browser) = expired();
        gateway.idp.edit_id_tokens(edit);
        refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            401,
            "session_ended",
        );
        assert_eq!(
            fail_report(&gateway)["class"],
            json!(FailClass::Mismatch),
            "{fault}"
        );
        assert_eq!(calls(&gateway)[2], 0, "{fault}");
    }
}

#[test]
fn a_refresh_without_id_token_or_rotation_keeps_what_there_was() {
    let (mut gateway, browser) = expired();
    let before = gateway.control.only_session().clone();
    (gateway.idp.refreshes_id_token, gateway.idp.rotates) = (false, false);
    let stream = browser.fetch(&mut gateway, "GET", "/");
    assert_eq!(
        went_on(&stream).text("x-auth-request-email"),
        Some("ada@example.test")
    );
    new_session(&stream.respond(200, Headers::new(), b""));
    let after = gateway.control.only_session();
    assert_eq!(
        (&after.refresh_token, &after.id_token),
        (&before.refresh_token, &before.id_token)
    );
    assert_eq!(after.view.claims, before.view.claims);
}

#[test]
fn a_refreshed_id_token_under_a_new_key_is_verified_with_a_newer_key_set() {
    let (mut gateway, browser) = expired();
    (gateway.idp.signing_key, gateway.idp.published) = (1, 2);
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);
}

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
fn a_revocation_during_a_refresh_wins() {
    let (mut gateway, browser) = expired();
    let sid = gateway.control.only_session().view.sid.clone();
    gateway.idp.next("/token", Answer::Later);
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.control.end(&sid, GoneReason::Revoked);
    gateway.release("/token");
    let reply = refused(&stream, 401, "session_revoked");
    assert!(
        reply
            .set_cookies()
            .concat()
            .starts_with(&format!("{SESSION_COOKIE}=; "))
    );
    assert_eq!(
        calls(&gateway),
        [1, 1, 1, 0],
        "the rotated token was still handed over"
    );
}

#[test]
fn past_its_absolute_end_a_session_is_not_renewed() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    gateway.host.skip(Duration::from_secs(12 * 3600 + 1));
    gateway.advance(Duration::from_secs(40));
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_expired",
    );
    assert_eq!(calls(&gateway), [0, 0, 0, 0]);
}

#[test]
fn past_the_refresh_window_a_session_is_not_renewed() {
    let session = json!({"ttl": "1m", "refresh_window": "5m"});
    let mut gateway = Setup::new()
        .config(|config| config["session"] = session)
        .start();
    let browser = Browser::logged_in(&mut gateway);
    gateway.advance(Duration::from_secs(359));
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
    gateway.advance(Duration::from_secs(2));
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_expired",
    );
}

#[test]
fn a_control_service_that_cannot_be_asked_keeps_the_session() {
    let outages = [
        Answer::text(500, ""),
        Answer::text(200, "<html>"),
        Answer::json(401, &json!({"error": "unauthorized", "message": "No."})),
        Answer::json(404, &json!({"error": "not_found", "message": "No."})),
        Answer::TimedOut,
        Answer::Reset,
    ];
    for outage in outages {
        let (mut gateway, browser) = expired();
        gateway.control.next("/refresh/begin", outage.clone());
        went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
        gateway.advance(Duration::from_secs(60));
        gateway.control.next("/refresh/begin", outage.clone());
        let reply = refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            503,
            "control_unavailable",
        );
        assert_eq!(reply.set_cookies(), Vec::<String>::new(), "{outage:?}");
        assert_eq!(calls(&gateway)[1], 0);
    }
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

#[test]
fn a_failure_report_that_does_not_arrive_changes_nothing_for_the_session() {
    let (mut gateway, browser) = expired();
    gateway.idp.next("/token", Answer::text(500, ""));
    gateway.control.next("/refresh/fail", Answer::Reset);
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    let (mut gateway, browser) = expired();
    gateway.idp.next(
        "/token",
        Answer::json(400, &json!({"error": "invalid_grant"})),
    );
    gateway.control.next("/refresh/fail", Answer::Reset);
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_ended",
    );
}

#[test]
fn the_session_endpoint_renews_too_and_never_redirects() {
    let (mut gateway, mut browser) = expired();
    let reply = browser
        .navigate(&mut gateway, "/_gatelatch/session")
        .reply();
    assert_eq!((reply.status, &reply.json()["sub"]), (200, &json!("ada")));
    assert_eq!(reply.json()["seconds_left"], json!(60));
    new_session(&reply);
    browser.keep(&reply);
    let again = browser
        .navigate(&mut gateway, "/_gatelatch/session")
        .reply();
    assert_eq!(again.set_cookies(), Vec::<String>::new());
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);
}

#[test]
fn an_application_that_wants_the_jwt_gets_the_new_one() {
    let (mut gateway, mut browser) =
        expired_in(Setup::new().config(|config| config["forward_jwt"] = json!(true)));
    browser.set_cookie("theme", "dark");
    let stream = browser.fetch(&mut gateway, "GET", "/");
    let seen = went_on(&stream)
        .text("cookie")
        .map(str::to_owned)
        .unwrap_or_default();
    let renewed = new_session(&stream.respond(200, Headers::new(), b""));
    let mut cookies: Vec<&str> = seen.split("; ").collect();
    cookies.sort_unstable();
    assert_eq!(
        cookies,
        [format!("{SESSION_COOKIE}={renewed}").as_str(), "theme=dark"]
    );
}
