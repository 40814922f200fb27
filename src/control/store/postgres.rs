//! The store in a PostgreSQL database, for any number of replicas.
//!
//! Writers of all replicas take turns under one advisory lock, each with a batch of jobs, so that
//! every rule that holds for one SQLite writer holds here: a job sees every job before it, and feed
//! cursors are committed in their order. NOTIFY, sent with the commit, wakes the other replicas.

mod listener;
mod statement;
mod tls;
mod workers;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures_util::future::BoxFuture;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use self::statement::Session;
use super::signals::Signals;
use super::{Effects, Job, Store, StoreError, Tx, schema};
use crate::gateways::Gateways;

/// How many jobs may wait for the writer.
const QUEUE: usize = 20_000;

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
            tokio::spawn(workers::write(pool.clone(), waiting, Arc::clone(&signals))),
            tokio::spawn(workers::speak(pool.clone(), spoken, closing.clone())),
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
        tokio::spawn(workers::read(self.pool.clone(), job));
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
