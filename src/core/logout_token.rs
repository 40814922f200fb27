//! The logout token: the IdP says that a session, or all of a user's, is over
//! (OIDC Back-Channel Logout 1.0, sections 2.4 and 2.6).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use gatelatch_wire::UnixSeconds;
use serde_json::Value;

use crate::id_token::MAX_SID_CHARS;
use crate::jose::claims::{
    ClaimSet, audiences, check_begun, check_issuer, optional_date, optional_string,
    required_string, subject,
};
use crate::jose::json::parse_object;
use crate::jose::verifier::verify_with_set;
use crate::jose::{Algorithm, CompactJws, JwkSet, SignatureVerifier, TokenError};

/// The longest logout token that is looked at, in bytes.
pub const MAX_BYTES: usize = 16 * 1024;

/// How old, in seconds, a logout token may be, beside the clock skew. It is also the `exp` of a
/// token that has none.
pub const MAX_AGE: u64 = 300;

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
const MAX_JTI_CHARS: usize = 512;

/// What a logout token must say. Times are seconds since 1970.
#[derive(Clone, Copy)]
pub struct LogoutTokenExpect<'a> {
    /// The issuer as configured, compared byte by byte.
    pub issuer: &'a str,
    /// Our `client_id`.
    pub client_id: &'a str,
    /// The allowed algorithms; HMAC is refused even when it is listed.
    pub algorithms: &'a [Algorithm],
    /// The present.
    pub now: UnixSeconds,
    /// How far the IdP's clock may be from ours, in seconds.
    pub clock_skew: u64,
}

/// A valid logout token, which may still be a replay: the `jti` is to be looked up and remembered.
/// At least one of `sub` and `sid` is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogoutToken {
    /// `iss`.
    pub iss: String,
    /// `sub`: all of this user's sessions, if there is no `sid`.
    pub sub: Option<String>,
    /// `sid`: this one session.
    pub sid: Option<String>,
    /// `jti`.
    pub jti: String,
    /// `iat`.
    pub iat: UnixSeconds,
    /// When no gateway accepts this token any more, however its clock stands within the skew, so
    /// that the `jti` can be forgotten. At most [`MAX_AGE`] and twice the skew after `iat`,
    /// whatever the token's own `exp` (some give theirs a day).
    pub exp: UnixSeconds,
}

/// Validates `token` in full.
///
/// `typ` may be `logout+jwt`, `JWT` or absent, as IdPs in use send all three; what keeps every
/// other kind of token out is that `events` must name the logout event and `nonce` must be absent.
pub fn validate(
    token: &str,
    expect: &LogoutTokenExpect<'_>,
    keys: &JwkSet,
    host: &dyn SignatureVerifier,
) -> Result<LogoutToken, TokenError> {
    let jws = CompactJws::parse(token, MAX_BYTES)?;
    let header = &jws.header;
    if header.typ.is_some() && !header.is_type("logout+jwt") && !header.is_type("jwt") {
        return Err(TokenError::Type);
    }
    verify_with_set(&jws, expect.algorithms, keys, host)?;
    let claims = parse_object(&jws.payload, MAX_BYTES).map_err(|_| TokenError::Malformed)?;
    check_event(&claims)?;
    check_issuer(&claims, expect.issuer)?;
    if !audiences(&claims)?.contains(&expect.client_id) {
        return Err(TokenError::Audience);
    }
    let (iat, exp) = check_times(&claims, expect)?;
    let sub = subject(&claims)?;
    let sid = optional_string(&claims, "sid", MAX_SID_CHARS)?;
    if sub.is_none() && sid.is_none() {
        return Err(TokenError::Claim("sid"));
    }
    let jti = required_string(&claims, "jti", MAX_JTI_CHARS)?;
    Ok(LogoutToken {
        iss: expect.issuer.to_owned(),
        sub,
        sid,
        jti,
        iat,
        exp,
    })
}

/// What makes a token a logout token and nothing else.
fn check_event(claims: &ClaimSet) -> Result<(), TokenError> {
    let event = claims
        .get("events")
        .and_then(|events| events.as_object()?.get(EVENT));
    if !event.is_some_and(Value::is_object) {
        return Err(TokenError::Claim("events"));
    }
    if claims.contains_key("nonce") {
        return Err(TokenError::Nonce);
    }
    Ok(())
}

/// Returns `iat` and the end of acceptance.
fn check_times(
    claims: &ClaimSet,
    expect: &LogoutTokenExpect<'_>,
) -> Result<(UnixSeconds, UnixSeconds), TokenError> {
    let skew = expect.clock_skew;
    let iat = check_begun(claims, expect.now, skew)?;
    let oldest = iat.saturating_add(MAX_AGE);
    let end = optional_date(claims, "exp")?.map_or(oldest, |exp| exp.min(oldest));
    if end.saturating_add(skew) <= expect.now {
        return Err(TokenError::Expired);
    }
    Ok((iat, end.saturating_add(skew).saturating_add(skew)))
}

#[cfg(test)]
mod tests;
