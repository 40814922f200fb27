//! The workers of this Envoy, each reachable through a shared queue of its own.
//!
//! A shared queue notifies only its last registrant, so one queue cannot wake all. Every worker
//! keeps an entry here and renews it; the poller wakes those that are fresh, because what is put
//! into a dead worker's queue stays there.

use proxy_wasm::hostcalls;

use crate::shared::Shared;

/// What a queue message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wake {
    /// A stream of this worker has put a call into the outbox.
    Outbox,
    /// Shared data has changed.
    Shared,
}

/// One worker's entry in the list of all.
#[derive(Debug)]
pub(crate) struct Mailbox {
    name: String,
    queue: Option<u32>,
    announced_at_ms: u64,
}

const RENEW_MS: u64 = 2_000;
const DEAD_AFTER_MS: u64 = 10_000;
const MAX_WORKERS: usize = 1_024;
const ENTRY_BYTES: usize = 12;

impl Mailbox {
    pub(crate) fn new(shared: &Shared, id: u64) -> Self {
        Self {
            name: shared.name(&format!("queue/{id:016x}")),
            queue: None,
            announced_at_ms: 0,
        }
    }

    /// The worker's own queue, registered at first use.
    pub(crate) fn queue(&mut self) -> Option<u32> {
        if self.queue.is_none() {
            self.queue = hostcalls::register_shared_queue(&self.name).ok();
        }
        self.queue
    }

    /// Wakes this worker's root context.
    pub(crate) fn wake_self(&mut self) -> bool {
        self.queue().is_some_and(|queue| wake(queue, Wake::Outbox))
    }

    /// What was put into the queue.
    pub(crate) fn drain(&mut self) -> Vec<Wake> {
        let mut messages = Vec::new();
        while let Some(Ok(Some(message))) = self.queue.map(hostcalls::dequeue_shared_queue) {
            messages.push(if message == [b'o'] {
                Wake::Outbox
            } else {
                Wake::Shared
            });
        }
        messages
    }

    /// Keeps this worker's entry in the list fresh.
    pub(crate) fn announce(&mut self, shared: &Shared, now_ms: u64) {
        if now_ms < self.announced_at_ms.saturating_add(RENEW_MS) {
            return;
        }
        let Some(queue) = self.queue() else { return };
        let current = shared.get("workers");
        let mut entries = current
            .as_ref()
            .map(|(value, _)| decode(value))
            .unwrap_or_default();
        entries.retain(|(other, seen)| *other != queue && is_fresh(*seen, now_ms));
        entries.push((queue, now_ms));
        entries.truncate(MAX_WORKERS);
        // Lost to another worker's swap: the next tick tries again.
        if shared.swap("workers", &encode(&entries), current.map(|(_, cas)| cas)) {
            self.announced_at_ms = now_ms;
        }
    }
}

/// Wakes every worker that has lately shown itself.
pub(crate) fn wake_all(shared: &Shared, now_ms: u64) {
    let entries = shared
        .get("workers")
        .map(|(value, _)| decode(&value))
        .unwrap_or_default();
    for (queue, seen) in entries {
        if is_fresh(seen, now_ms) {
            wake(queue, Wake::Shared);
        }
    }
}

fn wake(queue: u32, message: Wake) -> bool {
    let message: &[u8] = match message {
        Wake::Outbox => b"o",
        Wake::Shared => b"s",
    };
    hostcalls::enqueue_shared_queue(queue, Some(message)).is_ok()
}

fn is_fresh(seen_ms: u64, now_ms: u64) -> bool {
    now_ms < seen_ms.saturating_add(DEAD_AFTER_MS)
}

fn encode(entries: &[(u32, u64)]) -> Vec<u8> {
    entries
        .iter()
        .flat_map(|(queue, seen)| [&queue.to_be_bytes()[..], &seen.to_be_bytes()[..]].concat())
        .collect()
}

fn decode(value: &[u8]) -> Vec<(u32, u64)> {
    let (chunks, _) = value.as_chunks::<ENTRY_BYTES>();
    chunks
        .iter()
        .map(|[a, b, c, d, seen @ ..]| {
            (
                u32::from_be_bytes([*a, *b, *c, *d]),
                u64::from_be_bytes(*seen),
            )
        })
        .collect()
}
