//! What the filter and the control service say to each other.
//!
//! Types and codecs only: this crate makes no call, reads no clock and decides nothing. Every JSON
//! body of API v1 is a type here, and so is the binary page of the revocation feed, so that neither
//! side can drift from the other.

#![forbid(unsafe_code)]

pub mod feed;
pub mod revocation;
pub mod secret;
pub mod session;

pub use secret::Secret;

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds (RFC 7519 section 2, NumericDate).
pub type UnixSeconds = u64;
