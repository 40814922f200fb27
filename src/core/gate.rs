//! The path of a request, top to bottom.
//!
//! ```text
//! clean → classify → public ──────────────────────────────→ forward
//!                  → ours ───→ flow::{login, callback, logout, session}
//!                  → optional, required → recognise the session
//!                        live ────────────────────────────→ forward with identity
//!                        expired, refreshable → flow::refresh
//!                        absent → optional: forward · required: log in or refuse
//! ```

use std::rc::Rc;

use gatelatch_wire::UnixSeconds;

use crate::config::{Config, OnStale};
use crate::cookie::{self, Found};
use crate::denial::Denial;
use crate::entropy::Entropy;
use crate::flow::{callback, login, logout, refresh, session_info};
use crate::jose::SignatureVerifier;
use crate::known::{KnownToken, KnownTokens};
use crate::provider::Provider;
use crate::reply;
use crate::request::{Request, Site};
use crate::revoked::{RevokedView, Segments};
use crate::rules::Access;
use crate::session_token::{self, SessionExpect};
use crate::step::{Edits, Step};

/// Everything one VM knows. Decisions are made on it, one event at a time.
#[derive(Debug)]
pub struct Gate {
    /// What the operator decided.
    pub config: Config,
    /// The provider's metadata and keys.
    pub provider: Provider,
    /// What is revoked.
    pub revoked: RevokedView,
    /// Names this Envoy at the control service.
    pub gateway_id: String,
    known: KnownTokens,
}

/// All of the outside world that a decision may see.
pub struct Env<'a> {
    /// The time in seconds.
    pub now: UnixSeconds,
    /// The same in milliseconds.
    pub now_ms: u64,
    /// Randomness.
    pub entropy: &'a mut dyn Entropy,
    /// The exact set of revocations.
    pub segments: &'a dyn Segments,
    /// The host's signature verification, where it has one.
    pub verifier: &'a dyn SignatureVerifier,
}

/// What a request's cookie says.
#[derive(Debug)]
pub enum Session {
    /// Verified, not expired, not revoked.
    Live(Rc<KnownToken>),
    /// Verified and not revoked, but past its expiry.
    Expired(Rc<KnownToken>),
    /// Nothing to go on.
    Absent(Denial),
}

/// What is kept of a request that waits: its headers are out of reach until it resumes.
#[derive(Debug)]
pub struct Held {
    /// What its path asks for.
    pub access: Access,
    /// What becomes of it once the session is renewed.
    pub goal: Goal,
    /// How to refuse it.
    pub challenge: Challenge,
    /// Whether its method is safe.
    pub safe: bool,
    /// Cleaning of its headers, without identity.
    pub cleaned: Edits,
}

/// What a held request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The application.
    Upstream,
    /// `/_gatelatch/session`.
    SessionInfo,
}

/// How to refuse a request.
#[derive(Debug, Clone)]
pub struct Challenge {
    /// Whether it can follow a redirect.
    pub navigation: bool,
    /// Where a login would lead back to: path and query of a navigation.
    pub return_to: String,
    /// Whether the browser has a session cookie that should go.
    pub had_cookie: bool,
    /// Whether the next login must ask for the password.
    pub reauthenticate: bool,
    /// Login transactions that this browser has open, oldest first.
    pub open_logins: Vec<String>,
}

impl Gate {
    /// A gate that knows its configuration and nothing else yet.
    pub fn new(config: Config, gateway_id: String) -> Self {
        Self {
            config,
            provider: Provider::default(),
            revoked: RevokedView::default(),
            gateway_id,
            known: KnownTokens::default(),
        }
    }

    /// Decides on a request.
    pub fn on_request(&mut self, request: &Request<'_>, env: &mut Env<'_>) -> Step {
        let path = request.path();
        if let Some(own) = path
            .as_ref()
            .and_then(|path| path.as_str().strip_prefix("/_gatelatch/"))
        {
            return self.on_own_path(own, request, env);
        }
        let access = self.config.rules.access(path.as_ref());
        let cleaned = self.clean(request);
        let preflight = self.config.forward_cors_preflight && request.is_preflight();
        if access == Access::Public || preflight {
            return Step::Forward(cleaned);
        }
        let session = self.session(request, env);
        if !request.is_safe()
            && !matches!(session, Session::Absent(_))
            && self.site(request) == Site::Cross
        {
            return self.refuse(&self.challenge(request), Denial::CrossSite, env);
        }
        match session {
            Session::Live(known) => self.forward_live(cleaned, &known, env),
            Session::Expired(known) => {
                let held = self.hold(request, access, Goal::Upstream, cleaned);
                refresh::begin(self, held, known)
            }
            Session::Absent(_) if access == Access::Optional => Step::Forward(cleaned),
            Session::Absent(denial) => self.refuse(&self.challenge(request), denial, env),
        }
    }

    /// A live session, renewed beside its requests towards the end of its token's life.
    fn forward_live(&self, cleaned: Edits, known: &Rc<KnownToken>, env: &mut Env<'_>) -> Step {
        let early = self.config.refresh.early;
        // The session's last token has no successor.
        let last = known.claims.exp >= known.claims.session_exp;
        if early == 0 || last || env.now.saturating_add(early) < known.claims.exp {
            return Step::Forward(self.identified(cleaned, known));
        }
        if let Some(session) = known.renewed.take() {
            return refresh::deliver(self, cleaned, known, &session, env);
        }
        let edits = self.identified(cleaned, known);
        if known.early_begun.replace(true) {
            return Step::Forward(edits);
        }
        refresh::begin_early(self, edits, Rc::clone(known))
    }

    fn on_own_path(&mut self, own: &str, request: &Request<'_>, env: &mut Env<'_>) -> Step {
        match (own, request.method) {
            ("login", b"GET" | b"HEAD") => login::begin(self, request, env),
            ("callback", b"GET") => callback::begin(self, request, env),
            ("logout", b"POST") => logout::begin(self, request, env),
            ("session", b"GET" | b"HEAD") => session_info::begin(self, request, env),
            // The control service answers it: the route of this path leads there.
            ("backchannel-logout", b"POST") => Step::Forward(self.clean(request)),
            ("login" | "callback" | "logout" | "session" | "backchannel-logout", _) => {
                self.refuse(&self.challenge(request), Denial::MethodNotAllowed, env)
            }
            _ => self.refuse(&self.challenge(request), Denial::NotFound, env),
        }
    }

    /// Reads the session cookie; a token is verified once and found again by its full text.
    pub fn session(&mut self, request: &Request<'_>, env: &Env<'_>) -> Session {
        let known = match self.recognise(request, env) {
            Ok(known) => known,
            Err(denial) => return Session::Absent(denial),
        };
        if known.clear_at.get() != self.revoked.generation {
            if self.revoked.forbids(&known.subject, env.now, env.segments) {
                return Session::Absent(Denial::SessionRevoked);
            }
            known.clear_at.set(self.revoked.generation);
        }
        if env.now >= known.claims.exp {
            let window = known
                .claims
                .exp
                .saturating_add(self.config.session.refresh_window);
            return if env.now < window && env.now < known.claims.session_exp {
                Session::Expired(known)
            } else {
                Session::Absent(Denial::SessionExpired)
            };
        }
        match self.staleness(env) {
            Some(denial) => Session::Absent(denial),
            None => Session::Live(known),
        }
    }

    /// The verified token of a request, whatever became of it since.
    pub fn recognise(
        &mut self,
        request: &Request<'_>,
        env: &Env<'_>,
    ) -> Result<Rc<KnownToken>, Denial> {
        let token = match cookie::find(
            request.cookies.iter().copied(),
            &self.config.cookies.session,
        ) {
            Found::One(token) => token,
            Found::None => return Err(Denial::NoSession),
            Found::Several => return Err(Denial::DuplicateSession),
        };
        if let Some(known) = self.known.find(token) {
            return Ok(known);
        }
        let text = std::str::from_utf8(token).map_err(|_| Denial::InvalidSession)?;
        let issuer = self.config.public_url.origin();
        let expect = SessionExpect {
            iss: &issuer,
            aud: &issuer,
            clock_skew: self.config.clock_skew,
        };
        let claims = session_token::verify(&self.config.session_keys, &expect, text, env.now)
            .map_err(|_| Denial::InvalidSession)?;
        let known = Rc::new(KnownToken::new(claims, &self.config));
        self.known.remember(token, Rc::clone(&known));
        Ok(known)
    }

    /// Why sessions cannot be accepted now, if they cannot.
    fn staleness(&self, env: &Env<'_>) -> Option<Denial> {
        let policy = &self.config.revocation;
        let synced_at = self.revoked.head.synced_at_ms;
        match (policy.on_stale, synced_at) {
            (OnStale::Allow, _) => None,
            (OnStale::Deny, 0) => Some(Denial::NotSynced),
            (OnStale::Deny, at) => {
                (env.now_ms > at.saturating_add(policy.max_staleness_ms)).then_some(Denial::Stale)
            }
        }
    }

    /// Takes off a request what only we may put on, and what is only ours to see.
    pub fn clean(&self, request: &Request<'_>) -> Edits {
        let names = &self.config.cookies;
        let keep_jwt = self.config.forward_jwt;
        let ours =
            |name: &[u8]| names.is_ours(name) && !(keep_jwt && name == names.session.as_bytes());
        let mut remove: Vec<Vec<u8>> = request.spoofed.iter().map(|name| name.to_vec()).collect();
        remove.dedup();
        let mut cookie = without_ours(&request.cookies, ours);
        if keep_jwt && cookie.is_none() && !request.cookies.is_empty() {
            // A renewed token will take its place among the others: they must be at hand then.
            cookie = Some(request.cookies.join(b"; ".as_slice()));
        }
        Edits {
            remove,
            cookie,
            ..Edits::default()
        }
    }

    /// The cleaned request with the identity of its session.
    pub fn identified(&self, mut cleaned: Edits, known: &KnownToken) -> Edits {
        cleaned.add = Rc::clone(&known.identity);
        cleaned
    }

    /// Refuses a request in the form that its sender understands.
    pub fn refuse(&self, challenge: &Challenge, denial: Denial, env: &mut Env<'_>) -> Step {
        if denial.asks_for_login() && challenge.navigation {
            return login::redirect(self, challenge, Some(denial), env);
        }
        Step::Respond(reply::refusal(&self.config, challenge, denial))
    }

    /// What is needed to refuse a request later.
    pub fn challenge(&self, request: &Request<'_>) -> Challenge {
        let cookies = || request.cookies.iter().copied();
        let navigation = request.is_navigation() && !request.is_prefetch();
        Challenge {
            navigation,
            return_to: if navigation {
                login::return_target(request.target)
            } else {
                "/".to_owned()
            },
            had_cookie: cookie::find(cookies(), &self.config.cookies.session) != Found::None,
            reauthenticate: cookie::find(cookies(), &self.config.cookies.reauthenticate)
                != Found::None,
            open_logins: login::open_logins(cookies(), &self.config.cookies),
        }
    }

    /// Keeps of a request what its continuation needs.
    pub fn hold(&self, request: &Request<'_>, access: Access, goal: Goal, cleaned: Edits) -> Held {
        Held {
            access,
            goal,
            challenge: self.challenge(request),
            safe: request.is_safe(),
            cleaned,
        }
    }

    /// Where a request with effects came from.
    pub fn site(&self, request: &Request<'_>) -> Site {
        request.site(&self.config.public_url.origin())
    }
}

fn without_ours(lines: &[&[u8]], ours: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let (mut kept, mut any) = (Vec::new(), false);
    for line in lines {
        let edited = cookie::without(line, &ours);
        any |= edited.is_some();
        let line = edited.as_deref().unwrap_or(line);
        if !kept.is_empty() && !line.is_empty() {
            kept.extend_from_slice(b"; ");
        }
        kept.extend_from_slice(line);
    }
    any.then_some(kept)
}

#[cfg(test)]
mod tests;
