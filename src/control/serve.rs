//! Starting and ending the service.

use std::sync::Arc;
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::cleaner;
use crate::config::{Config, StoreUrl};
use crate::gateways::Gateways;
use crate::router::router;
use crate::store::Store;
use crate::store::postgres::{self, Postgres};
use crate::store::signals::Signals;
use crate::store::sqlite::{self, Sqlite};

/// How long open calls may take after the service was asked to end.
const GRACE: Duration = Duration::from_secs(10);

/// Why the service could not start, or ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The SQLite file.
    #[error("--store: {path}: {source}")]
    Sqlite {
        /// The file.
        path: String,
        /// What is wrong with it.
        source: sqlite::OpenError,
    },
    /// PostgreSQL.
    #[error("--store: the PostgreSQL database {0}")]
    Postgres(#[from] postgres::OpenError),
    /// The socket.
    #[error("--listen: {0}")]
    Listen(#[from] std::io::Error),
}

/// Serves on `listener` until `shutdown` ends. Waiting calls are then answered at once, the others
/// finish, and the store is closed.
///
/// # Errors
/// When the store cannot be opened.
pub async fn serve(
    config: Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    let signals = Arc::new(Signals::new());
    let gateways = Arc::new(Gateways::new());
    let store = open(&config.store, &signals, &gateways).await?;
    let ending = CancellationToken::new();
    let cleanup_interval = config.cleanup_interval;
    let address = listener.local_addr()?;
    let app = Arc::new(App::new(
        config,
        Arc::clone(&store),
        signals,
        gateways,
        ending.clone(),
    ));
    let cleaner = tokio::spawn(cleaner::run(Arc::clone(&app), cleanup_interval));
    tokio::spawn({
        let ending = ending.clone();
        async move {
            shutdown.await;
            tracing::info!("ending");
            ending.cancel();
        }
    });
    tracing::info!(%address, "ready");
    let listener = listener.tap_io(|stream| {
        // Answers are small: waiting to fill a packet would only make them late.
        let _ = stream.set_nodelay(true);
    });
    let serving = axum::serve(listener, router(app)).with_graceful_shutdown({
        let ending = ending.clone();
        async move { ending.cancelled().await }
    });
    let serving = std::pin::pin!(serving.into_future());
    let result = tokio::select! {
        result = serving => result,
        () = async { ending.cancelled().await; tokio::time::sleep(GRACE).await } => Ok(()),
    };
    ending.cancel();
    let _ = cleaner.await;
    store.close().await;
    Ok(result?)
}

async fn open(
    url: &StoreUrl,
    signals: &Arc<Signals>,
    gateways: &Arc<Gateways>,
) -> Result<Arc<dyn Store>, ServeError> {
    match url {
        StoreUrl::Sqlite(path) => {
            let opened = Sqlite::open(path, Arc::clone(signals));
            let failed = |source| ServeError::Sqlite {
                path: path.display().to_string(),
                source,
            };
            Ok(Arc::new(opened.map_err(failed)?))
        }
        StoreUrl::Postgres(url) => {
            let opened = Postgres::open(url, Arc::clone(signals), Arc::clone(gateways));
            Ok(Arc::new(opened.await?))
        }
    }
}
