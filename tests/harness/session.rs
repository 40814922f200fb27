//! The session JWT as its holder sees it: claims without verification.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// Name of the session cookie.
pub const SESSION_COOKIE: &str = "__Host-gatelatch";

/// A session JWT, by its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionToken(pub String);

impl SessionToken {
    /// A string claim.
    pub fn text(&self, claim: &str) -> String {
        match &self.claims()[claim] {
            Value::String(text) => text.clone(),
            other => panic!("the session JWT has {claim}: {other}"),
        }
    }

    /// A claim that is a time in seconds.
    pub fn seconds(&self, claim: &str) -> u64 {
        self.claims()[claim]
            .as_u64()
            .unwrap_or_else(|| panic!("the session JWT has no number {claim}"))
    }

    /// All claims.
    pub fn claims(&self) -> Value {
        let payload = self.0.split('.').nth(1).expect("a JWT has three parts");
        let json = URL_SAFE_NO_PAD.decode(payload).expect("base64url");
        serde_json::from_slice(&json).expect("JSON")
    }

    /// Waits until its own `exp` has passed.
    pub async fn expired(&self) {
        let ends = UNIX_EPOCH + Duration::from_secs(self.seconds("exp"));
        while let Ok(left) = ends.duration_since(SystemTime::now()) {
            tokio::time::sleep(left + Duration::from_millis(1)).await;
        }
    }
}
