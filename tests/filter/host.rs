//! The handle of one process: its VMs, its clock, its callouts, and what it has seen.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use crate::callout::Callout;
use crate::module::Module;
use crate::process::{Cluster, Process, SharedProcess};
use crate::status::Status;
use crate::telemetry::LogLine;
use crate::vm::Vm;

/// One Envoy process as far as a filter can tell.
pub struct Host {
    process: SharedProcess,
    vms: RefCell<Vec<Vm>>,
    strict: bool,
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

impl Host {
    /// A process without VMs, clusters or environment.
    pub fn new() -> Self {
        let process = Rc::new(RefCell::new(Process::new()));
        let host = Self {
            process,
            vms: RefCell::new(Vec::new()),
            strict: true,
        };
        for (path, value) in [
            (&["plugin_root_id"][..], "gatelatch"),
            (&["plugin_vm_id"], "gatelatch"),
            (&["plugin_name"], "gatelatch"),
            (&["node", "id"], "node-1"),
        ] {
            host.property(path, value);
        }
        host
    }

    /// Collects what a module does against the rules instead of failing the test at once.
    pub fn tolerant(mut self) -> Self {
        self.strict = false;
        self
    }

    /// Sets an environment variable of every VM that starts from now on.
    pub fn environment(&self, name: &str, value: &str) {
        self.process
            .borrow_mut()
            .environment
            .insert(name.to_owned(), value.to_owned());
    }

    /// Sets what `proxy_get_property` answers for this path.
    pub fn property(&self, path: &[&str], value: impl AsRef<[u8]>) {
        let path = path.join("\0").into_bytes();
        self.process
            .borrow_mut()
            .properties
            .insert(path, value.as_ref().to_vec());
    }

    /// Every property with its path, those that the module has set among them.
    pub fn properties(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.process.borrow().properties.clone()
    }

    /// Makes a cluster, or changes what it does at dispatch.
    pub fn cluster(&self, name: &str, does: Cluster) {
        self.process
            .borrow_mut()
            .clusters
            .insert(name.to_owned(), does);
    }

    /// Makes a foreign function. Without it the module gets `NotFound`.
    pub fn foreign_function(
        &self,
        name: &str,
        act: impl Fn(&[u8]) -> Result<Vec<u8>, Status> + 'static,
    ) {
        self.process
            .borrow_mut()
            .foreign
            .insert(name.to_owned(), Rc::new(act));
    }

    /// Takes a host call away, as Envoy's `capability_restriction_config` does: it answers
    /// `InternalFailure` from now on.
    pub fn restrict(&self, call: &str) {
        self.process.borrow_mut().restricted.insert(call.to_owned());
    }

    /// `allow_on_headers_stop_iteration` of Envoy's plugin configuration: a pause at the headers
    /// lets the body come to the filter.
    pub fn let_headers_stop_alone(&self) {
        self.process.borrow_mut().headers_can_stop_alone = true;
    }

    /// Starts a worker. The error is what the module logged when it refused the configuration, or
    /// why it could not be loaded.
    pub fn start(&self, module: &Module, configuration: impl AsRef<[u8]>) -> Result<Vm, String> {
        let index = self.vms.borrow().len();
        let vm = Vm::start(
            module,
            &self.process,
            index,
            configuration.as_ref(),
            self.strict,
        )?;
        self.vms.borrow_mut().push(vm.clone());
        Ok(vm)
    }

    /// The workers, in the order of their start.
    pub fn vms(&self) -> Vec<Vm> {
        self.vms.borrow().clone()
    }

    /// Delivers queue wake-ups until there are none for any VM that listens.
    pub fn run_until_idle(&self) {
        loop {
            let vms = self.vms();
            let awake = |index: usize| vms.get(index).is_some_and(Vm::is_awake);
            let event = self.process.borrow_mut().queues.take_event(awake);
            let Some(event) = event else { return };
            if let Some(vm) = vms.get(event.vm) {
                vm.queue_ready(event.context, event.queue);
            }
        }
    }

    /// Since 1970.
    pub fn now(&self) -> Duration {
        self.process.borrow().now
    }

    /// When the next tick is due, of any VM that listens.
    pub fn next_tick(&self) -> Option<Duration> {
        self.vms().iter().filter_map(Vm::next_due).min()
    }

    /// Moves the clock and nothing else: as if every worker had been busy.
    pub fn skip(&self, by: Duration) {
        self.process.borrow_mut().now += by;
    }

    /// Moves the clock to `time`, with every tick and wake-up on the way.
    pub fn advance_to(&self, time: Duration) {
        self.run_until_idle();
        while let Some(due) = self.next_tick().filter(|due| *due <= time) {
            let reached = self.now().max(due);
            self.process.borrow_mut().now = reached;
            for vm in self
                .vms()
                .iter()
                .filter(|vm| vm.next_due().is_some_and(|due| due <= reached))
            {
                vm.tick();
            }
            self.run_until_idle();
        }
        let reached = self.now().max(time);
        self.process.borrow_mut().now = reached;
    }

    /// The callouts that nobody has taken yet, in the order of their dispatch.
    pub fn take_callouts(&self) -> Vec<Callout> {
        let taken = std::mem::take(&mut self.process.borrow_mut().callouts);
        let vms = self.vms();
        taken
            .into_iter()
            .filter_map(|(vm, request)| Some(Callout::new(vms.get(vm)?.clone(), request)))
            .collect()
    }

    /// Every line that any VM has logged.
    pub fn logs(&self) -> Vec<LogLine> {
        self.process.borrow().logs.clone()
    }

    /// Every metric by name.
    pub fn metrics(&self) -> BTreeMap<String, u64> {
        self.process.borrow().metrics.by_name()
    }

    /// The keys of the shared data, with the sizes of their values.
    pub fn shared_data(&self) -> BTreeMap<Vec<u8>, usize> {
        self.process.borrow().data.sizes()
    }

    /// Every key and value of the shared data, one after the other.
    pub fn shared_bytes(&self) -> Vec<u8> {
        self.process.borrow().data.bytes()
    }

    /// Items that lie in queues.
    pub fn queued(&self) -> usize {
        self.process.borrow().queues.backlog()
    }

    /// What was collected by a tolerant host.
    pub fn take_violations(&self) -> Vec<String> {
        std::mem::take(&mut self.process.borrow_mut().violations)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host")
            .field("vms", &self.vms.borrow().len())
            .finish_non_exhaustive()
    }
}
