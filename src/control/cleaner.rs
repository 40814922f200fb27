//! Forgets what is past its retention, at start and then at every interval.

use std::time::Duration;

use crate::app::{Shared, transact};
use crate::ops::cleaning::{self, BATCH, Rubbish};
use crate::store::StoreError;

/// Cleans until the service ends.
pub(crate) async fn run(app: Shared, interval: Duration) {
    loop {
        let next = app.clock.now_ms() + interval.as_millis() as u64;
        if clean(&app).await.is_err() {
            tracing::error!("clean-up failed; it is tried again at the next interval");
        }
        tokio::select! {
            () = app.clock.sleep_until(next) => {}
            () = app.shutdown.cancelled() => return,
        }
    }
}

/// Removes everything that can be removed now; the answer is how many rows.
pub(crate) async fn clean(app: &Shared) -> Result<u64, StoreError> {
    let mut in_all = 0;
    for rubbish in Rubbish::ALL {
        let mut removed = 0;
        loop {
            let now = app.clock.now();
            // A transaction for each batch: others get their turn in between.
            let rows = transact!(app, |tx, policy| cleaning::step(
                tx,
                rubbish,
                policy.retention_s,
                now
            ))?;
            removed += rows;
            if rows < BATCH || app.shutdown.is_cancelled() {
                break;
            }
        }
        if removed > 0 {
            tracing::info!(kind = rubbish.code(), rows = removed, "cleaned up");
            app.metrics.removed(rubbish.code(), removed);
        }
        in_all += removed;
    }
    Ok(in_all)
}
