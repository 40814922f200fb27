//! A refresh as its callers see it: looking, waiting for another holder, and being answered once.

use std::pin::pin;

use gatelatch_wire::revocation::Digest;
use gatelatch_wire::session::{BeginOutcome, BeginRefresh};
use tokio::sync::oneshot;

use crate::app::{Shared, look, transact};
use crate::ops::refresh::{self, Look};
use crate::store::StoreError;

/// The longest that anybody waits for another holder, in milliseconds.
const MAX_WAIT_MS: u64 = 30_000;

/// When to ask again after the waiting rooms were full, or the service was about to end.
const FULL_RETRY_MS: u32 = 1_000;

/// Answers `begin`: at once, or when the holder of the lease is done, or when the time is up.
pub(crate) async fn begin(
    app: &Shared,
    sid: &str,
    request: &BeginRefresh,
) -> Result<BeginOutcome, StoreError> {
    let wait_ms = u64::from(request.wait_ms).min(MAX_WAIT_MS);
    let deadline = app.clock.now_ms() + wait_ms;
    if let Look::Answer(outcome) = attempt(app, sid, request).await? {
        return Ok(*outcome);
    }
    let Some(waiter) = app.signals.waiters.enter(sid) else {
        return Ok(BeginOutcome::Busy {
            retry_after_ms: FULL_RETRY_MS,
        });
    };
    loop {
        // Listening starts before looking, so that no change falls between the two.
        let mut changed = pin!(waiter.notify.notified());
        changed.as_mut().enable();
        let until_ms = match attempt(app, sid, request).await? {
            Look::Answer(outcome) => return Ok(*outcome),
            Look::Wait { until_ms } => until_ms,
            Look::Write => return Err(StoreError::Corrupt),
        };
        let now = app.clock.now_ms();
        if now >= deadline {
            let left = until_ms.saturating_sub(now).clamp(100, MAX_WAIT_MS);
            return Ok(BeginOutcome::Busy {
                retry_after_ms: left as u32,
            });
        }
        tokio::select! {
            () = changed => {}
            () = app.clock.sleep_until(until_ms.min(deadline)) => {}
            () = app.shutdown.cancelled() => {
                return Ok(BeginOutcome::Busy { retry_after_ms: FULL_RETRY_MS });
            }
        }
    }
}

/// One look, and the write that it may ask for.
async fn attempt(app: &Shared, sid: &str, request: &BeginRefresh) -> Result<Look, StoreError> {
    let now_ms = app.clock.now_ms();
    let (own_sid, jti) = (sid.to_owned(), Digest::jti(&request.jti));
    let seen = look!(app, |tx, policy| refresh::look(
        tx, &policy, &own_sid, jti, now_ms
    ))?;
    match seen {
        Look::Write => grant(app, sid, request).await,
        seen => Ok(seen),
    }
}

/// Asks for the lease. When the caller has left meanwhile, the lease goes back at once, so that
/// nobody waits for a holder that never was.
async fn grant(app: &Shared, sid: &str, request: &BeginRefresh) -> Result<Look, StoreError> {
    let (answer, answered) = oneshot::channel();
    let (app, sid, holder) = (app.clone(), sid.to_owned(), request.holder.clone());
    let jti = Digest::jti(&request.jti);
    tokio::spawn(async move {
        let now_ms = app.clock.now_ms();
        let own_sid = sid.clone();
        let granted = transact!(app, |tx, policy| refresh::grant(
            tx, &policy, &own_sid, jti, &holder, now_ms
        ));
        let Err(Ok(Look::Answer(outcome))) = answer.send(granted) else {
            return;
        };
        if let BeginOutcome::Lease { lease, .. } = *outcome {
            // Should this fail, the lease ends by itself.
            let _ = transact!(app, |tx, _policy| refresh::release(tx, &sid, &lease));
        }
    });
    answered.await.map_err(|_| StoreError::Closed)?
}
