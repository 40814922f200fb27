//! The ID token: what the IdP says about who logged in (OIDC Core 2 and 3.1.3.7).

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use gatelatch_wire::UnixSeconds;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::jose::claims::{
    ClaimSet, audiences, check_begun, check_issuer, optional_date, optional_string, required_date,
    subject,
};
use crate::jose::json::parse_object;
use crate::jose::verifier::verify_with_set;
use crate::jose::{Algorithm, CompactJws, JwkSet, SignatureVerifier, TokenError, encode_base64url};

/// The longest ID token that is looked at, in bytes. Tokens with many groups are long.
pub const MAX_BYTES: usize = 64 * 1024;

/// How old, in seconds, an ID token may be when a login ends with it, beside the clock skew.
pub const MAX_AGE_AT_LOGIN: u64 = 600;

/// The longest `sid` that is taken; real ones have 304 characters.
pub const MAX_SID_CHARS: usize = 512;

/// Why an ID token is refused. [`TokenError::UnknownKey`] alone is worth a new fetch of the JWKS.
pub type IdTokenError = TokenError;

/// What is asked of `nonce`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonce<'a> {
    /// At login: it must be this one. The token must also be fresh, see [`MAX_AGE_AT_LOGIN`].
    Required(&'a str),
    /// At refresh, where the login's is still known: absent, or this one (OIDC Core 12.2).
    IfPresent(&'a str),
    /// At refresh, where it is not.
    Ignore,
}

/// What an ID token must say. Times are seconds since 1970.
#[derive(Clone, Copy)]
pub struct IdTokenExpect<'a> {
    /// The issuer as configured, compared byte by byte.
    pub issuer: &'a str,
    /// Our `client_id`.
    pub client_id: &'a str,
    /// The allowed algorithms; HMAC is refused even when it is listed.
    pub algorithms: &'a [Algorithm],
    /// What is asked of `nonce`.
    pub nonce: Nonce<'a>,
    /// The present.
    pub now: UnixSeconds,
    /// How far the IdP's clock may be from ours, in seconds.
    pub clock_skew: u64,
    /// The access token that came along, against which `at_hash` is checked where there is one.
    pub access_token: Option<&'a str>,
    /// At refresh: the subject of the session, which must not change (OIDC Core 12.2).
    pub sub: Option<&'a str>,
}

/// A valid ID token. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq)]
pub struct IdToken {
    /// `sub`: 1 to 255 ASCII characters, unique at its issuer.
    pub sub: String,
    /// `sid`: the IdP's name for its session with this browser (OIDC Back-Channel Logout 2.1).
    pub sid: Option<String>,
    /// `auth_time`, where the IdP tells it.
    pub auth_time: Option<UnixSeconds>,
    /// `iat`.
    pub iat: UnixSeconds,
    /// `exp`.
    pub exp: UnixSeconds,
    /// `nonce`.
    pub nonce: Option<String>,
    /// All claims, those above included.
    pub claims: Map<String, Value>,
}

/// Validates `token` in full, the signature included: the connection it came over may end before
/// the IdP does.
///
/// In this order: size and form (see [`CompactJws`]); `typ`, which must be absent or `JWT`, so
/// that no access token (RFC 9068), logout token or session JWT passes; the signature, with an
/// allowed algorithm and a key of `keys`; then `iss`, `aud`, `azp`, `iat`, `nbf`, `exp`, `sub`,
/// `nonce`, `at_hash`, `sid` and `auth_time`. Unknown claims are kept and not judged.
pub fn validate(
    token: &str,
    expect: &IdTokenExpect<'_>,
    keys: &JwkSet,
    host: &dyn SignatureVerifier,
) -> Result<IdToken, IdTokenError> {
    let jws = CompactJws::parse(token, MAX_BYTES)?;
    if jws.header.typ.is_some() && !jws.header.is_type("jwt") {
        return Err(TokenError::Type);
    }
    verify_with_set(&jws, expect.algorithms, keys, host)?;
    let claims = parse_object(&jws.payload, MAX_BYTES).map_err(|_| TokenError::Malformed)?;
    // Some IdPs give their logout tokens the type JWT too; `events` is what tells them apart.
    if claims.contains_key("events") {
        return Err(TokenError::Type);
    }
    check_issuer(&claims, expect.issuer)?;
    check_audience(&claims, expect.client_id)?;
    let (iat, exp) = check_times(&claims, expect)?;
    let sub = check_subject(&claims, expect.sub)?;
    let nonce = check_nonce(&claims, expect.nonce)?;
    check_access_token(&claims, jws.header.algorithm, expect.access_token)?;
    Ok(IdToken {
        sub,
        sid: optional_string(&claims, "sid", MAX_SID_CHARS)?,
        auth_time: optional_date(&claims, "auth_time")?,
        iat,
        exp,
        nonce,
        claims,
    })
}

/// `aud` must hold us. Whoever else it holds is trusted only if the IdP says by `azp` that the
/// token was issued to us: Zitadel lists all clients of a project that way.
fn check_audience(claims: &ClaimSet, client_id: &str) -> Result<(), TokenError> {
    let audiences = audiences(claims)?;
    let alone = audiences.iter().all(|audience| *audience == client_id);
    let issued_to_us = match claims.get("azp") {
        None => alone,
        Some(azp) => azp.as_str() == Some(client_id),
    };
    if audiences.contains(&client_id) && issued_to_us {
        Ok(())
    } else {
        Err(TokenError::Audience)
    }
}

/// Returns `iat` and `exp`.
fn check_times(
    claims: &ClaimSet,
    expect: &IdTokenExpect<'_>,
) -> Result<(UnixSeconds, UnixSeconds), TokenError> {
    let iat = check_begun(claims, expect.now, expect.clock_skew)?;
    let exp = required_date(claims, "exp")?;
    if exp.saturating_add(expect.clock_skew) <= expect.now {
        return Err(TokenError::Expired);
    }
    let at_login = matches!(expect.nonce, Nonce::Required(_));
    let oldest = expect
        .now
        .saturating_sub(MAX_AGE_AT_LOGIN)
        .saturating_sub(expect.clock_skew);
    if at_login && iat < oldest {
        return Err(TokenError::Expired);
    }
    Ok((iat, exp))
}

fn check_subject(claims: &ClaimSet, expected: Option<&str>) -> Result<String, TokenError> {
    let sub = subject(claims)?.ok_or(TokenError::Claim("sub"))?;
    match expected {
        Some(expected) if expected != sub => Err(TokenError::Subject),
        _ => Ok(sub),
    }
}

fn check_nonce(claims: &ClaimSet, expected: Nonce<'_>) -> Result<Option<String>, TokenError> {
    let nonce = match claims.get("nonce") {
        None => None,
        Some(Value::String(nonce)) => Some(nonce.clone()),
        Some(_) => return Err(TokenError::Nonce),
    };
    let fits = match expected {
        Nonce::Required(expected) => !expected.is_empty() && nonce.as_deref() == Some(expected),
        Nonce::IfPresent(expected) => nonce.as_deref().is_none_or(|nonce| nonce == expected),
        Nonce::Ignore => true,
    };
    if fits {
        Ok(nonce)
    } else {
        Err(TokenError::Nonce)
    }
}

/// `at_hash`, where present, binds the access token to this ID token (OIDC Core 3.1.3.6).
fn check_access_token(
    claims: &ClaimSet,
    algorithm: Algorithm,
    access_token: Option<&str>,
) -> Result<(), TokenError> {
    match (claims.get("at_hash"), access_token) {
        (None, _) | (_, None) => Ok(()),
        (Some(at_hash), Some(access_token)) => {
            if at_hash.as_str() == Some(&half_hash(algorithm, access_token)) {
                Ok(())
            } else {
                Err(TokenError::Claim("at_hash"))
            }
        }
    }
}

/// The left half of the hash that belongs to `algorithm`, in base64url. For Ed25519 that is
/// SHA-512, which is what it signs with.
fn half_hash(algorithm: Algorithm, token: &str) -> String {
    let hash = match algorithm {
        Algorithm::Hs256 | Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256 => {
            Sha256::digest(token).to_vec()
        }
        Algorithm::Rs384 | Algorithm::Ps384 | Algorithm::Es384 => Sha384::digest(token).to_vec(),
        Algorithm::Rs512 | Algorithm::Ps512 | Algorithm::EdDsa => Sha512::digest(token).to_vec(),
    };
    let (left, _) = hash.split_at(hash.len() / 2);
    encode_base64url(left)
}

#[cfg(test)]
mod tests;
