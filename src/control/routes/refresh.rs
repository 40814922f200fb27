//! The refresh of a session, in the words of a gateway.

use axum::Json;
use axum::extract::State;
use gatelatch_wire::session::{
    BeginOutcome, BeginRefresh, CompleteOutcome, CompleteRefresh, FailClass, FailOutcome,
    FailRefresh, RenewLease,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{Shared, transact};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Body, Id, id};
use crate::lease::LeaseName;
use crate::ops::refresh as steps;
use crate::store::StoreError;

/// Answer to `renew`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct LeaseRenewed {
    /// The lease ends after this many milliseconds unless renewed.
    lease_ms: u32,
}

/// Ask for the right to refresh. Waits for another holder, up to `wait_ms` and 30 seconds.
#[utoipa::path(
    post, path = "/v1/sessions/{sid}/refresh/begin", tag = "refresh", security(("gateway" = [])),
    params(("sid" = String, Path)), request_body = BeginRefresh,
    responses((status = 200, body = BeginOutcome), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn begin(
    State(app): State<Shared>,
    Id(sid): Id,
    Body(request): Body<BeginRefresh>,
) -> Result<Json<BeginOutcome>, ApiError> {
    id("jti", &request.jti)?;
    id("holder", &request.holder)?;
    let outcome = crate::refresh::begin(&app, &sid, &request).await?;
    app.metrics.begun(match &outcome {
        BeginOutcome::Lease { maybe_spent, .. } => {
            if *maybe_spent {
                app.metrics.vanished_holders.inc();
            }
            "lease"
        }
        BeginOutcome::Renewed { .. } => "renewed",
        BeginOutcome::Gone { reason } => reason.code(),
        BeginOutcome::Busy { .. } => "busy",
        BeginOutcome::Backoff { .. } => "backoff",
    });
    Ok(Json(outcome))
}

/// Keep a lease: its holder still waits for the IdP.
#[utoipa::path(
    post, path = "/v1/sessions/{sid}/refresh/renew", tag = "refresh", security(("gateway" = [])),
    params(("sid" = String, Path)), request_body = RenewLease,
    responses(
        (status = 200, body = LeaseRenewed),
        (status = 409, body = ErrorBody, description = "The lease is somebody else's, or ended"),
        (status = 410, body = ErrorBody, description = "The session is over"),
    ),
)]
pub(crate) async fn renew(
    State(app): State<Shared>,
    Id(sid): Id,
    Body(request): Body<RenewLease>,
) -> Result<Json<LeaseRenewed>, ApiError> {
    let now_ms = app.clock.now_ms();
    let renewed = transact!(app, |tx, policy| steps::renew(
        tx,
        &policy,
        &sid,
        &request.lease,
        now_ms
    ))?;
    match renewed {
        steps::Renewed::Extended { lease_ms } => Ok(Json(LeaseRenewed { lease_ms })),
        steps::Renewed::NotHolder => Err(ApiError::NotHolder),
        steps::Renewed::Gone(_) => Err(ApiError::SessionGone),
    }
}

/// Hand in what the IdP answered. Nobody hears of it before it is durable.
#[utoipa::path(
    post, path = "/v1/sessions/{sid}/refresh/complete", tag = "refresh",
    security(("gateway" = [])), params(("sid" = String, Path)), request_body = CompleteRefresh,
    responses((status = 200, body = CompleteOutcome), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn complete(
    State(app): State<Shared>,
    Id(sid): Id,
    Body(answer): Body<CompleteRefresh>,
) -> Result<Json<CompleteOutcome>, ApiError> {
    let name = lease(&answer.lease)?;
    if answer
        .refresh_token
        .as_ref()
        .is_some_and(|token| token.is_empty())
    {
        return Err(ApiError::Invalid(
            "refresh_token must not be empty; leave it out".into(),
        ));
    }
    // In a task of its own: a caller that leaves now must not take the rotated token along.
    let completing = tokio::spawn(async move {
        let now_ms = app.clock.now_ms();
        let outcome = transact!(app, |tx, policy| steps::complete(
            tx, &policy, &sid, &answer, &name, now_ms
        ))?;
        app.metrics.completed(match &outcome {
            CompleteOutcome::Stored { .. } => "stored",
            CompleteOutcome::Gone { reason } => reason.code(),
            CompleteOutcome::Superseded { .. } => "superseded",
        });
        Ok::<_, StoreError>(outcome)
    });
    Ok(Json(completing.await.map_err(|_| StoreError::Failed)??))
}

/// Give the lease back: the refresh failed.
#[utoipa::path(
    post, path = "/v1/sessions/{sid}/refresh/fail", tag = "refresh", security(("gateway" = [])),
    params(("sid" = String, Path)), request_body = FailRefresh,
    responses((status = 200, body = FailOutcome), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn fail(
    State(app): State<Shared>,
    Id(sid): Id,
    Body(failure): Body<FailRefresh>,
) -> Result<Json<FailOutcome>, ApiError> {
    lease(&failure.lease)?;
    if failure.class == FailClass::Misconfigured {
        tracing::error!(
            sid,
            "the identity provider refuses this client: check client_id, client_secret and the \
             client's settings at the provider"
        );
    }
    let failing = tokio::spawn(async move {
        let now_ms = app.clock.now_ms();
        let class = class_code(failure.class);
        let outcome = transact!(app, |tx, policy| steps::fail(
            tx, &policy, &sid, &failure, now_ms
        ))?;
        app.metrics.failed(
            class,
            match &outcome {
                FailOutcome::Kept { .. } => "kept",
                FailOutcome::Gone { reason } => reason.code(),
            },
        );
        Ok::<_, StoreError>(outcome)
    });
    Ok(Json(failing.await.map_err(|_| StoreError::Failed)??))
}

fn lease(text: &str) -> Result<LeaseName, ApiError> {
    LeaseName::parse(text)
        .ok_or_else(|| ApiError::Invalid("lease is not one that begin has given".into()))
}

fn class_code(class: FailClass) -> &'static str {
    match class {
        FailClass::InvalidGrant => "invalid_grant",
        FailClass::Transient => "transient",
        FailClass::Misconfigured => "misconfigured",
        FailClass::Rejected => "rejected",
        FailClass::Mismatch => "mismatch",
    }
}
