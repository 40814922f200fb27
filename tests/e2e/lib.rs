//! Tests of the whole product: real Envoy, real OpenID provider, real browser.
