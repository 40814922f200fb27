//! Counters and gauges, as Envoy shows them under `wasmcustom.gatelatch.`.

use std::collections::HashMap;

use crate::tell::{self, MetricKind};

/// The metrics of one VM; the host adds up what all VMs count.
#[derive(Debug, Default)]
pub(crate) struct Stats {
    ids: HashMap<String, u32>,
    logged_at_ms: HashMap<&'static str, u64>,
}

/// More names than there are codes: a bound, not a limit that is met.
const MAX_METRICS: usize = 256;

const LOG_EVERY_MS: u64 = 10_000;

impl Stats {
    /// Counts one event of a stable name.
    pub(crate) fn count(&mut self, name: &str) {
        if let Some(id) = self.id(MetricKind::Counter, name) {
            tell::increment(id);
        }
    }

    /// Sets a gauge.
    pub(crate) fn set(&mut self, name: &str, value: u64) {
        if let Some(id) = self.id(MetricKind::Gauge, name) {
            tell::record(id, value);
        }
    }

    /// Records how long a call took, in milliseconds.
    pub(crate) fn record(&mut self, name: &str, value_ms: u64) {
        if let Some(id) = self.id(MetricKind::Histogram, &format!("{name}_ms")) {
            tell::record(id, value_ms);
        }
    }

    /// Whether this may be logged: each name once in a while, so that an outage or a flood does not
    /// fill the disk.
    pub(crate) fn may_log(&mut self, name: &'static str, now_ms: u64) -> bool {
        let due = self
            .logged_at_ms
            .get(name)
            .is_none_or(|at| now_ms >= at.saturating_add(LOG_EVERY_MS));
        if due {
            self.logged_at_ms.insert(name, now_ms);
        }
        due
    }

    fn id(&mut self, kind: MetricKind, name: &str) -> Option<u32> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        if self.ids.len() >= MAX_METRICS {
            return None;
        }
        let id = tell::define_metric(kind, &format!("gatelatch.{name}"))?;
        self.ids.insert(name.to_owned(), id);
        Some(id)
    }
}
