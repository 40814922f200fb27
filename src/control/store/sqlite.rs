//! The store in one SQLite file: one writer thread, a few reader threads.
//!
//! WAL with `synchronous=FULL`: a commit is on disk before anybody is answered. The writer takes
//! whatever waits for it into one transaction, so that many callers share one fsync.

mod statement;
mod threads;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};

use self::statement::Session;
use super::signals::Signals;
use super::{Effects, Job, Store, StoreError, Tx, schema};

/// How many jobs may wait for the writer, and for the readers.
const QUEUE: usize = 20_000;

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
            threads::write(connection, &jobs, &signals)
        })?];
        let (readers, jobs) = mpsc::sync_channel(QUEUE);
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..READERS {
            let connection = connect(path)?;
            let jobs = Arc::clone(&jobs);
            threads.push(spawn("store-reader", move || {
                threads::read(connection, &jobs)
            })?);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Tx;

    async fn insert(tx: &mut Tx<'_>, id: &str) -> Result<(), StoreError> {
        let insert = "INSERT INTO login_marks (id, expires_at) VALUES ($1, 1)";
        tx.execute(insert, &[id.into()]).await.map(drop)
    }

    async fn marks(store: &dyn Store) -> Vec<String> {
        let ids = store.look(|tx| {
            Box::pin(async {
                let rows = tx
                    .query("SELECT id FROM login_marks ORDER BY id", &[])
                    .await?;
                rows.iter().map(|row| row.text(0)).collect()
            })
        });
        ids.await.unwrap()
    }

    #[tokio::test]
    async fn a_job_that_fails_or_panics_takes_back_its_own_changes_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(&path, Arc::new(Signals::new())).unwrap());
        let kept = store.transact(|tx| Box::pin(insert(tx, "kept")));
        let failing = store.transact(|tx| {
            Box::pin(async {
                insert(tx, "failed").await?;
                Err::<(), _>(StoreError::Corrupt)
            })
        });
        let panicking = store.transact(|tx| {
            Box::pin(async {
                insert(tx, "panicked").await?;
                panic!("a defect");
                #[allow(unreachable_code)]
                Ok(())
            })
        });
        let also_kept = store.transact(|tx| Box::pin(insert(tx, "kept too")));
        let answers = tokio::join!(kept, failing, panicking, also_kept);
        let panicked = Err(StoreError::Failed);
        assert_eq!(
            answers,
            (Ok(()), Err(StoreError::Corrupt), panicked, Ok(()))
        );
        assert_eq!(marks(&*store).await, ["kept", "kept too"]);
    }

    #[tokio::test]
    async fn the_files_belong_to_their_owner_alone_and_to_one_process() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db");
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::open(&path, Arc::new(Signals::new())).unwrap());
        store
            .transact(|tx| Box::pin(insert(tx, "x")))
            .await
            .unwrap();
        for file in std::fs::read_dir(folder.path()).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        let again = Sqlite::open(&path, Arc::new(Signals::new()));
        assert!(matches!(again, Err(OpenError::Locked)));
        store.close().await;
        let closed = store.transact(|tx| Box::pin(insert(tx, "y"))).await;
        assert_eq!(closed, Err(StoreError::Closed));
    }
}
