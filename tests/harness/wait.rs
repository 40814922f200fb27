//! Waiting for a condition.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(10);

/// Asks until the answer is `Some`, and returns it. Panics after `seconds` with what was waited
/// for.
pub async fn eventually<T>(
    what: &str,
    seconds: u64,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(
            Instant::now() < deadline,
            "after {seconds} s still not: {what}"
        );
        tokio::time::sleep(STEP).await;
    }
}
