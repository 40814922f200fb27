//! Session JWTs that this VM has verified, so that each is verified once.
//!
//! Keyed by the whole token. What a moment can change (expiry, revocation) is not kept but checked
//! on every hit; what only configuration can change (keys, issuer, audience) lives as long as the
//! VM, as this cache does.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

use gatelatch_wire::revocation::Digest;
use gatelatch_wire::session::SessionView;

use crate::config::Config;
use crate::revoked::Subject;
use crate::session_token::SessionClaims;

/// A verified session JWT, with everything a request derives from it.
#[derive(Debug)]
pub struct KnownToken {
    /// Its claims.
    pub claims: SessionClaims,
    /// The identity headers that it stands for.
    pub identity: Vec<(String, String)>,
    /// What it can be revoked by.
    pub subject: Subject,
    /// Generation of the revoked set under which nothing forbade it; 0: never looked.
    pub clear_at: Cell<u64>,
    /// Whether this VM has begun to renew the session before the token's expiry.
    pub early_begun: Cell<bool>,
    /// What came of it: the next response carries the cookie.
    pub renewed: RefCell<Option<Box<SessionView>>>,
}

impl KnownToken {
    /// Derives what requests need from verified claims.
    pub fn new(claims: SessionClaims, config: &Config) -> Self {
        let identity = config
            .identity_headers
            .render(&claims.sub, &claims.sid, &claims.claims);
        let digests = [
            Digest::jti(&claims.jti),
            Digest::sid(&claims.sid),
            Digest::sub(&config.issuer, &claims.sub),
            Digest::sub(&claims.iss, &claims.sub),
            Digest::all(),
        ];
        let subject = Subject {
            digests,
            started_at: claims.session_iat,
        };
        Self {
            claims,
            identity,
            subject,
            clear_at: Cell::new(0),
            early_begun: Cell::new(false),
            renewed: RefCell::new(None),
        }
    }
}

/// A bounded cache in two generations: when the young one is full it becomes the old one, and what
/// the old one held untouched is let go.
#[derive(Debug, Default)]
pub struct KnownTokens {
    young: HashMap<Box<[u8]>, Rc<KnownToken>>,
    old: HashMap<Box<[u8]>, Rc<KnownToken>>,
}

/// Tokens in one generation: at about 2 KB each the cache stays below 8 MB.
const GENERATION: usize = 2_000;

impl KnownTokens {
    /// The token, if it was verified before.
    pub fn find(&mut self, token: &[u8]) -> Option<Rc<KnownToken>> {
        if let Some(known) = self.young.get(token) {
            return Some(Rc::clone(known));
        }
        let (token, known) = self.old.remove_entry(token)?;
        self.insert(token, Rc::clone(&known));
        Some(known)
    }

    /// Remembers a verified token.
    pub fn remember(&mut self, token: &[u8], known: Rc<KnownToken>) {
        self.insert(token.into(), known);
    }

    fn insert(&mut self, token: Box<[u8]>, known: Rc<KnownToken>) {
        if self.young.len() >= GENERATION {
            // Swapped and cleared, so that the tables are allocated once.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(token, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn known() -> Rc<KnownToken> {
        let claims = SessionClaims {
            iss: "gw".into(),
            aud: "gw".into(),
            sub: "ada".into(),
            sid: "s".into(),
            jti: "j".into(),
            iat: 1,
            exp: 2,
            auth_time: 1,
            session_iat: 1,
            session_exp: 9,
            claims: Default::default(),
        };
        Rc::new(KnownToken::new(claims, &config()))
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut tokens = KnownTokens::default();
        tokens.remember(b"used", known());
        for nth in 0..GENERATION * 3 {
            tokens.remember(&nth.to_be_bytes(), known());
            assert!(tokens.find(b"used").is_some());
        }
        assert!(tokens.young.len() + tokens.old.len() <= GENERATION * 2);
        assert!(tokens.find(&0_usize.to_be_bytes()).is_none());
    }

    #[test]
    fn a_token_is_found_by_its_whole_text_only() {
        let mut tokens = KnownTokens::default();
        tokens.remember(b"token", known());
        assert!(tokens.find(b"token").is_some());
        assert!(tokens.find(b"toke").is_none() && tokens.find(b"token2").is_none());
    }
}
