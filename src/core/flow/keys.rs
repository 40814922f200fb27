//! ID tokens against the provider's keys, which are fetched again when one is not known.

use gatelatch_wire::Secret;

use crate::gate::{Env, Gate};
use crate::id_token::{self, IdToken, IdTokenError, IdTokenExpect, Nonce};
use crate::jose::jwks::JwkSet;
use crate::provider;
use crate::step::{CallReply, Callout};
use crate::token_endpoint::Tokens;

/// Seconds between two fetches of the key set that an unknown key id may cause.
const KEYS_REFETCH_WINDOW: u64 = 30;

/// Validates the ID token of a token answer (OIDC Core 3.1.3.7, 12.2). Ok(None): there is none.
/// `sub`: the user that it must be about, at a refresh.
pub(crate) fn validate(
    gate: &Gate,
    tokens: &Tokens,
    nonce: Nonce<'_>,
    sub: Option<&str>,
    env: &Env<'_>,
) -> Result<Option<IdToken>, IdTokenError> {
    let Some(token) = tokens.id_token.as_ref().map(Secret::reveal) else {
        return Ok(None);
    };
    let metadata = gate.provider.metadata.as_ref();
    let algorithms = metadata.map(|metadata| metadata.id_token_algorithms.as_slice());
    let expect = IdTokenExpect {
        issuer: &gate.config.issuer,
        client_id: &gate.config.client_id,
        algorithms: algorithms.unwrap_or_default(),
        nonce,
        now: env.now,
        clock_skew: gate.config.clock_skew,
        access_token: Some(tokens.access_token.reveal()),
        sub,
    };
    id_token::validate(token, &expect, &gate.provider.keys, env.verifier).map(Some)
}

/// The key set once more, unless an unknown key has just caused the same.
pub(crate) fn refetch(gate: &mut Gate, env: &Env<'_>) -> Option<Callout> {
    let provider = &mut gate.provider;
    if env.now
        < provider
            .keys_refetched_at
            .saturating_add(KEYS_REFETCH_WINDOW)
    {
        return None;
    }
    provider.keys_refetched_at = env.now;
    provider
        .metadata
        .as_ref()
        .map(|metadata| provider::fetch(&metadata.jwks_uri))
}

/// Takes over a fetched key set; what cannot be used leaves the old one in place.
pub(crate) fn take(gate: &mut Gate, reply: &CallReply<'_>) {
    let keys = reply.success().and_then(|body| JwkSet::parse(body).ok());
    if let Some(keys) = keys.filter(|keys| keys.usable_keys() > 0) {
        gate.provider.keys = keys;
    }
}
