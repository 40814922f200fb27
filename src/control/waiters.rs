//! Those who wait for another holder's refresh, by session, bounded for each and in all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

/// The most waiters of one session.
pub(crate) const MAX_PER_SESSION: usize = 10_000;

/// The most waiters of all sessions together.
pub(crate) const MAX_IN_ALL: usize = 100_000;

/// The waiting rooms, one for each session that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Waiters(Arc<Mutex<Rooms>>);

#[derive(Debug, Default)]
struct Rooms {
    by_sid: HashMap<String, Room>,
    in_all: usize,
}

#[derive(Debug)]
struct Room {
    notify: Arc<Notify>,
    inside: usize,
}

/// A place in a waiting room; dropping it leaves the room.
#[derive(Debug)]
pub(crate) struct Waiter {
    rooms: Arc<Mutex<Rooms>>,
    sid: String,
    /// Notified at every change of the session.
    pub(crate) notify: Arc<Notify>,
}

impl Waiters {
    /// Enters the room of `sid`; None when it is full.
    pub(crate) fn enter(&self, sid: &str) -> Option<Waiter> {
        let mut rooms = lock(&self.0);
        if rooms.in_all >= MAX_IN_ALL {
            return None;
        }
        let room = rooms.by_sid.entry(sid.to_owned()).or_insert_with(|| Room {
            notify: Arc::new(Notify::new()),
            inside: 0,
        });
        if room.inside >= MAX_PER_SESSION {
            return None;
        }
        room.inside += 1;
        let notify = Arc::clone(&room.notify);
        rooms.in_all += 1;
        Some(Waiter {
            rooms: Arc::clone(&self.0),
            sid: sid.to_owned(),
            notify,
        })
    }

    /// How many wait, in all.
    pub(crate) fn len(&self) -> usize {
        lock(&self.0).in_all
    }

    pub(super) fn wake(&self, sid: &str) {
        if let Some(room) = lock(&self.0).by_sid.get(sid) {
            room.notify.notify_waiters();
        }
    }

    pub(super) fn wake_all(&self) {
        for room in lock(&self.0).by_sid.values() {
            room.notify.notify_waiters();
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let mut rooms = lock(&self.rooms);
        rooms.in_all -= 1;
        if let Some(room) = rooms.by_sid.get_mut(&self.sid) {
            room.inside -= 1;
            if room.inside == 0 {
                rooms.by_sid.remove(&self.sid);
            }
        }
    }
}

fn lock(rooms: &Mutex<Rooms>) -> std::sync::MutexGuard<'_, Rooms> {
    // The counts are changed in single steps, so a panic elsewhere leaves them whole.
    rooms.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_is_bounded_and_forgotten_when_empty() {
        let waiters = Waiters::default();
        let inside: Vec<_> = (0..MAX_PER_SESSION)
            .map(|_| waiters.enter("a").unwrap())
            .collect();
        assert!(waiters.enter("a").is_none());
        assert!(waiters.enter("b").is_some());
        drop(inside);
        assert_eq!(waiters.len(), 0);
        assert!(lock(&waiters.0).by_sid.is_empty());
    }
}
