//! Tests of the compiled filter in a small stateful host.
