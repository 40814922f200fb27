//! Calls for those who watch over the service.

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use crate::app::{Shared, look};
use crate::error::{ApiError, ErrorBody};
use crate::gateways::LATELY_MS;
use crate::ops::{feed, sessions};

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = str)))]
pub(crate) async fn healthz() -> &'static str {
    "alive\n"
}

/// Whether the store answers.
#[utoipa::path(get, path = "/readyz", tag = "health", responses(
    (status = 200, body = str),
    (status = 500, body = ErrorBody, description = "The store failed"),
))]
pub(crate) async fn readyz(State(app): State<Shared>) -> Result<&'static str, ApiError> {
    if app.shutdown.is_cancelled() {
        return Err(ApiError::Store(crate::store::StoreError::Closed));
    }
    look!(app, |tx, _policy| feed::head(tx))?;
    Ok("ready\n")
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = str)))]
pub(crate) async fn metrics(State(app): State<Shared>) -> Result<impl IntoResponse, ApiError> {
    let now_ms = app.clock.now_ms();
    let live = look!(app, |tx, _policy| sessions::count_live(tx, now_ms / 1000))?;
    let metrics = &app.metrics;
    metrics.sessions_live.set(live as i64);
    metrics
        .gateways
        .set(app.gateways.count_lately(now_ms, LATELY_MS) as i64);
    metrics.waiters.set(app.signals.waiters.len() as i64);
    metrics
        .breakers_open
        .set(app.policy.breakers().open() as i64);
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], metrics.render()))
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "health", responses((status = 200, body = Object)))]
pub(crate) async fn openapi() -> impl IntoResponse {
    Json(crate::router::document())
}
