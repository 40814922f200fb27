//! What a caller gets to hear when a call cannot be answered: one place for codes and statuses.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::StoreError;

/// Why a call was not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ApiError {
    /// The request itself is wrong. The text is ours, never the caller's.
    #[error("{0}")]
    Invalid(String),
    #[error("the call needs `Authorization: Bearer TOKEN` with a token of this service")]
    Unauthorized,
    #[error("this token is of the other kind: gateways and administrators have separate rights")]
    Forbidden,
    #[error("there is no such session")]
    UnknownSession,
    #[error("there is no such path; GET /openapi.json lists them")]
    UnknownPath,
    #[error("this path does not know this method; GET /openapi.json lists them")]
    UnknownMethod,
    #[error("another session of this sid exists")]
    SessionConflict,
    #[error("the lease is held by somebody else, or has ended")]
    NotHolder,
    #[error("the session is over")]
    SessionGone,
    #[error("the body is larger than this call takes")]
    TooLarge,
    #[error("the call took too long")]
    Timeout,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The body of every error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// The stable code.
    pub(crate) error: String,
    /// One sentence for people.
    pub(crate) message: String,
}

/// Travels beside a response, for the metrics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrorCode(pub(crate) &'static str);

impl ApiError {
    /// The stable name used in responses, metrics and logs.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_request",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::UnknownSession => "unknown_session",
            Self::UnknownPath => "unknown_path",
            Self::UnknownMethod => "unknown_method",
            Self::SessionConflict => "session_conflict",
            Self::NotHolder => "not_holder",
            Self::SessionGone => "session_gone",
            Self::TooLarge => "too_large",
            Self::Timeout => "timeout",
            Self::Store(StoreError::Failed | StoreError::Corrupt) => "store_failed",
            Self::Store(StoreError::Overloaded) => "store_overloaded",
            Self::Store(StoreError::Closed) => "store_closed",
            Self::Store(StoreError::Unopenable) => "encryption_key_missing",
        }
    }

    fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::UnknownSession | Self::UnknownPath => StatusCode::NOT_FOUND,
            Self::UnknownMethod => StatusCode::METHOD_NOT_ALLOWED,
            Self::SessionConflict | Self::NotHolder => StatusCode::CONFLICT,
            Self::SessionGone => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
            Self::Store(StoreError::Overloaded | StoreError::Closed) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        if let Self::Store(error) = &self {
            tracing::error!(code = self.code(), %error, "a call could not be answered");
        }
        let body = ErrorBody {
            error: self.code().to_owned(),
            message: self.to_string(),
        };
        let mut response = (self.status(), Json(body)).into_response();
        response.extensions_mut().insert(ErrorCode(self.code()));
        if self == Self::Unauthorized {
            let challenge = HeaderValue::from_static("Bearer realm=\"gatelatch\"");
            response
                .headers_mut()
                .insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}
