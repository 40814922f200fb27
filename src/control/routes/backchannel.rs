//! The path to which an IdP posts logout tokens. Gateways lead it here by a route.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gatelatch_core::logout_token::LogoutToken;
use gatelatch_wire::session::{BackchannelLogout, GoneReason};
use serde_json::json;

use crate::app::{Shared, transact};
use crate::error::ApiError;
use crate::ops::logout;

/// Take a logout token from the IdP (OIDC Back-Channel Logout 2.5 to 2.8).
///
/// Needs no credential: the token is one. Answered when the logout is durable; also with 200 when
/// there was nothing (any more) to log out.
#[utoipa::path(
    post, path = "/_gatelatch/backchannel-logout", tag = "logins",
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "logout_token=…"),
    responses((status = 200, description = "Logged out"), (status = 400, description = "Not a valid logout token")),
)]
pub(crate) async fn receive(
    State(app): State<Shared>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    let Some(token) = logout_token(&headers, &body) else {
        return Ok(refusal("one logout_token is expected in a form"));
    };
    let now = app.clock.now();
    let token = match app.idps.validate(&token, now).await {
        Ok(token) => token,
        Err(error) => {
            tracing::warn!(code = error.code(), "back-channel logout refused");
            return Ok(refusal("the logout token is not valid"));
        }
    };
    let iss = token.iss.clone();
    let logout = contract(token);
    let ended = transact!(app, |tx, policy| logout::perform(tx, &policy, &logout, now))?;
    app.metrics
        .ended(GoneReason::BackchannelLogout.code(), ended.sessions);
    tracing::info!(iss, sessions = ended.sessions, "back-channel logout");
    Ok((StatusCode::OK, [(header::CACHE_CONTROL, "no-store")]).into_response())
}

/// The one `logout_token` of a form; other parameters are ignored, a repeated one is refused.
fn logout_token(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let content_type = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return None;
    }
    let mut tokens = form_urlencoded::parse(body).filter(|(name, _)| name == "logout_token");
    let (_, token) = tokens.next()?;
    tokens.next().is_none().then(|| token.into_owned())
}

fn contract(token: LogoutToken) -> BackchannelLogout {
    BackchannelLogout {
        iss: token.iss,
        sub: token.sub,
        idp_sid: token.sid,
        jti: token.jti,
        iat: token.iat,
        exp: token.exp,
    }
}

fn refusal(description: &str) -> Response {
    let body = json!({"error": "invalid_request", "error_description": description});
    let headers = [(header::CACHE_CONTROL, "no-store")];
    (StatusCode::BAD_REQUEST, headers, Json(body)).into_response()
}
