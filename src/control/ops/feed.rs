//! Pages of the revocation feed.

use gatelatch_wire::feed::{Entry, Epoch, Page};
use gatelatch_wire::revocation::Digest;

use crate::store::{Row, StoreError, Tx};

/// Where a gateway stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// The history its cursor belongs to, where it has one.
    pub(crate) epoch: Option<Epoch>,
    /// The last change it has.
    pub(crate) cursor: u64,
}

/// The page that follows `position`; a snapshot begins when it belongs to another history.
pub(crate) async fn page(
    tx: &mut Tx<'_>,
    position: Position,
    limit: usize,
    now: u64,
) -> Result<Page, StoreError> {
    let (epoch, head) = head(tx).await?;
    let follows = position.epoch == Some(epoch) && position.cursor <= head;
    let from = if follows { position.cursor } else { 0 };
    let select = "SELECT seq, digest, expires_at, issued_before FROM revocations \
                  WHERE seq > $1 AND expires_at > $2 ORDER BY seq LIMIT $3";
    let rows = tx
        .query(select, &[from.into(), now.into(), limit.into()])
        .await?;
    let to = match rows.last() {
        Some(last) if rows.len() >= limit => last.int(0)?,
        _ => head,
    };
    let entries = rows.iter().map(entry).collect::<Result<_, _>>()?;
    Ok(Page {
        epoch,
        from,
        to,
        head,
        entries,
    })
}

/// The history and its newest cursor.
pub(crate) async fn head(tx: &mut Tx<'_>) -> Result<(Epoch, u64), StoreError> {
    let select = "SELECT meta.value, feed_head.head FROM meta, feed_head \
                  WHERE meta.name = 'epoch' AND feed_head.id = 1";
    let row = tx
        .query_one(select, &[])
        .await?
        .ok_or(StoreError::Corrupt)?;
    let epoch = Epoch::from_hex(&row.text(0)?).ok_or(StoreError::Corrupt)?;
    Ok((epoch, row.int(1)?))
}

fn entry(row: &Row) -> Result<Entry, StoreError> {
    let seconds = |time: u64| u32::try_from(time).unwrap_or(u32::MAX);
    Ok(Entry {
        digest: Digest(row.digest(1)?),
        expires_at: seconds(row.int(2)?),
        issued_before: row.opt_int(3)?.map_or(u32::MAX, seconds),
    })
}
