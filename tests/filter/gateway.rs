//! A gateway under test: workers of one process, and the peers that answer their callouts.

use std::time::Duration;

use serde_json::{Value, json};

use crate::callout::{Callout, Request};
use crate::control::{GATEWAY_TOKEN, ScriptedControl};
use crate::host::Host;
use crate::idp::{CLIENT_ID, CLIENT_SECRET, ISSUER, ScriptedIdp};
use crate::module::Module;
use crate::peer::Answer;
use crate::process::Cluster;
use crate::signature::verify_signature;
use crate::vm::Vm;

/// Where browsers reach the gateway.
pub const PUBLIC_URL: &str = "http://localhost:8000";

/// The secret of the session JWTs.
pub const SESSION_KEY: &str = "session-key-of-the-tests-0123456789abcdef";

/// How long a session JWT lasts in the configuration of the tests.
const SESSION_TTL: Duration = Duration::from_secs(60);

/// A gateway with its two peers.
#[derive(Debug)]
pub struct Gateway {
    /// The process.
    pub host: Host,
    /// The control service.
    pub control: ScriptedControl,
    /// The OpenID provider.
    pub idp: ScriptedIdp,
    waiting: Vec<Waiting>,
}

/// A callout without an answer.
#[derive(Debug)]
struct Waiting {
    callout: Callout,
    /// By order of the test: the peer itself is not asked again.
    held: bool,
}

/// A gateway that has not been started.
#[derive(Debug)]
pub struct Setup {
    workers: usize,
    config: Value,
    host: Host,
    control: ScriptedControl,
    idp: ScriptedIdp,
}

impl Setup {
    /// The minimal configuration with sessions of a minute, the rules of the local gateway and one
    /// worker.
    pub fn new() -> Self {
        let host = Host::new();
        for (name, value) in [
            ("GATELATCH_CLIENT_SECRET", CLIENT_SECRET),
            ("GATELATCH_SESSION_KEY", SESSION_KEY),
            ("GATELATCH_GATEWAY_TOKEN", GATEWAY_TOKEN),
        ] {
            host.environment(name, value);
        }
        host.foreign_function("verify_signature", verify_signature);
        host.cluster("idp", Cluster::Up);
        host.cluster("control", Cluster::Up);
        let (control, idp) = (ScriptedControl::default(), ScriptedIdp::default());
        Self {
            workers: 1,
            config: config(),
            host,
            control,
            idp,
        }
    }

    /// Starts so many workers.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// Changes the configuration.
    pub fn config(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.config);
        self
    }

    /// Changes the process.
    pub fn host(self, change: impl FnOnce(&Host)) -> Self {
        change(&self.host);
        self
    }

    /// Changes the peers before the first callout.
    pub fn peers(mut self, change: impl FnOnce(&mut ScriptedControl, &mut ScriptedIdp)) -> Self {
        change(&mut self.control, &mut self.idp);
        self
    }

    /// Starts the workers and no more: no tick has come, nothing is known yet.
    ///
    /// # Panics
    /// When the filter refuses the configuration.
    pub fn start_cold(self) -> Gateway {
        for _ in 0..self.workers {
            let started = self.host.start(Module::filter(), self.configuration());
            started.expect("the filter takes the configuration of the tests");
        }
        Gateway {
            host: self.host,
            control: self.control,
            idp: self.idp,
            waiting: Vec::new(),
        }
    }

    /// Starts the workers and lets them learn what they need.
    pub fn start(self) -> Gateway {
        let mut gateway = self.start_cold();
        gateway.advance(Duration::from_secs(3));
        gateway
    }

    /// The plugin configuration.
    pub fn configuration(&self) -> String {
        match &self.config {
            Value::String(text) => text.clone(),
            json => json.to_string(),
        }
    }

    /// Starts one worker with the configuration as it is; what the filter logged when it refused.
    ///
    /// # Panics
    /// When the filter accepts it.
    pub fn refusal(self) -> String {
        match self.host.start(Module::filter(), self.configuration()) {
            Err(lines) => lines,
            Ok(_) => panic!("the filter accepts {}", self.config),
        }
    }
}

impl Default for Setup {
    fn default() -> Self {
        Self::new()
    }
}

impl Gateway {
    /// One worker that knows all it needs.
    pub fn new() -> Self {
        Setup::new().start()
    }

    /// A worker.
    pub fn vm(&self, nth: usize) -> Vm {
        self.host.vms()[nth].clone()
    }

    /// Delivers wake-ups and answers callouts until nothing more happens without time passing.
    pub fn settle(&mut self) {
        loop {
            self.host.run_until_idle();
            let now = self.host.now();
            let mut progress = false;
            for Waiting { callout, held } in std::mem::take(&mut self.waiting) {
                let answer = self.ask_again(callout.request(), held, now);
                progress |= answer != Answer::Later;
                self.waiting.extend(
                    answer
                        .give(callout)
                        .map(|callout| Waiting { callout, held }),
                );
            }
            for callout in self.host.take_callouts() {
                progress = true;
                let ordered = self.ordered(callout.request());
                let held = ordered == Some(Answer::Later);
                let answer = ordered.unwrap_or_else(|| self.ask(callout.request(), now));
                self.waiting.extend(
                    answer
                        .give(callout)
                        .map(|callout| Waiting { callout, held }),
                );
            }
            if !progress {
                return;
            }
        }
    }

    /// Lets time pass, with all ticks, wake-ups, answers and time-outs in their order.
    pub fn advance(&mut self, by: Duration) {
        let end = self.host.now() + by;
        self.settle();
        while self.host.now() < end {
            let pulse = self.host.now() + Duration::from_millis(100);
            let next = self
                .host
                .next_tick()
                .into_iter()
                .chain([pulse, end])
                .min()
                .unwrap_or(end);
            self.host
                .advance_to(next.max(self.host.now() + Duration::from_millis(1)));
            self.settle();
        }
    }

    /// Lets the session JWTs of the tests' configuration expire, and a second more.
    pub fn expire(&mut self) {
        self.advance(SESSION_TTL + Duration::from_secs(1));
    }

    /// Callouts that a peer has not answered yet.
    pub fn unanswered(&self) -> Vec<&Request> {
        self.waiting
            .iter()
            .map(|waiting| waiting.callout.request())
            .collect()
    }

    /// Takes an unanswered callout whose path ends so out of its peer's hands.
    ///
    /// # Panics
    /// When there is none.
    #[track_caller]
    pub fn take_unanswered(&mut self, path_end: &str) -> Callout {
        let ends = |waiting: &Waiting| waiting.callout.request().path().ends_with(path_end);
        let nth = self.waiting.iter().position(ends);
        self.waiting
            .remove(
                nth.unwrap_or_else(|| panic!("no unanswered {path_end}: {:?}", self.unanswered())),
            )
            .callout
    }

    /// Lets the peer answer a callout that it holds by order of the test.
    #[track_caller]
    pub fn release(&mut self, path_end: &str) {
        let callout = self.take_unanswered(path_end);
        let answer = self.ask(callout.request(), self.host.now());
        self.waiting
            .extend(answer.give(callout).map(|callout| Waiting {
                callout,
                held: false,
            }));
        self.settle();
    }

    fn ordered(&mut self, request: &Request) -> Option<Answer> {
        match request.cluster.as_str() {
            "idp" => self.idp.arrive(request),
            _ => self.control.arrive(request),
        }
    }

    fn ask(&mut self, request: &Request, now: Duration) -> Answer {
        match request.cluster.as_str() {
            "idp" => self.idp.answer(request, now),
            _ => self.control.answer(request, now),
        }
    }

    fn ask_again(&mut self, request: &Request, held: bool, now: Duration) -> Answer {
        match request.deadline() {
            Some(deadline) if deadline <= now => Answer::TimedOut,
            _ if held => Answer::Later,
            _ => self.ask(request, now),
        }
    }
}

impl Default for Gateway {
    fn default() -> Self {
        Self::new()
    }
}

/// See [`Setup::new`].
fn config() -> Value {
    json!({
        "issuer": ISSUER,
        "client_id": CLIENT_ID,
        "client_secret_env": "GATELATCH_CLIENT_SECRET",
        "idp_cluster": "idp",
        "control_cluster": "control",
        "public_url": PUBLIC_URL,
        "session_keys": [{"kid": "k1", "env": "GATELATCH_SESSION_KEY"}],
        "session": {"ttl": format!("{}s", SESSION_TTL.as_secs())},
        "rules": [
            {"prefix": "/public/", "access": "public"},
            {"prefix": "/assets/", "access": "public"},
            {"prefix": "/optional/", "access": "optional"},
        ],
    })
}
