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
    pub identity: Rc<[(String, String)]>,
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
            .render(&claims.sub, &claims.sid, &claims.claims)
            .into();
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
    young: Tokens,
    old: Tokens,
}

/// By fingerprint, with the whole text to be compared.
type Tokens = HashMap<u64, (Box<[u8]>, Rc<KnownToken>)>;

/// Tokens in one generation: at about 2 KB each the cache stays below 8 MB.
const GENERATION: usize = 2_000;

impl KnownTokens {
    /// The token, if it was verified before.
    pub fn find(&mut self, token: &[u8]) -> Option<Rc<KnownToken>> {
        let fingerprint = fingerprint(token);
        match self.young.get(&fingerprint) {
            Some((text, known)) if same(text, token) => return Some(Rc::clone(known)),
            _ => {}
        }
        if !same(&self.old.get(&fingerprint)?.0, token) {
            return None;
        }
        let (text, known) = self.old.remove(&fingerprint)?;
        self.insert(fingerprint, text, Rc::clone(&known));
        Some(known)
    }

    /// Remembers a verified token.
    pub fn remember(&mut self, token: &[u8], known: Rc<KnownToken>) {
        self.insert(fingerprint(token), token.into(), known);
    }

    fn insert(&mut self, fingerprint: u64, text: Box<[u8]>, known: Rc<KnownToken>) {
        if self.young.len() >= GENERATION {
            // Swapped and cleared, so that the tables are allocated once.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(fingerprint, (text, known));
    }
}

/// Of the end of a token, which is the end of a signature: nobody but a holder of the session key
/// chooses it. Of two verified tokens with one fingerprint the later one is remembered.
fn fingerprint(token: &[u8]) -> u64 {
    const SPREAD: u64 = 0x517c_c1b7_2722_0a95;
    token.iter().rev().take(16).fold(0, |sum: u64, byte| {
        (sum.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(SPREAD)
    })
}

/// Equality, eight bytes at a time: in wasm `==` calls a `memcmp` that goes byte by byte.
fn same(one: &[u8], other: &[u8]) -> bool {
    let ((a, a_rest), (b, b_rest)) = (one.as_chunks::<8>(), other.as_chunks::<8>());
    let word = |bytes: &[u8; 8]| u64::from_ne_bytes(*bytes);
    one.len() == other.len() && a.iter().zip(b).all(|(a, b)| word(a) == word(b)) && a_rest == b_rest
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
