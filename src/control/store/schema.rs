//! The tables, by version. A version that has been released is never edited: a change is appended.

use super::{StoreError, Tx, Value};
use crate::keyring::fill_random;
use gatelatch_wire::feed::Epoch;

/// Brings an empty or an older database to the newest version.
///
/// # Errors
/// [`StoreError::Corrupt`] when a newer program wrote it.
pub(crate) async fn migrate(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.execute(
        "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        &[],
    )
    .await?;
    let row = tx
        .query_one("SELECT value FROM meta WHERE name = 'schema'", &[])
        .await?;
    let version = match row {
        Some(row) => row.text(0)?.parse().map_err(|_| StoreError::Corrupt)?,
        None => 0,
    };
    if version > VERSIONS.len() {
        tracing::error!(
            found = version,
            known = VERSIONS.len(),
            "the database was written by a newer gatelatch; start that one"
        );
        return Err(StoreError::Corrupt);
    }
    for statement in VERSIONS[version..].iter().copied().flatten() {
        tx.execute(statement, &[]).await?;
    }
    if version == 0 {
        let mut epoch = Epoch::default();
        fill_random(&mut epoch.0);
        set(tx, "epoch", epoch.to_hex()).await?;
    }
    if version < VERSIONS.len() {
        set(tx, "schema", VERSIONS.len().to_string()).await?;
    }
    Ok(())
}

async fn set(tx: &mut Tx<'_>, name: &str, value: String) -> Result<(), StoreError> {
    let upsert = "INSERT INTO meta (name, value) VALUES ($1, $2) \
                  ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    tx.execute(upsert, &[name.into(), Value::Text(value)])
        .await?;
    Ok(())
}

const VERSIONS: &[&[&str]] = &[&[
    "CREATE TABLE feed_head (id BIGINT PRIMARY KEY, head BIGINT NOT NULL)",
    "INSERT INTO feed_head (id, head) VALUES (1, 0)",
    "CREATE TABLE sessions (
        sid TEXT PRIMARY KEY,
        iss TEXT NOT NULL,
        sub TEXT NOT NULL,
        gateway TEXT NOT NULL,
        idp_sid TEXT,
        claims TEXT NOT NULL,
        refresh_token BLOB,
        id_token BLOB,
        auth_time BIGINT NOT NULL,
        id_token_iat BIGINT NOT NULL,
        started_at BIGINT NOT NULL,
        ends_at BIGINT NOT NULL,
        generation BIGINT NOT NULL,
        refreshed_at_ms BIGINT,
        lease TEXT,
        lease_holder TEXT,
        lease_until_ms BIGINT,
        maybe_spent BIGINT NOT NULL,
        completed_lease TEXT,
        rejects BIGINT NOT NULL,
        ended_at BIGINT,
        ended_reason TEXT
    )",
    "CREATE INDEX sessions_live_sub ON sessions (sub) WHERE ended_at IS NULL",
    "CREATE INDEX sessions_live_idp_sid ON sessions (idp_sid) WHERE ended_at IS NULL",
    "CREATE INDEX sessions_live_ends_at ON sessions (ends_at) WHERE ended_at IS NULL",
    "CREATE INDEX sessions_ended_at ON sessions (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE TABLE revocations (
        digest BLOB PRIMARY KEY,
        kind TEXT NOT NULL,
        iss TEXT,
        id TEXT,
        issued_before BIGINT,
        created_at BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        seq BIGINT NOT NULL
    )",
    "CREATE UNIQUE INDEX revocations_seq ON revocations (seq)",
    "CREATE INDEX revocations_expires_at ON revocations (expires_at)",
    "CREATE TABLE login_marks (id TEXT PRIMARY KEY, expires_at BIGINT NOT NULL)",
    "CREATE INDEX login_marks_expires_at ON login_marks (expires_at)",
    "CREATE TABLE logout_marks (
        iss TEXT NOT NULL,
        jti TEXT NOT NULL,
        sessions BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        PRIMARY KEY (iss, jti)
    )",
    "CREATE INDEX logout_marks_expires_at ON logout_marks (expires_at)",
    "CREATE TABLE tombstones (
        kind TEXT NOT NULL,
        iss TEXT NOT NULL,
        id TEXT NOT NULL,
        iat BIGINT NOT NULL,
        expires_at BIGINT NOT NULL,
        PRIMARY KEY (kind, iss, id)
    )",
    "CREATE INDEX tombstones_expires_at ON tombstones (expires_at)",
]];
