//! The steps of a refresh.

use gatelatch_wire::revocation::Digest;
use gatelatch_wire::session::{
    BeginOutcome, CompleteOutcome, CompleteRefresh, FailClass, FailOutcome, FailRefresh, GoneReason,
};

use super::{Policy, revocations, sessions};
use crate::arbiter::{self, Begin, Complete, Fail};
use crate::keyring::Column;
use crate::lease::LeaseName;
use crate::session::Session;
use crate::store::{StoreError, Tx, Value};

/// What a look at a session says to somebody who wants to refresh it.
#[derive(Debug)]
pub(crate) enum Look {
    /// The answer.
    Answer(Box<BeginOutcome>),
    /// Another holder is at work until then, in Unix milliseconds.
    Wait { until_ms: u64 },
    /// A lease may be had, or the session has to end: that takes [`grant`].
    Write,
}

/// What `renew` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renewed {
    /// The lease lasts so many milliseconds from now.
    Extended { lease_ms: u32 },
    /// Somebody else has the lease, or nobody.
    NotHolder,
    /// The session is over.
    Gone(GoneReason),
}

/// Looks, without writing.
pub(crate) async fn look(
    tx: &mut Tx<'_>,
    policy: &Policy,
    sid: &str,
    jti: Digest,
    now_ms: u64,
) -> Result<Look, StoreError> {
    let session = Session::load(tx, sid).await?;
    let decision = decide(tx, policy, session.as_ref(), jti, now_ms).await?;
    Ok(match (decision, session) {
        (Begin::Gone(reason), _) => Look::gone(reason),
        (Begin::Renewed, Some(session)) => Look::Answer(Box::new(BeginOutcome::Renewed {
            session: session.view(),
        })),
        (Begin::Wait { until_ms }, _) => Look::Wait { until_ms },
        _ => Look::Write,
    })
}

/// Looks again, and gives the lease where it can be had.
pub(crate) async fn grant(
    tx: &mut Tx<'_>,
    policy: &Policy,
    sid: &str,
    jti: Digest,
    holder: &str,
    now_ms: u64,
) -> Result<Look, StoreError> {
    let session = Session::load(tx, sid).await?;
    let decision = decide(tx, policy, session.as_ref(), jti, now_ms).await?;
    let Some(session) = session else {
        return Ok(Look::gone(GoneReason::Unknown));
    };
    let maybe_spent = match decision {
        Begin::Gone(reason) => return Ok(Look::gone(reason)),
        Begin::End(reason) => {
            sessions::end(tx, sid, reason, now_ms / 1000).await?;
            return Ok(Look::gone(reason));
        }
        Begin::Renewed => {
            return Ok(Look::Answer(Box::new(BeginOutcome::Renewed {
                session: session.view(),
            })));
        }
        Begin::Wait { until_ms } => return Ok(Look::Wait { until_ms }),
        Begin::Grant { maybe_spent } => maybe_spent,
    };
    let sealed = session
        .refresh_token
        .as_deref()
        .ok_or(StoreError::Corrupt)?;
    let refresh_token = policy.keyring.open(Column::RefreshToken, sid, sealed)?;
    let admitted = policy
        .breakers()
        .admit(&session.iss, now_ms, u64::from(policy.lease_ms));
    if let Err(retry_after_ms) = admitted {
        return Ok(Look::Answer(Box::new(BeginOutcome::Backoff {
            retry_after_ms,
        })));
    }
    let lease = LeaseName::new(session.generation, jti).encode();
    let update = "UPDATE sessions SET lease = $1, lease_holder = $2, lease_until_ms = $3, \
                  maybe_spent = $4 WHERE sid = $5";
    let params = [
        (&lease).into(),
        holder.into(),
        (now_ms + u64::from(policy.lease_ms)).into(),
        u64::from(maybe_spent).into(),
        sid.into(),
    ];
    tx.execute(update, &params).await?;
    Ok(Look::Answer(Box::new(BeginOutcome::Lease {
        lease,
        lease_ms: policy.lease_ms,
        refresh_token,
        maybe_spent,
        session: session.view(),
    })))
}

/// Takes a lease back whose holder never heard of it.
pub(crate) async fn release(tx: &mut Tx<'_>, sid: &str, lease: &str) -> Result<(), StoreError> {
    let update = "UPDATE sessions SET lease = NULL, lease_holder = NULL, lease_until_ms = NULL \
                  WHERE sid = $1 AND lease = $2";
    if tx.execute(update, &[sid.into(), lease.into()]).await? > 0 {
        tx.effects.sessions.push(sid.to_owned());
    }
    Ok(())
}

/// Extends the lease of its holder.
pub(crate) async fn renew(
    tx: &mut Tx<'_>,
    policy: &Policy,
    sid: &str,
    lease: &str,
    now_ms: u64,
) -> Result<Renewed, StoreError> {
    let Some(session) = Session::load(tx, sid).await? else {
        return Ok(Renewed::Gone(GoneReason::Unknown));
    };
    if let Some(ended) = session.ended {
        return Ok(Renewed::Gone(ended.reason));
    }
    let holds = |current: &crate::session::Lease| current.id == lease && now_ms < current.until_ms;
    if !session.lease.as_ref().is_some_and(holds) {
        return Ok(Renewed::NotHolder);
    }
    let until_ms = now_ms + u64::from(policy.lease_ms);
    let update = "UPDATE sessions SET lease_until_ms = $1 WHERE sid = $2";
    tx.execute(update, &[until_ms.into(), sid.into()]).await?;
    Ok(Renewed::Extended {
        lease_ms: policy.lease_ms,
    })
}

/// Keeps what the IdP answered. `name` is the lease of `answer`, parsed.
pub(crate) async fn complete(
    tx: &mut Tx<'_>,
    policy: &Policy,
    sid: &str,
    answer: &CompleteRefresh,
    name: &LeaseName,
    now_ms: u64,
) -> Result<CompleteOutcome, StoreError> {
    let now = now_ms / 1000;
    let session = Session::load(tx, sid).await?;
    let revoked = match &session {
        Some(session) => {
            revocations::forbids(tx, &session.digests(), session.started_at, now).await?
        }
        None => false,
    };
    let decision = arbiter::complete(session.as_ref(), revoked, &answer.lease, name, now_ms);
    let Some(session) = session else {
        return Ok(CompleteOutcome::Gone {
            reason: GoneReason::Unknown,
        });
    };
    match decision {
        Complete::Gone(reason) => return Ok(CompleteOutcome::Gone { reason }),
        Complete::End(reason) => {
            sessions::end(tx, sid, reason, now).await?;
            return Ok(CompleteOutcome::Gone { reason });
        }
        Complete::Superseded => {
            return Ok(CompleteOutcome::Superseded {
                session: session.view(),
            });
        }
        Complete::Repeated => {}
        Complete::Store => {
            store(tx, policy, &session, answer, now_ms).await?;
            policy.breakers().succeeded(&session.iss);
        }
    }
    // The JWT that asked was revoked meanwhile: the rotated token is kept for the session's other
    // JWTs, this one gets no successor.
    if revocations::forbids(tx, &[name.jti], 0, now).await? {
        return Ok(CompleteOutcome::Gone {
            reason: GoneReason::Revoked,
        });
    }
    let session = Session::load(tx, sid).await?.ok_or(StoreError::Corrupt)?;
    Ok(CompleteOutcome::Stored {
        session: session.view(),
    })
}

/// Gives the lease back after a failure, or ends the session.
pub(crate) async fn fail(
    tx: &mut Tx<'_>,
    policy: &Policy,
    sid: &str,
    failure: &FailRefresh,
    now_ms: u64,
) -> Result<FailOutcome, StoreError> {
    let session = Session::load(tx, sid).await?;
    let decision = arbiter::fail(session.as_ref(), &failure.lease, failure.class);
    let retry_after_ms = failure
        .retry_after_s
        .map(|seconds| u64::from(seconds) * 1000);
    let Some(session) = session else {
        return Ok(FailOutcome::Gone {
            reason: GoneReason::Unknown,
        });
    };
    match decision {
        Fail::Gone(reason) => Ok(FailOutcome::Gone { reason }),
        Fail::End(reason) => {
            policy.breakers().succeeded(&session.iss);
            sessions::end(tx, sid, reason, now_ms / 1000).await?;
            Ok(FailOutcome::Gone { reason })
        }
        Fail::Stale => Ok(FailOutcome::Kept {
            retry_after_ms: STALE_RETRY_MS,
        }),
        Fail::Release { rejects } => {
            let update = "UPDATE sessions SET lease = NULL, lease_holder = NULL, \
                          lease_until_ms = NULL, rejects = $1 WHERE sid = $2";
            tx.execute(update, &[rejects.into(), sid.into()]).await?;
            tx.effects.sessions.push(sid.to_owned());
            let retry_after_ms = if failure.class == FailClass::Rejected {
                // The IdP works: it answered with an error about this one token.
                policy.breakers().succeeded(&session.iss);
                retry_after_ms
                    .unwrap_or_else(|| STALE_RETRY_MS.into())
                    .min(u32::MAX.into()) as u32
            } else {
                policy
                    .breakers()
                    .failed(&session.iss, now_ms, retry_after_ms)
            };
            Ok(FailOutcome::Kept { retry_after_ms })
        }
    }
}

/// When to ask again where nothing else says so.
const STALE_RETRY_MS: u32 = 1_000;

async fn decide(
    tx: &mut Tx<'_>,
    policy: &Policy,
    session: Option<&Session>,
    jti: Digest,
    now_ms: u64,
) -> Result<Begin, StoreError> {
    let mut revoked = false;
    if let Some(session) = session.filter(|session| session.ended.is_none()) {
        let now = now_ms / 1000;
        revoked = revocations::forbids(tx, &session.digests(), session.started_at, now).await?
            || revocations::forbids(tx, &[jti], 0, now).await?;
    }
    Ok(arbiter::begin(
        session,
        revoked,
        now_ms,
        policy.tail_window_ms,
    ))
}

async fn store(
    tx: &mut Tx<'_>,
    policy: &Policy,
    session: &Session,
    answer: &CompleteRefresh,
    now_ms: u64,
) -> Result<(), StoreError> {
    let sid = &session.sid;
    let claims = answer.claims.as_ref().unwrap_or(&session.claims);
    let claims = serde_json::to_string(claims).map_err(|_| StoreError::Corrupt)?;
    let seal = |column, token: &Option<_>, old: &Option<Vec<u8>>| -> Value {
        let fresh = token
            .as_ref()
            .map(|token| policy.keyring.seal(column, sid, token));
        fresh.or_else(|| old.clone()).into()
    };
    let update = "UPDATE sessions SET generation = generation + 1, claims = $1, \
                  refresh_token = $2, id_token = $3, refreshed_at_ms = $4, \
                  completed_lease = $5, lease = NULL, lease_holder = NULL, \
                  lease_until_ms = NULL, maybe_spent = 0, rejects = 0 WHERE sid = $6";
    let params = [
        claims.into(),
        seal(
            Column::RefreshToken,
            &answer.refresh_token,
            &session.refresh_token,
        ),
        seal(Column::IdToken, &answer.id_token, &session.id_token),
        now_ms.into(),
        (&answer.lease).into(),
        sid.into(),
    ];
    tx.execute(update, &params).await?;
    tx.effects.sessions.push(sid.clone());
    Ok(())
}

impl Look {
    fn gone(reason: GoneReason) -> Self {
        Self::Answer(Box::new(BeginOutcome::Gone { reason }))
    }
}
