//! Removing what no longer matters, in small batches.

use gatelatch_wire::session::GoneReason;

use crate::store::{StoreError, Tx};

/// The most rows that one step removes, so that others get their turn in between.
pub(crate) const BATCH: u64 = 1_000;

/// What can be removed, in the order of the steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rubbish {
    /// Sessions past their absolute end: they are ended, their tokens erased.
    ExpiredSessions,
    /// Sessions that ended longer ago than the retention.
    Sessions,
    Revocations,
    LoginMarks,
    LogoutMarks,
    Tombstones,
}

impl Rubbish {
    pub(crate) const ALL: [Self; 6] = [
        Self::ExpiredSessions,
        Self::Sessions,
        Self::Revocations,
        Self::LoginMarks,
        Self::LogoutMarks,
        Self::Tombstones,
    ];

    /// The stable name used in logs and metrics.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::ExpiredSessions => "expired_sessions",
            Self::Sessions => "sessions",
            Self::Revocations => "revocations",
            Self::LoginMarks => "login_marks",
            Self::LogoutMarks => "logout_marks",
            Self::Tombstones => "tombstones",
        }
    }
}

/// Removes up to [`BATCH`] rows; the answer is how many.
pub(crate) async fn step(
    tx: &mut Tx<'_>,
    rubbish: Rubbish,
    retention_s: u64,
    now: u64,
) -> Result<u64, StoreError> {
    let sql = match rubbish {
        Rubbish::ExpiredSessions => {
            let end = "UPDATE sessions SET ended_at = $1, ended_reason = $3, \
                       refresh_token = NULL, id_token = NULL, lease = NULL, \
                       lease_holder = NULL, lease_until_ms = NULL \
                       WHERE sid IN (SELECT sid FROM sessions \
                       WHERE ended_at IS NULL AND ends_at <= $1 LIMIT $2)";
            let params = [now.into(), BATCH.into(), GoneReason::Expired.code().into()];
            return tx.execute(end, &params).await;
        }
        Rubbish::Sessions => {
            let long_ago = now.saturating_sub(retention_s);
            let delete = "DELETE FROM sessions WHERE sid IN (SELECT sid FROM sessions \
                          WHERE ended_at IS NOT NULL AND ended_at <= $1 LIMIT $2)";
            return tx.execute(delete, &[long_ago.into(), BATCH.into()]).await;
        }
        Rubbish::Revocations => {
            "DELETE FROM revocations WHERE digest IN \
             (SELECT digest FROM revocations WHERE expires_at <= $1 LIMIT $2)"
        }
        Rubbish::LoginMarks => {
            "DELETE FROM login_marks WHERE id IN \
             (SELECT id FROM login_marks WHERE expires_at <= $1 LIMIT $2)"
        }
        Rubbish::LogoutMarks => {
            "DELETE FROM logout_marks WHERE (iss, jti) IN \
             (SELECT iss, jti FROM logout_marks WHERE expires_at <= $1 LIMIT $2)"
        }
        Rubbish::Tombstones => {
            "DELETE FROM tombstones WHERE (kind, iss, id) IN \
             (SELECT kind, iss, id FROM tombstones WHERE expires_at <= $1 LIMIT $2)"
        }
    };
    tx.execute(sql, &[now.into(), BATCH.into()]).await
}
