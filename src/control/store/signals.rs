//! Who is woken when something has become durable.

use tokio::sync::watch;

use crate::waiters::Waiters;

/// What a job changed that somebody may be waiting for.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// The newest cursor of the feed, when it moved.
    pub(crate) head: Option<u64>,
    /// Sessions whose refresh has a new state.
    pub(crate) sessions: Vec<String>,
    /// Every session may have a new state.
    pub(crate) all_sessions: bool,
}

/// The waiting rooms of one process.
#[derive(Debug)]
pub(crate) struct Signals {
    head: watch::Sender<u64>,
    /// Those who wait for another holder's refresh.
    pub(crate) waiters: Waiters,
}

impl Signals {
    pub(crate) fn new() -> Self {
        Self {
            head: watch::Sender::new(0),
            waiters: Waiters::default(),
        }
    }

    /// Wakes everybody whom `effects` concern. Called after the commit only.
    pub(crate) fn raise(&self, effects: &Effects) {
        if let Some(head) = effects.head {
            self.head.send_if_modified(|known| {
                let newer = head > *known;
                *known = head.max(*known);
                newer
            });
        }
        if effects.all_sessions {
            self.waiters.wake_all();
        }
        for sid in &effects.sessions {
            self.waiters.wake(sid);
        }
    }

    /// Follows the newest cursor of the feed.
    pub(crate) fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }
}

impl Effects {
    pub(crate) fn merge(&mut self, other: Self) {
        self.head = self.head.max(other.head);
        self.sessions.extend(other.sessions);
        self.all_sessions |= other.all_sessions;
    }
}
