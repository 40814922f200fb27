//! The decisions of Gatelatch, sans-IO: no proxy-wasm, no tokio, no clock, no entropy of its own.
//!
//! Every event (a request, a reply to a call) is answered with exactly one [`step::Step`]. Read
//! [`gate::Gate::on_request`] first: it is the path of a request from top to bottom. What takes
//! longer than one event is in [`flow`], and [`pending::Pending`] lists every point at which work
//! waits. [`feed`] and [`provider`] keep what all requests need fresh.

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

pub mod config;
pub mod control_api;
pub mod cookie;
pub mod denial;
pub mod entropy;
pub mod feed;
pub mod flow;
pub mod gate;
pub mod id_token;
pub mod identity;
pub mod jose;
pub mod known;
pub mod logout_token;
pub mod mint;
pub mod path;
pub mod pending;
pub mod provider;
pub mod reply;
pub mod request;
pub mod revoked;
pub mod rules;
pub mod seal;
pub mod session_token;
pub mod step;
pub mod token_endpoint;
pub mod userinfo;

pub use entropy::Entropy;
