//! The way to the provider and back.

use std::time::Duration;

use gatelatch_filter_tests::{
    Answer, Browser, Gateway, ISSUER, PUBLIC_URL, Reply, SESSION_COOKIE, Setup, sign,
};
use gatelatch_wire::session::{ClaimOutcome, CreateOutcome, GoneReason};
use serde_json::{Value, json};

mod callback;
mod id_token;
mod outages;
mod round_trip;

/// Goes to a page; the browser as it waits at the provider, and where it was sent.
fn away(gateway: &mut Gateway, path: &str) -> (Browser, String) {
    let mut browser = Browser::new();
    let reply = browser.navigate(gateway, path).reply();
    browser.keep(&reply);
    (browser, reply.location().to_owned())
}

/// A browser at the provider, and the callback to which the provider would send it.
fn back(gateway: &mut Gateway) -> (Browser, String) {
    let (browser, location) = away(gateway, "/start");
    let callback = gateway.idp.log_in(&location);
    (browser, callback)
}

fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(held, _)| held == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// The stable code that a page or a JSON refusal shows.
fn code(reply: &Reply) -> String {
    let page = String::from_utf8_lossy(&reply.body).into_owned();
    match page.split_once("<code>") {
        Some((_, rest)) => rest.split('<').next().unwrap_or_default().to_owned(),
        None => reply.reason(),
    }
}

#[track_caller]
fn refused(reply: &Reply, status: u16, reason: &str) {
    assert_eq!(
        (reply.status, code(reply).as_str()),
        (status, reason),
        "{reply:#?}"
    );
    let session = reply.set_cookies().into_iter().find(|line| {
        line.starts_with(&format!("{SESSION_COOKIE}="))
            && !line.starts_with(&format!("{SESSION_COOKIE}=;"))
    });
    assert_eq!(session, None);
}

fn token_calls(gateway: &Gateway) -> usize {
    gateway.idp.calls("/token").len()
}
