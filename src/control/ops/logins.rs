//! Spending a login transaction once over all gateways.

use gatelatch_wire::session::ClaimOutcome;

use super::Policy;
use crate::store::{StoreError, Tx};

/// Marks the transaction as used.
pub(crate) async fn claim(
    tx: &mut Tx<'_>,
    policy: &Policy,
    id: &str,
    expires_at: u64,
    now: u64,
) -> Result<ClaimOutcome, StoreError> {
    let expires_at = expires_at.min(now.saturating_add(policy.retention_s));
    let insert = "INSERT INTO login_marks (id, expires_at) VALUES ($1, $2) \
                  ON CONFLICT (id) DO NOTHING";
    let inserted = tx.execute(insert, &[id.into(), expires_at.into()]).await?;
    Ok(if inserted > 0 {
        ClaimOutcome::Claimed
    } else {
        ClaimOutcome::Used
    })
}
