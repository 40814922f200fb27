//! What the service does in its store: each function is one step of one transaction.
//!
//! They are the same for every backend, take the time as an argument, and leave it to their caller
//! to commit. Decisions about refreshes are made in [`crate::arbiter`].

pub(crate) mod cleaning;
pub(crate) mod feed;
pub(crate) mod logins;
pub(crate) mod logout;
pub(crate) mod refresh;
pub(crate) mod revocations;
pub(crate) mod sessions;

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::breaker::Breakers;
use crate::keyring::{KeyRing, Unopenable};
use crate::store::StoreError;

/// What the steps go by.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) keyring: KeyRing,
    /// How long revocations and marks are kept, in seconds.
    pub(crate) retention_s: u64,
    /// How long after a refresh its result is handed out, in milliseconds.
    pub(crate) tail_window_ms: u64,
    /// How long a lease lasts unless renewed, in milliseconds.
    pub(crate) lease_ms: u32,
    pub(crate) breakers: Mutex<Breakers>,
}

impl Policy {
    pub(crate) fn breakers(&self) -> MutexGuard<'_, Breakers> {
        // A breaker is a hint about an IdP: whatever a panic left of it is good enough.
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<Unopenable> for StoreError {
    fn from(_: Unopenable) -> Self {
        Self::Unopenable
    }
}
