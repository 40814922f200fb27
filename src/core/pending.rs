//! Every point at which work waits for a peer. To add a call is to add a variant: the compiler
//! lists the rest.

use crate::flow::callback::{ExpectClaim, ExpectCreated, ExpectKeys, ExpectTokens, ExpectUserinfo};
use crate::flow::logout::ExpectEnded;
use crate::flow::refresh::{
    ExpectFailReport, ExpectLease, ExpectRefreshKeys, ExpectRefreshUserinfo, ExpectRefreshed,
    ExpectStored,
};
use crate::gate::{Env, Gate};
use crate::step::{CallReply, Callout, Step};

/// What is awaited, with all that its continuation needs. Consumed by the reply.
#[derive(Debug)]
pub enum Pending {
    /// Login: the transaction's first use, from the control service.
    ExpectClaim(Box<ExpectClaim>),
    /// Login: tokens for the code, from the IdP.
    ExpectTokens(Box<ExpectTokens>),
    /// Login: the key that signed the ID token, from the IdP.
    ExpectKeys(Box<ExpectKeys>),
    /// Login: further claims, from the IdP.
    ExpectUserinfo(Box<ExpectUserinfo>),
    /// Login: the session made durable, from the control service.
    ExpectCreated(Box<ExpectCreated>),
    /// Refresh: the right to spend the refresh token, from the control service.
    ExpectLease(Box<ExpectLease>),
    /// Refresh: new tokens, from the IdP.
    ExpectRefreshed(Box<ExpectRefreshed>),
    /// Refresh: the key that signed the new ID token, from the IdP.
    ExpectRefreshKeys(Box<ExpectRefreshKeys>),
    /// Refresh: further claims, from the IdP.
    ExpectRefreshUserinfo(Box<ExpectRefreshUserinfo>),
    /// Refresh: the new tokens made durable, from the control service.
    ExpectStored(Box<ExpectStored>),
    /// Refresh: what a failure means for the session, from the control service.
    ExpectFailReport(Box<ExpectFailReport>),
    /// Logout: the session's end made durable, from the control service.
    ExpectEnded(Box<ExpectEnded>),
    /// Nothing that anybody waits for.
    Ignore,
}

impl Pending {
    /// Goes on with the reply.
    pub fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, env: &mut Env<'_>) -> Step {
        match self {
            Self::ExpectClaim(state) => state.on_reply(gate, reply, env),
            Self::ExpectTokens(state) => state.on_reply(gate, reply, env),
            Self::ExpectKeys(state) => state.on_reply(gate, reply, env),
            Self::ExpectUserinfo(state) => state.on_reply(gate, reply, env),
            Self::ExpectCreated(state) => state.on_reply(gate, reply, env),
            Self::ExpectLease(state) => state.on_reply(gate, reply, env),
            Self::ExpectRefreshed(state) => state.on_reply(gate, reply, env),
            Self::ExpectRefreshKeys(state) => state.on_reply(gate, reply, env),
            Self::ExpectRefreshUserinfo(state) => state.on_reply(gate, reply, env),
            Self::ExpectStored(state) => state.on_reply(gate, reply, env),
            Self::ExpectFailReport(state) => state.on_reply(gate, reply, env),
            Self::ExpectEnded(state) => state.on_reply(gate, reply, env),
            Self::Ignore => Step::Done,
        }
    }

    /// What the peer was asked for, for metrics.
    pub fn label(&self) -> &'static str {
        match self {
            Self::ExpectClaim(_) => "login.claim",
            Self::ExpectTokens(_) => "login.tokens",
            Self::ExpectKeys(_) | Self::ExpectRefreshKeys(_) => "keys",
            Self::ExpectUserinfo(_) | Self::ExpectRefreshUserinfo(_) => "userinfo",
            Self::ExpectCreated(_) => "login.created",
            Self::ExpectLease(_) => "refresh.lease",
            Self::ExpectRefreshed(_) => "refresh.tokens",
            Self::ExpectStored(_) => "refresh.stored",
            Self::ExpectFailReport(_) => "refresh.failed",
            Self::ExpectEnded(_) => "logout.ended",
            Self::Ignore => "ignored",
        }
    }

    /// A call that tells the control service that we still hold a lease, when one is due.
    pub fn keep_alive(&mut self, gate: &Gate, now_ms: u64) -> Option<Callout> {
        match self {
            Self::ExpectRefreshed(state) => state.keep_alive(gate, now_ms),
            _ => None,
        }
    }
}
