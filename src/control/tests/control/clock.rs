//! A clock that stands still until a test moves it.

use std::time::Duration;

use futures_util::future::BoxFuture;
use gatelatch_control::clock::Clock;
use tokio::sync::watch;

#[derive(Debug, Clone)]
pub(crate) struct ManualClock(watch::Sender<u64>);

impl ManualClock {
    pub(crate) fn at(now_ms: u64) -> Self {
        Self(watch::Sender::new(now_ms))
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.0.send_modify(|now| *now += by.as_millis() as u64);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> u64 {
        *self.0.borrow()
    }

    fn sleep_until(&self, at_ms: u64) -> BoxFuture<'static, ()> {
        let mut now = self.0.subscribe();
        Box::pin(async move {
            let _ = now.wait_for(|now| *now >= at_ms).await;
        })
    }
}
