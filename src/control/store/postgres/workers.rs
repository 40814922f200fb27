//! The tasks of the store: one that writes, one for each read, one that speaks to other replicas.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use deadpool_postgres::{Object, Pool};
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::listener::Message;
use super::statement::Session;
use super::{BEGIN_WRITE, CONNECTIONS, explain};
use crate::store::signals::Signals;
use crate::store::{Effects, Job, Pending, StoreError};

/// The most jobs of one transaction.
const BATCH: usize = 256;

/// Runs jobs in batches until nobody can send any more.
pub(super) async fn write(pool: Pool, mut jobs: mpsc::Receiver<Job>, signals: Arc<Signals>) {
    let mut waiting = Vec::new();
    while jobs.recv_many(&mut waiting, BATCH).await > 0 {
        let Some(client) = begin(&pool).await else {
            waiting
                .drain(..)
                .for_each(|job| job.refuse(StoreError::Failed));
            continue;
        };
        let mut done = Vec::new();
        let work = commit(&client, waiting.drain(..), &mut done);
        let failure = match AssertUnwindSafe(work).catch_unwind().await {
            Ok(Ok(effects)) => {
                signals.raise(&effects);
                None
            }
            Ok(Err(error)) => {
                tracing::error!(%error, jobs = done.len(), "postgres failed");
                Some(StoreError::Failed)
            }
            Err(_) => Some(StoreError::Failed),
        };
        if failure.is_some() {
            // Whatever state it is in, nobody shall have this connection again.
            drop(Object::take(client));
        }
        done.into_iter().for_each(|pending| pending.send(failure));
    }
}

/// A connection with a transaction open and the writers' lock held. A connection that died while
/// nobody used it is replaced.
async fn begin(pool: &Pool) -> Option<Object> {
    for _ in 0..=CONNECTIONS {
        let client = match pool.get().await {
            Ok(client) => client,
            Err(error) => {
                tracing::error!(error = explain(&error), "postgres cannot be reached");
                return None;
            }
        };
        match client.batch_execute(BEGIN_WRITE).await {
            Ok(()) => return Some(client),
            Err(error) => {
                tracing::warn!(%error, "postgres closed a connection");
                drop(Object::take(client));
            }
        }
    }
    None
}

async fn commit(
    client: &Object,
    jobs: impl Iterator<Item = Job>,
    done: &mut Vec<Pending>,
) -> Result<Effects, tokio_postgres::Error> {
    let mut effects = Effects::default();
    for job in jobs {
        client.batch_execute("SAVEPOINT job").await?;
        let (pending, its_effects) = job.run(&mut Session { client }).await;
        let end = if pending.is_ok() {
            "RELEASE job"
        } else {
            "ROLLBACK TO job; RELEASE job"
        };
        done.push(pending);
        client.batch_execute(end).await?;
        effects.merge(its_effects);
    }
    let notify = client
        .prepare_cached("SELECT pg_notify('gatelatch', $1)")
        .await?;
    for message in Message::about(&effects) {
        client.execute(&notify, &[&message.encode()]).await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(effects)
}

/// Runs one job on a snapshot.
pub(super) async fn read(pool: Pool, job: Job) {
    let Some(client) = begin_read(&pool).await else {
        return job.refuse(StoreError::Failed);
    };
    let ran = AssertUnwindSafe(job.run(&mut Session { client: &client }))
        .catch_unwind()
        .await;
    let ended = client.batch_execute("ROLLBACK").await;
    if ran.is_err() || ended.is_err() {
        drop(Object::take(client));
    }
    if let Ok((pending, _)) = ran {
        pending.send(None);
    }
}

async fn begin_read(pool: &Pool) -> Option<Object> {
    for _ in 0..=CONNECTIONS {
        let client = pool.get().await.ok()?;
        let begun = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        match client.batch_execute(begun).await {
            Ok(()) => return Some(client),
            Err(_) => drop(Object::take(client)),
        }
    }
    None
}

/// Tells the other replicas what gateways have reported.
pub(super) async fn speak(
    pool: Pool,
    mut reports: mpsc::Receiver<String>,
    closing: CancellationToken,
) {
    loop {
        let report = tokio::select! {
            report = reports.recv() => report,
            () = closing.cancelled() => None,
        };
        let Some(report) = report else { return };
        let Ok(client) = pool.get().await else {
            continue;
        };
        let message = Message::Gateway(report).encode();
        let spoken = client
            .execute("SELECT pg_notify('gatelatch', $1)", &[&message])
            .await;
        if spoken.is_err() {
            drop(Object::take(client));
        }
    }
}
