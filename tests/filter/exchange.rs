//! What comes of a stream: where it stands, what the upstream sees, what the client gets.

use std::fmt;

use crate::headers::Headers;

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The filter holds the request.
    Paused,
    /// The request is with the upstream.
    Forwarded(Forwarded),
    /// The client has its response.
    Replied(Reply),
    /// The client has left.
    Reset,
}

/// A request as the upstream sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Forwarded {
    /// With pseudo headers, in order.
    pub headers: Headers,
    /// The whole body.
    pub body: Vec<u8>,
}

/// A response as the client sees it.
#[derive(Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status code.
    pub status: u16,
    /// Without `:status`.
    pub headers: Headers,
    /// The body; empty in the answer to HEAD.
    pub body: Vec<u8>,
    /// The response code details of a local reply, as the access log shows them; None when the
    /// response came from the upstream.
    pub details: Option<String>,
}

impl Reply {
    /// Every `Set-Cookie` line.
    pub fn set_cookies(&self) -> Vec<String> {
        let lines = self.headers.all("set-cookie");
        lines
            .into_iter()
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect()
    }

    /// `Location`, or nothing.
    pub fn location(&self) -> &str {
        self.headers.text("location").unwrap_or_default()
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// `reason` of a refusal in JSON, or nothing.
    pub fn reason(&self) -> String {
        self.json()["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

impl fmt::Debug for Forwarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        f.debug_struct("Forwarded")
            .field("headers", &self.headers)
            .field("body", &body)
            .finish()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let body = String::from_utf8_lossy(&self.body);
        let mut shown = f.debug_struct("Reply");
        shown
            .field("status", &self.status)
            .field("headers", &self.headers);
        shown
            .field("body", &body)
            .field("details", &self.details)
            .finish()
    }
}
