//! One VM's state and its calls: what streams and the root context share.
//!
//! All calls are made while the root context is active, so that a reply arrives whether or not the
//! stream that wanted it still exists. [`Worker::drive`] performs steps until one waits.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::{Rc, Weak};

use gatelatch_core::gate::{Env, Gate};
use gatelatch_core::pending::Pending;
use gatelatch_core::step::{CallReply, Callout, Peer, Step};
use proxy_wasm::hostcalls;

use crate::host::{self, HostEntropy, HostVerifier};
use crate::mailbox::Mailbox;
use crate::poller::{PollKind, Poller};
use crate::shared::Shared;
use crate::stats::Stats;
use crate::stream::{self, StreamState};

/// Everything of one VM and one configuration.
pub(crate) struct Worker {
    pub(crate) gate: Gate,
    pub(crate) shared: Shared,
    pub(crate) mailbox: Mailbox,
    pub(crate) poller: Poller,
    pub(crate) stats: Stats,
    root_id: u32,
    in_flight: HashMap<u32, Flight>,
    outbox: VecDeque<Job>,
    delayed: Vec<(u64, Job)>,
}

/// A request that waits for what a job will answer.
pub(crate) struct Waiter {
    pub(crate) context_id: u32,
    pub(crate) state: Weak<RefCell<StreamState>>,
}

/// A call to be made, and who goes on with its reply.
pub(crate) struct Job {
    call: Callout,
    then: Pending,
    waiter: Option<Waiter>,
}

enum Flight {
    Job {
        then: Pending,
        waiter: Option<Waiter>,
        sent_at_ms: u64,
    },
    Poll {
        kind: PollKind,
        term: u32,
    },
}

impl Worker {
    pub(crate) fn new(root_id: u32, gate: Gate, shared: Shared, vm_id: u64) -> Self {
        let mailbox = Mailbox::new(&shared, vm_id);
        Self {
            gate,
            shared,
            mailbox,
            poller: Poller::new(vm_id),
            stats: Stats::default(),
            root_id,
            in_flight: HashMap::new(),
            outbox: VecDeque::new(),
            delayed: Vec::new(),
        }
    }

    /// Puts a stream's call into the outbox. False: the root cannot be woken, and the call will not
    /// be made.
    pub(crate) fn post(&mut self, call: Callout, then: Pending, waiter: Option<Waiter>) -> bool {
        if !self.mailbox.wake_self() {
            return false;
        }
        self.outbox.push_back(Job { call, then, waiter });
        true
    }

    /// Makes the calls that streams have asked for. Root context only.
    pub(crate) fn send_outbox(&mut self) {
        while let Some(job) = self.outbox.pop_front() {
            self.start(job);
        }
    }

    /// Makes delayed calls that are due, and tells the control service of leases still held.
    pub(crate) fn tick(&mut self, now_ms: u64) {
        self.send_outbox();
        let (due, later) = std::mem::take(&mut self.delayed)
            .into_iter()
            .partition(|(at, _)| *at <= now_ms);
        self.delayed = later;
        for (_, job) in due {
            self.dispatch(job);
        }
        let mut renewals = Vec::new();
        for flight in self.in_flight.values_mut() {
            if let Flight::Job { then, .. } = flight {
                renewals.extend(then.keep_alive(&self.gate, now_ms));
            }
        }
        for call in renewals {
            self.start(Job {
                call,
                then: Pending::Ignore,
                waiter: None,
            });
        }
        let waiting = self.in_flight.len().saturating_add(self.delayed.len());
        self.stats.set("calls_in_flight", waiting as u64);
    }

    /// Makes a poller's call. False: it could not be sent.
    pub(crate) fn poll(&mut self, call: &Callout, kind: PollKind) -> bool {
        match host::dispatch(self.cluster(call.peer), call) {
            Ok(token) => {
                let term = self.poller.term();
                self.in_flight.insert(token, Flight::Poll { kind, term });
                true
            }
            Err(_) => false,
        }
    }

    /// Takes the reply to a call.
    pub(crate) fn on_reply(&mut self, token: u32, body_size: usize) {
        let Some(flight) = self.in_flight.remove(&token) else {
            log::debug!("reply to an unknown call");
            return;
        };
        let head = host::reply_head();
        let body = host::reply_body(body_size);
        let reply = match head {
            Some((status, retry_after_s)) => CallReply::Http {
                status,
                retry_after_s,
                body: &body,
            },
            None => CallReply::Failed,
        };
        match flight {
            Flight::Poll { kind, term } if term == self.poller.term() => {
                Poller::on_reply(self, kind, reply);
            }
            Flight::Poll { .. } => {}
            Flight::Job {
                then,
                waiter,
                sent_at_ms,
            } => {
                let took = host::now_ms().saturating_sub(sent_at_ms);
                self.stats.record(then.label(), took);
                self.drive(then, waiter, reply);
            }
        }
    }

    /// The environment of a decision.
    pub(crate) fn with_env<T>(&mut self, decide: impl FnOnce(&mut Gate, &mut Env<'_>) -> T) -> T {
        let now_ms = host::now_ms();
        let mut env = Env {
            now: now_ms / 1_000,
            now_ms,
            entropy: &mut HostEntropy,
            segments: &self.shared,
            verifier: &HostVerifier,
        };
        decide(&mut self.gate, &mut env)
    }

    /// Lets the core go on with a reply and performs its step.
    fn drive(&mut self, then: Pending, waiter: Option<Waiter>, reply: CallReply<'_>) {
        match self.with_env(|gate, env| then.on_reply(gate, reply, env)) {
            Step::Await { call, then } => self.start(Job { call, then, waiter }),
            step => self.settle(step, waiter),
        }
    }

    fn start(&mut self, job: Job) {
        if job.call.delay_ms == 0 {
            self.dispatch(job);
        } else {
            let due = host::now_ms().saturating_add(job.call.delay_ms.into());
            self.delayed.push((due, job));
        }
    }

    /// Sends; what cannot be sent is a failed call, so that every failure has one path.
    fn dispatch(&mut self, job: Job) {
        let Job { call, then, waiter } = job;
        match host::dispatch(self.cluster(call.peer), &call) {
            Ok(token) => {
                let sent_at_ms = host::now_ms();
                self.in_flight.insert(
                    token,
                    Flight::Job {
                        then,
                        waiter,
                        sent_at_ms,
                    },
                );
            }
            Err(_) => {
                self.stats.count("calls_not_sent");
                self.drive(then, waiter, CallReply::Failed);
            }
        }
    }

    /// Performs the last step of a job on the request that waits for it, if it is still there.
    fn settle(&mut self, step: Step, waiter: Option<Waiter>) {
        let Some(waiter) = waiter else { return };
        let Some(state) = waiter.state.upgrade() else {
            self.stats.count("clients_gone");
            return;
        };
        if hostcalls::set_effective_context(waiter.context_id).is_err() {
            self.stats.count("clients_gone");
            return;
        }
        stream::resume(&state, step, &mut self.stats);
        let _ = hostcalls::set_effective_context(self.root_id);
    }

    fn cluster(&self, peer: Peer) -> &str {
        match peer {
            Peer::Idp => &self.gate.config.idp_cluster,
            Peer::Control => &self.gate.config.control_cluster,
        }
    }
}

/// A worker as contexts of one VM hold it. Callbacks of one VM never overlap.
pub(crate) type SharedWorker = Rc<RefCell<Worker>>;
