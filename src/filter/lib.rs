//! The proxy-wasm shell of Gatelatch: the one place that makes host calls.
//!
//! It turns host callbacks into events of the core and performs the [`Step`] that comes back. What
//! is worth knowing before reading on:
//!
//! - **All calls are made from the root context.** A reply that belongs to a stream is dropped with
//!   the stream, and a rotated refresh token with it. A stream therefore puts its call into the
//!   worker's outbox and wakes the root through a shared queue of the worker's own (`worker.rs`).
//! - **Headers are bytes.** The SDK's string getters trap on what is not UTF-8 (`host.rs`).
//! - **A trap is an outage** of every request on its VM: nothing here may panic.
//!
//! [`Step`]: gatelatch_core::step::Step

#![deny(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unreachable,
    clippy::unwrap_used
)]

mod host;
mod leader;
mod mailbox;
mod poller;
mod root;
mod shared;
mod stats;
mod stream;
mod tell;
mod worker;

// The exported initialiser that the macro writes has no documentation of its own.
#[allow(missing_docs)]
mod start {
    use super::{root, tell};

    proxy_wasm::main! {{
        tell::install_log(log::LevelFilter::Info);
        proxy_wasm::set_root_context(|context_id| Box::new(root::Root::new(context_id)));
    }}
}
