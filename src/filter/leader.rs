//! Which VM of this Envoy polls: the one that holds a short lease in shared data.
//!
//! Nothing is configured for it. The holder renews on every tick; when its VM dies the ticks stop,
//! the lease runs out, and the next VM to look takes it.

use crate::shared::Shared;

/// One VM's side of the lease.
#[derive(Debug)]
pub(crate) struct Leader {
    id: u64,
    leading: bool,
}

/// Milliseconds that a lease lasts without renewal. With the tick it bounds how long an Envoy goes
/// unpolled after its poller died.
const LEASE_MS: u64 = 2_000;

impl Leader {
    pub(crate) fn new(id: u64) -> Self {
        Self { id, leading: false }
    }

    /// As of the last tick.
    pub(crate) fn is_leading(&self) -> bool {
        self.leading
    }

    /// Whether the lease is still this VM's at this moment: a VM that was held up may have lost it
    /// since its last tick, and must not write over what its successor has written.
    pub(crate) fn still_leads(&self, shared: &Shared, now_ms: u64) -> bool {
        let lease = shared.get("leader");
        let lease = lease.as_ref().and_then(|(value, _)| decode(value));
        self.leading && lease.is_some_and(|(holder, until)| holder == self.id && now_ms < until)
    }

    /// Renews the lease, or takes one that has run out. Whether this VM leads until the next tick.
    pub(crate) fn tick(&mut self, shared: &Shared, now_ms: u64) -> bool {
        let current = shared.get("leader");
        let free = match current.as_ref().and_then(|(value, _)| decode(value)) {
            Some((holder, until)) => holder == self.id || now_ms >= until,
            None => true,
        };
        let lease = encode(self.id, now_ms.saturating_add(LEASE_MS));
        self.leading = free && shared.swap("leader", &lease, current.map(|(_, cas)| cas));
        self.leading
    }
}

fn encode(id: u64, until_ms: u64) -> Vec<u8> {
    [id.to_be_bytes(), until_ms.to_be_bytes()].concat()
}

fn decode(value: &[u8]) -> Option<(u64, u64)> {
    let (id, rest) = value.split_first_chunk::<8>()?;
    let until = rest.first_chunk::<8>()?;
    Some((u64::from_be_bytes(*id), u64::from_be_bytes(*until)))
}
