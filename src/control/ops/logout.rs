//! Back-channel logout (OIDC Back-Channel Logout 2.7).
//!
//! A logout ends what there is and leaves a tombstone, so that a login that was under way when it
//! came cannot bring the session back.

use gatelatch_wire::session::{BackchannelLogout, CreateSession, GoneReason, LoggedOut};

use super::{Policy, revocations, sessions};
use crate::store::{StoreError, Tx};

/// Tombstone of one session at the IdP.
const SESSION: &str = "idp_sid";
/// Tombstone of all sessions of a user.
const USER: &str = "sub";
/// Tombstone of those sessions of a user that do not know their session at the IdP.
const USER_WITHOUT_SESSION: &str = "sub_without_idp_sid";

/// Ends the sessions that a logout token names. A token that was seen before changes nothing and
/// gets the same answer.
pub(crate) async fn perform(
    tx: &mut Tx<'_>,
    policy: &Policy,
    logout: &BackchannelLogout,
    now: u64,
) -> Result<LoggedOut, StoreError> {
    if let Some(sessions) = mark(tx, policy, logout, now).await? {
        return Ok(LoggedOut { sessions });
    }
    bury(tx, policy, logout, now).await?;
    let ended = matching(tx, logout, now).await?;
    for sid in &ended {
        sessions::end(tx, sid, GoneReason::BackchannelLogout, now).await?;
        revocations::add_sid(tx, policy, sid, now).await?;
    }
    let update = "UPDATE logout_marks SET sessions = $1 WHERE iss = $2 AND jti = $3";
    let params = [
        ended.len().into(),
        (&logout.iss).into(),
        (&logout.jti).into(),
    ];
    tx.execute(update, &params).await?;
    Ok(LoggedOut {
        sessions: ended.len() as u32,
    })
}

/// Whether a logout forbids this login.
pub(crate) async fn forbids(tx: &mut Tx<'_>, login: &CreateSession) -> Result<bool, StoreError> {
    let select = "SELECT 1 FROM tombstones WHERE iss = $1 AND iat >= $2 AND (\
                  (kind = 'idp_sid' AND id = $3) OR (kind = 'sub' AND id = $4) OR \
                  (kind = 'sub_without_idp_sid' AND id = $4 AND CAST($3 AS TEXT) IS NULL))";
    let params = [
        (&login.iss).into(),
        login.id_token_iat.into(),
        login.idp_sid.as_ref().into(),
        (&login.sub).into(),
    ];
    Ok(tx.query_one(select, &params).await?.is_some())
}

/// Remembers the token. Some: it was seen before and had ended so many sessions.
async fn mark(
    tx: &mut Tx<'_>,
    policy: &Policy,
    logout: &BackchannelLogout,
    now: u64,
) -> Result<Option<u32>, StoreError> {
    let expires_at = logout.exp.min(now.saturating_add(policy.retention_s));
    let insert = "INSERT INTO logout_marks (iss, jti, sessions, expires_at) \
                  VALUES ($1, $2, 0, $3) ON CONFLICT (iss, jti) DO NOTHING";
    let params = [
        (&logout.iss).into(),
        (&logout.jti).into(),
        expires_at.into(),
    ];
    if tx.execute(insert, &params).await? > 0 {
        return Ok(None);
    }
    let select = "SELECT sessions FROM logout_marks WHERE iss = $1 AND jti = $2";
    let row = tx
        .query_one(select, &params[..2])
        .await?
        .ok_or(StoreError::Corrupt)?;
    Ok(Some(row.int(0)? as u32))
}

async fn bury(
    tx: &mut Tx<'_>,
    policy: &Policy,
    logout: &BackchannelLogout,
    now: u64,
) -> Result<(), StoreError> {
    let tombstones = match (&logout.idp_sid, &logout.sub) {
        (Some(idp_sid), Some(sub)) => vec![(SESSION, idp_sid), (USER_WITHOUT_SESSION, sub)],
        (Some(idp_sid), None) => vec![(SESSION, idp_sid)],
        (None, Some(sub)) => vec![(USER, sub)],
        (None, None) => vec![],
    };
    let upsert = "INSERT INTO tombstones (kind, iss, id, iat, expires_at) \
                  VALUES ($1, $2, $3, $4, $5) ON CONFLICT (kind, iss, id) DO UPDATE SET \
                  iat = CASE WHEN tombstones.iat > excluded.iat \
                    THEN tombstones.iat ELSE excluded.iat END, \
                  expires_at = excluded.expires_at";
    for (kind, id) in tombstones {
        let params = [
            kind.into(),
            (&logout.iss).into(),
            id.into(),
            logout.iat.into(),
            now.saturating_add(policy.retention_s).into(),
        ];
        tx.execute(upsert, &params).await?;
    }
    Ok(())
}

/// The live sessions that the token names. By `sub` only those whose ID token is not newer than
/// the logout: a logout that comes late must not end the login that followed it.
async fn matching(
    tx: &mut Tx<'_>,
    logout: &BackchannelLogout,
    now: u64,
) -> Result<Vec<String>, StoreError> {
    let mut rows = Vec::new();
    if let Some(idp_sid) = &logout.idp_sid {
        let of_session = "SELECT sid FROM sessions WHERE ended_at IS NULL AND ends_at > $1 \
                          AND iss = $2 AND idp_sid = $3";
        let params = [now.into(), (&logout.iss).into(), idp_sid.into()];
        rows.extend(tx.query(of_session, &params).await?);
    }
    if let Some(sub) = &logout.sub {
        let of_user = "SELECT sid FROM sessions WHERE ended_at IS NULL AND ends_at > $1 \
                       AND iss = $2 AND sub = $3 AND id_token_iat <= $4 \
                       AND ($5 = 1 OR idp_sid IS NULL)";
        let params = [
            now.into(),
            (&logout.iss).into(),
            sub.into(),
            logout.iat.into(),
            u64::from(logout.idp_sid.is_none()).into(),
        ];
        rows.extend(tx.query(of_user, &params).await?);
    }
    rows.iter().map(|row| row.text(0)).collect()
}
