//! What `/metrics` shows, in the text format of Prometheus.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// All metrics of one service.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    created: Family<Outcome, Counter>,
    begun: Family<Outcome, Counter>,
    completed: Family<Outcome, Counter>,
    failed: Family<Class, Counter>,
    ended: Family<Outcome, Counter>,
    removed: Family<Kind, Counter>,
    errors: Family<Code, Counter>,
    requests: Family<Route, Histogram, fn() -> Histogram>,
    /// Revocations accepted from administrators.
    pub(crate) revocations: Counter,
    /// Calls of the feed.
    pub(crate) feed_polls: Counter,
    /// Leases that were granted after a holder had vanished.
    pub(crate) vanished_holders: Counter,
    /// Sessions that are neither ended nor expired.
    pub(crate) sessions_live: Gauge,
    /// Gateways heard of lately.
    pub(crate) gateways: Gauge,
    /// Requests that wait for another holder's refresh.
    pub(crate) waiters: Gauge,
    /// Identity providers that are given a rest.
    pub(crate) breakers_open: Gauge,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Class {
    class: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Code {
    code: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: String,
    path: String,
    status: u16,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("gatelatch");
        macro_rules! register {
            ($name:literal, $help:literal, $metric:expr) => {{
                let metric = $metric;
                registry.register($name, $help, metric.clone());
                metric
            }};
        }
        let requests: Family<Route, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(latencies);
        Self {
            created: register!(
                "sessions_created",
                "Sessions, by outcome",
                Family::default()
            ),
            begun: register!(
                "refresh_begins",
                "Begun refreshes, by outcome",
                Family::default()
            ),
            completed: register!(
                "refresh_completes",
                "Completed refreshes, by outcome",
                Family::default()
            ),
            failed: register!(
                "refresh_failures",
                "Failed refreshes, by class and outcome",
                Family::default()
            ),
            ended: register!(
                "sessions_ended",
                "Sessions ended, by reason",
                Family::default()
            ),
            removed: register!(
                "cleaned",
                "Rows that the cleaner removed",
                Family::default()
            ),
            errors: register!("errors", "Calls answered with an error", Family::default()),
            requests: register!("request_seconds", "Answered calls", requests),
            revocations: register!("revocations", "Revocations accepted", Counter::default()),
            feed_polls: register!("feed_polls", "Calls of the feed", Counter::default()),
            vanished_holders: register!(
                "refresh_vanished_holders",
                "Leases granted after a former holder had vanished",
                Counter::default()
            ),
            sessions_live: register!("sessions_live", "Live sessions", Gauge::default()),
            gateways: register!("gateways", "Gateways heard of lately", Gauge::default()),
            waiters: register!(
                "refresh_waiters",
                "Requests that wait for another holder's refresh",
                Gauge::default()
            ),
            breakers_open: register!(
                "breakers_open",
                "Identity providers that are given a rest",
                Gauge::default()
            ),
            registry,
        }
    }

    pub(crate) fn created(&self, outcome: &'static str) {
        self.created.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn begun(&self, outcome: &'static str) {
        self.begun.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn completed(&self, outcome: &'static str) {
        self.completed.get_or_create(&Outcome { outcome }).inc();
    }

    pub(crate) fn failed(&self, class: &'static str, outcome: &'static str) {
        self.failed.get_or_create(&Class { class, outcome }).inc();
    }

    pub(crate) fn ended(&self, reason: &'static str, sessions: u32) {
        self.ended
            .get_or_create(&Outcome { outcome: reason })
            .inc_by(sessions.into());
    }

    pub(crate) fn removed(&self, kind: &'static str, rows: u64) {
        self.removed.get_or_create(&Kind { kind }).inc_by(rows);
    }

    pub(crate) fn error(&self, code: &'static str) {
        self.errors.get_or_create(&Code { code }).inc();
    }

    pub(crate) fn answered(&self, method: String, path: String, status: u16, took: Duration) {
        let route = Route {
            method,
            path,
            status,
        };
        self.requests
            .get_or_create(&route)
            .observe(took.as_secs_f64());
    }

    /// The page.
    pub(crate) fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn latencies() -> Histogram {
    Histogram::new([
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 60.0,
    ])
}
