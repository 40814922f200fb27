//! Login transactions, and logouts that come from the IdP.

use axum::Json;
use axum::extract::State;
use gatelatch_wire::session::{BackchannelLogout, ClaimLogin, ClaimOutcome, GoneReason, LoggedOut};

use crate::app::{Shared, transact};
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Body, Id, id};
use crate::ops::{logins, logout};

/// Spend a login transaction, once over all gateways.
#[utoipa::path(
    post, path = "/v1/logins/{id}/claim", tag = "logins", security(("gateway" = [])),
    params(("id" = String, Path, description = "The transaction's name")),
    request_body = ClaimLogin,
    responses((status = 200, body = ClaimOutcome), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn claim(
    State(app): State<Shared>,
    Id(login): Id,
    Body(claim): Body<ClaimLogin>,
) -> Result<Json<ClaimOutcome>, ApiError> {
    let now = app.clock.now();
    let outcome = transact!(app, |tx, policy| logins::claim(
        tx,
        &policy,
        &login,
        claim.expires_at,
        now
    ))?;
    Ok(Json(outcome))
}

/// End the sessions that a validated logout token names (OIDC Back-Channel Logout 2.7).
#[utoipa::path(
    post, path = "/v1/backchannel-logout", tag = "logins", security(("gateway" = [])),
    request_body = BackchannelLogout,
    responses((status = 200, body = LoggedOut), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn backchannel_logout(
    State(app): State<Shared>,
    Body(token): Body<BackchannelLogout>,
) -> Result<Json<LoggedOut>, ApiError> {
    check(&token)?;
    let now = app.clock.now();
    let iss = token.iss.clone();
    let logged_out = transact!(app, |tx, policy| logout::perform(tx, &policy, &token, now))?;
    app.metrics
        .ended(GoneReason::BackchannelLogout.code(), logged_out.sessions);
    tracing::info!(iss, sessions = logged_out.sessions, "back-channel logout");
    Ok(Json(logged_out))
}

fn check(token: &BackchannelLogout) -> Result<(), ApiError> {
    id("iss", &token.iss)?;
    id("jti", &token.jti)?;
    if let Some(sub) = &token.sub {
        id("sub", sub)?;
    }
    if let Some(idp_sid) = &token.idp_sid {
        id("idp_sid", idp_sid)?;
    }
    if token.sub.is_none() && token.idp_sid.is_none() {
        return Err(ApiError::Invalid(
            "one of sub and idp_sid must be present".into(),
        ));
    }
    Ok(())
}
