//! Creating, ending and listing sessions.

use gatelatch_wire::Secret;
use gatelatch_wire::revocation::Digest;
use gatelatch_wire::session::{CreateOutcome, CreateSession, GoneReason};

use super::{Policy, logout, revocations};
use crate::keyring::Column;
use crate::session::{Session, session_columns};
use crate::store::{StoreError, Tx, Value};

/// A cut so little ahead of now that a login right after it starts just behind it.
const CUT_LEEWAY_S: u64 = 5;

/// What `POST /v1/sessions` did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Created {
    /// The answer of API v1.
    Outcome(CreateOutcome),
    /// The name is taken by the session of somebody else.
    Conflict,
}

/// Ends the live sessions that match, with `$1` now, `$2` the reason and `$3` the latest start.
macro_rules! end_where {
    ($condition:literal) => {
        concat!(
            "UPDATE sessions SET ended_at = $1, ended_reason = $2, refresh_token = NULL, \
             id_token = NULL, lease = NULL, lease_holder = NULL, lease_until_ms = NULL \
             WHERE ended_at IS NULL AND ends_at > $1 AND started_at <= $3 AND ",
            $condition,
            " RETURNING sid"
        )
    };
}
pub(crate) use end_where;

/// Lists sessions after `$1`, of issuer or gateway `$2`, with `$3` now and `$4` the limit.
macro_rules! list_where {
    ($condition:literal) => {
        concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE sid > $1 AND \
             (CAST($2 AS TEXT) IS NULL OR iss = $2 OR gateway = $2) AND ",
            $condition,
            " ORDER BY sid LIMIT $4"
        )
    };
}

/// Which sessions a listing shows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) iss: Option<String>,
    pub(crate) sub: Option<String>,
    /// Ended and expired ones too.
    pub(crate) ended: bool,
    /// Those whose `sid` sorts after it.
    pub(crate) after: String,
    pub(crate) limit: usize,
}

/// Starts a session, unless something forbids it. Repeating it changes nothing.
pub(crate) async fn create(
    tx: &mut Tx<'_>,
    policy: &Policy,
    wanted: &CreateSession,
    now: u64,
) -> Result<Created, StoreError> {
    if let Some(known) = Session::load(tx, &wanted.sid).await? {
        return Ok(repeated(&known, wanted));
    }
    if wanted.ends_at <= now {
        return Ok(Created::gone(GoneReason::Expired));
    }
    if logout::forbids(tx, wanted).await? {
        return Ok(Created::gone(GoneReason::BackchannelLogout));
    }
    let Some(started_at) = start(tx, wanted, now).await? else {
        return Ok(Created::gone(GoneReason::Revoked));
    };
    insert(tx, policy, wanted, started_at).await?;
    if let Some(replaced) = wanted.replaces.as_ref().filter(|sid| **sid != wanted.sid)
        && end(tx, replaced, GoneReason::Replaced, now).await?
    {
        revocations::add_sid(tx, policy, replaced, now).await?;
    }
    Ok(Created::Outcome(CreateOutcome::Created { started_at }))
}

/// Ends a live session and erases its tokens; false when there was none to end.
pub(crate) async fn end(
    tx: &mut Tx<'_>,
    sid: &str,
    reason: GoneReason,
    now: u64,
) -> Result<bool, StoreError> {
    let update = "UPDATE sessions SET ended_at = $1, ended_reason = $2, refresh_token = NULL, \
                  id_token = NULL, lease = NULL, lease_holder = NULL, lease_until_ms = NULL \
                  WHERE sid = $3 AND ended_at IS NULL";
    let changed = tx
        .execute(update, &[now.into(), reason.code().into(), sid.into()])
        .await?;
    if changed > 0 {
        tx.effects.sessions.push(sid.to_owned());
    }
    Ok(changed > 0)
}

/// Ends a session for its user or an administrator, and tells the gateways, also of a session that
/// is not known. The answer is whether it was live, and its ID token.
pub(crate) async fn end_and_revoke(
    tx: &mut Tx<'_>,
    policy: &Policy,
    sid: &str,
    reason: GoneReason,
    now: u64,
) -> Result<(bool, Option<Secret>), StoreError> {
    let session = Session::load(tx, sid).await?;
    let hint = session
        .and_then(|session| session.id_token)
        // A hint is a courtesy to the IdP: a key that is gone must not keep a user logged in.
        .and_then(|sealed| policy.keyring.open(Column::IdToken, sid, &sealed).ok());
    let ended = end(tx, sid, reason, now).await?;
    revocations::add_sid(tx, policy, sid, now).await?;
    Ok((ended, hint))
}

/// Sessions in the order of their `sid`.
pub(crate) async fn list(
    tx: &mut Tx<'_>,
    filter: &Filter,
    now: u64,
) -> Result<Vec<Session>, StoreError> {
    let params = [
        filter.after.as_str().into(),
        filter.iss.as_ref().into(),
        now.into(),
        filter.limit.into(),
        filter.sub.as_ref().into(),
    ];
    // The condition on `sub` is spelled out where there is one, so that its index can be used.
    let rows = match (&filter.sub, filter.ended) {
        (None, false) => {
            tx.query(
                list_where!("ended_at IS NULL AND ends_at > $3"),
                &params[..4],
            )
            .await?
        }
        (None, true) => {
            tx.query(list_where!("CAST($3 AS BIGINT) > 0"), &params[..4])
                .await?
        }
        (Some(_), false) => {
            let live = list_where!("ended_at IS NULL AND ends_at > $3 AND sub = $5");
            tx.query(live, &params).await?
        }
        (Some(_), true) => {
            tx.query(list_where!("CAST($3 AS BIGINT) > 0 AND sub = $5"), &params)
                .await?
        }
    };
    rows.iter().map(Session::from_row).collect()
}

/// How many sessions are live.
pub(crate) async fn count_live(tx: &mut Tx<'_>, now: u64) -> Result<u64, StoreError> {
    let select = "SELECT COUNT(*) FROM sessions WHERE ended_at IS NULL AND ends_at > $1";
    tx.query_one(select, &[now.into()])
        .await?
        .ok_or(StoreError::Corrupt)?
        .int(0)
}

fn repeated(known: &Session, wanted: &CreateSession) -> Created {
    if (&known.iss, &known.sub, &known.gateway) != (&wanted.iss, &wanted.sub, &wanted.gateway) {
        return Created::Conflict;
    }
    match known.ended {
        Some(ended) => Created::gone(ended.reason),
        None => Created::Outcome(CreateOutcome::Created {
            started_at: known.started_at,
        }),
    }
}

/// When the session starts: now, or just behind a cut of this very moment. None when it is revoked.
async fn start(
    tx: &mut Tx<'_>,
    wanted: &CreateSession,
    now: u64,
) -> Result<Option<u64>, StoreError> {
    let digests = [
        Digest::sid(&wanted.sid),
        Digest::jti(&wanted.jti),
        Digest::sub(&wanted.iss, &wanted.sub),
        Digest::sub(&wanted.gateway, &wanted.sub),
        Digest::all(),
    ];
    let mut started_at = now;
    for cut in revocations::cuts(tx, &digests, now).await? {
        match cut {
            Some(issued_before) if issued_before < now + CUT_LEEWAY_S => {
                started_at = started_at.max(issued_before + 1);
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(started_at))
}

async fn insert(
    tx: &mut Tx<'_>,
    policy: &Policy,
    wanted: &CreateSession,
    started_at: u64,
) -> Result<(), StoreError> {
    let sid = &wanted.sid;
    let seal = |column, token: &Option<Secret>| -> Value {
        token
            .as_ref()
            .map(|token| policy.keyring.seal(column, sid, token))
            .into()
    };
    let claims = serde_json::to_string(&wanted.claims).map_err(|_| StoreError::Corrupt)?;
    let insert = "INSERT INTO sessions (sid, iss, sub, gateway, idp_sid, claims, refresh_token, \
                  id_token, auth_time, id_token_iat, started_at, ends_at, generation, \
                  maybe_spent, rejects) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 0, 0, 0)";
    let params = [
        sid.into(),
        (&wanted.iss).into(),
        (&wanted.sub).into(),
        (&wanted.gateway).into(),
        wanted.idp_sid.as_ref().into(),
        claims.into(),
        seal(Column::RefreshToken, &wanted.refresh_token),
        seal(Column::IdToken, &wanted.id_token),
        wanted.auth_time.into(),
        wanted.id_token_iat.into(),
        started_at.into(),
        wanted.ends_at.into(),
    ];
    tx.execute(insert, &params).await?;
    Ok(())
}

impl Created {
    fn gone(reason: GoneReason) -> Self {
        Self::Outcome(CreateOutcome::Gone { reason })
    }
}
