//! Who may refresh a session now: the decisions, without a store and without a clock.

use gatelatch_wire::session::{FailClass, GoneReason};

use crate::lease::LeaseName;
use crate::session::Session;

/// What `begin` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// The session is over already.
    Gone(GoneReason),
    /// The session is over from now on.
    End(GoneReason),
    /// Somebody has just refreshed.
    Renewed,
    /// Another holder is at work until then, in Unix milliseconds.
    Wait { until_ms: u64 },
    /// The caller may have the lease.
    Grant {
        /// A former holder vanished.
        maybe_spent: bool,
    },
}

/// What `complete` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Complete {
    /// The session is over already.
    Gone(GoneReason),
    /// The session is over from now on.
    End(GoneReason),
    /// The same answer was stored before.
    Repeated,
    /// Another holder has completed since.
    Superseded,
    /// Keep the rotated token.
    Store,
}

/// What `fail` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fail {
    /// The session is over already.
    Gone(GoneReason),
    /// The session is over from now on.
    End(GoneReason),
    /// The lease is not this caller's any more: nothing changes.
    Stale,
    /// The lease is given back; `rejects` is the new count of refusals in a row.
    Release { rejects: u64 },
}

/// How the second refusal in a row is counted.
const LAST_REJECT: u64 = 2;

/// Decides on `begin`. `revoked`: a revocation forbids the session, or the JWT that asks.
pub(crate) fn begin(
    session: Option<&Session>,
    revoked: bool,
    now_ms: u64,
    tail_window_ms: u64,
) -> Begin {
    let Some(session) = session else {
        return Begin::Gone(GoneReason::Unknown);
    };
    if let Some(ended) = session.ended {
        return Begin::Gone(ended.reason);
    }
    if revoked {
        return Begin::Gone(GoneReason::Revoked);
    }
    if now_ms / 1000 >= session.ends_at {
        return Begin::End(GoneReason::Expired);
    }
    let tail_ends = session
        .refreshed_at_ms
        .map(|at| at.saturating_add(tail_window_ms));
    if tail_ends.is_some_and(|end| now_ms < end) {
        return Begin::Renewed;
    }
    if session.refresh_token.is_none() {
        return Begin::End(GoneReason::NoRefreshToken);
    }
    match &session.lease {
        Some(lease) if now_ms < lease.until_ms => Begin::Wait {
            until_ms: lease.until_ms,
        },
        lease => Begin::Grant {
            maybe_spent: session.maybe_spent || lease.is_some(),
        },
    }
}

/// Decides on `complete`. The rotated token of the current generation is never turned away because
/// a lease ran out: the IdP honours no other.
pub(crate) fn complete(
    session: Option<&Session>,
    revoked: bool,
    lease: &str,
    name: &LeaseName,
    now_ms: u64,
) -> Complete {
    let Some(session) = session else {
        return Complete::Gone(GoneReason::Unknown);
    };
    if let Some(ended) = session.ended {
        return Complete::Gone(ended.reason);
    }
    if revoked {
        return Complete::Gone(GoneReason::Revoked);
    }
    if now_ms / 1000 >= session.ends_at {
        return Complete::End(GoneReason::Expired);
    }
    if session.generation == name.generation {
        return Complete::Store;
    }
    if session.completed_lease.as_deref() == Some(lease) {
        return Complete::Repeated;
    }
    Complete::Superseded
}

/// Decides on `fail`.
pub(crate) fn fail(session: Option<&Session>, lease: &str, class: FailClass) -> Fail {
    let Some(session) = session else {
        return Fail::Gone(GoneReason::Unknown);
    };
    if let Some(ended) = session.ended {
        return Fail::Gone(ended.reason);
    }
    if session
        .lease
        .as_ref()
        .is_none_or(|current| current.id != lease)
    {
        return Fail::Stale;
    }
    match class {
        FailClass::InvalidGrant => Fail::End(GoneReason::InvalidGrant),
        FailClass::Mismatch => Fail::End(GoneReason::Mismatch),
        FailClass::Rejected if session.rejects + 1 >= LAST_REJECT => {
            Fail::End(GoneReason::RefreshRejected)
        }
        FailClass::Rejected => Fail::Release {
            rejects: session.rejects + 1,
        },
        FailClass::Transient | FailClass::Misconfigured => Fail::Release {
            rejects: session.rejects,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{Ended, Lease};
    use gatelatch_wire::revocation::Digest;

    const NOW: u64 = 1_000_000;
    const TAIL: u64 = 30_000;

    fn session() -> Session {
        Session {
            sid: "s".into(),
            iss: "i".into(),
            sub: "u".into(),
            gateway: "g".into(),
            idp_sid: None,
            claims: Default::default(),
            refresh_token: Some(vec![1]),
            id_token: None,
            auth_time: 0,
            started_at: 0,
            ends_at: 2_000,
            generation: 3,
            refreshed_at_ms: None,
            lease: None,
            maybe_spent: false,
            completed_lease: None,
            rejects: 0,
            ended: None,
        }
    }

    fn lease(until_ms: u64) -> Option<Lease> {
        Some(Lease {
            id: "L".into(),
            holder: "h".into(),
            until_ms,
        })
    }

    fn began(session: &Session) -> Begin {
        begin(Some(session), false, NOW, TAIL)
    }

    #[test]
    fn begin_asks_its_questions_in_order() {
        let mut s = Session {
            refresh_token: None,
            ends_at: 1_000,
            ..session()
        };
        s.ended = Some(Ended {
            at: 1,
            reason: GoneReason::Logout,
        });
        assert_eq!(
            begin(None, true, NOW, TAIL),
            Begin::Gone(GoneReason::Unknown)
        );
        assert_eq!(
            begin(Some(&s), true, NOW, TAIL),
            Begin::Gone(GoneReason::Logout)
        );
        s.ended = None;
        assert_eq!(
            begin(Some(&s), true, NOW, TAIL),
            Begin::Gone(GoneReason::Revoked)
        );
        assert_eq!(began(&s), Begin::End(GoneReason::Expired));
        s.ends_at = 1_001;
        assert_eq!(began(&s), Begin::End(GoneReason::NoRefreshToken));
        s.refreshed_at_ms = Some(NOW - TAIL + 1);
        assert_eq!(began(&s), Begin::Renewed);
        s.refreshed_at_ms = Some(NOW - TAIL);
        s.refresh_token = Some(vec![1]);
        assert_eq!(began(&s), Begin::Grant { maybe_spent: false });
    }

    #[test]
    fn a_live_lease_is_waited_for_and_a_dead_one_leaves_its_doubt() {
        let s = Session {
            lease: lease(NOW + 1),
            ..session()
        };
        assert_eq!(began(&s), Begin::Wait { until_ms: NOW + 1 });
        let s = Session {
            lease: lease(NOW),
            ..session()
        };
        assert_eq!(began(&s), Begin::Grant { maybe_spent: true });
    }

    #[test]
    fn complete_goes_by_generation_and_not_by_the_lease_that_is_left() {
        let name = LeaseName::new(3, Digest::jti("j"));
        let text = name.encode();
        let decide = |s: &Session| complete(Some(s), false, &text, &name, NOW);
        assert_eq!(decide(&session()), Complete::Store);
        assert_eq!(
            decide(&Session {
                lease: lease(NOW + 1),
                ..session()
            }),
            Complete::Store
        );
        let later = Session {
            generation: 4,
            ..session()
        };
        assert_eq!(decide(&later), Complete::Superseded);
        let same = Session {
            completed_lease: Some(text.clone()),
            ..later
        };
        assert_eq!(decide(&same), Complete::Repeated);
        assert_eq!(
            complete(Some(&session()), true, &text, &name, NOW),
            Complete::Gone(GoneReason::Revoked)
        );
    }

    #[test]
    fn only_the_holder_can_fail_and_only_some_failures_end_the_session() {
        let held = Session {
            lease: lease(NOW + 1),
            ..session()
        };
        let failed = |class| fail(Some(&held), "L", class);
        assert_eq!(
            failed(FailClass::InvalidGrant),
            Fail::End(GoneReason::InvalidGrant)
        );
        assert_eq!(failed(FailClass::Mismatch), Fail::End(GoneReason::Mismatch));
        assert_eq!(failed(FailClass::Transient), Fail::Release { rejects: 0 });
        assert_eq!(
            failed(FailClass::Misconfigured),
            Fail::Release { rejects: 0 }
        );
        assert_eq!(failed(FailClass::Rejected), Fail::Release { rejects: 1 });
        assert_eq!(
            fail(Some(&held), "other", FailClass::InvalidGrant),
            Fail::Stale
        );
        let again = Session { rejects: 1, ..held };
        assert_eq!(
            fail(Some(&again), "L", FailClass::Rejected),
            Fail::End(GoneReason::RefreshRejected)
        );
    }
}
