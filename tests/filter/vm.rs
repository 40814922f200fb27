//! One VM: an instance of the module with a root context of its own, as each Envoy worker has one.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use wasmi::{Extern, Instance, Store, Val};

use crate::guest::{CalloutReply, Deferred, VmState};
use crate::headers::Headers;
use crate::module::Module;
use crate::process::SharedProcess;
use crate::stream::Stream;

/// How often each host call was made, by the callback in which it was made.
pub type HostCalls = BTreeMap<&'static str, BTreeMap<&'static str, u64>>;

/// A handle of a VM. Clones are the same VM.
#[derive(Clone)]
pub struct Vm(Rc<VmCell>);

struct VmCell {
    index: usize,
    process: SharedProcess,
    inner: RefCell<Inner>,
    strict: bool,
}

struct Inner {
    store: Store<VmState>,
    instance: Instance,
    trap: Option<String>,
    trap_expected: bool,
    stalled: bool,
    last_context: u32,
}

/// What came of calling into the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Returned {
    /// The callback's result, 0 where it has none.
    Value(u32),
    /// The module has no such callback.
    Missing,
    /// The VM has trapped, now or before.
    Dead,
}

/// The only root context of a VM.
const ROOT: u32 = 1;

impl Vm {
    /// Instantiates the module and takes it through its start, as far as it accepts
    /// `configuration`. The error is what the module logged when it refused.
    pub(crate) fn start(
        module: &Module,
        process: &SharedProcess,
        index: usize,
        configuration: &[u8],
        strict: bool,
    ) -> Result<Self, String> {
        let state = VmState {
            process: Rc::clone(process),
            index,
            root: ROOT,
            configuration: None,
            streams: BTreeMap::new(),
            current: ROOT,
            effective: 0,
            callback: "_initialize",
            reply: None,
            next_token: 0,
            tick: None,
            deferred: Vec::new(),
            calls: BTreeMap::new(),
            trace: VecDeque::new(),
        };
        let (store, instance) = module.instantiate(state)?;
        let inner = Inner {
            store,
            instance,
            trap: None,
            trap_expected: false,
            stalled: false,
            last_context: ROOT,
        };
        let vm = Self(Rc::new(VmCell {
            index,
            process: Rc::clone(process),
            inner: RefCell::new(inner),
            strict,
        }));
        if vm.call("_initialize", ROOT, &[]) == Returned::Missing {
            vm.call("_start", ROOT, &[]);
        }
        vm.call("proxy_on_context_create", ROOT, &[ROOT, 0]);
        if vm.call("proxy_on_vm_start", ROOT, &[ROOT, 0]) == Returned::Value(0) {
            return Err("proxy_on_vm_start refused".to_owned());
        }
        vm.configure(configuration).map(|()| vm)
    }

    /// `proxy_on_configure`. Envoy calls it once in the life of a VM; a second call must not hurt.
    pub fn configure(&self, configuration: &[u8]) -> Result<(), String> {
        let before = self.0.process.borrow().logs.len();
        self.with_state(|state| state.configuration = Some(configuration.to_vec()));
        let returned = self.call(
            "proxy_on_configure",
            ROOT,
            &[ROOT, configuration.len() as u32],
        );
        self.with_state(|state| state.configuration = None);
        if returned != Returned::Value(0) {
            return Ok(());
        }
        let process = self.0.process.borrow();
        let lines = process
            .logs
            .iter()
            .skip(before)
            .map(|line| line.text.as_str());
        Err(lines.collect::<Vec<_>>().join("\n"))
    }

    /// Sends a request. Names become lower case, as Envoy's codecs make them.
    pub fn request(&self, headers: Headers, body: impl AsRef<[u8]>) -> Stream {
        Stream::start(self, headers, body.as_ref())
    }

    /// `proxy_on_tick`, now, whatever period the module asked for.
    pub fn tick(&self) {
        let now = self.0.process.borrow().now;
        self.with_state(|state| {
            if let Some((period, due)) = &mut state.tick {
                *due = now + *period;
            }
        });
        self.call("proxy_on_tick", ROOT, &[ROOT]);
    }

    /// The period that the module asked for.
    pub fn tick_period(&self) -> Option<Duration> {
        self.with_state(|state| state.tick.map(|(period, _)| period))
    }

    /// No tick and no wake-up arrives any more: a worker that hangs. What was sent to it waits.
    pub fn stall(&self) {
        self.0.inner.borrow_mut().stalled = true;
    }

    /// The worker goes on.
    pub fn wake(&self) {
        self.0.inner.borrow_mut().stalled = false;
    }

    /// Its number in its host, from 0.
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// How often each host call was made since the last [`Vm::forget_host_calls`].
    pub fn host_calls(&self) -> HostCalls {
        self.with_state(|state| state.calls.clone())
    }

    /// Starts counting anew.
    pub fn forget_host_calls(&self) {
        self.with_state(|state| state.calls.clear());
    }

    /// The size of the linear memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        let inner = self.0.inner.borrow();
        match inner.instance.get_export(&inner.store, "memory") {
            Some(Extern::Memory(memory)) => memory.data_size(&inner.store) as u64,
            _ => 0,
        }
    }

    /// A trap is what the test is about: it makes the VM dead and nothing else.
    pub fn expect_trap(&self) {
        self.0.inner.borrow_mut().trap_expected = true;
    }

    /// Why the VM is dead, where it is.
    pub fn trap(&self) -> Option<String> {
        self.0.inner.borrow().trap.clone()
    }

    pub(crate) fn is_awake(&self) -> bool {
        let inner = self.0.inner.borrow();
        !inner.stalled && inner.trap.is_none()
    }

    pub(crate) fn next_due(&self) -> Option<Duration> {
        if !self.is_awake() {
            return None;
        }
        self.with_state(|state| state.tick.map(|(_, due)| due))
    }

    pub(crate) fn queue_ready(&self, context: u32, queue: u32) {
        self.call("proxy_on_queue_ready", context, &[context, queue]);
    }

    pub(crate) fn callout_reply(&self, token: u32, reply: CalloutReply) {
        let (headers, body) = (reply.headers.len() as u32, reply.body.len() as u32);
        let trailers = reply.trailers.len() as u32;
        self.with_state(|state| state.reply = Some(reply));
        self.call(
            "proxy_on_http_call_response",
            ROOT,
            &[ROOT, token, headers, body, trailers],
        );
        self.with_state(|state| state.reply = None);
    }

    pub(crate) fn root(&self) -> u32 {
        ROOT
    }

    pub(crate) fn next_context(&self) -> u32 {
        let mut inner = self.0.inner.borrow_mut();
        inner.last_context += 1;
        inner.last_context
    }

    pub(crate) fn headers_can_stop_alone(&self) -> bool {
        self.0.process.borrow().headers_can_stop_alone
    }

    pub(crate) fn with_state<R>(&self, act: impl FnOnce(&mut VmState) -> R) -> R {
        act(self.0.inner.borrow_mut().store.data_mut())
    }

    pub(crate) fn violation(&self, text: String) {
        self.0.process.borrow_mut().violation(text);
        self.fail_on_violation();
    }

    /// Calls into the module; then does what the module asked to be done after its callback.
    pub(crate) fn call(&self, callback: &'static str, context: u32, arguments: &[u32]) -> Returned {
        let returned = self.0.inner.borrow_mut().call(callback, context, arguments);
        let fresh_trap = {
            let inner = self.0.inner.borrow();
            (returned == Returned::Dead && !inner.trap_expected)
                .then(|| inner.trap.clone())
                .flatten()
        };
        if let Some(trap) = fresh_trap {
            panic!(
                "VM {} trapped in {callback}: {trap}\n{}",
                self.0.index,
                self.evidence()
            );
        }
        self.fail_on_violation();
        self.do_deferred();
        returned
    }

    fn do_deferred(&self) {
        for action in self.with_state(|state| std::mem::take(&mut state.deferred)) {
            let (Deferred::ContinueRequest(id) | Deferred::LocalReply(id, _)) = &action;
            let Some(core) = self.with_state(|state| state.streams.get(id).cloned()) else {
                continue;
            };
            let stream = Stream::of(self, core);
            match action {
                Deferred::ContinueRequest(_) => stream.continue_request(),
                Deferred::LocalReply(_, reply) => stream.local_reply(reply),
            }
        }
    }

    fn fail_on_violation(&self) {
        let violations = self.0.process.borrow().violations.clone();
        if self.0.strict && !violations.is_empty() {
            panic!(
                "the filter does what Envoy punishes: {}\n{}",
                violations.join("; "),
                self.evidence()
            );
        }
    }

    fn evidence(&self) -> String {
        let process = self.0.process.borrow();
        let logs = process.logs.iter().rev().take(12).rev();
        let logs: Vec<_> = logs
            .map(|line| format!("  vm {} {:?}: {}", line.vm, line.level, line.text))
            .collect();
        drop(process);
        let calls = self.with_state(|state| {
            state
                .trace
                .iter()
                .map(|call| format!("  {call}"))
                .collect::<Vec<_>>()
        });
        format!(
            "last log lines:\n{}\nlast host calls:\n{}",
            logs.join("\n"),
            calls.join("\n")
        )
    }
}

impl Inner {
    fn call(&mut self, callback: &'static str, context: u32, arguments: &[u32]) -> Returned {
        if self.trap.is_some() {
            return Returned::Dead;
        }
        let Some(function) = self.instance.get_func(&self.store, callback) else {
            return Returned::Missing;
        };
        let state = self.store.data_mut();
        (state.callback, state.current, state.effective) = (callback, context, 0);
        let arguments: Vec<Val> = arguments
            .iter()
            .map(|argument| Val::I32(*argument as i32))
            .collect();
        let mut results = vec![Val::I32(0); function.ty(&self.store).results().len()];
        if let Err(error) = function.call(&mut self.store, &arguments, &mut results) {
            self.trap = Some(error.to_string());
            return Returned::Dead;
        }
        match results.first() {
            Some(Val::I32(value)) => Returned::Value(*value as u32),
            _ => Returned::Value(0),
        }
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vm({})", self.0.index)
    }
}
