//! One request: headers in, one step performed, cookies onto the response.

use std::cell::RefCell;
use std::rc::Rc;

use gatelatch_core::cookie;
use gatelatch_core::request::Request;
use gatelatch_core::step::{Edits, Reply, Step};
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::{Action, MapType};

use crate::host::{self, HeaderBlock};
use crate::stats::Stats;
use crate::worker::{SharedWorker, Waiter};

/// The context of one request.
pub(crate) struct Stream {
    context_id: u32,
    /// None: the filter is not configured, and every request is refused.
    worker: Option<SharedWorker>,
    state: Rc<RefCell<StreamState>>,
}

/// What of a stream is needed while it waits and when its response comes.
#[derive(Debug, Default)]
pub(crate) struct StreamState {
    answered: bool,
    set_cookies: Vec<String>,
}

impl Stream {
    pub(crate) fn new(context_id: u32, worker: Option<SharedWorker>) -> Self {
        Self {
            context_id,
            worker,
            state: Rc::default(),
        }
    }
}

impl Context for Stream {}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(worker) = &self.worker else {
            answer(&self.state, not_configured(), &mut Stats::default());
            return Action::Pause;
        };
        let worker = &mut *worker.borrow_mut();
        let headers = HeaderBlock::read(MapType::HttpRequestHeaders);
        let pairs = headers.pairs();
        let step = worker.with_env(|gate, env| {
            let request =
                Request::read(pairs, |name| gate.config.identity_headers.is_identity(name));
            gate.on_request(&request, env)
        });
        match step {
            Step::Forward(edits) => {
                forward(&self.state, edits, &mut worker.stats);
                Action::Continue
            }
            Step::Respond(reply) => {
                answer(&self.state, reply, &mut worker.stats);
                Action::Pause
            }
            Step::ForwardAnd { edits, call, then } => {
                forward(&self.state, edits, &mut worker.stats);
                worker.post(call, then, None);
                Action::Continue
            }
            Step::Await { call, then } => {
                let state = Rc::downgrade(&self.state);
                let waiter = Waiter {
                    context_id: self.context_id,
                    state,
                };
                if !worker.post(call, then, Some(waiter)) {
                    answer(&self.state, not_configured(), &mut worker.stats);
                }
                Action::Pause
            }
            Step::Done => Action::Pause,
        }
    }

    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        if let Some(worker) = &self.worker {
            let worker = worker.borrow();
            let trailers = HeaderBlock::read(MapType::HttpRequestTrailers);
            for (name, _) in trailers.pairs() {
                if worker.gate.config.identity_headers.is_identity(name) {
                    remove(MapType::HttpRequestTrailers, name);
                }
            }
        }
        Action::Continue
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let state = &mut *self.state.borrow_mut();
        if state.answered {
            return Action::Continue;
        }
        if let Some(worker) = &self.worker {
            protect_session_cookie(&worker.borrow().gate.config.cookies.session);
        }
        if !state.set_cookies.is_empty() {
            for value in state.set_cookies.drain(..) {
                let _ =
                    hostcalls::add_map_value(MapType::HttpResponseHeaders, "set-cookie", &value);
            }
            keep_out_of_caches();
        }
        Action::Continue
    }
}

/// Performs the last step of a request that waited. Its headers are reachable until it resumes.
pub(crate) fn resume(state: &RefCell<StreamState>, step: Step, stats: &mut Stats) {
    match step {
        Step::Forward(edits) => {
            forward(state, edits, stats);
            if hostcalls::resume_http_request().is_err() {
                stats.count("clients_gone");
            }
        }
        Step::Respond(reply) => {
            answer(state, reply, stats);
        }
        Step::ForwardAnd { .. } | Step::Await { .. } | Step::Done => {}
    }
}

fn forward(state: &RefCell<StreamState>, edits: Edits, stats: &mut Stats) {
    for name in &edits.remove {
        remove(MapType::HttpRequestHeaders, name);
    }
    match edits.cookie {
        Some(line) if line.is_empty() => remove(MapType::HttpRequestHeaders, b"cookie"),
        Some(line) => {
            remove(MapType::HttpRequestHeaders, b"cookie");
            let _ = hostcalls::add_map_value_bytes(MapType::HttpRequestHeaders, "cookie", &line);
        }
        None => {}
    }
    for (name, value) in edits.add.iter() {
        let _ = hostcalls::add_map_value(MapType::HttpRequestHeaders, name, value);
    }
    if let Some(note) = edits.note {
        stats.count(note);
    }
    state.borrow_mut().set_cookies = edits.set_cookies;
}

/// Answers here. Once: the reply passes our own response callback, which must let it be.
fn answer(state: &RefCell<StreamState>, reply: Reply, stats: &mut Stats) {
    if std::mem::replace(&mut state.borrow_mut().answered, true) {
        return;
    }
    stats.count(&format!("replies.{}", reply.code));
    if reply.status >= 500 && stats.may_log(reply.code, host::now_ms()) {
        log::warn!("{} {}", reply.status, reply.code);
    }
    if !host::send_local_response(&reply) {
        log::error!("the host refused a response");
    }
}

fn not_configured() -> Reply {
    Reply {
        status: 503,
        headers: vec![
            ("content-type", "application/json".to_owned()),
            ("cache-control", "no-store".to_owned()),
        ],
        body: r#"{"reason":"not_configured"}"#.to_owned(),
        code: "not_configured",
    }
}

/// The application cannot set the session cookie: its `Set-Cookie` lines stay, but for one of our
/// cookie's name.
fn protect_session_cookie(name: &str) {
    match hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, "set-cookie") {
        Ok(Some(_)) => {}
        _ => return,
    }
    let headers = HeaderBlock::read(MapType::HttpResponseHeaders);
    let lines = || {
        headers
            .pairs()
            .filter(|(header, _)| *header == b"set-cookie")
            .map(|(_, line)| line)
    };
    let is_ours = |line: &[u8]| {
        cookie::pairs(line)
            .next()
            .is_some_and(|(found, _)| found == name.as_bytes())
    };
    if !lines().any(is_ours) {
        return;
    }
    remove(MapType::HttpResponseHeaders, b"set-cookie");
    for line in lines().filter(|line| !is_ours(line)) {
        let _ = hostcalls::add_map_value_bytes(MapType::HttpResponseHeaders, "set-cookie", line);
    }
}

/// A response with a session cookie is for one browser (RFC 9111 section 3.5).
fn keep_out_of_caches() {
    let current = hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, "cache-control");
    let stated = matches!(&current, Ok(Some(value)) if {
        let value = value.to_ascii_lowercase();
        value.windows(7).any(|window| window == b"private") || value.windows(8).any(|window| window == b"no-store")
    });
    if !stated {
        remove(MapType::HttpResponseHeaders, b"cache-control");
        let _ = hostcalls::add_map_value(MapType::HttpResponseHeaders, "cache-control", "no-store");
    }
}

fn remove(map: MapType, name: &[u8]) {
    // The host knows header names as tokens of ASCII; what is not text is no name of its.
    if let Ok(name) = std::str::from_utf8(name) {
        let _ = hostcalls::remove_map_value(map, name);
    }
}
