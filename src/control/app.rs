//! What every request shares.

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use crate::auth::TokenSet;
use crate::breaker::Breakers;
use crate::clock::Clock;
use crate::config::Config;
use crate::gateways::Gateways;
use crate::idp::Idps;
use crate::metrics::Metrics;
use crate::ops::Policy;
use crate::store::Store;
use crate::store::signals::Signals;

/// One running service.
pub(crate) struct App {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) signals: Arc<Signals>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policy: Arc<Policy>,
    pub(crate) gateways: Arc<Gateways>,
    pub(crate) idps: Idps,
    pub(crate) metrics: Metrics,
    pub(crate) gateway_tokens: TokenSet,
    pub(crate) admin_tokens: TokenSet,
    /// Cancelled when the service is asked to end: whoever waits is answered at once.
    pub(crate) shutdown: CancellationToken,
}

/// A handle on it.
pub(crate) type Shared = Arc<App>;

impl App {
    pub(crate) fn new(
        config: Config,
        store: Arc<dyn Store>,
        signals: Arc<Signals>,
        gateways: Arc<Gateways>,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            store,
            signals,
            clock: config.clock,
            policy: Arc::new(Policy {
                keyring: config.keyring,
                retention_s: config.retention.as_secs(),
                tail_window_ms: config.tail_window.as_millis() as u64,
                lease_ms: config.lease.as_millis() as u32,
                breakers: Mutex::new(Breakers::default()),
            }),
            gateways,
            idps: Idps::new(config.idps),
            metrics: Metrics::new(),
            gateway_tokens: config.gateway_tokens,
            admin_tokens: config.admin_tokens,
            shutdown,
        }
    }
}

/// Calls a step of [`crate::ops`] in a transaction of its own: `transact!(app, path::to::step, …)`
/// to write, `look!(…)` to read. Arguments are moved into the transaction.
macro_rules! transact {
    ($app:expr, |$tx:ident, $policy:ident| $body:expr) => {{
        let $policy = std::sync::Arc::clone(&$app.policy);
        $app.store
            .transact(move |$tx| Box::pin(async move { $body.await }))
            .await
    }};
}
macro_rules! look {
    ($app:expr, |$tx:ident, $policy:ident| $body:expr) => {{
        let $policy = std::sync::Arc::clone(&$app.policy);
        $app.store
            .look(move |$tx| Box::pin(async move { $body.await }))
            .await
    }};
}
pub(crate) use {look, transact};
