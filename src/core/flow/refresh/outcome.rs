//! How a refresh ends for the request that waits for it.

use gatelatch_wire::session::{GoneReason, SessionView};

use super::Refresh;
use crate::cookie;
use crate::denial::Denial;
use crate::flow::{keys, session_info};
use crate::gate::{Env, Gate, Goal};
use crate::id_token::{IdToken, IdTokenError, Nonce};
use crate::known::KnownToken;
use crate::mint::{self, Minted};
use crate::rules::Access;
use crate::step::{Edits, Step};
use crate::token_endpoint::Tokens;

impl Refresh {
    /// The refreshed ID token, which may be absent, and must be about the same user.
    pub(super) fn validate(
        &self,
        gate: &Gate,
        tokens: &Tokens,
        env: &Env<'_>,
    ) -> Result<Option<IdToken>, IdTokenError> {
        keys::validate(
            gate,
            tokens,
            Nonce::Ignore,
            Some(&self.known.claims.sub),
            env,
        )
    }

    /// The session is renewed: the request continues with a new cookie on its response.
    pub(super) fn go_on(
        self,
        gate: &Gate,
        session: &SessionView,
        note: &'static str,
        env: &mut Env<'_>,
    ) -> Step {
        let Some(held) = self.held else {
            self.known.renewed.replace(Some(Box::new(session.clone())));
            return Step::Done;
        };
        let jti = mint::fresh_id(env);
        let Ok(minted) = mint::mint(&gate.config, session, jti, env) else {
            return gate.refuse(&held.challenge, Denial::MintFailed, env);
        };
        match held.goal {
            Goal::SessionInfo => session_info::answer(&minted.known, vec![minted.set_cookie], env),
            Goal::Upstream => Step::Forward(renewed(gate, held.cleaned, minted, note)),
        }
    }

    /// The session is over.
    pub(super) fn end(self, gate: &Gate, reason: GoneReason, env: &mut Env<'_>) -> Step {
        let Some(held) = self.held else {
            return Step::Done;
        };
        if held.access == Access::Optional {
            let set_cookies = vec![cookie::clear(&gate.config.cookies.session, "/")];
            return Step::Forward(Edits {
                set_cookies,
                note: Some("refresh.ended"),
                ..held.cleaned
            });
        }
        gate.refuse(&held.challenge, Denial::SessionEnded(reason), env)
    }

    /// The session is kept but could not be renewed now: within the grace the request goes on with
    /// the old claims, past it the client is told to come back.
    pub(super) fn put_off(self, gate: &Gate, denial: Denial, env: &mut Env<'_>) -> Step {
        let Some(held) = self.held else {
            return Step::Done;
        };
        let policy = &gate.config.refresh;
        let claims = &self.known.claims;
        let in_grace =
            env.now < claims.exp.saturating_add(policy.grace) && env.now < claims.session_exp;
        let allowed = in_grace && (held.safe || !policy.grace_safe_methods_only);
        let revoked = gate
            .revoked
            .forbids(&self.known.subject, env.now, env.segments);
        match (allowed && !revoked, held.goal) {
            (true, Goal::Upstream) => {
                let mut edits = gate.identified(held.cleaned, &self.known);
                edits.note = Some("refresh.grace");
                Step::Forward(edits)
            }
            (true, Goal::SessionInfo) => session_info::answer(&self.known, Vec::new(), env),
            (false, _) => gate.refuse(&held.challenge, denial, env),
        }
    }
}

/// Puts the cookie of a session that was renewed early onto the response of a later request.
pub fn deliver(
    gate: &Gate,
    cleaned: Edits,
    known: &KnownToken,
    session: &SessionView,
    env: &mut Env<'_>,
) -> Step {
    let jti = mint::fresh_id(env);
    match mint::mint(&gate.config, session, jti, env) {
        Ok(minted) => Step::Forward(renewed(gate, cleaned, minted, "refresh.early")),
        Err(_) => Step::Forward(gate.identified(cleaned, known)),
    }
}

/// A request's edits once its session has a new token.
fn renewed(gate: &Gate, cleaned: Edits, minted: Minted, note: &'static str) -> Edits {
    let mut edits = gate.identified(cleaned, &minted.known);
    if gate.config.forward_jwt {
        let name = &gate.config.cookies.session;
        edits.cookie = Some(with_token(edits.cookie, name, &minted.token));
    }
    edits.set_cookies.push(minted.set_cookie);
    edits.note = Some(note);
    edits
}

/// The cookies for an application that receives the session JWT: the new one in the old one's place.
fn with_token(cookie: Option<Vec<u8>>, name: &str, token: &str) -> Vec<u8> {
    let rest = cookie.unwrap_or_default();
    let mut line = cookie::without(&rest, |found| found == name.as_bytes()).unwrap_or(rest);
    if !line.is_empty() {
        line.extend_from_slice(b"; ");
    }
    line.extend_from_slice(name.as_bytes());
    line.push(b'=');
    line.extend_from_slice(token.as_bytes());
    line
}
