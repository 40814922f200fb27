//! A control service in a few lines of state, for tests of what a filter makes of its answers.
//!
//! It follows API v1 where nothing else is ordered, so that a whole refresh runs against it; the
//! real service has tests of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gatelatch_wire::feed::{CONTENT_TYPE, Entry, Epoch, Page};
use gatelatch_wire::revocation::Revocation;
use gatelatch_wire::session::{
    BeginOutcome, BeginRefresh, ClaimLogin, ClaimOutcome, CompleteOutcome, CompleteRefresh,
    CreateOutcome, CreateSession, EndSession, FailClass, FailOutcome, FailRefresh, GoneReason,
    RenewLease, SessionEnded, SessionView,
};
use gatelatch_wire::{Secret, UnixSeconds};
use serde::de::DeserializeOwned;

use crate::callout::Request;
use crate::headers::Headers;
use crate::peer::{Answer, Script};

/// The credential that it accepts.
pub const GATEWAY_TOKEN: &str = "gateway-token-of-the-tests-0123456789";

/// How long a lease lasts without renewal.
const LEASE: Duration = Duration::from_secs(10);

/// How long a refreshed session is handed out as renewed.
const TAIL: Duration = Duration::from_secs(30);

/// The control service of a test.
#[derive(Debug)]
pub struct ScriptedControl {
    sessions: BTreeMap<String, Session>,
    claimed: BTreeSet<String>,
    epoch: Epoch,
    feed: Vec<Entry>,
    script: Script,
    leases: u32,
    page_limit: usize,
}

/// A session as the service keeps it.
#[derive(Debug, Clone)]
pub struct Session {
    /// What gateways see of it.
    pub view: SessionView,
    /// What would be spent next.
    pub refresh_token: Option<Secret>,
    /// Of the last login or refresh.
    pub id_token: Option<Secret>,
    /// Why it is over.
    pub gone: Option<GoneReason>,
    lease: Option<(String, Duration)>,
    refreshed_at: Option<Duration>,
}

impl Default for ScriptedControl {
    fn default() -> Self {
        Self {
            sessions: BTreeMap::new(),
            claimed: BTreeSet::new(),
            epoch: Epoch([1; 16]),
            feed: Vec::new(),
            script: Script::default(),
            leases: 0,
            page_limit: usize::MAX,
        }
    }
}

impl ScriptedControl {
    /// The next call whose path ends so gets this answer instead.
    pub fn next(&mut self, path_end: &str, answer: Answer) {
        self.script.once(path_end, answer);
    }

    /// Every call whose path ends so gets this answer instead, until [`ScriptedControl::behave`].
    pub fn always(&mut self, path_end: &str, answer: Answer) {
        self.script.always(path_end, answer);
    }

    /// Back to API v1.
    pub fn behave(&mut self) {
        self.script.clear();
    }

    /// Every call so far whose path ends so.
    pub fn calls(&self, path_end: &str) -> Vec<&Request> {
        self.script.seen(path_end)
    }

    /// All sessions by `sid`.
    pub fn sessions(&self) -> &BTreeMap<String, Session> {
        &self.sessions
    }

    /// The only session.
    ///
    /// # Panics
    /// When there is none, or several.
    pub fn only_session(&self) -> &Session {
        assert_eq!(
            self.sessions.len(),
            1,
            "sessions: {:?}",
            self.sessions.keys()
        );
        self.sessions.values().next().expect("just counted")
    }

    /// Ends a session without a word in the feed.
    pub fn end(&mut self, sid: &str, reason: GoneReason) {
        self.sessions
            .get_mut(sid)
            .expect("a session of this id")
            .gone = Some(reason);
    }

    /// Gives the lease of a session to a gateway that is not under test.
    pub fn lease_elsewhere(&mut self, sid: &str, until: Duration) {
        let session = self.sessions.get_mut(sid).expect("a session of this id");
        session.lease = Some(("elsewhere".to_owned(), until));
    }

    /// Completes the refresh that [`ScriptedControl::lease_elsewhere`] began.
    pub fn refreshed_elsewhere(&mut self, sid: &str, now: Duration) {
        let session = self.sessions.get_mut(sid).expect("a session of this id");
        (session.lease, session.refreshed_at) = (None, Some(now));
    }

    /// Writes a revocation into the feed, good for an hour.
    pub fn revoke(&mut self, revocation: &Revocation, now: Duration) {
        let issued_before = match revocation {
            Revocation::Sub { issued_before, .. } | Revocation::All { issued_before } => {
                issued_before.unwrap_or(now.as_secs()) as u32
            }
            Revocation::Jti { .. } | Revocation::Sid { .. } => u32::MAX,
        };
        let expires_at = now.as_secs() as u32 + 3_600;
        self.feed.push(Entry {
            digest: revocation.digest(),
            expires_at,
            issued_before,
        });
    }

    /// Adds entries to the feed as they are.
    pub fn publish(&mut self, entries: impl IntoIterator<Item = Entry>) {
        self.feed.extend(entries);
    }

    /// Begins another history, with nothing in it.
    pub fn new_epoch(&mut self, epoch: u8) {
        self.epoch = Epoch([epoch; 16]);
        self.feed.clear();
    }

    /// Makes pages no longer than this.
    pub fn limit_pages(&mut self, entries: usize) {
        self.page_limit = entries;
    }

    /// Notes a callout that has just arrived; what the test has ordered for it.
    pub(crate) fn arrive(&mut self, request: &Request) -> Option<Answer> {
        self.script.arrive(request)
    }

    /// API v1. A request that has to wait is asked again with the same `request`.
    pub(crate) fn answer(&mut self, request: &Request, now: Duration) -> Answer {
        let bearer = format!("Bearer {GATEWAY_TOKEN}");
        if request.headers.first("authorization") != Some(bearer.as_bytes()) {
            return Answer::json(
                401,
                &serde_json::json!({"error": "unauthorized", "message": "No."}),
            );
        }
        let path = request.path().to_owned();
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let waited = now.saturating_sub(request.sent_at);
        match (request.method(), segments.as_slice()) {
            ("GET", ["v1", "feed"]) => self.feed(request, waited),
            ("POST", ["v1", "sessions"]) => self.create(&read(request), now),
            ("POST", ["v1", "sessions", sid, "refresh", "begin"]) => {
                self.begin(sid, &read(request), now, waited)
            }
            ("POST", ["v1", "sessions", sid, "refresh", "renew"]) => {
                self.renew(sid, &read(request), now)
            }
            ("POST", ["v1", "sessions", sid, "refresh", "complete"]) => {
                self.complete(sid, read(request), now)
            }
            ("POST", ["v1", "sessions", sid, "refresh", "fail"]) => self.fail(sid, &read(request)),
            ("POST", ["v1", "sessions", sid, "end"]) => self.end_session(sid, &read(request)),
            ("POST", ["v1", "logins", id, "claim"]) => self.claim(id, &read(request)),
            _ => Answer::json(
                404,
                &serde_json::json!({"error": "not_found", "message": "No such path."}),
            ),
        }
    }

    fn claim(&mut self, id: &str, _: &ClaimLogin) -> Answer {
        let first = self.claimed.insert(id.to_owned());
        Answer::json(
            200,
            &if first {
                ClaimOutcome::Claimed
            } else {
                ClaimOutcome::Used
            },
        )
    }

    fn create(&mut self, body: &CreateSession, now: Duration) -> Answer {
        if let Some(replaced) = body
            .replaces
            .as_ref()
            .and_then(|sid| self.sessions.get_mut(sid))
        {
            replaced.gone = Some(GoneReason::Replaced);
        }
        let started_at: UnixSeconds = now.as_secs();
        let view = SessionView {
            sid: body.sid.clone(),
            iss: body.iss.clone(),
            sub: body.sub.clone(),
            claims: body.claims.clone(),
            auth_time: body.auth_time,
            started_at,
            ends_at: body.ends_at,
        };
        let session = Session {
            view,
            refresh_token: body.refresh_token.clone(),
            id_token: body.id_token.clone(),
            gone: None,
            lease: None,
            refreshed_at: None,
        };
        self.sessions.insert(body.sid.clone(), session);
        Answer::json(200, &CreateOutcome::Created { started_at })
    }

    fn begin(&mut self, sid: &str, body: &BeginRefresh, now: Duration, waited: Duration) -> Answer {
        let Some(session) = self.sessions.get_mut(sid) else {
            return Answer::json(
                200,
                &BeginOutcome::Gone {
                    reason: GoneReason::Unknown,
                },
            );
        };
        if let Some(reason) = session.gone {
            return Answer::json(200, &BeginOutcome::Gone { reason });
        }
        if session.refreshed_at.is_some_and(|at| now < at + TAIL) {
            return Answer::json(
                200,
                &BeginOutcome::Renewed {
                    session: session.view.clone(),
                },
            );
        }
        let Some(refresh_token) = session.refresh_token.clone() else {
            return Answer::json(
                200,
                &BeginOutcome::Gone {
                    reason: GoneReason::NoRefreshToken,
                },
            );
        };
        if session
            .lease
            .as_ref()
            .is_some_and(|(_, until)| now < *until)
        {
            let patience = Duration::from_millis(body.wait_ms.into());
            let busy = BeginOutcome::Busy {
                retry_after_ms: 500,
            };
            return if waited < patience {
                Answer::Later
            } else {
                Answer::json(200, &busy)
            };
        }
        self.leases += 1;
        let lease = format!("lease-{}", self.leases);
        let maybe_spent = session
            .lease
            .replace((lease.clone(), now + LEASE))
            .is_some();
        let session = session.view.clone();
        let lease_ms = LEASE.as_millis() as u32;
        Answer::json(
            200,
            &BeginOutcome::Lease {
                lease,
                lease_ms,
                refresh_token,
                maybe_spent,
                session,
            },
        )
    }

    fn renew(&mut self, sid: &str, body: &RenewLease, now: Duration) -> Answer {
        if let Some(lease) = self.lease(sid, &body.lease) {
            lease.1 = now + LEASE;
        }
        Answer::text(204, "")
    }

    fn complete(&mut self, sid: &str, body: CompleteRefresh, now: Duration) -> Answer {
        let held = self.lease(sid, &body.lease).is_some();
        let session = self
            .sessions
            .get_mut(sid)
            .expect("a session that was leased");
        if let Some(reason) = session.gone {
            return Answer::json(200, &CompleteOutcome::Gone { reason });
        }
        if !held {
            return Answer::json(
                200,
                &CompleteOutcome::Superseded {
                    session: session.view.clone(),
                },
            );
        }
        session.refresh_token = body.refresh_token.or_else(|| session.refresh_token.take());
        session.id_token = body.id_token.or_else(|| session.id_token.take());
        session.view.claims = body.claims.unwrap_or_else(|| session.view.claims.clone());
        (session.lease, session.refreshed_at) = (None, Some(now));
        Answer::json(
            200,
            &CompleteOutcome::Stored {
                session: session.view.clone(),
            },
        )
    }

    fn fail(&mut self, sid: &str, body: &FailRefresh) -> Answer {
        let session = self
            .sessions
            .get_mut(sid)
            .expect("a session that was leased");
        session.lease = None;
        let reason = match body.class {
            FailClass::InvalidGrant => GoneReason::InvalidGrant,
            FailClass::Mismatch => GoneReason::Mismatch,
            FailClass::Transient | FailClass::Misconfigured | FailClass::Rejected => {
                return Answer::json(
                    200,
                    &FailOutcome::Kept {
                        retry_after_ms: 1_000,
                    },
                );
            }
        };
        session.gone = Some(reason);
        Answer::json(200, &FailOutcome::Gone { reason })
    }

    fn end_session(&mut self, sid: &str, body: &EndSession) -> Answer {
        let hint = self.sessions.get_mut(sid).and_then(|session| {
            session.gone.get_or_insert(body.reason);
            session.id_token.clone()
        });
        Answer::json(
            200,
            &SessionEnded {
                id_token_hint: hint,
            },
        )
    }

    fn feed(&self, request: &Request, waited: Duration) -> Answer {
        let parameter = |name: &str| {
            let pairs = request.query();
            pairs
                .into_iter()
                .find(|(held, _)| held == name)
                .map(|(_, value)| value)
                .unwrap_or_default()
        };
        let number = |name: &str| parameter(name).parse::<u64>().unwrap_or(0);
        let (head, cursor) = (self.feed.len() as u64, number("cursor"));
        let ours = Epoch::from_hex(&parameter("epoch")) == Some(self.epoch) && cursor <= head;
        let from = if ours { cursor } else { 0 };
        if ours && from == head && waited < Duration::from_millis(number("wait_ms")) {
            return Answer::Later;
        }
        let limit = self.page_limit.min(number("limit") as usize);
        let entries: Vec<Entry> = self
            .feed
            .iter()
            .skip(from as usize)
            .take(limit)
            .copied()
            .collect();
        let to = from + entries.len() as u64;
        let body = Page {
            epoch: self.epoch,
            from,
            to,
            head,
            entries,
        }
        .encode();
        Answer::Http {
            status: 200,
            headers: Headers::new().with("content-type", CONTENT_TYPE),
            body,
        }
    }

    fn lease(&mut self, sid: &str, lease: &str) -> Option<&mut (String, Duration)> {
        self.sessions
            .get_mut(sid)?
            .lease
            .as_mut()
            .filter(|(held, _)| held == lease)
    }
}

fn read<T: DeserializeOwned>(request: &Request) -> T {
    serde_json::from_slice(&request.body).unwrap_or_else(|error| {
        panic!(
            "{} is not what API v1 takes: {error}: {}",
            request.path(),
            request.body.escape_ascii()
        )
    })
}
