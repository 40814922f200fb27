//! The Envoys that poll the feed, and how far each has come.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use gatelatch_wire::feed::Epoch;
use gatelatch_wire::revocation::Enforced;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

/// A gateway that was silent for longer does not count any more.
pub(crate) const LATELY_MS: u64 = 60_000;

/// A gateway that was silent for longer is forgotten.
const FORGET_MS: u64 = 86_400_000;

const MAX_GATEWAYS: usize = 10_000;

/// The known gateways.
#[derive(Debug)]
pub(crate) struct Gateways {
    by_id: Mutex<HashMap<String, Report>>,
    changed: watch::Sender<()>,
}

/// What a gateway said of itself when it last polled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) gateway: String,
    pub(crate) version: String,
    pub(crate) epoch: String,
    pub(crate) cursor: u64,
    pub(crate) seen_ms: u64,
}

/// One gateway in `GET /v1/gateways`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Gateway {
    /// The name it polls under.
    pub(crate) gateway: String,
    /// The version of its filter.
    pub(crate) version: String,
    /// The last change of the feed that it enforces.
    pub(crate) cursor: u64,
    /// How many changes it has yet to enforce.
    pub(crate) behind: u64,
    /// When it last polled, in Unix seconds.
    pub(crate) last_seen: u64,
}

impl Gateways {
    pub(crate) fn new() -> Self {
        Self {
            by_id: Mutex::default(),
            changed: watch::Sender::new(()),
        }
    }

    /// Keeps the newest report of each gateway.
    pub(crate) fn report(&self, report: Report) {
        let mut by_id = self.lock();
        if by_id.len() >= MAX_GATEWAYS && !by_id.contains_key(&report.gateway) {
            by_id.retain(|_, known| known.seen_ms + LATELY_MS > report.seen_ms);
            if by_id.len() >= MAX_GATEWAYS {
                return;
            }
        }
        // With several replicas an older report may arrive after a newer one.
        if by_id
            .get(&report.gateway)
            .is_some_and(|known| known.seen_ms > report.seen_ms)
        {
            return;
        }
        by_id.retain(|_, known| known.seen_ms + FORGET_MS > report.seen_ms);
        by_id.insert(report.gateway.clone(), report);
        drop(by_id);
        self.changed.send_replace(());
    }

    /// On how many of the gateways heard of lately `cursor` is enforced.
    pub(crate) fn enforced(&self, epoch: Epoch, cursor: u64, now_ms: u64) -> Enforced {
        let epoch = epoch.to_hex();
        let by_id = self.lock();
        let lately = by_id
            .values()
            .filter(|known| known.seen_ms + LATELY_MS > now_ms);
        let mut enforced = Enforced { on: 0, of: 0 };
        for known in lately {
            enforced.of += 1;
            enforced.on += u32::from(known.epoch == epoch && known.cursor >= cursor);
        }
        enforced
    }

    /// How many were heard of within `lately_ms`.
    pub(crate) fn count_lately(&self, now_ms: u64, lately_ms: u64) -> usize {
        self.lock()
            .values()
            .filter(|known| known.seen_ms + lately_ms > now_ms)
            .count()
    }

    /// All that were heard of within a day, by name.
    pub(crate) fn list(&self, epoch: Epoch, head: u64) -> Vec<Gateway> {
        let epoch = epoch.to_hex();
        let mut list: Vec<_> = self
            .lock()
            .values()
            .map(|known| {
                let cursor = if known.epoch == epoch {
                    known.cursor
                } else {
                    0
                };
                Gateway {
                    gateway: known.gateway.clone(),
                    version: known.version.clone(),
                    cursor,
                    behind: head.saturating_sub(cursor),
                    last_seen: known.seen_ms / 1000,
                }
            })
            .collect();
        list.sort_by(|a, b| a.gateway.cmp(&b.gateway));
        list
    }

    /// Follows the reports.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Report>> {
        // Reports replace each other whole, so a panic elsewhere leaves nothing half-written.
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPOCH: Epoch = Epoch([1; 16]);

    fn report(gateway: &str, epoch: Epoch, cursor: u64, seen_ms: u64) -> Report {
        Report {
            gateway: gateway.into(),
            version: "1".into(),
            epoch: epoch.to_hex(),
            cursor,
            seen_ms,
        }
    }

    #[test]
    fn only_gateways_of_this_history_that_caught_up_enforce() {
        let gateways = Gateways::new();
        gateways.report(report("a", EPOCH, 5, 100_000));
        gateways.report(report("b", EPOCH, 4, 100_000));
        gateways.report(report("c", Epoch([2; 16]), 9, 100_000));
        gateways.report(report("silent", EPOCH, 9, 40_000));
        assert_eq!(
            gateways.enforced(EPOCH, 5, 100_000),
            Enforced { on: 1, of: 3 }
        );
        gateways.report(report("b", EPOCH, 5, 100_001));
        assert_eq!(
            gateways.enforced(EPOCH, 5, 100_001),
            Enforced { on: 2, of: 3 }
        );
        assert_eq!(gateways.list(EPOCH, 9)[2].behind, 9);
    }
}
