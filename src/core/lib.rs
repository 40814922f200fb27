//! The decisions of Gatelatch, sans-IO: no proxy-wasm, no tokio, no clock, no entropy of its own.

#![forbid(unsafe_code)]
// A panic in the filter is an outage of every request on its VM.
#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    clippy::unreachable,
    clippy::unwrap_used
)]

pub mod entropy;
pub mod id_token;
pub mod jose;
pub mod logout_token;
pub mod seal;
pub mod session_token;

pub use entropy::Entropy;
