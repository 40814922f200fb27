//! Renewal of an expired session behind the user's back: one token call, whoever asks.
//!
//! ```text
//! begin → ExpectLease ──lease──→ ExpectRefreshed ──tokens──→ [ExpectRefreshKeys] → ExpectStored → on with it
//!              │ renewed ─────────────────────────────────────────────────────────────────────→ on with it
//!              │                        └──failure──→ ExpectFailReport → kept: grace or 503 · gone: log in
//!              │ busy, backoff, no answer → grace or 503
//!              └ gone → log in
//! ```
//!
//! The work belongs to no request: when the client leaves, it goes on, because a rotated token that
//! is not stored is a session lost.

mod outcome;

use std::rc::Rc;

use gatelatch_wire::session::{
    BeginOutcome, BeginRefresh, Claims, CompleteOutcome, CompleteRefresh, FailClass, FailOutcome,
    FailRefresh, GoneReason, RenewLease,
};

use crate::control_api;
use crate::denial::Denial;
use crate::flow::keys;
use crate::gate::{Env, Gate, Held};
use crate::id_token::{IdToken, IdTokenError};
use crate::known::KnownToken;
use crate::mint;
use crate::pending::Pending;
use crate::step::{CallReply, Callout, Edits, Step};
use crate::token_endpoint::{self, Failure, Tokens};
use crate::userinfo::{self, UserinfoError};

pub use outcome::deliver;

/// What a refresh carries from step to step.
#[derive(Debug)]
pub struct Refresh {
    /// The request that waits; None: the session is renewed before its token expires, and nobody
    /// waits.
    held: Option<Held>,
    known: Rc<KnownToken>,
    /// Whether the IdP has already rejected the token once for this request.
    retried: bool,
}

/// Waits for the right to spend the refresh token.
#[derive(Debug)]
pub struct ExpectLease {
    refresh: Refresh,
}

/// Waits for new tokens; keeps the lease alive meanwhile.
#[derive(Debug)]
pub struct ExpectRefreshed {
    refresh: Refresh,
    lease: String,
    lease_ms: u32,
    renewed_at_ms: u64,
}

/// Waits for a newer key set.
#[derive(Debug)]
pub struct ExpectRefreshKeys {
    refresh: Refresh,
    lease: String,
    tokens: Tokens,
}

/// Waits for claims that the ID token does not have.
#[derive(Debug)]
pub struct ExpectRefreshUserinfo {
    refresh: Refresh,
    lease: String,
    tokens: Tokens,
    id_token: Option<IdToken>,
}

/// Waits for the new tokens to be durable.
#[derive(Debug)]
pub struct ExpectStored {
    refresh: Refresh,
    body: CompleteRefresh,
    tries: u32,
}

/// Waits for the word whether the session survives a failure.
#[derive(Debug)]
pub struct ExpectFailReport {
    refresh: Refresh,
    class: FailClass,
}

/// Times that storing rotated tokens is tried: with pauses of at most 5 s, for about a minute.
const STORE_TRIES: u32 = 16;

/// Holds the request and asks for a lease.
pub fn begin(gate: &Gate, held: Held, known: Rc<KnownToken>) -> Step {
    ask(
        gate,
        Refresh {
            held: Some(held),
            known,
            retried: false,
        },
        0,
    )
}

/// Lets the request go on and renews its session beside it.
pub fn begin_early(gate: &Gate, edits: Edits, known: Rc<KnownToken>) -> Step {
    let (call, then) = question(
        gate,
        Refresh {
            held: None,
            known,
            retried: false,
        },
        0,
    );
    Step::ForwardAnd { edits, call, then }
}

fn ask(gate: &Gate, refresh: Refresh, delay_ms: u32) -> Step {
    let (call, then) = question(gate, refresh, delay_ms);
    Step::Await { call, then }
}

fn question(gate: &Gate, refresh: Refresh, delay_ms: u32) -> (Callout, Pending) {
    let body = BeginRefresh {
        jti: refresh.known.claims.jti.clone(),
        holder: gate.gateway_id.clone(),
        wait_ms: gate.config.refresh.wait_ms,
    };
    let mut call = control_api::begin(&gate.config, &refresh.known.claims.sid, &body);
    call.delay_ms = delay_ms;
    (
        call,
        Pending::ExpectLease(Box::new(ExpectLease { refresh })),
    )
}

impl ExpectLease {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, env: &mut Env<'_>) -> Step {
        let refresh = self.refresh;
        match control_api::read(&reply) {
            Some(BeginOutcome::Lease {
                lease,
                lease_ms,
                refresh_token,
                ..
            }) => {
                let Some(metadata) = &gate.provider.metadata else {
                    let failure = Failure {
                        class: FailClass::Transient,
                        retry_after_s: None,
                    };
                    return report(gate, refresh, lease, failure);
                };
                let call = token_endpoint::refresh(&gate.config, metadata, &refresh_token);
                let state = ExpectRefreshed {
                    refresh,
                    lease,
                    lease_ms,
                    renewed_at_ms: env.now_ms,
                };
                Step::Await {
                    call,
                    then: Pending::ExpectRefreshed(Box::new(state)),
                }
            }
            Some(BeginOutcome::Renewed { session }) => {
                refresh.go_on(gate, &session, "refresh.joined", env)
            }
            Some(BeginOutcome::Gone { reason }) => refresh.end(gate, reason, env),
            Some(BeginOutcome::Busy { .. } | BeginOutcome::Backoff { .. }) => {
                refresh.put_off(gate, Denial::RefreshUnavailable, env)
            }
            None => refresh.put_off(gate, Denial::ControlUnavailable, env),
        }
    }
}

impl ExpectRefreshed {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, env: &mut Env<'_>) -> Step {
        let tokens = match token_endpoint::read(&gate.config, &reply) {
            Ok(tokens) => tokens,
            Err(failure) => return report(gate, self.refresh, self.lease, failure),
        };
        match self.refresh.validate(gate, &tokens, env) {
            Err(IdTokenError::UnknownKey) => match keys::refetch(gate, env) {
                Some(call) => {
                    let state = ExpectRefreshKeys {
                        refresh: self.refresh,
                        lease: self.lease,
                        tokens,
                    };
                    Step::Await {
                        call,
                        then: Pending::ExpectRefreshKeys(Box::new(state)),
                    }
                }
                // The key set was fetched just now. The rotated token must not be lost for that.
                None => store(gate, self.refresh, self.lease, tokens, None),
            },
            Err(_) => mismatch(gate, self.refresh, self.lease),
            Ok(id_token) => ask_userinfo(gate, self.refresh, self.lease, tokens, id_token),
        }
    }

    pub(crate) fn keep_alive(&mut self, gate: &Gate, now_ms: u64) -> Option<Callout> {
        let due = self
            .renewed_at_ms
            .saturating_add(u64::from(self.lease_ms) / 3);
        if now_ms < due {
            return None;
        }
        self.renewed_at_ms = now_ms;
        let body = RenewLease {
            lease: self.lease.clone(),
        };
        Some(control_api::renew(
            &gate.config,
            &self.refresh.known.claims.sid,
            &body,
        ))
    }
}

impl ExpectRefreshKeys {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, env: &mut Env<'_>) -> Step {
        keys::take(gate, &reply);
        match self.refresh.validate(gate, &self.tokens, env) {
            Ok(id_token) => ask_userinfo(gate, self.refresh, self.lease, self.tokens, id_token),
            // Still unknown: the ID token counts as absent, which is allowed at a refresh, and the
            // rotated token is kept.
            Err(IdTokenError::UnknownKey) => {
                store(gate, self.refresh, self.lease, self.tokens, None)
            }
            Err(_) => mismatch(gate, self.refresh, self.lease),
        }
    }
}

impl ExpectRefreshUserinfo {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, _: &mut Env<'_>) -> Step {
        match userinfo::read(&reply, &self.refresh.known.claims.sub) {
            Ok(claims) => {
                let mut all = self
                    .id_token
                    .map(|id_token| id_token.claims)
                    .unwrap_or_default();
                userinfo::complete(&mut all, claims);
                let chosen = mint::chosen_claims(&gate.config, &all);
                store(gate, self.refresh, self.lease, self.tokens, Some(chosen))
            }
            // The tokens are good: the claims stay as they were.
            Err(UserinfoError::Unavailable) => {
                store(gate, self.refresh, self.lease, self.tokens, None)
            }
            Err(UserinfoError::Mismatch) => mismatch(gate, self.refresh, self.lease),
        }
    }
}

impl ExpectStored {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, env: &mut Env<'_>) -> Step {
        match control_api::read(&reply) {
            Some(CompleteOutcome::Stored { session } | CompleteOutcome::Superseded { session }) => {
                self.refresh.go_on(gate, &session, "refresh.renewed", env)
            }
            Some(CompleteOutcome::Gone { reason }) => self.refresh.end(gate, reason, env),
            None if self.tries < STORE_TRIES => self.try_again(gate),
            None => self.refresh.put_off(gate, Denial::ControlUnavailable, env),
        }
    }

    /// The control service does not answer, but the old token is spent: its successor must land.
    fn try_again(mut self, gate: &Gate) -> Step {
        let mut call =
            control_api::complete(&gate.config, &self.refresh.known.claims.sid, &self.body);
        call.delay_ms = 100_u32.saturating_mul(1 << self.tries.min(10)).min(5_000);
        self.tries = self.tries.saturating_add(1);
        Step::Await {
            call,
            then: Pending::ExpectStored(Box::new(self)),
        }
    }
}

impl ExpectFailReport {
    pub(crate) fn on_reply(
        mut self,
        gate: &mut Gate,
        reply: CallReply<'_>,
        env: &mut Env<'_>,
    ) -> Step {
        match control_api::read(&reply) {
            Some(FailOutcome::Gone { reason }) => self.refresh.end(gate, reason, env),
            // The token may have been spent by another: read the store again, once.
            Some(FailOutcome::Kept { retry_after_ms })
                if self.class == FailClass::Rejected && !self.refresh.retried =>
            {
                self.refresh.retried = true;
                ask(gate, self.refresh, retry_after_ms.clamp(1, 500))
            }
            Some(FailOutcome::Kept { .. }) => {
                self.refresh.put_off(gate, Denial::RefreshUnavailable, env)
            }
            None => match self.class {
                FailClass::InvalidGrant => self.refresh.end(gate, GoneReason::InvalidGrant, env),
                FailClass::Mismatch => self.refresh.end(gate, GoneReason::Mismatch, env),
                _ => self.refresh.put_off(gate, Denial::ControlUnavailable, env),
            },
        }
    }
}

/// Goes on to UserInfo where it is configured, otherwise straight to the store.
fn ask_userinfo(
    gate: &Gate,
    refresh: Refresh,
    lease: String,
    tokens: Tokens,
    id_token: Option<IdToken>,
) -> Step {
    let metadata = gate.provider.metadata.as_ref();
    if let Some(call) = userinfo::request(&gate.config, metadata, &tokens.access_token) {
        let state = ExpectRefreshUserinfo {
            refresh,
            lease,
            tokens,
            id_token,
        };
        return Step::Await {
            call,
            then: Pending::ExpectRefreshUserinfo(Box::new(state)),
        };
    }
    let claims = id_token.map(|id_token| mint::chosen_claims(&gate.config, &id_token.claims));
    store(gate, refresh, lease, tokens, claims)
}

/// `claims`: None leaves them, and the stored ID token, as they were.
fn store(
    gate: &Gate,
    refresh: Refresh,
    lease: String,
    tokens: Tokens,
    claims: Option<Claims>,
) -> Step {
    let body = CompleteRefresh {
        lease,
        refresh_token: tokens.refresh_token,
        id_token: claims.as_ref().and(tokens.id_token),
        claims,
    };
    Step::Await {
        call: control_api::complete(&gate.config, &refresh.known.claims.sid, &body),
        then: Pending::ExpectStored(Box::new(ExpectStored {
            refresh,
            body,
            tries: 0,
        })),
    }
}

fn report(gate: &Gate, refresh: Refresh, lease: String, failure: Failure) -> Step {
    let body = FailRefresh {
        lease,
        class: failure.class,
        retry_after_s: failure.retry_after_s,
    };
    Step::Await {
        call: control_api::fail(&gate.config, &refresh.known.claims.sid, &body),
        then: Pending::ExpectFailReport(Box::new(ExpectFailReport {
            refresh,
            class: failure.class,
        })),
    }
}

fn mismatch(gate: &Gate, refresh: Refresh, lease: String) -> Step {
    report(
        gate,
        refresh,
        lease,
        Failure {
            class: FailClass::Mismatch,
            retry_after_s: None,
        },
    )
}
