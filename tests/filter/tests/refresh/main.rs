//! An expired session is renewed behind the user's back: one token call, whatever happens.

use std::time::Duration;

use gatelatch_filter_tests::{
    Answer, Browser, Cluster, Gateway, Headers, Reply, SESSION_COOKIE, Setup, State, Stream,
};
use gatelatch_wire::session::{BeginOutcome, FailClass, GoneReason};
use serde_json::{Value, json};

mod early;
mod ends;
mod failures;
mod once;
mod storing;
mod waiting;

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
