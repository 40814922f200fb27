//! One HTTP stream through the filter, from its request headers to the end of its response.

use std::cell::RefCell;
use std::rc::Rc;

use crate::exchange::{Forwarded, Reply, State};
use crate::guest::LocalReply;
use crate::headers::Headers;
use crate::vm::{Returned, Vm};

/// A stream that a test has sent through a VM.
#[derive(Debug, Clone)]
pub struct Stream {
    vm: Vm,
    core: Rc<RefCell<StreamCore>>,
}

#[derive(Debug)]
pub(crate) struct StreamCore {
    id: u32,
    request: Headers,
    request_open: bool,
    response: Headers,
    response_open: bool,
    body: Vec<u8>,
    body_open: bool,
    body_seen: bool,
    phase: Phase,
}

#[derive(Debug, Clone)]
enum Phase {
    Decoding,
    Paused,
    Forwarded,
    Encoding,
    Replied(Reply),
    Reset,
}

impl StreamCore {
    /// A header map that the module can have now: 0 of the request, 2 of the response.
    pub(crate) fn map(&mut self, map: u32) -> Option<&mut Headers> {
        match map {
            0 if self.request_open => Some(&mut self.request),
            2 if self.response_open => Some(&mut self.response),
            _ => None,
        }
    }

    /// The request's body, while a callback may read it.
    pub(crate) fn open_body(&self) -> Option<Vec<u8>> {
        self.body_open.then(|| self.body.clone())
    }

    /// The module gave the request out of its hands.
    pub(crate) fn close_request(&mut self) {
        self.request_open = false;
        self.body_open = false;
    }

    fn is_undecided(&self) -> bool {
        matches!(self.phase, Phase::Decoding | Phase::Paused)
    }

    fn request_is(&self, header: &str, start: &str) -> bool {
        self.request
            .first(header)
            .is_some_and(|value| value.starts_with(start.as_bytes()))
    }
}

impl Stream {
    /// Sends a request through the filter, as far as it goes at once.
    pub(crate) fn start(vm: &Vm, headers: Headers, body: &[u8]) -> Self {
        let core = StreamCore {
            id: vm.next_context(),
            request: headers,
            request_open: false,
            response: Headers::new(),
            response_open: false,
            body: body.to_vec(),
            body_open: false,
            body_seen: false,
            phase: Phase::Decoding,
        };
        let stream = Self {
            vm: vm.clone(),
            core: Rc::new(RefCell::new(core)),
        };
        let id = stream.id();
        vm.with_state(|state| state.streams.insert(id, Rc::clone(&stream.core)));
        vm.call("proxy_on_context_create", id, &[id, vm.root()]);
        stream.request_headers();
        stream
    }

    pub(crate) fn of(vm: &Vm, core: Rc<RefCell<StreamCore>>) -> Self {
        Self {
            vm: vm.clone(),
            core,
        }
    }

    /// Where the stream stands.
    ///
    /// # Panics
    /// When the stream is inside of a callback, which a test cannot see.
    pub fn state(&self) -> State {
        let core = self.core.borrow();
        match &core.phase {
            Phase::Paused => State::Paused,
            Phase::Forwarded => State::Forwarded(Forwarded {
                headers: core.request.clone(),
                body: core.body.clone(),
            }),
            Phase::Replied(reply) => State::Replied(reply.clone()),
            Phase::Reset => State::Reset,
            Phase::Decoding | Phase::Encoding => panic!("the stream is inside of a callback"),
        }
    }

    /// The request as the upstream sees it.
    ///
    /// # Panics
    /// When it is not with the upstream.
    #[track_caller]
    pub fn forwarded(&self) -> Forwarded {
        match self.state() {
            State::Forwarded(forwarded) => forwarded,
            other => panic!("the request should be with the upstream, but: {other:#?}"),
        }
    }

    /// The response as the client sees it.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn reply(&self) -> Reply {
        match self.state() {
            State::Replied(reply) => reply,
            other => panic!("the client should have a response, but: {other:#?}"),
        }
    }

    /// Whether the filter holds the request.
    pub fn is_paused(&self) -> bool {
        self.state() == State::Paused
    }

    /// The upstream answers; what the client gets of it.
    ///
    /// # Panics
    /// When the request is not with the upstream.
    #[track_caller]
    pub fn respond(&self, status: u16, headers: Headers, body: &[u8]) -> Reply {
        self.forwarded();
        let pairs = headers.iter().fold(
            Headers::new().with(":status", status.to_string()),
            |all, (name, value)| all.with(name, value),
        );
        self.encode(pairs, body.to_vec(), None);
        self.reply()
    }

    /// The client leaves, or Envoy gives the stream up.
    pub fn reset(&self) {
        self.core.borrow_mut().close_request();
        self.core.borrow_mut().phase = Phase::Reset;
        self.finish();
    }

    fn id(&self) -> u32 {
        self.core.borrow().id
    }

    fn request_headers(&self) {
        let (count, end) = {
            let mut core = self.core.borrow_mut();
            core.request_open = true;
            (core.request.len() as u32, core.body.is_empty())
        };
        let returned = self.vm.call(
            "proxy_on_request_headers",
            self.id(),
            &[self.id(), count, u32::from(end)],
        );
        if !self.core.borrow().is_undecided() {
            return;
        }
        match returned {
            Returned::Dead => self.fail(),
            Returned::Missing | Returned::Value(0) => self.go_on(),
            Returned::Value(_) => {
                self.core.borrow_mut().phase = Phase::Paused;
                if self.vm.headers_can_stop_alone() && !end {
                    self.request_body();
                }
            }
        }
    }

    /// The headers leave for the upstream, the body follows through the filter.
    fn go_on(&self) {
        let body_next = {
            let mut core = self.core.borrow_mut();
            core.close_request();
            core.phase = Phase::Forwarded;
            !core.body.is_empty() && !core.body_seen
        };
        if body_next {
            self.request_body();
        }
    }

    fn request_body(&self) {
        let (id, len) = {
            let mut core = self.core.borrow_mut();
            core.body_open = true;
            core.body_seen = true;
            (core.id, core.body.len() as u32)
        };
        let returned = self.vm.call("proxy_on_request_body", id, &[id, len, 1]);
        let forwarded = matches!(self.core.borrow().phase, Phase::Forwarded);
        match returned {
            Returned::Value(1..) if forwarded => {
                self.vm.violation(format!(
                    "context {id} holds a body whose headers are with the upstream"
                ));
            }
            Returned::Value(0) | Returned::Missing if !forwarded => self.go_on(),
            Returned::Dead if !forwarded => self.fail(),
            _ => {}
        }
    }

    /// `proxy_continue_stream`, once its callback has returned.
    pub(crate) fn continue_request(&self) {
        let phase = self.core.borrow().phase.clone();
        match phase {
            Phase::Paused => self.go_on(),
            other => self.vm.violation(format!(
                "context {} was continued while {other:?}",
                self.id()
            )),
        }
    }

    /// `proxy_send_local_response`, once its callback has returned.
    pub(crate) fn local_reply(&self, reply: LocalReply) {
        if !self.core.borrow().is_undecided() {
            let phase = self.core.borrow().phase.clone();
            self.vm.violation(format!(
                "context {} was answered with {reply:?} while {phase:?}",
                self.id()
            ));
            return;
        }
        let mut headers = Headers::new();
        if self
            .core
            .borrow()
            .request_is("content-type", "application/grpc")
        {
            headers.add(":status", "200");
            headers.add("content-type", "application/grpc");
            headers.add("grpc-status", grpc_status(reply.status));
            headers.add(
                "grpc-message",
                String::from_utf8_lossy(&reply.body)
                    .escape_default()
                    .to_string(),
            );
        } else {
            headers.add(":status", reply.status.to_string());
        }
        for (name, value) in reply.headers.iter() {
            headers.add(name, value);
        }
        let body = if headers.first("grpc-status").is_some() {
            Vec::new()
        } else {
            reply.body
        };
        if !body.is_empty() {
            headers.replace("content-length", body.len().to_string());
            if headers.first("content-type").is_none() {
                headers.add("content-type", "text/plain");
            }
        }
        self.encode(headers, body, Some(reply.details));
    }

    /// The response goes through the filter to the client, and the stream is over.
    fn encode(&self, headers: Headers, body: Vec<u8>, details: Option<String>) {
        let (id, count) = {
            let mut core = self.core.borrow_mut();
            core.close_request();
            core.phase = Phase::Encoding;
            core.response = headers;
            core.response_open = true;
            (core.id, core.response.len() as u32)
        };
        let end = u32::from(body.is_empty());
        if let Returned::Value(1..) =
            self.vm
                .call("proxy_on_response_headers", id, &[id, count, end])
        {
            self.vm.violation(format!(
                "context {id} holds a response, which this filter never does"
            ));
        }
        self.core.borrow_mut().response_open = false;
        self.deliver(body, details);
    }

    fn deliver(&self, body: Vec<u8>, details: Option<String>) {
        {
            let mut core = self.core.borrow_mut();
            let mut headers = std::mem::take(&mut core.response);
            let status = headers
                .text(":status")
                .and_then(|status| status.parse().ok())
                .unwrap_or(0);
            headers.remove(":status");
            let body = if core.request_is(":method", "HEAD") {
                Vec::new()
            } else {
                body
            };
            core.phase = Phase::Replied(Reply {
                status,
                headers,
                body,
                details,
            });
        }
        self.finish();
    }

    /// The VM is dead: Envoy answers in the filter's place and calls it no more.
    fn fail(&self) {
        self.core.borrow_mut().close_request();
        self.core.borrow_mut().response = Headers::new().with(":status", "503");
        self.deliver(Vec::new(), Some("wasm_fail_stream".to_owned()));
    }

    fn finish(&self) {
        let id = self.id();
        for callback in ["proxy_on_log", "proxy_on_done", "proxy_on_delete"] {
            self.vm.call(callback, id, &[id]);
        }
        self.vm.with_state(|state| state.streams.remove(&id));
    }
}

/// As Envoy translates a local reply for a gRPC client (grpc/doc/http-grpc-status-mapping).
fn grpc_status(http: u32) -> &'static str {
    match http {
        400 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        429 | 502..=504 => "14",
        _ => "2",
    }
}
