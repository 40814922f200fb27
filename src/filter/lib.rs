//! The proxy-wasm shell of Gatelatch: the one place that makes host calls.
