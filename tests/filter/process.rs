//! The state of one process, as its VMs see it. [`crate::Host`] is the handle that tests hold.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use crate::callout::Request;
use crate::shared::{Queues, SharedData};
use crate::status::{Level, Status};
use crate::telemetry::{LogLine, Metrics};

/// A function of the host's own: gets the argument bytes, gives the result bytes.
pub(crate) type Foreign = Rc<dyn Fn(&[u8]) -> Result<Vec<u8>, Status>>;

/// Shared by the host and all of its VMs; everything runs on one thread.
pub(crate) type SharedProcess = Rc<RefCell<Process>>;

/// What a cluster does with a callout at the moment of dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// The call goes out.
    Up,
    /// It fails in the act, with `InternalFailure`, and no callback follows: no healthy host, or
    /// the circuit breaker is open.
    Refusing,
}

/// One Envoy process without its sockets and threads.
pub(crate) struct Process {
    pub(crate) data: SharedData,
    pub(crate) queues: Queues,
    pub(crate) metrics: Metrics,
    pub(crate) logs: Vec<LogLine>,
    pub(crate) now: Duration,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) properties: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(crate) foreign: BTreeMap<String, Foreign>,
    pub(crate) clusters: BTreeMap<String, Cluster>,
    pub(crate) callouts: Vec<(usize, Request)>,
    pub(crate) violations: Vec<String>,
    pub(crate) headers_can_stop_alone: bool,
    pub(crate) restricted: BTreeSet<String>,
    entropy: u64,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            data: SharedData::default(),
            queues: Queues::default(),
            metrics: Metrics::default(),
            logs: Vec::new(),
            now: Duration::from_secs(1_800_000_000),
            environment: BTreeMap::new(),
            properties: BTreeMap::new(),
            foreign: BTreeMap::new(),
            clusters: BTreeMap::new(),
            callouts: Vec::new(),
            violations: Vec::new(),
            headers_can_stop_alone: false,
            restricted: BTreeSet::new(),
            entropy: 0x9e37_79b9_7f4a_7c15,
        }
    }

    pub(crate) fn log(&mut self, level: Level, vm: usize, text: &[u8]) {
        let text = String::from_utf8_lossy(text).into_owned();
        self.logs.push(LogLine { level, vm, text });
    }

    /// Notes something that a filter must not do in Envoy. The test fails when the callback ends.
    pub(crate) fn violation(&mut self, text: impl Into<String>) {
        self.violations.push(text.into());
    }

    /// The next bytes of a generator that gives the same in every run (splitmix64).
    pub(crate) fn random(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(len + 8);
        while bytes.len() < len {
            self.entropy = self.entropy.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut word = self.entropy;
            word = (word ^ word >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            bytes.extend_from_slice(&(word ^ word >> 31).to_le_bytes());
        }
        bytes.truncate(len);
        bytes
    }
}
