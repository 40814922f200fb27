//! Where everything durable lives, behind one trait.
//!
//! The operations on it are written once, in [`crate::ops`], as plain SQL that SQLite and PostgreSQL
//! both speak; a backend only runs them. All writers of a database take turns, so that a job sees
//! every job before it and feed cursors are committed in their order. Jobs that wait together are
//! committed together; each has a savepoint of its own.

pub(crate) mod postgres;
mod schema;
pub(crate) mod signals;
pub(crate) mod sqlite;
mod value;

use std::any::Any;

use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

pub(crate) use signals::Effects;
pub(crate) use value::{Row, Value};

/// Why the store did not answer. Details are in the log, where the backend met them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StoreError {
    /// The database refused or failed: disk full, connection lost.
    #[error("the store failed")]
    Failed,
    /// More waits for the store than is allowed to.
    #[error("the store is overloaded")]
    Overloaded,
    /// The service is about to end.
    #[error("the store is closed")]
    Closed,
    /// A row is not as it was written.
    #[error("a stored row cannot be read")]
    Corrupt,
    /// A stored token was encrypted with a key that is not in the key ring.
    #[error("a stored token cannot be decrypted with the configured keys")]
    Unopenable,
}

/// A database that runs jobs.
pub(crate) trait Store: Send + Sync + 'static {
    /// Runs `job` in a transaction and answers it once the transaction is durable.
    fn write(&self, job: Job);

    /// Runs `job` on a snapshot of what is committed. It must not write.
    fn read(&self, job: Job);

    /// Ends the store after the jobs it already has. Later ones are answered with
    /// [`StoreError::Closed`].
    fn close(&self) -> BoxFuture<'_, ()>;

    /// Tells the other replicas, where there are any. Lost when nobody listens.
    fn broadcast(&self, _message: String) {}
}

/// One SQL statement at a time, inside a transaction. Parameters are `$1`, `$2`, ….
pub(crate) trait Sql: Send {
    /// The rows that `sql` yields.
    fn query<'a>(
        &'a mut self,
        sql: &'static str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>>;

    /// How many rows `sql` changed.
    fn execute<'a>(
        &'a mut self,
        sql: &'static str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<u64, StoreError>>;
}

/// What a job works on.
pub(crate) struct Tx<'a> {
    pub(crate) sql: &'a mut dyn Sql,
    /// Who is to be woken once this is durable.
    pub(crate) effects: Effects,
}

type Answer = Box<dyn Any + Send>;
type Run =
    Box<dyn for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<Answer, StoreError>> + Send>;

/// Work for the store, with the place where its answer goes.
pub(crate) struct Job {
    run: Run,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

/// A job's answer that may go out once the transaction is durable.
pub(crate) struct Pending {
    answer: Result<Answer, StoreError>,
    reply: oneshot::Sender<Result<Answer, StoreError>>,
}

impl Tx<'_> {
    pub(crate) async fn query(
        &mut self,
        sql: &'static str,
        params: &[Value],
    ) -> Result<Vec<Row>, StoreError> {
        self.sql.query(sql, params).await
    }

    pub(crate) async fn query_one(
        &mut self,
        sql: &'static str,
        params: &[Value],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.sql.query(sql, params).await?.into_iter().next())
    }

    pub(crate) async fn execute(
        &mut self,
        sql: &'static str,
        params: &[Value],
    ) -> Result<u64, StoreError> {
        self.sql.execute(sql, params).await
    }
}

impl Job {
    /// Runs it. The answer waits in [`Pending`] until the caller knows the transaction's fate.
    pub(crate) async fn run(self, sql: &mut dyn Sql) -> (Pending, Effects) {
        let mut tx = Tx {
            sql,
            effects: Effects::default(),
        };
        let answer = (self.run)(&mut tx).await;
        let effects = if answer.is_ok() {
            tx.effects
        } else {
            Effects::default()
        };
        (
            Pending {
                answer,
                reply: self.reply,
            },
            effects,
        )
    }

    /// Answers without running.
    pub(crate) fn refuse(self, error: StoreError) {
        let _ = self.reply.send(Err(error));
    }
}

impl Pending {
    /// Whether the job's changes are to be kept.
    pub(crate) fn is_ok(&self) -> bool {
        self.answer.is_ok()
    }

    /// Answers, with `error` in the place of a success when there is one.
    pub(crate) fn send(self, error: Option<StoreError>) {
        let answer = match error {
            Some(error) => self.answer.and(Err(error)),
            None => self.answer,
        };
        let _ = self.reply.send(answer);
    }
}

impl dyn Store {
    /// [`Store::write`] with a typed answer.
    pub(crate) async fn transact<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let (job, answer) = job(work);
        self.write(job);
        receive(answer).await
    }

    /// [`Store::read`] with a typed answer.
    pub(crate) async fn look<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let (job, answer) = job(work);
        self.read(job);
        receive(answer).await
    }
}

fn job<T, F>(work: F) -> (Job, oneshot::Receiver<Result<Answer, StoreError>>)
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx<'_>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let run: Run = Box::new(move |tx| {
        Box::pin(async move { work(tx).await.map(|value| Box::new(value) as Answer) })
    });
    (Job { run, reply }, answer)
}

async fn receive<T: 'static>(
    answer: oneshot::Receiver<Result<Answer, StoreError>>,
) -> Result<T, StoreError> {
    // A job that never answers has panicked, or its transaction was given up.
    let answer = answer.await.map_err(|_| StoreError::Failed)??;
    answer
        .downcast()
        .map(|value| *value)
        .map_err(|_| StoreError::Corrupt)
}
