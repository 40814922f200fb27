//! The decisions of Gatelatch, sans-IO: no proxy-wasm, no tokio, no clock, no entropy of its own.
