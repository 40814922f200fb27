//! Calls to the control service: API v1 as callouts, and its answers as types.

use gatelatch_wire::feed::{CONTENT_TYPE, MAX_ENTRIES};
use gatelatch_wire::session::{
    BeginRefresh, ClaimLogin, CompleteRefresh, CreateSession, EndSession, FailRefresh, RenewLease,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::revoked::Head;
use crate::step::{CallReply, Callout, Peer};

/// Milliseconds for a call that answers at once.
const TIMEOUT_MS: u32 = 5_000;

/// `POST /v1/sessions`.
pub fn create(config: &Config, body: &CreateSession) -> Callout {
    post(config, "/v1/sessions".to_owned(), body, TIMEOUT_MS)
}

/// `POST /v1/sessions/{sid}/refresh/begin`; waits as long as the body says.
pub fn begin(config: &Config, sid: &str, body: &BeginRefresh) -> Callout {
    let timeout_ms = body.wait_ms.saturating_add(TIMEOUT_MS);
    post(config, session_path(sid, "refresh/begin"), body, timeout_ms)
}

/// `POST /v1/sessions/{sid}/refresh/renew`.
pub fn renew(config: &Config, sid: &str, body: &RenewLease) -> Callout {
    post(config, session_path(sid, "refresh/renew"), body, TIMEOUT_MS)
}

/// `POST /v1/sessions/{sid}/refresh/complete`.
pub fn complete(config: &Config, sid: &str, body: &CompleteRefresh) -> Callout {
    post(
        config,
        session_path(sid, "refresh/complete"),
        body,
        TIMEOUT_MS,
    )
}

/// `POST /v1/sessions/{sid}/refresh/fail`.
pub fn fail(config: &Config, sid: &str, body: &FailRefresh) -> Callout {
    post(config, session_path(sid, "refresh/fail"), body, TIMEOUT_MS)
}

/// `POST /v1/sessions/{sid}/end`.
pub fn end(config: &Config, sid: &str, body: &EndSession) -> Callout {
    post(config, session_path(sid, "end"), body, TIMEOUT_MS)
}

/// `POST /v1/logins/{id}/claim`.
pub fn claim(config: &Config, id: &str, body: &ClaimLogin) -> Callout {
    post(
        config,
        format!("/v1/logins/{}/claim", segment(id)),
        body,
        TIMEOUT_MS,
    )
}

/// `GET /v1/feed`; the cursor we ask after is the one we enforce.
pub fn feed(config: &Config, head: &Head, gateway: &str, wait_ms: u64) -> Callout {
    let path = format!(
        "/v1/feed?epoch={}&cursor={}&limit={MAX_ENTRIES}&wait_ms={wait_ms}&gateway={}&version={}",
        head.epoch.to_hex(),
        head.cursor,
        segment(gateway),
        env!("CARGO_PKG_VERSION"),
    );
    let timeout_ms = u32::try_from(wait_ms)
        .unwrap_or(u32::MAX)
        .saturating_add(TIMEOUT_MS);
    let mut call = call(config, "GET", path, Vec::new(), timeout_ms);
    call.headers.push(("accept", CONTENT_TYPE.to_owned()));
    call
}

/// The answer, when it is one. An outcome such as "gone" may come with a client-error status; an
/// error document never reads as an outcome.
pub fn read<T: DeserializeOwned>(reply: &CallReply<'_>) -> Option<T> {
    match *reply {
        CallReply::Http {
            status: 200..500,
            body,
            ..
        } if body.len() <= MAX_BODY => serde_json::from_slice(body).ok(),
        _ => None,
    }
}

/// Session views hold at most a cookie's worth of claims and one refresh token.
const MAX_BODY: usize = 256 * 1024;

fn session_path(sid: &str, action: &str) -> String {
    format!("/v1/sessions/{}/{action}", segment(sid))
}

/// One path segment or query value.
fn segment(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

fn post(config: &Config, path: String, body: &impl Serialize, timeout_ms: u32) -> Callout {
    // Types of the contract hold strings and maps keyed by strings: they always serialize.
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut call = call(config, "POST", path, body, timeout_ms);
    call.headers
        .push(("content-type", "application/json".to_owned()));
    call
}

fn call(
    config: &Config,
    method: &'static str,
    path: String,
    body: Vec<u8>,
    timeout_ms: u32,
) -> Callout {
    Callout {
        peer: Peer::Control,
        method,
        scheme: "http",
        authority: config.control_authority.clone(),
        path,
        headers: vec![(
            "authorization",
            format!("Bearer {}", config.control_token.reveal()),
        )],
        body,
        timeout_ms,
        delay_ms: 0,
    }
}
