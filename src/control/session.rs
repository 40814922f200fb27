//! One stored session, and how it is read from its row.

use gatelatch_wire::revocation::Digest;
use gatelatch_wire::session::{Claims, GoneReason, SessionView};

use crate::store::{Row, StoreError, Tx};

/// A session as the store has it. Its tokens stay sealed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Session {
    pub(crate) sid: String,
    pub(crate) iss: String,
    pub(crate) sub: String,
    pub(crate) gateway: String,
    pub(crate) idp_sid: Option<String>,
    pub(crate) claims: Claims,
    pub(crate) refresh_token: Option<Vec<u8>>,
    pub(crate) id_token: Option<Vec<u8>>,
    pub(crate) auth_time: u64,
    pub(crate) started_at: u64,
    pub(crate) ends_at: u64,
    /// How many refreshes have been completed.
    pub(crate) generation: u64,
    pub(crate) refreshed_at_ms: Option<u64>,
    pub(crate) lease: Option<Lease>,
    /// A holder vanished in this generation.
    pub(crate) maybe_spent: bool,
    /// The lease under which the last refresh was completed.
    pub(crate) completed_lease: Option<String>,
    /// How often in a row the IdP refused with an error that may pass.
    pub(crate) rejects: u64,
    pub(crate) ended: Option<Ended>,
}

/// The right to spend the refresh token, given to one holder for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lease {
    pub(crate) id: String,
    pub(crate) holder: String,
    pub(crate) until_ms: u64,
}

/// When and why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) at: u64,
    pub(crate) reason: GoneReason,
}

/// The columns that [`Session::from_row`] reads, in its order.
macro_rules! session_columns {
    () => {
        "sid, iss, sub, gateway, idp_sid, claims, refresh_token, id_token, auth_time, started_at, \
         ends_at, generation, refreshed_at_ms, lease, lease_holder, lease_until_ms, maybe_spent, \
         completed_lease, rejects, ended_at, ended_reason"
    };
}
pub(crate) use session_columns;

impl Session {
    /// The session of that name, ended or not.
    pub(crate) async fn load(tx: &mut Tx<'_>, sid: &str) -> Result<Option<Self>, StoreError> {
        let select = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE sid = $1"
        );
        tx.query_one(select, &[sid.into()])
            .await?
            .map(|row| Self::from_row(&row))
            .transpose()
    }

    /// Reads a row of [`session_columns`].
    pub(crate) fn from_row(row: &Row) -> Result<Self, StoreError> {
        let lease = match (row.opt_text(13)?, row.opt_text(14)?, row.opt_int(15)?) {
            (Some(id), Some(holder), Some(until_ms)) => Some(Lease {
                id,
                holder,
                until_ms,
            }),
            _ => None,
        };
        let ended = match (row.opt_int(19)?, row.opt_text(20)?) {
            (Some(at), Some(code)) => Some(Ended {
                at,
                reason: reason(&code)?,
            }),
            _ => None,
        };
        Ok(Self {
            sid: row.text(0)?,
            iss: row.text(1)?,
            sub: row.text(2)?,
            gateway: row.text(3)?,
            idp_sid: row.opt_text(4)?,
            claims: serde_json::from_str(&row.text(5)?).map_err(|_| StoreError::Corrupt)?,
            refresh_token: row.opt_blob(6)?,
            id_token: row.opt_blob(7)?,
            auth_time: row.int(8)?,
            started_at: row.int(9)?,
            ends_at: row.int(10)?,
            generation: row.int(11)?,
            refreshed_at_ms: row.opt_int(12)?,
            lease,
            maybe_spent: row.int(16)? != 0,
            completed_lease: row.opt_text(17)?,
            rejects: row.int(18)?,
            ended,
        })
    }

    /// What a gateway needs to mint a session JWT.
    pub(crate) fn view(&self) -> SessionView {
        SessionView {
            sid: self.sid.clone(),
            iss: self.iss.clone(),
            sub: self.sub.clone(),
            claims: self.claims.clone(),
            auth_time: self.auth_time,
            started_at: self.started_at,
            ends_at: self.ends_at,
        }
    }

    /// The digests under which a revocation of this session may be filed, all but a `jti`'s.
    pub(crate) fn digests(&self) -> [Digest; 4] {
        [
            Digest::sid(&self.sid),
            Digest::sub(&self.iss, &self.sub),
            Digest::sub(&self.gateway, &self.sub),
            Digest::all(),
        ]
    }
}

fn reason(code: &str) -> Result<GoneReason, StoreError> {
    let quoted = serde_json::Value::String(code.to_owned());
    serde_json::from_value(quoted).map_err(|_| StoreError::Corrupt)
}
