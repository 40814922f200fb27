//! Gives an IdP that keeps failing a rest, one breaker for each issuer.

use std::collections::HashMap;

/// Failures in a row that open a breaker.
const THRESHOLD: u32 = 5;

const FIRST_REST_MS: u64 = 1_000;
const LONGEST_REST_MS: u64 = 30_000;

/// The most issuers that are kept apart.
const MAX_ISSUERS: usize = 1_000;

/// The breakers of all issuers.
#[derive(Debug, Default)]
pub(crate) struct Breakers(HashMap<String, Breaker>);

#[derive(Debug, Default, Clone, Copy)]
struct Breaker {
    failures: u32,
    rest_ms: u64,
    /// Until then nobody may try. Then one may, which moves it on.
    open_until_ms: u64,
}

impl Breakers {
    /// Whether a refresh at `iss` may be tried now; if not, in how many milliseconds to ask again.
    /// While the breaker is half open, the one trial keeps others out for `trial_ms`.
    pub(crate) fn admit(&mut self, iss: &str, now_ms: u64, trial_ms: u64) -> Result<(), u32> {
        let Some(breaker) = self.0.get_mut(iss) else {
            return Ok(());
        };
        if breaker.failures < THRESHOLD {
            return Ok(());
        }
        match breaker.open_until_ms.saturating_sub(now_ms) {
            0 => {
                breaker.open_until_ms = now_ms.saturating_add(trial_ms);
                Ok(())
            }
            left => Err(left.min(LONGEST_REST_MS) as u32),
        }
    }

    /// A refresh failed in a way that speaks of the issuer. How long to wait, in milliseconds.
    pub(crate) fn failed(&mut self, iss: &str, now_ms: u64, retry_after_ms: Option<u64>) -> u32 {
        if self.0.len() >= MAX_ISSUERS && !self.0.contains_key(iss) {
            self.0.clear();
        }
        let breaker = self.0.entry(iss.to_owned()).or_default();
        breaker.failures = breaker.failures.saturating_add(1);
        let mut wait = FIRST_REST_MS;
        if breaker.failures >= THRESHOLD {
            breaker.rest_ms = (breaker.rest_ms * 2).clamp(FIRST_REST_MS, LONGEST_REST_MS);
            wait = breaker.rest_ms;
            breaker.open_until_ms = now_ms.saturating_add(wait);
        }
        wait.max(retry_after_ms.unwrap_or(0))
            .min(u64::from(u32::MAX)) as u32
    }

    /// A refresh came through.
    pub(crate) fn succeeded(&mut self, iss: &str) {
        self.0.remove(iss);
    }

    /// How many are open.
    pub(crate) fn open(&self) -> usize {
        self.0
            .values()
            .filter(|breaker| breaker.failures >= THRESHOLD)
            .count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIAL: u64 = 10_000;

    fn tripped(now_ms: u64) -> Breakers {
        let mut breakers = Breakers::default();
        for _ in 0..THRESHOLD {
            assert_eq!(breakers.admit("i", now_ms, TRIAL), Ok(()));
            breakers.failed("i", now_ms, None);
        }
        breakers
    }

    #[test]
    fn it_opens_after_five_failures_in_a_row_for_that_issuer_alone() {
        let mut breakers = tripped(0);
        assert_eq!(breakers.admit("i", 0, TRIAL), Err(1_000));
        assert_eq!(breakers.admit("other", 0, TRIAL), Ok(()));
    }

    #[test]
    fn a_success_between_failures_starts_the_count_anew() {
        let mut breakers = Breakers::default();
        for _ in 0..4 {
            breakers.failed("i", 0, None);
        }
        breakers.succeeded("i");
        breakers.failed("i", 0, None);
        assert_eq!(breakers.admit("i", 0, TRIAL), Ok(()));
    }

    #[test]
    fn after_its_rest_one_trial_is_admitted_and_each_failure_doubles_the_rest() {
        let mut breakers = tripped(0);
        let mut now = 0;
        for rest in [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000] {
            assert_eq!(breakers.admit("i", now, TRIAL), Err(rest), "at {now}");
            now += u64::from(rest);
            assert_eq!(breakers.admit("i", now, TRIAL), Ok(()));
            assert_eq!(breakers.admit("i", now, TRIAL), Err(TRIAL as u32));
            breakers.failed("i", now, None);
        }
        breakers.succeeded("i");
        assert_eq!(breakers.admit("i", now, TRIAL), Ok(()));
    }

    #[test]
    fn a_trial_that_vanishes_makes_room_for_another() {
        let mut breakers = tripped(0);
        assert_eq!(breakers.admit("i", 1_000, TRIAL), Ok(()));
        assert_eq!(breakers.admit("i", 1_000 + TRIAL, TRIAL), Ok(()));
    }

    #[test]
    fn the_idps_own_retry_after_is_passed_on() {
        let mut breakers = Breakers::default();
        assert_eq!(breakers.failed("i", 0, Some(7_000)), 7_000);
    }
}
