//! What the replicas tell each other through NOTIFY.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::{AsyncMessage, Client, Config, Connection};
use tokio_util::sync::CancellationToken;

use crate::gateways::Gateways;
use crate::store::{Effects, signals::Signals};

/// Between two attempts to listen again.
const PAUSE: Duration = Duration::from_secs(1);

/// More changed sessions than this are told as "all": a message holds at most 8,000 bytes.
const MAX_NAMED: usize = 20;

/// One message.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Message {
    /// The feed has a newer cursor.
    Head(u64),
    /// These sessions have a new state.
    Sessions(Vec<String>),
    /// Any session may have a new state.
    AllSessions,
    /// A gateway has polled: a report of [`Gateways`], as JSON.
    Gateway(String),
}

impl Message {
    /// What the other replicas have to hear of.
    pub(super) fn about(effects: &Effects) -> Vec<Self> {
        let mut messages: Vec<_> = effects.head.map(Self::Head).into_iter().collect();
        if effects.all_sessions || effects.sessions.len() > MAX_NAMED {
            messages.push(Self::AllSessions);
        } else if !effects.sessions.is_empty() {
            messages.push(Self::Sessions(effects.sessions.clone()));
        }
        messages
    }

    pub(super) fn encode(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    fn act(self, signals: &Signals, gateways: &Gateways) {
        let mut effects = Effects::default();
        match self {
            Self::Head(head) => effects.head = Some(head),
            Self::Sessions(sessions) => effects.sessions = sessions,
            Self::AllSessions => effects.all_sessions = true,
            Self::Gateway(report) => {
                if let Ok(report) = serde_json::from_str(&report) {
                    gateways.report(report);
                }
            }
        }
        signals.raise(&effects);
    }
}

/// Listens until the store closes, again and again when the connection is lost.
pub(super) async fn run(
    config: Config,
    signals: Arc<Signals>,
    gateways: Arc<Gateways>,
    closing: CancellationToken,
) {
    loop {
        let listened = tokio::select! {
            listened = listen(&config, &signals, &gateways) => listened,
            () = closing.cancelled() => return,
        };
        if let Err(error) = listened {
            tracing::warn!(%error, "postgres does not notify; trying again");
        }
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = closing.cancelled() => return,
        }
    }
}

async fn listen(
    config: &Config,
    signals: &Signals,
    gateways: &Gateways,
) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = config.connect(super::tls::connector()).await?;
    let mut catching_up = pin!(catch_up(&client, signals));
    let mut following = pin!(follow(connection, signals, gateways));
    tokio::select! {
        caught_up = &mut catching_up => caught_up?,
        followed = &mut following => return followed,
    }
    following.await
}

/// Starts to listen, then wakes everybody: what changed before was told to nobody.
async fn catch_up(client: &Client, signals: &Signals) -> Result<(), tokio_postgres::Error> {
    client.batch_execute("LISTEN gatelatch").await?;
    let row = client
        .query_one("SELECT head FROM feed_head WHERE id = 1", &[])
        .await?;
    let head: i64 = row.get(0);
    signals.raise(&Effects {
        head: Some(head.max(0) as u64),
        all_sessions: true,
        ..Effects::default()
    });
    Ok(())
}

async fn follow<S, T>(
    mut connection: Connection<S, T>,
    signals: &Signals,
    gateways: &Gateways,
) -> Result<(), tokio_postgres::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        if let AsyncMessage::Notification(notification) = message?
            && let Ok(message) = serde_json::from_str::<Message>(notification.payload())
        {
            message.act(signals, gateways);
        }
    }
    Ok(())
}
