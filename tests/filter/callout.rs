//! HTTP callouts: what the module sent, and the ways in which a call ends.

use std::time::Duration;

use crate::guest::CalloutReply;
use crate::headers::Headers;
use crate::vm::Vm;

/// What the module sent with `proxy_http_call`.
#[derive(Debug, Clone)]
pub struct Request {
    /// The Envoy cluster.
    pub cluster: String,
    /// With `:method`, `:path` and `:authority`.
    pub headers: Headers,
    /// The body.
    pub body: Vec<u8>,
    /// After how long Envoy answers 504 itself; None: never.
    pub timeout: Option<Duration>,
    /// The context that was in effect. Envoy binds the call to its root in any case.
    pub context: u32,
    /// When it was sent, by the clock of the host.
    pub sent_at: Duration,
    pub(crate) token: u32,
}

impl Request {
    /// `:method`, or nothing when that is no text.
    pub fn method(&self) -> &str {
        self.headers.text(":method").unwrap_or_default()
    }

    /// `:path` with its query.
    pub fn target(&self) -> &str {
        self.headers.text(":path").unwrap_or_default()
    }

    /// `:path` without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// The parameters of the query, decoded.
    pub fn query(&self) -> Vec<(String, String)> {
        let query = self.target().split_once('?').map_or("", |(_, query)| query);
        form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect()
    }

    /// The body as a form, decoded.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// The body as JSON, or null.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// When Envoy gives up waiting.
    pub fn deadline(&self) -> Option<Duration> {
        Some(self.sent_at + self.timeout?)
    }
}

/// A call that waits for its answer. Dropped, it stays unanswered, as when Envoy is torn down.
#[derive(Debug)]
pub struct Callout {
    vm: Vm,
    request: Request,
}

impl Callout {
    pub(crate) fn new(vm: Vm, request: Request) -> Self {
        Self { vm, request }
    }

    /// What was sent.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// Which VM sent it.
    pub fn vm(&self) -> &Vm {
        &self.vm
    }

    /// The peer answers.
    pub fn answer(self, status: u16, headers: Headers, body: impl AsRef<[u8]>) {
        let with_status = Headers::new().with(":status", status.to_string());
        let headers = headers
            .iter()
            .fold(with_status, |all, (name, value)| all.with(name, value));
        self.end(headers, body.as_ref().to_vec());
    }

    /// The peer answers with JSON.
    pub fn answer_json(self, status: u16, body: &serde_json::Value) {
        self.answer(
            status,
            Headers::new().with("content-type", "application/json"),
            body.to_string(),
        );
    }

    /// The peer is too slow: Envoy answers in its place.
    pub fn time_out(self) {
        let headers = Headers::new().with("content-type", "text/plain");
        self.answer(504, headers, "upstream request timeout");
    }

    /// The connection breaks: the callback has no headers, not even a status.
    pub fn reset(self) {
        self.end(Headers::new(), Vec::new());
    }

    /// A callback with exactly these headers, whatever they are.
    pub fn end(self, headers: Headers, body: Vec<u8>) {
        let reply = CalloutReply {
            headers,
            body,
            trailers: Headers::new(),
        };
        self.vm.callout_reply(self.request.token, reply);
    }
}
