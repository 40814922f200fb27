//! The control service and the operator's tool.
//!
//! The service keeps the sessions of all gateways and their refresh tokens, decides who may refresh
//! a session, and feeds revocations to every Envoy. [`serve`] runs it on a socket; [`Config::load`]
//! makes its configuration from the command line.

#![forbid(unsafe_code)]

mod app;
mod arbiter;
mod audit;
pub mod auth;
mod breaker;
mod cleaner;
pub mod cli;
pub mod client;
pub mod clock;
pub mod config;
mod error;
mod extract;
mod gateways;
pub mod idp;
pub mod keyring;
mod lease;
mod metrics;
mod ops;
mod refresh;
mod router;
mod routes;
mod serve;
mod session;
mod store;
mod waiters;

pub use config::Config;
pub use router::document;
pub use serve::{ServeError, serve};
