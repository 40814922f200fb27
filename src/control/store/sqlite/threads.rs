//! The threads of the store: one that writes, some that read.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError, mpsc};

use futures_util::FutureExt;
use rusqlite::Connection;

use super::statement::{Session, Translated};
use crate::store::signals::Signals;
use crate::store::{Effects, Job, Pending, StoreError};

/// The most jobs of one transaction.
const BATCH: usize = 1_000;

/// Runs jobs in batches until nobody can send any more.
pub(super) fn write(mut connection: Connection, jobs: &mpsc::Receiver<Job>, signals: &Signals) {
    let mut translated = HashMap::new();
    while let Ok(first) = jobs.recv() {
        let waiting = std::iter::once(first).chain(jobs.try_iter()).take(BATCH);
        let mut batch = Batch::default();
        let failure = match batch.commit(&mut connection, &mut translated, waiting) {
            Ok(()) => {
                signals.raise(&batch.effects);
                None
            }
            Err(error) => {
                tracing::error!(%error, jobs = batch.done.len(), "sqlite failed");
                let _ = connection.execute_batch("ROLLBACK");
                Some(StoreError::Failed)
            }
        };
        batch
            .done
            .into_iter()
            .for_each(|pending| pending.send(failure));
    }
}

/// Jobs that share one transaction, and so one fsync.
#[derive(Default)]
struct Batch {
    done: Vec<Pending>,
    effects: Effects,
}

impl Batch {
    /// Runs the jobs and commits. After an error none of them counts, and the rest of `jobs` is
    /// left to be dropped, which answers them too.
    fn commit(
        &mut self,
        connection: &mut Connection,
        translated: &mut Translated,
        jobs: impl Iterator<Item = Job>,
    ) -> Result<(), rusqlite::Error> {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for job in jobs {
            self.run(connection, translated, job)?;
            if connection.is_autocommit() {
                // SQLite itself gave the transaction up, as it does when the disk is full.
                return Err(rusqlite::Error::InvalidQuery);
            }
        }
        connection.execute_batch("COMMIT")
    }

    fn run(
        &mut self,
        connection: &mut Connection,
        translated: &mut Translated,
        job: Job,
    ) -> Result<(), rusqlite::Error> {
        connection.prepare_cached("SAVEPOINT job")?.execute([])?;
        let ran = run(connection, translated, job);
        let keep = ran.as_ref().is_some_and(|(pending, _)| pending.is_ok());
        if !keep && !connection.is_autocommit() {
            connection.prepare_cached("ROLLBACK TO job")?.execute([])?;
        }
        if let Some((pending, effects)) = ran {
            self.done.push(pending);
            self.effects.merge(effects);
        }
        if !connection.is_autocommit() {
            connection.prepare_cached("RELEASE job")?.execute([])?;
        }
        Ok(())
    }
}

/// Runs jobs one by one until nobody can send any more.
pub(super) fn read(mut connection: Connection, jobs: &Mutex<mpsc::Receiver<Job>>) {
    let mut translated = HashMap::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if let Err(error) = connection.execute_batch("BEGIN DEFERRED") {
            tracing::error!(%error, "sqlite failed");
            job.refuse(StoreError::Failed);
            continue;
        }
        let ran = run(&mut connection, &mut translated, job);
        let _ = connection.execute_batch("ROLLBACK");
        if let Some((pending, _)) = ran {
            pending.send(None);
        }
    }
}

/// Runs a job; None when it panicked, which must not take the thread along: dropping its reply has
/// answered it.
fn run(
    connection: &mut Connection,
    translated: &mut Translated,
    job: Job,
) -> Option<(Pending, Effects)> {
    let mut session = Session {
        connection,
        translated,
    };
    let ran = catch_unwind(AssertUnwindSafe(|| job.run(&mut session).now_or_never()));
    // Every statement of a SQLite session is ready at once, so a job never has to wait.
    ran.ok().flatten()
}
