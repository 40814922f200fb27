//! The store in one SQLite file: one writer thread, a few reader threads.
//!
//! WAL with `synchronous=FULL`: a commit is on disk before anybody is answered. The writer takes
//! whatever waits for it into one transaction, so that many callers share one fsync.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, ready};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Statement, ToSql};

use super::signals::Signals;
use super::{Effects, Job, Pending, Row, Sql, Store, StoreError, Tx, Value, schema};

/// How many jobs may wait for the writer, and for the readers.
const QUEUE: usize = 20_000;

/// The most jobs of one transaction.
const BATCH: usize = 1_000;

const READERS: usize = 2;

/// Why the database file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file or its folder.
    #[error("cannot be opened: {0}")]
    File(#[from] std::io::Error),
    /// Another process has it.
    #[error(
        "is in use by another gatelatch; stop that one, or use postgres://… for several replicas"
    )]
    Locked,
    /// SQLite itself.
    #[error("cannot be opened as a SQLite database: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The tables.
    #[error("does not hold the tables of this version of gatelatch")]
    Schema,
}

/// One open database.
pub(crate) struct Sqlite {
    queues: Mutex<Option<Queues>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    _lock: File,
}

#[derive(Clone)]
struct Queues {
    writer: mpsc::SyncSender<Job>,
    readers: mpsc::SyncSender<Job>,
}

impl Sqlite {
    /// Opens the file, or makes it, readable by its owner alone.
    pub(crate) fn open(path: &Path, signals: Arc<Signals>) -> Result<Self, OpenError> {
        let lock = lock_file(path)?;
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path)?;
        let mut connection = connect(path)?;
        prepare(&mut connection)?;
        let (writer, jobs) = mpsc::sync_channel(QUEUE);
        let mut threads = vec![spawn("store-writer", move || {
            write(connection, &jobs, &signals)
        })?];
        let (readers, jobs) = mpsc::sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..READERS {
            let connection = connect(path)?;
            let jobs = Arc::clone(&jobs);
            threads.push(spawn("store-reader", move || read(connection, &jobs))?);
        }
        Ok(Self {
            queues: Mutex::new(Some(Queues { writer, readers })),
            threads: Mutex::new(threads),
            _lock: lock,
        })
    }

    fn queues(&self) -> Option<Queues> {
        self.queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Store for Sqlite {
    fn write(&self, job: Job) {
        send(self.queues().map(|queues| queues.writer), job);
    }

    fn read(&self, job: Job) {
        send(self.queues().map(|queues| queues.readers), job);
    }

    fn close(&self) -> BoxFuture<'_, ()> {
        self.queues
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let threads: Vec<_> = self
            .threads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .drain(..)
            .collect();
        Box::pin(async move {
            let join = move || threads.into_iter().for_each(|thread| drop(thread.join()));
            let _ = tokio::task::spawn_blocking(join).await;
        })
    }
}

fn send(queue: Option<mpsc::SyncSender<Job>>, job: Job) {
    let Some(queue) = queue else {
        return job.refuse(StoreError::Closed);
    };
    match queue.try_send(job) {
        Ok(()) => {}
        Err(mpsc::TrySendError::Full(job)) => job.refuse(StoreError::Overloaded),
        Err(mpsc::TrySendError::Disconnected(job)) => job.refuse(StoreError::Closed),
    }
}

fn lock_file(path: &Path) -> Result<File, OpenError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(PathBuf::from(name))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(OpenError::Locked),
        Err(std::fs::TryLockError::Error(error)) => Err(error.into()),
    }
}

fn connect(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(100);
    connection.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 10000;
         PRAGMA temp_store = MEMORY; PRAGMA secure_delete = ON;",
    )?;
    Ok(connection)
}

fn prepare(connection: &mut Connection) -> Result<(), OpenError> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    let mut session = Session {
        connection,
        translated: &mut HashMap::new(),
    };
    let mut tx = Tx {
        sql: &mut session,
        effects: Effects::default(),
    };
    match schema::migrate(&mut tx).now_or_never() {
        Some(Ok(())) => Ok(connection.execute_batch("COMMIT")?),
        _ => Err(OpenError::Schema),
    }
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(body)
}

fn write(mut connection: Connection, jobs: &mpsc::Receiver<Job>, signals: &Signals) {
    let mut translated = HashMap::new();
    while let Ok(first) = jobs.recv() {
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            report(&error);
            first.refuse(StoreError::Failed);
            continue;
        }
        let mut done = Vec::new();
        let mut effects = Effects::default();
        let waiting = std::iter::once(first).chain(jobs.try_iter()).take(BATCH);
        for job in waiting {
            let (pending, its_effects) = run_one(&mut connection, &mut translated, job);
            effects.merge(its_effects);
            done.push(pending);
        }
        let failure = connection.execute_batch("COMMIT").err().map(|error| {
            report(&error);
            let _ = connection.execute_batch("ROLLBACK");
            StoreError::Failed
        });
        if failure.is_none() {
            signals.raise(&effects);
        }
        done.into_iter().for_each(|pending| pending.send(failure));
    }
}

fn run_one(
    connection: &mut Connection,
    translated: &mut HashMap<&'static str, String>,
    job: Job,
) -> (Pending, Effects) {
    let savepoint = connection
        .prepare_cached("SAVEPOINT job")
        .and_then(|mut it| it.execute([]));
    if let Err(error) = savepoint {
        report(&error);
    }
    let (pending, effects) = run(connection, translated, job);
    let end = if pending.is_ok() {
        "RELEASE job"
    } else {
        "ROLLBACK TO job"
    };
    if let Err(error) = connection
        .prepare_cached(end)
        .and_then(|mut it| it.execute([]))
    {
        // The transaction is broken; its commit fails too, and with it every answer.
        report(&error);
    }
    (pending, effects)
}

fn read(mut connection: Connection, jobs: &Mutex<mpsc::Receiver<Job>>) {
    let mut translated = HashMap::new();
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        if let Err(error) = connection.execute_batch("BEGIN DEFERRED") {
            report(&error);
            job.refuse(StoreError::Failed);
            continue;
        }
        let (pending, _) = run(&mut connection, &mut translated, job);
        let _ = connection.execute_batch("ROLLBACK");
        pending.send(None);
    }
}

fn run(
    connection: &mut Connection,
    translated: &mut HashMap<&'static str, String>,
    job: Job,
) -> (Pending, Effects) {
    let mut session = Session {
        connection,
        translated,
    };
    // Every statement of a SQLite session is ready at once, so the job never has to wait.
    job.run(&mut session)
        .now_or_never()
        .expect("a job awaits nothing but its statements")
}

fn report(error: &rusqlite::Error) {
    tracing::error!(%error, "sqlite failed");
}

struct Session<'c> {
    connection: &'c mut Connection,
    /// The statements with SQLite's spelling of numbered parameters.
    translated: &'c mut HashMap<&'static str, String>,
}

impl Session<'_> {
    fn run<T>(
        &mut self,
        sql: &'static str,
        params: &[Value],
        body: impl FnOnce(&mut Statement<'_>, &[&dyn ToSql]) -> Result<T, rusqlite::Error>,
    ) -> Result<T, StoreError> {
        let text = self
            .translated
            .entry(sql)
            .or_insert_with(|| sql.replace('$', "?"));
        let params: Vec<&dyn ToSql> = params.iter().map(|value| value as &dyn ToSql).collect();
        let result = self
            .connection
            .prepare_cached(text)
            .and_then(|mut statement| body(&mut statement, &params));
        result.map_err(|error| {
            tracing::error!(%error, statement = sql, "sqlite failed");
            StoreError::Failed
        })
    }
}

impl Sql for Session<'_> {
    fn query<'a>(
        &'a mut self,
        sql: &'static str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        let rows = self.run(sql, params, |statement, params| {
            let columns = statement.column_count();
            let rows = statement.query_map(params, |row| {
                (0..columns)
                    .map(|column| from_sqlite(row.get_ref(column)?))
                    .collect()
            })?;
            rows.map(|row| row.map(Row)).collect()
        });
        Box::pin(ready(rows))
    }

    fn execute<'a>(
        &'a mut self,
        sql: &'static str,
        params: &'a [Value],
    ) -> BoxFuture<'a, Result<u64, StoreError>> {
        let changed = self.run(sql, params, |statement, params| statement.execute(params));
        Box::pin(ready(changed.map(|changed| changed as u64)))
    }
}

fn from_sqlite(value: ValueRef<'_>) -> Result<Value, rusqlite::Error> {
    Ok(match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(int) => Value::Int(int),
        ValueRef::Text(_) => Value::Text(value.as_str()?.to_owned()),
        ValueRef::Blob(blob) => Value::Blob(blob.to_vec()),
        ValueRef::Real(_) => return Err(rusqlite::Error::IntegralValueOutOfRange(0, 0)),
    })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<rusqlite::types::ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => rusqlite::types::Null.into(),
            Self::Int(int) => (*int).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Blob(blob) => blob.as_slice().into(),
        })
    }
}
