//! Reading requests: JSON bodies and query strings, with our own error texts.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::error::ApiError;

/// The longest `sid`, in bytes.
const MAX_SID: usize = 256;

/// The longest identifier of any other kind, in bytes.
const MAX_ID: usize = 2_048;

/// A JSON body.
pub(crate) struct Body<T>(pub(crate) T);

/// A query string.
pub(crate) struct Params<T>(pub(crate) T);

/// The `{sid}` or `{id}` of a path.
pub(crate) struct Id(pub(crate) String);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = body(request, state).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::Invalid(explain(&error)))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(_) => Err(ApiError::Invalid(
                "a query parameter is missing, unknown or of the wrong type; \
                 GET /openapi.json lists them"
                    .into(),
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(id) =
            path.map_err(|_| ApiError::Invalid("the id in the path is not UTF-8".into()))?;
        sid("the id in the path", &id)?;
        Ok(Self(id))
    }
}

/// The bytes of a body within the limit of its route.
pub(crate) async fn body<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state)
        .await
        .map_err(|rejection| match rejection {
            BytesRejection::FailedToBufferBody(error)
                if error.status() == StatusCode::PAYLOAD_TOO_LARGE =>
            {
                ApiError::TooLarge
            }
            _ => ApiError::Invalid("the body could not be read".into()),
        })
}

/// Checks a session's name: visible ASCII.
pub(crate) fn sid(field: &str, value: &str) -> Result<(), ApiError> {
    if value.is_empty() || value.len() > MAX_SID || !value.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ApiError::Invalid(format!(
            "{field} must be 1 to {MAX_SID} visible ASCII characters"
        )));
    }
    Ok(())
}

/// Checks any other identifier: not empty, not huge, no NUL (which PostgreSQL cannot keep).
pub(crate) fn id(field: &str, value: &str) -> Result<(), ApiError> {
    if value.is_empty() || value.len() > MAX_ID || value.contains('\0') {
        return Err(ApiError::Invalid(format!(
            "{field} must be 1 to {MAX_ID} bytes without NUL"
        )));
    }
    Ok(())
}

/// What is wrong with a body, without quoting its values: they may be secrets.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let named = text.starts_with("missing field") || text.starts_with("unknown field");
    match error.classify() {
        serde_json::error::Category::Data if named => format!("the body has a {text}"),
        serde_json::error::Category::Data => format!(
            "the body has a value of the wrong type at line {} column {}",
            error.line(),
            error.column()
        ),
        _ => "the body is not JSON".into(),
    }
}
