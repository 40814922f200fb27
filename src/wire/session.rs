//! Sessions and their refresh: the bodies of `/v1/sessions…` and `/v1/logins…`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Secret, UnixSeconds};

/// Identity claims, as chosen by the operator, keyed by claim name.
pub type Claims = Map<String, Value>;

/// `POST /v1/sessions`: a login has succeeded and its session must outlive this process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateSession {
    /// Stable id of the session, made by the gateway: 128 random bits, base64url.
    pub sid: String,
    /// `iss` of the IdP (OIDC Core 2).
    pub iss: String,
    /// `sub` at that IdP.
    pub sub: String,
    /// The public URL of the gateway, which is `iss` of the session JWTs it mints.
    pub gateway: String,
    /// The IdP's own session id (`sid` of the ID token), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp_sid: Option<String>,
    /// `jti` of the first session JWT.
    pub jti: String,
    /// The claims that go into every session JWT of this session.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub claims: Claims,
    /// The IdP's refresh token. None: the session ends with its first JWT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// The ID token, kept encrypted as `id_token_hint` for logout (RP-Initiated Logout 2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<Secret>,
    /// When the user authenticated at the IdP.
    pub auth_time: UnixSeconds,
    /// `iat` of the ID token: a logout after it must win against this login.
    pub id_token_iat: UnixSeconds,
    /// Absolute end: no refresh goes past it.
    pub ends_at: UnixSeconds,
    /// The session that this browser had before, ended by this login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<String>,
}

/// Answer to [`CreateSession`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CreateOutcome {
    /// Durable. `started_at` is the session's start for issued-before revocations: now, or just
    /// after a cut that already lies behind.
    Created {
        /// When the session started.
        started_at: UnixSeconds,
    },
    /// A revocation or a logout forbids this session.
    Gone {
        /// Why.
        reason: GoneReason,
    },
}

/// `POST /v1/sessions/{sid}/refresh/begin`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BeginRefresh {
    /// `jti` of the expired JWT that asks.
    pub jti: String,
    /// Names the asking gateway in logs and listings.
    pub holder: String,
    /// How long the caller is ready to wait for another holder, in milliseconds.
    pub wait_ms: u32,
}

/// Answer to [`BeginRefresh`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum BeginOutcome {
    /// The caller alone may spend the refresh token now.
    Lease {
        /// Names the lease in `renew`, `complete` and `fail`.
        lease: String,
        /// The lease ends after this many milliseconds unless renewed.
        lease_ms: u32,
        /// What to spend.
        refresh_token: Secret,
        /// A former holder vanished: the token may have been spent already.
        maybe_spent: bool,
        /// The session as it stands.
        session: SessionView,
    },
    /// Somebody refreshed within the tail window: mint from these.
    Renewed {
        /// The session as it stands.
        session: SessionView,
    },
    /// The session is over.
    Gone {
        /// Why.
        reason: GoneReason,
    },
    /// Another holder is still at work. Not a logout.
    Busy {
        /// When to ask again, in milliseconds.
        retry_after_ms: u32,
    },
    /// The IdP failed just now and is given a rest. Not a logout.
    Backoff {
        /// When to ask again, in milliseconds.
        retry_after_ms: u32,
    },
}

/// What a gateway needs to mint a session JWT.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionView {
    /// Stable id of the session.
    pub sid: String,
    /// `iss` of the IdP.
    pub iss: String,
    /// `sub` at that IdP.
    pub sub: String,
    /// Identity claims.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub claims: Claims,
    /// When the user authenticated at the IdP.
    pub auth_time: UnixSeconds,
    /// When the session started.
    pub started_at: UnixSeconds,
    /// Absolute end.
    pub ends_at: UnixSeconds,
}

/// `POST /v1/sessions/{sid}/refresh/renew`: the holder is alive and still waits for the IdP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct RenewLease {
    /// From [`BeginOutcome::Lease`].
    pub lease: String,
}

/// `POST /v1/sessions/{sid}/refresh/complete`: the IdP has answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CompleteRefresh {
    /// From [`BeginOutcome::Lease`].
    pub lease: String,
    /// The rotated token. None: the IdP sent none, the old one stays (RFC 6749 section 6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
    /// The new ID token, where the IdP sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token: Option<Secret>,
    /// The claims as they now stand; None: unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub claims: Option<Claims>,
}

/// Answer to [`CompleteRefresh`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CompleteOutcome {
    /// Durable: mint from this.
    Stored {
        /// The session as it stands.
        session: SessionView,
    },
    /// The session was ended or revoked meanwhile: set no cookie.
    Gone {
        /// Why.
        reason: GoneReason,
    },
    /// Another holder has completed since this lease was given: its result stands.
    Superseded {
        /// The session as it stands.
        session: SessionView,
    },
}

/// `POST /v1/sessions/{sid}/refresh/fail`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct FailRefresh {
    /// From [`BeginOutcome::Lease`].
    pub lease: String,
    /// What kind of failure.
    pub class: FailClass,
    /// The IdP's Retry-After in seconds, where it sent one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

/// Failures of a refresh, by what they mean for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailClass {
    /// The IdP said `invalid_grant` with 400, 401 or 403: the session ends.
    InvalidGrant,
    /// Time-out, reset, 5xx, 429, garbage: the session stays.
    Transient,
    /// `invalid_client` and the like: the operator must act, the session stays.
    Misconfigured,
    /// Another OAuth error: the session stays for one more try, then ends.
    Rejected,
    /// The refreshed ID token names another user or audience: the session ends.
    Mismatch,
}

/// Answer to [`FailRefresh`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum FailOutcome {
    /// The session stays.
    Kept {
        /// When to ask again, in milliseconds.
        retry_after_ms: u32,
    },
    /// The session is over.
    Gone {
        /// Why.
        reason: GoneReason,
    },
}

/// `POST /v1/sessions/{sid}/end`: logout at the gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EndSession {
    /// Why it ends.
    pub reason: GoneReason,
}

/// Answer to [`EndSession`], the same for a session that had ended before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionEnded {
    /// For `end_session_endpoint`, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_hint: Option<Secret>,
}

/// Why a session is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum GoneReason {
    /// No such session (any more).
    Unknown,
    /// The user logged out.
    Logout,
    /// The IdP logged the user out.
    BackchannelLogout,
    /// An administrator revoked it.
    Revoked,
    /// A new login in the same browser took its place.
    Replaced,
    /// The absolute end has come.
    Expired,
    /// There is no refresh token to go on with.
    NoRefreshToken,
    /// The IdP refused the refresh token for good.
    InvalidGrant,
    /// The IdP kept refusing with another error.
    RefreshRejected,
    /// The refreshed ID token did not match the session.
    Mismatch,
}

impl GoneReason {
    /// The stable name used in logs, metrics and the store.
    pub fn code(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Logout => "logout",
            Self::BackchannelLogout => "backchannel_logout",
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Expired => "expired",
            Self::NoRefreshToken => "no_refresh_token",
            Self::InvalidGrant => "invalid_grant",
            Self::RefreshRejected => "refresh_rejected",
            Self::Mismatch => "mismatch",
        }
    }
}

/// `POST /v1/logins/{id}/claim`: a callback spends its login transaction, once over all gateways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ClaimLogin {
    /// When the transaction would have ended anyway, so that the mark can be forgotten.
    pub expires_at: UnixSeconds,
}

/// Answer to [`ClaimLogin`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum ClaimOutcome {
    /// First use.
    Claimed,
    /// Used before.
    Used,
}

/// `POST /v1/backchannel-logout`: a logout token that the gateway has validated
/// (OIDC Back-Channel Logout 2.6). At least one of `sub` and `idp_sid` is present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct BackchannelLogout {
    /// `iss` of the IdP.
    pub iss: String,
    /// `sub`, where present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// `sid`, where present.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idp_sid: Option<String>,
    /// `jti`, remembered against replay until `exp`.
    pub jti: String,
    /// `iat`.
    pub iat: UnixSeconds,
    /// `exp`, or the bound that the gateway set in its place.
    pub exp: UnixSeconds,
}

/// Answer to [`BackchannelLogout`]; zero sessions is a success too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LoggedOut {
    /// How many live sessions it ended.
    pub sessions: u32,
}
