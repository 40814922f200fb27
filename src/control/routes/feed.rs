//! The revocation feed, and the gateways that follow it.

use axum::Json;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use gatelatch_wire::feed::{self as wire, Epoch, Page};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::app::{Shared, look};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Params, id};
use crate::gateways::{Gateway, Report};
use crate::ops::feed::{self as steps, Position};
use crate::store::StoreError;

/// Entries of a page where the caller does not say.
const DEFAULT_ENTRIES: usize = 10_000;

/// The longest that a poll waits for news.
const MAX_WAIT_MS: u64 = 55_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedParams {
    /// The history that the cursor belongs to, 32 hex digits. Without it a snapshot begins.
    epoch: Option<String>,
    /// The last change that this gateway enforces.
    #[serde(default)]
    cursor: u64,
    /// The most entries of the page, 1 to 100,000; 10,000 when absent.
    limit: Option<usize>,
    /// How long to wait for news, in milliseconds; at most 55,000.
    #[serde(default)]
    wait_ms: u64,
    /// Names the Envoy that polls.
    gateway: String,
    /// The version of its filter.
    #[serde(default)]
    version: String,
}

/// Answer to `GET /v1/gateways`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct GatewayList {
    /// The epoch of the feed, 32 hex digits.
    pub(crate) epoch: String,
    /// The newest cursor of the feed.
    pub(crate) head: u64,
    /// Those heard of within a day, by name.
    pub(crate) gateways: Vec<Gateway>,
}

/// Follow the revocations: a snapshot first, then what changed, behind a long-poll.
#[utoipa::path(
    get, path = "/v1/feed", tag = "feed", security(("gateway" = [])), params(FeedParams),
    responses(
        (status = 200, body = [u8], content_type = "application/vnd.gatelatch.feed.v1"),
        (status = "4XX", body = ErrorBody),
    ),
)]
pub(crate) async fn feed(
    State(app): State<Shared>,
    Params(params): Params<FeedParams>,
) -> Result<impl IntoResponse, ApiError> {
    let (position, limit) = check(&params)?;
    app.metrics.feed_polls.inc();
    report(&app, &params, position);
    let page = follow(&app, position, limit, params.wait_ms.min(MAX_WAIT_MS)).await?;
    Ok((
        [
            (CONTENT_TYPE, wire::CONTENT_TYPE),
            (CACHE_CONTROL, "no-store"),
        ],
        page.encode(),
    ))
}

/// List the Envoys that follow the feed, and how far each has come.
#[utoipa::path(
    get, path = "/v1/gateways", tag = "administration", security(("admin" = [])),
    responses((status = 200, body = GatewayList)),
)]
pub(crate) async fn gateways(State(app): State<Shared>) -> Result<Json<GatewayList>, ApiError> {
    let (epoch, head) = look!(app, |tx, _policy| steps::head(tx))?;
    let gateways = app.gateways.list(epoch, head);
    Ok(Json(GatewayList {
        epoch: epoch.to_hex(),
        head,
        gateways,
    }))
}

async fn follow(
    app: &Shared,
    position: Position,
    limit: usize,
    wait_ms: u64,
) -> Result<Page, StoreError> {
    let deadline = app.clock.now_ms() + wait_ms;
    let mut head = app.signals.head();
    loop {
        // Marked as seen before looking, so that no change falls between the two.
        head.borrow_and_update();
        let now_ms = app.clock.now_ms();
        let page = look!(app, |tx, _policy| steps::page(
            tx,
            position,
            limit,
            now_ms / 1000
        ))?;
        let news = page.from != position.cursor
            || page.to != position.cursor
            || position.epoch != Some(page.epoch);
        if news || now_ms >= deadline || app.shutdown.is_cancelled() {
            return Ok(page);
        }
        tokio::select! {
            _ = head.changed() => {}
            () = app.clock.sleep_until(deadline) => {}
            () = app.shutdown.cancelled() => {}
        }
    }
}

fn check(params: &FeedParams) -> Result<(Position, usize), ApiError> {
    id("gateway", &params.gateway)?;
    if params.gateway.len() > 256 || params.version.len() > 256 {
        return Err(ApiError::Invalid(
            "gateway and version must be at most 256 bytes".into(),
        ));
    }
    let epoch = match params.epoch.as_deref().filter(|epoch| !epoch.is_empty()) {
        Some(text) => Some(
            Epoch::from_hex(text)
                .ok_or_else(|| ApiError::Invalid("epoch must be 32 hex digits".into()))?,
        ),
        None => None,
    };
    let limit = params.limit.unwrap_or(DEFAULT_ENTRIES);
    if !(1..=wire::MAX_ENTRIES).contains(&limit) {
        return Err(ApiError::Invalid(format!(
            "limit must be 1 to {}",
            wire::MAX_ENTRIES
        )));
    }
    Ok((
        Position {
            epoch,
            cursor: params.cursor,
        },
        limit,
    ))
}

fn report(app: &Shared, params: &FeedParams, position: Position) {
    let report = Report {
        gateway: params.gateway.clone(),
        version: params.version.clone(),
        epoch: position.epoch.map(Epoch::to_hex).unwrap_or_default(),
        cursor: position.cursor,
        seen_ms: app.clock.now_ms(),
    };
    if let Ok(message) = serde_json::to_string(&report) {
        app.store.broadcast(message);
    }
    app.gateways.report(report);
}
