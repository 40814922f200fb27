//! Sessions: created and ended by gateways, listed and ended by administrators.

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use gatelatch_wire::session::{CreateOutcome, CreateSession, EndSession, GoneReason, SessionEnded};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::app::{Shared, look, transact};
use crate::audit;
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Body, Id, Params, id, sid as check_sid};
use crate::ops::sessions::{self as steps, Created};
use crate::session::Session;

/// The most sessions of one listing.
const MAX_LISTED: usize = 1_000;

/// How far clocks may differ.
const SKEW_S: u64 = 300;

/// One session in a listing. No token appears in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionSummary {
    /// Stable id of the session.
    pub(crate) sid: String,
    /// `iss` of the IdP.
    pub(crate) iss: String,
    /// `sub` at that IdP.
    pub(crate) sub: String,
    /// The public URL of the gateway.
    pub(crate) gateway: String,
    /// The IdP's own session id, where it has one.
    pub(crate) idp_sid: Option<String>,
    /// When the user authenticated at the IdP.
    pub(crate) auth_time: u64,
    /// When the session started.
    pub(crate) started_at: u64,
    /// Absolute end.
    pub(crate) ends_at: u64,
    /// How often it was refreshed.
    pub(crate) refreshes: u64,
    /// When it was last refreshed, in Unix milliseconds.
    pub(crate) refreshed_at_ms: Option<u64>,
    /// Whether a refresh token is stored.
    pub(crate) refreshable: bool,
    /// Who refreshes it now.
    pub(crate) refreshing: Option<String>,
    /// When it ended.
    pub(crate) ended_at: Option<u64>,
    /// Why it ended.
    pub(crate) ended_reason: Option<GoneReason>,
    /// Identity claims; in `GET /v1/sessions/{sid}` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) claims: Option<Map<String, Value>>,
}

/// Answer to `GET /v1/sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionList {
    /// In the order of their `sid`.
    pub(crate) sessions: Vec<SessionSummary>,
    /// There are more: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// Answer to `DELETE /v1/sessions/{sid}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SessionDeleted {
    /// Whether it was live.
    pub(crate) ended: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Only of this issuer, or of this gateway (its public URL).
    iss: Option<String>,
    /// Only of this user.
    sub: Option<String>,
    /// Ended and expired ones too.
    #[serde(default)]
    ended: bool,
    /// Only those after this `sid`.
    #[serde(default)]
    after: String,
    /// 1 to 1,000; 100 when absent.
    limit: Option<usize>,
}

/// Start a session after a login. Repeating the call changes nothing.
#[utoipa::path(
    post, path = "/v1/sessions", tag = "sessions", security(("gateway" = [])),
    request_body = CreateSession,
    responses(
        (status = 200, body = CreateOutcome),
        (status = 409, body = ErrorBody, description = "The sid belongs to another session"),
        (status = "4XX", body = ErrorBody),
    ),
)]
pub(crate) async fn create(
    State(app): State<Shared>,
    Body(wanted): Body<CreateSession>,
) -> Result<Json<CreateOutcome>, ApiError> {
    let now = app.clock.now();
    check(&wanted, now, app.policy.retention_s)?;
    let creating = tokio::spawn(async move {
        let created = transact!(app, |tx, policy| steps::create(tx, &policy, &wanted, now))?;
        app.metrics.created(match &created {
            Created::Outcome(CreateOutcome::Created { .. }) => "created",
            Created::Outcome(CreateOutcome::Gone { reason }) => reason.code(),
            Created::Conflict => "conflict",
        });
        match created {
            Created::Outcome(outcome) => Ok(Json(outcome)),
            Created::Conflict => Err(ApiError::SessionConflict),
        }
    });
    creating
        .await
        .map_err(|_| ApiError::Store(crate::store::StoreError::Failed))?
}

/// End a session at its user's wish. Repeating the call changes nothing.
#[utoipa::path(
    post, path = "/v1/sessions/{sid}/end", tag = "sessions", security(("gateway" = [])),
    params(("sid" = String, Path)), request_body = EndSession,
    responses((status = 200, body = SessionEnded), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn end(
    State(app): State<Shared>,
    Id(sid): Id,
    Body(request): Body<EndSession>,
) -> Result<Json<SessionEnded>, ApiError> {
    if request.reason == GoneReason::Unknown {
        return Err(ApiError::Invalid(
            "reason must say why the session ends".into(),
        ));
    }
    let now = app.clock.now();
    let (ended, id_token_hint) = transact!(app, |tx, policy| steps::end_and_revoke(
        tx,
        &policy,
        &sid,
        request.reason,
        now
    ))?;
    app.metrics.ended(request.reason.code(), ended.into());
    Ok(Json(SessionEnded { id_token_hint }))
}

/// List sessions.
#[utoipa::path(
    get, path = "/v1/sessions", tag = "administration", security(("admin" = [])),
    params(ListParams),
    responses((status = 200, body = SessionList), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn list(
    State(app): State<Shared>,
    Params(params): Params<ListParams>,
) -> Result<Json<SessionList>, ApiError> {
    let limit = params.limit.unwrap_or(100);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Err(ApiError::Invalid(format!(
            "limit must be 1 to {MAX_LISTED}"
        )));
    }
    let now = app.clock.now();
    let filter = steps::Filter {
        iss: params.iss,
        sub: params.sub,
        ended: params.ended,
        after: params.after,
        limit: limit + 1,
    };
    let mut found = look!(app, |tx, _policy| steps::list(tx, &filter, now))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.sid.clone());
    Ok(Json(SessionList {
        sessions: found.into_iter().map(SessionSummary::of).collect(),
        next,
    }))
}

/// Show a session.
#[utoipa::path(
    get, path = "/v1/sessions/{sid}", tag = "administration", security(("admin" = [])),
    params(("sid" = String, Path)),
    responses((status = 200, body = SessionSummary), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    Id(sid): Id,
) -> Result<Json<SessionSummary>, ApiError> {
    let mut session =
        look!(app, |tx, _policy| Session::load(tx, &sid))?.ok_or(ApiError::UnknownSession)?;
    let claims = Some(std::mem::take(&mut session.claims));
    Ok(Json(SessionSummary {
        claims,
        ..SessionSummary::of(session)
    }))
}

/// End a session and forbid its JWTs. Repeating the call changes nothing.
#[utoipa::path(
    delete, path = "/v1/sessions/{sid}", tag = "administration", security(("admin" = [])),
    params(("sid" = String, Path)),
    responses((status = 200, body = SessionDeleted), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn delete(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Id(sid): Id,
) -> Result<(StatusCode, Json<SessionDeleted>), ApiError> {
    let now = app.clock.now();
    let own_sid = sid.clone();
    let (ended, _) = transact!(app, |tx, policy| steps::end_and_revoke(
        tx,
        &policy,
        &own_sid,
        GoneReason::Revoked,
        now
    ))?;
    app.metrics.ended(GoneReason::Revoked.code(), ended.into());
    audit::log(&caller, "end_session", &sid, ended.into());
    Ok((StatusCode::OK, Json(SessionDeleted { ended })))
}

fn check(wanted: &CreateSession, now: u64, retention_s: u64) -> Result<(), ApiError> {
    check_sid("sid", &wanted.sid)?;
    id("iss", &wanted.iss)?;
    id("sub", &wanted.sub)?;
    id("gateway", &wanted.gateway)?;
    id("jti", &wanted.jti)?;
    if let Some(idp_sid) = &wanted.idp_sid {
        id("idp_sid", idp_sid)?;
    }
    if let Some(replaces) = &wanted.replaces {
        check_sid("replaces", replaces)?;
    }
    if wanted
        .refresh_token
        .as_ref()
        .is_some_and(|token| token.is_empty())
    {
        return Err(ApiError::Invalid(
            "refresh_token must not be empty; leave it out".into(),
        ));
    }
    if wanted.ends_at > now + retention_s + SKEW_S {
        return Err(ApiError::Invalid(
            "ends_at lies further ahead than revocations are kept: raise --retention of the \
             control service, or lower session.max_age of the filter"
                .into(),
        ));
    }
    Ok(())
}

impl SessionSummary {
    fn of(session: Session) -> Self {
        Self {
            sid: session.sid,
            iss: session.iss,
            sub: session.sub,
            gateway: session.gateway,
            idp_sid: session.idp_sid,
            auth_time: session.auth_time,
            started_at: session.started_at,
            ends_at: session.ends_at,
            refreshes: session.generation,
            refreshed_at_ms: session.refreshed_at_ms,
            refreshable: session.refresh_token.is_some(),
            refreshing: session.lease.map(|lease| lease.holder),
            ended_at: session.ended.map(|ended| ended.at),
            ended_reason: session.ended.map(|ended| ended.reason),
            claims: None,
        }
    }
}
