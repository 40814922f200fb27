//! Tests of the whole product: the compiled filter in a real Envoy, the control service on its
//! database, a real OpenID provider, a real browser. They are in `tests/`, one family of behaviour
//! in a file. `scripts/run --build-only` must have built what they start.
