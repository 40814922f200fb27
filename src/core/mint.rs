//! From a session that the control service knows to the cookie that a browser keeps.

use gatelatch_wire::session::{Claims, SessionView};
use serde_json::{Map, Value};

use crate::config::Config;
use crate::cookie;
use crate::entropy;
use crate::gate::Env;
use crate::known::KnownToken;
use crate::session_token::{self, MintError, SessionClaims};

/// A fresh session JWT and what it stands for.
#[derive(Debug)]
pub struct Minted {
    /// The `Set-Cookie` value.
    pub set_cookie: String,
    /// The JWT itself, for applications that receive it.
    pub token: String,
    /// The same as known to this VM.
    pub known: KnownToken,
}

/// The most that a browser keeps of one cookie: name and value together (RFC 6265bis section 5.6).
const MAX_COOKIE: usize = 4096;

/// Mints the next session JWT of `session`, with a `jti` of its own.
pub fn mint(
    config: &Config,
    session: &SessionView,
    jti: String,
    env: &mut Env<'_>,
) -> Result<Minted, MintError> {
    let origin = config.public_url.origin();
    let claims = SessionClaims {
        iss: origin.clone(),
        aud: origin,
        sub: session.sub.clone(),
        sid: session.sid.clone(),
        jti,
        iat: env.now,
        exp: env
            .now
            .saturating_add(config.session.ttl)
            .min(session.ends_at),
        auth_time: session.auth_time,
        session_iat: session.started_at,
        session_exp: session.ends_at,
        claims: session.claims.clone(),
    };
    let token = session_token::mint(&config.session_keys, &claims)?;
    let name = &config.cookies.session;
    if name.len().saturating_add(token.len()) > MAX_COOKIE {
        return Err(MintError::TooLarge);
    }
    // The cookie outlives the JWT, because an expired JWT is what a refresh starts from.
    let max_age = claims
        .exp
        .saturating_add(config.session.refresh_window)
        .min(claims.session_exp)
        .saturating_sub(env.now);
    let set_cookie = cookie::set(name, &token, "/", max_age);
    Ok(Minted {
        set_cookie,
        token,
        known: KnownToken::new(claims, config),
    })
}

/// A fresh id: 128 random bits, base64url.
pub fn fresh_id(env: &mut Env<'_>) -> String {
    entropy::token(env.entropy, 16)
}

/// The claims of an ID token that the operator chose for the session JWT.
pub fn chosen_claims(config: &Config, id_token: &Map<String, Value>) -> Claims {
    let chosen = config
        .claims
        .iter()
        .filter_map(|name| Some((name.clone(), id_token.get(name)?.clone())));
    chosen.collect()
}
