//! Revocations: how they reach every worker, and what holds while they are not known.

use std::time::Duration;

use gatelatch_filter_tests::{
    Answer, Browser, Gateway, Headers, Reply, SESSION_COOKIE, Setup, Stream,
};
use gatelatch_wire::feed::{CONTENT_TYPE, Entry, Epoch, Page};
use gatelatch_wire::revocation::{Digest, Revocation};
use serde_json::{Value, json};

mod enforcement;
mod feed;
mod leader;

/// The claims of a session JWT, unverified.
fn claims(token: &str) -> Value {
    use base64::Engine as _;
    let payload = token.split('.').nth(1).expect("a payload");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD
        .decode(payload)
        .expect("base64url");
    serde_json::from_slice(&bytes).expect("JSON")
}

fn sid(browser: &Browser) -> String {
    claims(browser.session())["sid"]
        .as_str()
        .expect("a sid")
        .to_owned()
}

fn revoke(gateway: &mut Gateway, revocation: &Revocation) {
    let now = gateway.host.now();
    gateway.control.revoke(revocation, now);
    gateway.settle();
}

fn revoke_session(gateway: &mut Gateway, browser: &Browser) {
    revoke(gateway, &Revocation::Sid { id: sid(browser) });
}

#[track_caller]
fn accepted(stream: &Stream) {
    assert_eq!(
        stream.forwarded().headers.text("x-auth-request-user"),
        Some("ada")
    );
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

fn page(epoch: u8, from: u64, to: u64, head: u64, entries: Vec<Entry>) -> Answer {
    Answer::Http {
        status: 200,
        headers: Headers::new().with("content-type", CONTENT_TYPE),
        body: Page {
            epoch: Epoch([epoch; 16]),
            from,
            to,
            head,
            entries,
        }
        .encode(),
    }
}
