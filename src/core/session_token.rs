//! The session JWT: what the browser holds, minted and verified by gateways alone.
//!
//! ```text
//! header  {"alg", "kid", "typ": "session+jwt"}
//! payload {"iss", "aud", "sub", "sid", "jti", "iat", "exp", "auth_time",
//!          "session_iat", "session_exp", and the claims that the operator chose}
//! ```
//!
//! Verifying does not compare `exp` with the clock: a token that has expired still names the
//! session that is to be refreshed. Whoever lets a request through compares it, without leeway.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use gatelatch_wire::UnixSeconds;
use gatelatch_wire::session::Claims;
use serde_json::Value;

use crate::jose::claims::{
    ClaimSet, audiences, check_begun, check_issuer, required_date, required_string, subject,
};
use crate::jose::json::parse_object;
use crate::jose::{CompactJws, TokenError, encode_base64url};

mod keys;

pub use keys::{SessionAlgorithm, SessionKey, SessionKeyError, SessionKeys};

/// `typ` of a session JWT, which no other kind of token has (RFC 8725 section 3.11).
pub const TYPE: &str = "session+jwt";

/// The longest token that is minted or looked at, in bytes: what a browser keeps of one cookie,
/// name and value together (RFC 6265 section 6.1). The name is the cookie writer's to count.
pub const MAX_BYTES: usize = 4096;

/// Claims with a meaning of their own, here or in another kind of token. An operator's claim may
/// not have one of these names.
pub const RESERVED_CLAIMS: [&str; 17] = [
    "iss",
    "aud",
    "sub",
    "sid",
    "jti",
    "iat",
    "exp",
    "nbf",
    "auth_time",
    "session_iat",
    "session_exp",
    "nonce",
    "azp",
    "at_hash",
    "c_hash",
    "events",
    "cnf",
];

/// The longest `sid` and `jti`, in characters.
const MAX_ID_CHARS: usize = 128;

/// The content of a session JWT. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct SessionClaims {
    /// The gateway's public URL.
    pub iss: String,
    /// For whom the token is.
    pub aud: String,
    /// `sub` at the IdP: at most 255 ASCII characters.
    pub sub: String,
    /// Stable id of the session.
    pub sid: String,
    /// Id of this one token.
    pub jti: String,
    /// When this token was minted.
    pub iat: UnixSeconds,
    /// When this token stops to open doors; after `iat`, not after `session_exp`.
    pub exp: UnixSeconds,
    /// When the user authenticated at the IdP.
    pub auth_time: UnixSeconds,
    /// When the session started, by the control service's clock.
    pub session_iat: UnixSeconds,
    /// When the session ends, whatever is refreshed.
    pub session_exp: UnixSeconds,
    /// The operator's choice, as members beside the others; none of [`RESERVED_CLAIMS`].
    pub claims: Claims,
}

/// What a token must say to be one of ours.
#[derive(Debug, Clone, Copy)]
pub struct SessionExpect<'a> {
    /// `iss`, byte by byte.
    pub iss: &'a str,
    /// `aud`, or one of its members.
    pub aud: &'a str,
    /// How far `iat` and `nbf` may lie in the future, in seconds: gateways' clocks differ.
    pub clock_skew: u64,
}

/// Why no token is minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// An operator's claim has one of the [`RESERVED_CLAIMS`] as its name.
    #[error("a claim has a name that session JWTs reserve; choose another name for it")]
    ReservedClaim,
    /// Longer than [`MAX_BYTES`].
    #[error("the session JWT would not fit a cookie of 4096 bytes; choose fewer or smaller claims")]
    TooLarge,
    /// The token would be refused by [`verify`].
    #[error("the session JWT would be refused: {0}")]
    Unacceptable(TokenError),
    /// The key could not sign.
    #[error("the session key could not sign")]
    Signing,
}

impl MintError {
    /// The stable name used in responses, metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::ReservedClaim => "mint_reserved_claim",
            Self::TooLarge => "mint_too_large",
            Self::Unacceptable(_) => "mint_unacceptable",
            Self::Signing => "mint_signing",
        }
    }
}

/// Whether an operator's claim may not have this name.
pub fn is_reserved(name: &str) -> bool {
    RESERVED_CLAIMS.contains(&name)
}

/// Signs `claims` with the first key. The same claims and key give the same token.
///
/// Nothing is minted that [`verify`] would refuse.
pub fn mint(keys: &SessionKeys, claims: &SessionClaims) -> Result<String, MintError> {
    if claims.claims.keys().any(|name| is_reserved(name)) {
        return Err(MintError::ReservedClaim);
    }
    let payload = Value::Object(members(claims)).to_string();
    let own = SessionExpect {
        iss: &claims.iss,
        aud: &claims.aud,
        clock_skew: 0,
    };
    read_claims(payload.as_bytes(), &own, claims.iat).map_err(|fault| match fault {
        TokenError::TooLarge => MintError::TooLarge,
        fault => MintError::Unacceptable(fault),
    })?;

    let key = keys.signing();
    let input = format!(
        "{}.{}",
        encode_base64url(key.header().as_bytes()),
        encode_base64url(payload.as_bytes())
    );
    let signature = key.sign(&input).ok_or(MintError::Signing)?;
    let token = format!("{input}.{signature}");
    if token.len() > MAX_BYTES {
        return Err(MintError::TooLarge);
    }
    Ok(token)
}

/// Verifies that `token` is a session JWT of ours, whether or not its `exp` has passed.
///
/// Checked are, in this order: size, form (see [`CompactJws`]), `typ`, `kid`, that `alg` is the
/// key's own, the signature, and then every claim by presence, type and value; `iat` and `nbf` may
/// lie `clock_skew` seconds after `now`. See RFC 8725 for why each of them.
pub fn verify(
    keys: &SessionKeys,
    expect: &SessionExpect<'_>,
    token: &str,
    now: UnixSeconds,
) -> Result<SessionClaims, TokenError> {
    let jws = CompactJws::parse(token, MAX_BYTES)?;
    if jws.header.typ.as_deref() != Some(TYPE) {
        return Err(TokenError::Type);
    }
    let kid = jws.header.kid.as_deref().ok_or(TokenError::UnknownKey)?;
    let key = keys.by_kid(kid).ok_or(TokenError::UnknownKey)?;
    if jws.header.algorithm != key.algorithm() {
        return Err(TokenError::Algorithm);
    }
    if !key.verify(jws.signing_input, jws.signature_text) {
        return Err(TokenError::Signature);
    }
    read_claims(&jws.payload, expect, now)
}

fn read_claims(
    payload: &[u8],
    expect: &SessionExpect<'_>,
    now: UnixSeconds,
) -> Result<SessionClaims, TokenError> {
    let set = parse_object(payload, MAX_BYTES).map_err(|fault| match fault {
        crate::jose::json::JsonError::TooLarge => TokenError::TooLarge,
        _ => TokenError::Malformed,
    })?;
    check_issuer(&set, expect.iss)?;
    if !audiences(&set)?.contains(&expect.aud) {
        return Err(TokenError::Audience);
    }
    let iat = check_begun(&set, now, expect.clock_skew)?;
    let exp = required_date(&set, "exp")?;
    let session_exp = required_date(&set, "session_exp")?;
    if exp <= iat || exp > session_exp {
        return Err(TokenError::Claim("exp"));
    }
    Ok(SessionClaims {
        iss: expect.iss.to_owned(),
        aud: expect.aud.to_owned(),
        sub: subject(&set)?.ok_or(TokenError::Claim("sub"))?,
        sid: required_string(&set, "sid", MAX_ID_CHARS)?,
        jti: required_string(&set, "jti", MAX_ID_CHARS)?,
        iat,
        exp,
        auth_time: required_date(&set, "auth_time")?,
        session_iat: required_date(&set, "session_iat")?,
        session_exp,
        claims: set
            .into_iter()
            .filter(|(name, _)| !is_reserved(name))
            .collect(),
    })
}

fn members(claims: &SessionClaims) -> ClaimSet {
    let mut members = claims.claims.clone();
    let ours: [(&str, Value); 10] = [
        ("iss", claims.iss.as_str().into()),
        ("aud", claims.aud.as_str().into()),
        ("sub", claims.sub.as_str().into()),
        ("sid", claims.sid.as_str().into()),
        ("jti", claims.jti.as_str().into()),
        ("iat", claims.iat.into()),
        ("exp", claims.exp.into()),
        ("auth_time", claims.auth_time.into()),
        ("session_iat", claims.session_iat.into()),
        ("session_exp", claims.session_exp.into()),
    ];
    members.extend(ours.map(|(name, value)| (name.to_owned(), value)));
    members
}

#[cfg(test)]
mod tests;
