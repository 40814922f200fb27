//! The root context: configuration, ticks, queue messages and the replies to all calls.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use gatelatch_core::config::Config;
use gatelatch_core::entropy::{self, Entropy as _};
use gatelatch_core::gate::Gate;
use proxy_wasm::hostcalls;
use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::{BufferType, ContextType};

use crate::host::{self, HostEntropy};
use crate::mailbox::Wake;
use crate::poller::Poller;
use crate::shared::Shared;
use crate::stream::Stream;
use crate::worker::{SharedWorker, Worker};

/// The root context of one VM.
pub(crate) struct Root {
    context_id: u32,
    /// None until configured.
    worker: Option<SharedWorker>,
}

const TICK: Duration = Duration::from_millis(200);

impl Root {
    pub(crate) fn new(context_id: u32) -> Self {
        Self {
            context_id,
            worker: None,
        }
    }

    fn configure(&self, size: usize) -> Result<Worker, String> {
        let json = match size {
            0 => Vec::new(),
            size => hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size)
                .ok()
                .flatten()
                .unwrap_or_default(),
        };
        let env = |name: &str| std::env::var(name).ok();
        let config = Config::parse(&json, &env).map_err(|error| error.to_string())?;
        let shared = Shared::new(&config);
        let mut id = [0; 8];
        HostEntropy.fill(&mut id);
        let fresh = entropy::token(&mut HostEntropy, 12);
        let gateway = String::from_utf8(shared.agree("gateway", fresh.as_bytes())).unwrap_or(fresh);
        let gate = Gate::new(config, gateway);
        Ok(Worker::new(
            self.context_id,
            gate,
            shared,
            u64::from_be_bytes(id),
        ))
    }
}

impl Context for Root {
    fn on_http_call_response(&mut self, token: u32, _: usize, body_size: usize, _: usize) {
        if let Some(worker) = &self.worker {
            worker.borrow_mut().on_reply(token, body_size);
        }
    }
}

impl RootContext for Root {
    fn on_configure(&mut self, size: usize) -> bool {
        match self.configure(size) {
            Ok(mut worker) => {
                Poller::follow(&mut worker);
                self.worker = Some(Rc::new(RefCell::new(worker)));
                hostcalls::set_tick_period(TICK).is_ok()
            }
            Err(problem) => {
                log::error!("gatelatch configuration refused: {problem}");
                false
            }
        }
    }

    fn on_tick(&mut self) {
        if let Some(worker) = &self.worker {
            let now_ms = host::now_ms();
            let mut worker = worker.borrow_mut();
            let Worker {
                mailbox, shared, ..
            } = &mut *worker;
            mailbox.announce(shared, now_ms);
            Poller::tick(&mut worker, now_ms);
            worker.tick(now_ms);
        }
    }

    fn on_queue_ready(&mut self, _: u32) {
        if let Some(worker) = &self.worker {
            let mut worker = worker.borrow_mut();
            let messages = worker.mailbox.drain();
            if messages.contains(&Wake::Shared) {
                Poller::follow(&mut worker);
            }
            worker.send_outbox();
        }
    }

    fn create_http_context(&self, context_id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new(context_id, self.worker.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}
