//! Revocations: what an administrator writes, and the digest under which a gateway finds it.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::UnixSeconds;

/// One revocation, as in `POST /v1/revocations` (one object, or an array of up to
/// [`MAX_BATCH`]).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Revocation {
    /// One session JWT.
    Jti {
        /// Its `jti`.
        id: String,
    },
    /// One session, whatever JWTs it has.
    Sid {
        /// Its `sid`.
        id: String,
    },
    /// All sessions of a user that started at or before `issued_before`.
    Sub {
        /// `iss` of the IdP, or of the gateway (its public URL).
        iss: String,
        /// `sub`.
        sub: String,
        /// Inclusive; now when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issued_before: Option<UnixSeconds>,
    },
    /// All sessions that started at or before `issued_before`.
    All {
        /// Inclusive; now when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        issued_before: Option<UnixSeconds>,
    },
}

/// The most revocations that one call may carry.
pub const MAX_BATCH: usize = 10_000;

/// Answer to `POST /v1/revocations`, after the write is durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Revoked {
    /// How many were accepted (repetitions included: the call is idempotent).
    pub accepted: u32,
    /// How many live sessions they ended.
    pub sessions_ended: u32,
    /// The epoch of the feed, 32 hex digits.
    pub epoch: String,
    /// A gateway whose cursor is at least this enforces them.
    pub cursor: u64,
    /// Present with `?wait=enforced`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enforced: Option<Enforced>,
}

/// On how many of the known Envoys a revocation is enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Enforced {
    /// Envoys whose cursor has reached the revocation.
    pub on: u32,
    /// Envoys heard of lately.
    pub of: u32,
}

/// The first 128 bits of a SHA-256 over kind and id, each delimited by its length.
///
/// Membership is decided by this alone: 128 bits of a strong hash, so that nobody is shut out by a
/// collision that happens by chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest(pub [u8; 16]);

impl Digest {
    /// The digest of a session JWT's `jti`.
    pub fn jti(id: &str) -> Self {
        Self::of(b"jti", &[id])
    }

    /// The digest of a session's `sid`.
    pub fn sid(id: &str) -> Self {
        Self::of(b"sid", &[id])
    }

    /// The digest of a user, the pair of `iss` and `sub`.
    pub fn sub(iss: &str, sub: &str) -> Self {
        Self::of(b"sub", &[iss, sub])
    }

    /// The one digest under which "everything issued before" is filed.
    pub fn all() -> Self {
        Self::of(b"all", &[])
    }

    fn of(kind: &[u8], parts: &[&str]) -> Self {
        let mut hash = Sha256::new();
        hash.update((kind.len() as u64).to_be_bytes());
        hash.update(kind);
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part.as_bytes());
        }
        let full = hash.finalize();
        let mut digest = [0; 16];
        digest.copy_from_slice(&full[..16]);
        Self(digest)
    }
}

impl Revocation {
    /// The digest under which a gateway looks it up.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Jti { id } => Digest::jti(id),
            Self::Sid { id } => Digest::sid(id),
            Self::Sub { iss, sub, .. } => Digest::sub(iss, sub),
            Self::All { .. } => Digest::all(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_and_field_boundaries_do_not_collide() {
        let digests = [
            Digest::jti("a"),
            Digest::sid("a"),
            Digest::sub("a", ""),
            Digest::sub("", "a"),
            Digest::sub("ab", "c"),
            Digest::sub("a", "bc"),
            Digest::all(),
        ];
        let distinct: std::collections::HashSet<_> = digests.iter().collect();
        assert_eq!(distinct.len(), digests.len());
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let typo = r#"{"kind":"sub","iss":"i","sub":"s","issued_befor":1}"#;
        assert!(serde_json::from_str::<Revocation>(typo).is_err());
    }
}
