//! The store in a PostgreSQL database, for any number of replicas.
//!
//! Writers of all replicas take turns under one advisory lock, each with a batch of jobs, so that
//! every rule that holds for one SQLite writer holds here: a job sees every job before it, and feed
//! cursors are committed in their order. NOTIFY, sent with the commit, wakes the other replicas.

mod listener;
mod statement;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::listener::Message;
use self::statement::Session;
use super::signals::Signals;
use super::{Effects, Job, Pending, Store, StoreError, Tx, schema};
use crate::gateways::Gateways;

/// How many jobs may wait for the writer.
const QUEUE: usize = 20_000;

/// The most jobs of one transaction.
const BATCH: usize = 256;

const CONNECTIONS: usize = 8;

/// How long to wait for a connection.
const PATIENCE: Duration = Duration::from_secs(10);

/// A replica that stops in the middle of a transaction must not keep the others out for long.
const OPTIONS: &str = "-c idle_in_transaction_session_timeout=15000";

/// The advisory lock that writers hold: the first eight letters of our name in ASCII.
const BEGIN_WRITE: &str = "BEGIN; SELECT pg_advisory_xact_lock(7449363237606356067)";

/// Why the database cannot be used. No text of the URL is in it, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The URL.
    #[error("is not a URL that PostgreSQL understands: postgres://USER:PASSWORD@HOST/DATABASE")]
    Url,
    /// No connection.
    #[error("cannot be reached: {0}")]
    Connect(String),
    /// A setting of the server that would lose what was acknowledged.
    #[error(
        "has synchronous_commit off, and would lose in a crash what was acknowledged; switch it on \
         for this database"
    )]
    NotDurable,
    /// The tables.
    #[error("does not hold the tables of this version of gatelatch")]
    Schema,
}

/// One open database.
pub(crate) struct Postgres {
    pool: Pool,
    jobs: Mutex<Option<mpsc::Sender<Job>>>,
    reports: mpsc::Sender<String>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    closing: CancellationToken,
}

impl Postgres {
    /// Connects, and makes or updates the tables.
    pub(crate) async fn open(
        url: &str,
        signals: Arc<Signals>,
        gateways: Arc<Gateways>,
    ) -> Result<Self, OpenError> {
        let config = config(url)?;
        let manager = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let pool = Pool::builder(Manager::from_config(
            config.clone(),
            tls::connector(),
            manager,
        ))
        .max_size(CONNECTIONS)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(PATIENCE))
        .create_timeout(Some(PATIENCE))
        .build()
        .map_err(|error| OpenError::Connect(error.to_string()))?;
        prepare(&pool).await?;
        let closing = CancellationToken::new();
        let (jobs, waiting) = mpsc::channel(QUEUE);
        let (reports, spoken) = mpsc::channel(QUEUE);
        let tasks = vec![
            tokio::spawn(write(pool.clone(), waiting, Arc::clone(&signals))),
            tokio::spawn(speak(pool.clone(), spoken, closing.clone())),
            tokio::spawn(listener::run(config, signals, gateways, closing.clone())),
        ];
        Ok(Self {
            pool,
            jobs: Mutex::new(Some(jobs)),
            reports,
            tasks: Mutex::new(tasks),
            closing,
        })
    }
}

impl Store for Postgres {
    fn write(&self, job: Job) {
        let jobs = self
            .jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(jobs) = jobs else {
            return job.refuse(StoreError::Closed);
        };
        match jobs.try_send(job) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(job)) => job.refuse(StoreError::Overloaded),
            Err(mpsc::error::TrySendError::Closed(job)) => job.refuse(StoreError::Closed),
        }
    }

    fn read(&self, job: Job) {
        if self.closing.is_cancelled() {
            return job.refuse(StoreError::Closed);
        }
        tokio::spawn(read(self.pool.clone(), job));
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.jobs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        self.closing.cancel();
        let tasks: Vec<_> = self
            .tasks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        Box::pin(async move {
            for task in tasks {
                let _ = task.await;
            }
            self.pool.close();
        })
    }

    fn broadcast(&self, report: String) {
        // Lost when the queue is full: the gateway's next poll says the same.
        let _ = self.reports.try_send(report);
    }
}

fn config(url: &str) -> Result<tokio_postgres::Config, OpenError> {
    let mut config: tokio_postgres::Config = url.parse().map_err(|_| OpenError::Url)?;
    let options = match config.get_options() {
        Some(given) => format!("{OPTIONS} {given}"),
        None => OPTIONS.to_owned(),
    };
    config.options(options).connect_timeout(PATIENCE);
    if config.get_application_name().is_none() {
        config.application_name("gatelatch");
    }
    tls::settle(&mut config);
    Ok(config)
}

async fn prepare(pool: &Pool) -> Result<(), OpenError> {
    let client = pool
        .get()
        .await
        .map_err(|error| OpenError::Connect(explain(&error)))?;
    let failed = |error: tokio_postgres::Error| OpenError::Connect(error.to_string());
    let row = client
        .query_one("SHOW synchronous_commit", &[])
        .await
        .map_err(failed)?;
    if row.get::<_, &str>(0) == "off" {
        return Err(OpenError::NotDurable);
    }
    client.batch_execute(BEGIN_WRITE).await.map_err(failed)?;
    let mut session = Session { client: &client };
    let mut tx = Tx {
        sql: &mut session,
        effects: Effects::default(),
    };
    match schema::migrate(&mut tx).await {
        Ok(()) => client.batch_execute("COMMIT").await.map_err(failed),
        Err(_) => {
            let _ = client.batch_execute("ROLLBACK").await;
            Err(OpenError::Schema)
        }
    }
}

/// The reason at the bottom: "connection refused" says more than "error connecting".
fn explain(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    let mut text = deepest.to_string();
    if text.starts_with("invalid peer certificate") {
        text += "; set SSL_CERT_FILE to a file with the certificate of its issuer";
    }
    text
}

async fn write(pool: Pool, mut jobs: mpsc::Receiver<Job>, signals: Arc<Signals>) {
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

async fn read(pool: Pool, job: Job) {
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
async fn speak(pool: Pool, mut reports: mpsc::Receiver<String>, closing: CancellationToken) {
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
