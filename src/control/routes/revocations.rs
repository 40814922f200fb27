//! Revocations, written and listed by administrators.

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use gatelatch_wire::feed::Epoch;
use gatelatch_wire::revocation::{Enforced, MAX_BATCH, Revocation, Revoked};
use gatelatch_wire::session::GoneReason;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::app::{Shared, look, transact};
use crate::audit;
use crate::auth::Caller;
use crate::error::{ApiError, ErrorBody};
use crate::extract::{Params, body, id};
use crate::ops::revocations as steps;

/// How long `wait=enforced` waits where the caller does not say.
const DEFAULT_WAIT_MS: u64 = 5_000;

/// The longest that `wait=enforced` waits.
const MAX_WAIT_MS: u64 = 55_000;

/// The most revocations of one listing.
const MAX_LISTED: usize = 1_000;

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AddParams {
    /// `enforced`: answer when every Envoy heard of lately enforces it, or the time is up.
    wait: Option<Wait>,
    /// How long to wait, in milliseconds; 5,000 when absent, at most 55,000.
    timeout_ms: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Wait {
    Enforced,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListParams {
    /// Only those written after this cursor.
    #[serde(default)]
    after: u64,
    /// 1 to 1,000; 100 when absent.
    limit: Option<usize>,
}

/// One revocation in a listing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RevocationSummary {
    /// `jti`, `sid`, `sub` or `all`.
    pub(crate) kind: String,
    /// With `sub`: the issuer, or the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<String>,
    /// With `jti`, `sid` and `sub`: the id itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id: Option<String>,
    /// With `sub` and `all`: sessions that started at or before this are forbidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) issued_before: Option<u64>,
    /// When it was last written.
    pub(crate) created_at: u64,
    /// When it is forgotten.
    pub(crate) expires_at: u64,
    /// A gateway whose cursor is at least this enforces it.
    pub(crate) cursor: u64,
}

/// Answer to `GET /v1/revocations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct RevocationList {
    /// Oldest first.
    pub(crate) revocations: Vec<RevocationSummary>,
    /// There are more: ask again with this as `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<u64>,
}

/// The body of `POST /v1/revocations`.
#[derive(ToSchema)]
#[serde(untagged)]
#[allow(
    dead_code,
    reason = "for the OpenAPI document: the items are read one by one"
)]
enum OneOrMany {
    One(Revocation),
    Many(Vec<Revocation>),
}

/// Revoke: one object, or an array of up to 10,000 of which all or none are written.
#[utoipa::path(
    post, path = "/v1/revocations", tag = "administration", security(("admin" = [])),
    params(AddParams), request_body = OneOrMany,
    responses(
        (status = 201, body = Revoked, description = "Durable"),
        (status = "4XX", body = ErrorBody),
    ),
)]
pub(crate) async fn add(
    State(app): State<Shared>,
    Extension(caller): Extension<Caller>,
    Params(params): Params<AddParams>,
    request: Request,
) -> Result<(StatusCode, Json<Revoked>), ApiError> {
    let revocations = parse(&body(request, &app).await?)?;
    let now = app.clock.now();
    let accepted = revocations.len() as u32;
    let what = describe(&revocations);
    let ((epoch, _), added) = transact!(app, |tx, policy| async {
        let added = steps::add(tx, &policy, &revocations, now).await?;
        Ok((crate::ops::feed::head(tx).await?, added))
    })?;
    app.metrics.revocations.inc_by(accepted.into());
    app.metrics
        .ended(GoneReason::Revoked.code(), added.sessions_ended);
    audit::log(&caller, "revoke", &what, added.sessions_ended);
    let enforced = match params.wait {
        Some(Wait::Enforced) => {
            let wait_ms = params
                .timeout_ms
                .unwrap_or(DEFAULT_WAIT_MS)
                .min(MAX_WAIT_MS);
            Some(enforced(&app, epoch, added.cursor, wait_ms).await)
        }
        None => None,
    };
    let revoked = Revoked {
        accepted,
        sessions_ended: added.sessions_ended,
        epoch: epoch.to_hex(),
        cursor: added.cursor,
        enforced,
    };
    Ok((StatusCode::CREATED, Json(revoked)))
}

/// List revocations that are in force.
#[utoipa::path(
    get, path = "/v1/revocations", tag = "administration", security(("admin" = [])),
    params(ListParams),
    responses((status = 200, body = RevocationList), (status = "4XX", body = ErrorBody)),
)]
pub(crate) async fn list(
    State(app): State<Shared>,
    Params(params): Params<ListParams>,
) -> Result<Json<RevocationList>, ApiError> {
    let limit = params.limit.unwrap_or(100);
    if !(1..=MAX_LISTED).contains(&limit) {
        return Err(ApiError::Invalid(format!(
            "limit must be 1 to {MAX_LISTED}"
        )));
    }
    let now = app.clock.now();
    let mut found = look!(app, |tx, _policy| steps::list(
        tx,
        params.after,
        limit + 1,
        now
    ))?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.cursor);
    let revocations = found.into_iter().map(RevocationSummary::of).collect();
    Ok(Json(RevocationList { revocations, next }))
}

/// Waits until every gateway heard of lately has come as far as `cursor`.
async fn enforced(app: &Shared, epoch: Epoch, cursor: u64, wait_ms: u64) -> Enforced {
    let deadline = app.clock.now_ms() + wait_ms;
    let mut reports = app.gateways.changes();
    loop {
        reports.borrow_and_update();
        let now_ms = app.clock.now_ms();
        let enforced = app.gateways.enforced(epoch, cursor, now_ms);
        if enforced.on == enforced.of || now_ms >= deadline || app.shutdown.is_cancelled() {
            return enforced;
        }
        tokio::select! {
            _ = reports.changed() => {}
            () = app.clock.sleep_until(deadline) => {}
            () = app.shutdown.cancelled() => {}
        }
    }
}

/// Reads the body; an error names the item and the field.
fn parse(bytes: &[u8]) -> Result<Vec<Revocation>, ApiError> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|_| ApiError::Invalid("the body is not JSON".into()))?;
    let items = match value {
        Value::Array(items) => items,
        one => vec![one],
    };
    if items.is_empty() || items.len() > MAX_BATCH {
        return Err(ApiError::Invalid(format!(
            "the array must have 1 to {MAX_BATCH} items; send more in several calls"
        )));
    }
    items
        .into_iter()
        .enumerate()
        .map(|(index, item)| parse_item(index, item))
        .collect()
}

fn parse_item(index: usize, item: Value) -> Result<Revocation, ApiError> {
    let wrong = |text: &str| ApiError::Invalid(format!("item {index}: {text}"));
    let object = item.as_object().ok_or_else(|| wrong("is not an object"))?;
    let kind = object.get("kind").and_then(Value::as_str);
    let (required, fields): (&[&str], &str) = match kind {
        Some("jti" | "sid") => (&["id"], "kind, id"),
        Some("sub") => (&["iss", "sub"], "kind, iss, sub, issued_before"),
        Some("all") => (&[], "kind, issued_before"),
        _ => return Err(wrong("field kind must be one of jti, sid, sub, all")),
    };
    for field in required {
        let text = object
            .get(*field)
            .and_then(Value::as_str)
            .unwrap_or_default();
        id(&format!("item {index}: field {field}"), text)?;
    }
    if let Some(cut) = object.get("issued_before").filter(|cut| !cut.is_null()) {
        let seconds = cut
            .as_u64()
            .filter(|seconds| *seconds < u64::from(u32::MAX));
        seconds.ok_or_else(|| wrong("field issued_before must be Unix time in whole seconds"))?;
    }
    serde_json::from_value(item).map_err(|_| {
        wrong(&format!(
            "has a field that its kind does not know; known: {fields}"
        ))
    })
}

fn describe(revocations: &[Revocation]) -> String {
    match revocations {
        [one] => serde_json::to_string(one).unwrap_or_default(),
        many => format!("{} revocations", many.len()),
    }
}

impl RevocationSummary {
    fn of(stored: steps::Stored) -> Self {
        Self {
            kind: stored.kind,
            iss: stored.iss,
            id: stored.id,
            issued_before: stored.issued_before,
            created_at: stored.created_at,
            expires_at: stored.expires_at,
            cursor: stored.cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        parse(body.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn one_object_and_an_array_are_read() {
        let one = r#"{"kind":"sid","id":"a"}"#;
        assert_eq!(parse(one.as_bytes()).unwrap().len(), 1);
        let two = format!(r#"[{one},{{"kind":"all"}}]"#);
        assert_eq!(
            parse(two.as_bytes()).unwrap()[1],
            Revocation::All {
                issued_before: None
            }
        );
    }

    #[test]
    fn an_error_names_the_item_and_the_field() {
        let ok = r#"{"kind":"sid","id":"a"}"#;
        assert_eq!(
            error("[]"),
            "the array must have 1 to 10000 items; send more in several calls"
        );
        assert_eq!(error(&format!("[{ok},3]")), "item 1: is not an object");
        assert_eq!(
            error(&format!(r#"[{ok},{{"kind":"sub","iss":"i"}}]"#)),
            "item 1: field sub must be 1 to 2048 bytes without NUL"
        );
        assert_eq!(
            error(r#"{"kind":"SID","id":"a"}"#),
            "item 0: field kind must be one of jti, sid, sub, all"
        );
        assert_eq!(
            error(r#"{"kind":"all","issued_before":1700000000000}"#),
            "item 0: field issued_before must be Unix time in whole seconds"
        );
        assert_eq!(
            error(r#"{"kind":"sid","id":"a","issued_before":1}"#),
            "item 0: has a field that its kind does not know; known: kind, id"
        );
    }
}
