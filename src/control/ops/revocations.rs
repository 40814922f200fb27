//! Writing and finding revocations.

use gatelatch_wire::revocation::{Digest, Revocation};
use gatelatch_wire::session::GoneReason;

use super::{Policy, sessions};
use crate::store::{Row, StoreError, Tx, Value};

/// What a batch of revocations did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) sessions_ended: u32,
    /// The cursor of the last of them.
    pub(crate) cursor: u64,
}

/// One stored revocation, for listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) kind: String,
    pub(crate) iss: Option<String>,
    pub(crate) id: Option<String>,
    pub(crate) issued_before: Option<u64>,
    pub(crate) created_at: u64,
    pub(crate) expires_at: u64,
    pub(crate) cursor: u64,
}

/// Writes `revocations` and ends the live sessions that they forbid.
pub(crate) async fn add(
    tx: &mut Tx<'_>,
    policy: &Policy,
    revocations: &[Revocation],
    now: u64,
) -> Result<Added, StoreError> {
    let mut cursor = reserve(tx, revocations.len()).await?;
    let mut ended = 0;
    for revocation in revocations {
        cursor += 1;
        put(tx, policy, revocation, now, cursor).await?;
        ended += end_sessions(tx, revocation, now).await?;
    }
    Ok(Added {
        sessions_ended: ended,
        cursor,
    })
}

/// Tells the gateways that a session that was ended here is over.
pub(crate) async fn add_sid(
    tx: &mut Tx<'_>,
    policy: &Policy,
    sid: &str,
    now: u64,
) -> Result<(), StoreError> {
    if forbids(tx, &[Digest::sid(sid)], 0, now).await? {
        return Ok(());
    }
    let cursor = reserve(tx, 1).await? + 1;
    put(
        tx,
        policy,
        &Revocation::Sid { id: sid.to_owned() },
        now,
        cursor,
    )
    .await
}

/// Whether one of `digests` is revoked for a session that started at `started_at`.
pub(crate) async fn forbids(
    tx: &mut Tx<'_>,
    digests: &[Digest],
    started_at: u64,
    now: u64,
) -> Result<bool, StoreError> {
    let cuts = cuts(tx, digests, now).await?;
    Ok(cuts
        .into_iter()
        .any(|cut| cut.is_none_or(|issued_before| started_at <= issued_before)))
}

/// The cuts that are in force on `digests`; None is one without a bound.
pub(crate) async fn cuts(
    tx: &mut Tx<'_>,
    digests: &[Digest],
    now: u64,
) -> Result<Vec<Option<u64>>, StoreError> {
    debug_assert!(!digests.is_empty() && digests.len() <= 5);
    let select = "SELECT issued_before FROM revocations \
                  WHERE digest IN ($1, $2, $3, $4, $5) AND expires_at > $6";
    let mut params: Vec<Value> = digests
        .iter()
        .cycle()
        .take(5)
        .map(|digest| digest.0.into())
        .collect();
    params.push(now.into());
    tx.query(select, &params)
        .await?
        .iter()
        .map(|row| row.opt_int(0))
        .collect()
}

/// Stored revocations after `cursor`, oldest first.
pub(crate) async fn list(
    tx: &mut Tx<'_>,
    cursor: u64,
    limit: usize,
    now: u64,
) -> Result<Vec<Stored>, StoreError> {
    let select = "SELECT kind, iss, id, issued_before, created_at, expires_at, seq \
                  FROM revocations WHERE seq > $1 AND expires_at > $2 ORDER BY seq LIMIT $3";
    let rows = tx
        .query(select, &[cursor.into(), now.into(), limit.into()])
        .await?;
    rows.iter().map(Stored::from_row).collect()
}

/// Takes `count` cursors; the first of them is the answer plus one.
async fn reserve(tx: &mut Tx<'_>, count: usize) -> Result<u64, StoreError> {
    let update = "UPDATE feed_head SET head = head + $1 WHERE id = 1 RETURNING head";
    let row = tx
        .query_one(update, &[count.into()])
        .await?
        .ok_or(StoreError::Corrupt)?;
    let head = row.int(0)?;
    tx.effects.head = Some(head);
    Ok(head - count as u64)
}

async fn put(
    tx: &mut Tx<'_>,
    policy: &Policy,
    revocation: &Revocation,
    now: u64,
    cursor: u64,
) -> Result<(), StoreError> {
    let (kind, iss, id, issued_before) = match revocation {
        Revocation::Jti { id } => ("jti", None, Some(id), None),
        Revocation::Sid { id } => ("sid", None, Some(id), None),
        Revocation::Sub {
            iss,
            sub,
            issued_before,
        } => (
            "sub",
            Some(iss),
            Some(sub),
            Some(issued_before.unwrap_or(now)),
        ),
        Revocation::All { issued_before } => {
            ("all", None, None, Some(issued_before.unwrap_or(now)))
        }
    };
    // A cut that lies ahead has to outlive the sessions that may still start before it.
    let expires_at = issued_before
        .unwrap_or(now)
        .max(now)
        .saturating_add(policy.retention_s);
    let upsert = "INSERT INTO revocations \
                  (digest, kind, iss, id, issued_before, created_at, expires_at, seq) \
                  VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (digest) DO UPDATE SET \
                  issued_before = CASE WHEN revocations.issued_before > excluded.issued_before \
                    THEN revocations.issued_before ELSE excluded.issued_before END, \
                  expires_at = CASE WHEN revocations.expires_at > excluded.expires_at \
                    THEN revocations.expires_at ELSE excluded.expires_at END, \
                  created_at = excluded.created_at, seq = excluded.seq";
    let params = [
        revocation.digest().0.into(),
        kind.into(),
        iss.into(),
        id.into(),
        issued_before.into(),
        now.into(),
        expires_at.into(),
        cursor.into(),
    ];
    tx.execute(upsert, &params).await?;
    Ok(())
}

async fn end_sessions(
    tx: &mut Tx<'_>,
    revocation: &Revocation,
    now: u64,
) -> Result<u32, StoreError> {
    let ended: Vec<Row> = match revocation {
        // A JWT is not a session: nothing but the JWT ends.
        Revocation::Jti { .. } => return Ok(0),
        Revocation::Sid { id } => {
            let ended = sessions::end(tx, id, GoneReason::Revoked, now).await?;
            return Ok(u32::from(ended));
        }
        Revocation::Sub {
            iss,
            sub,
            issued_before,
        } => {
            let params = [
                now.into(),
                GoneReason::Revoked.code().into(),
                issued_before.unwrap_or(now).into(),
                sub.into(),
                iss.into(),
            ];
            let of_user = sessions::end_where!("sub = $4 AND (iss = $5 OR gateway = $5)");
            tx.query(of_user, &params).await?
        }
        Revocation::All { issued_before } => {
            let params = [
                now.into(),
                GoneReason::Revoked.code().into(),
                issued_before.unwrap_or(now).into(),
            ];
            tx.query(sessions::end_where!("sid IS NOT NULL"), &params)
                .await?
        }
    };
    for row in &ended {
        tx.effects.sessions.push(row.text(0)?);
    }
    Ok(ended.len() as u32)
}

impl Stored {
    fn from_row(row: &Row) -> Result<Self, StoreError> {
        Ok(Self {
            kind: row.text(0)?,
            iss: row.opt_text(1)?,
            id: row.opt_text(2)?,
            issued_before: row.opt_int(3)?,
            created_at: row.int(4)?,
            expires_at: row.int(5)?,
            cursor: row.int(6)?,
        })
    }
}
