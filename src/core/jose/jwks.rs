//! A JWK Set (RFC 7517 section 5).

use std::fmt;

use serde_json::Value;

use super::json::parse_object;
use super::{Algorithm, VerifyKey};

/// The longest document that is read, in bytes.
pub const MAX_BYTES: usize = 256 * 1024;
/// The most keys that are kept; those beyond are not looked at.
pub const MAX_KEYS: usize = 64;
/// The most keys that one token is tried against.
pub const MAX_CANDIDATES: usize = 8;

/// Why a document is no key set. A single strange key never is a reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Longer than [`MAX_BYTES`].
    #[error("the key set is longer than 256 KiB")]
    TooLarge,
    /// Not a JSON object with an array `keys`.
    #[error("the key set is not a JSON object with an array \"keys\"")]
    Malformed,
    /// Not one of the keys can verify a signature here.
    #[error("the key set holds no usable key (RSA of 2048 to 4096 bits, P-256, P-384, Ed25519)")]
    NoUsableKey,
}

impl JwksError {
    /// The stable name used in metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "jwks_too_large",
            Self::Malformed => "jwks_malformed",
            Self::NoUsableKey => "jwks_no_usable_key",
        }
    }
}

/// The public keys of an issuer; by default none, as before the first fetch.
#[derive(Clone, Default)]
pub struct JwkSet {
    keys: Vec<VerifyKey>,
}

impl JwkSet {
    /// Reads the body of a `jwks_uri`. What cannot verify here is skipped: encryption keys,
    /// symmetric keys, unknown types, weak or broken ones. A set that would then be empty is an
    /// error, so that the keys of before are kept.
    pub fn parse(body: &[u8]) -> Result<Self, JwksError> {
        if body.len() > MAX_BYTES {
            return Err(JwksError::TooLarge);
        }
        let document = parse_object(body, MAX_BYTES).map_err(|_| JwksError::Malformed)?;
        let Some(Value::Array(members)) = document.get("keys") else {
            return Err(JwksError::Malformed);
        };
        let keys: Vec<_> = members
            .iter()
            .filter_map(|member| VerifyKey::from_jwk(member.as_object()?))
            .take(MAX_KEYS)
            .collect();
        if keys.is_empty() {
            return Err(JwksError::NoUsableKey);
        }
        Ok(Self { keys })
    }

    /// The keys that a token with this header may be signed with, [`MAX_CANDIDATES`] at most.
    ///
    /// With a `kid`, only keys that have it. Without one, every key that can do `algorithm`: some
    /// issuers name no keys and yet publish two during a rotation, and trying a key that does not
    /// fit costs time, not safety.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Vec<&VerifyKey> {
        self.keys
            .iter()
            .filter(|key| kid.is_none() || key.kid() == kid)
            .filter(|key| key.algorithms().contains(&algorithm))
            .take(MAX_CANDIDATES)
            .collect()
    }

    /// How many usable keys there are.
    pub fn usable_keys(&self) -> usize {
        self.keys.len()
    }
}

impl fmt::Debug for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| (key.kid(), key.algorithms())))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::testkeys::TestKey;

    fn parse(document: &Value) -> Result<JwkSet, JwksError> {
        JwkSet::parse(document.to_string().as_bytes())
    }

    /// I10
    #[test]
    fn strange_keys_are_skipped_and_the_others_kept() {
        let set = parse(&json!({
            "keys": [
                {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
                {"kty": "XYZ"},
                null,
                7,
                ["x"],
                {},
                {"kty": "RSA", "n": "broken", "e": 1},
                TestKey::Rsa1024.jwk("weak"),
                TestKey::P256.jwk("good"),
            ],
            "extra": true,
        }))
        .unwrap();
        assert_eq!(set.usable_keys(), 1);
        assert_eq!(set.candidates(Some("good"), Algorithm::Es256).len(), 1);
    }

    #[test]
    fn a_document_that_is_no_key_set_is_refused() {
        for body in [
            "",
            "[]",
            "{}",
            r#"{"keys":{}}"#,
            r#"{"keys":[],"keys":[]}"#,
            "<html>",
        ] {
            assert_eq!(
                JwkSet::parse(body.as_bytes()).err(),
                Some(JwksError::Malformed),
                "{body}"
            );
        }
        assert_eq!(
            parse(&json!({"keys": []})).err(),
            Some(JwksError::NoUsableKey)
        );
        assert_eq!(
            JwkSet::parse(&vec![b' '; MAX_BYTES + 1]).err(),
            Some(JwksError::TooLarge)
        );
    }

    #[test]
    fn the_number_of_keys_and_of_candidates_is_bounded() {
        let keys: Vec<_> = (0..100)
            .map(|n| TestKey::P256.jwk(&format!("k{n}")))
            .collect();
        let set = parse(&json!({ "keys": keys })).unwrap();
        assert_eq!(set.usable_keys(), MAX_KEYS);
        assert_eq!(set.candidates(None, Algorithm::Es256).len(), MAX_CANDIDATES);
        assert_eq!(set.candidates(Some("k99"), Algorithm::Es256).len(), 0);
    }

    /// I10
    #[test]
    fn a_kid_selects_only_keys_that_have_it() {
        let mut nameless = TestKey::P256Other.jwk("");
        nameless.as_object_mut().unwrap().remove("kid");
        let set =
            parse(&json!({"keys": [TestKey::P256.jwk("a"), nameless, TestKey::Rsa.jwk("a")]}))
                .unwrap();
        assert_eq!(set.candidates(Some("a"), Algorithm::Es256).len(), 1);
        assert_eq!(set.candidates(Some("a"), Algorithm::Rs256).len(), 1);
        assert_eq!(set.candidates(Some("b"), Algorithm::Es256).len(), 0);
        assert_eq!(set.candidates(Some(""), Algorithm::Es256).len(), 0);
        assert_eq!(set.candidates(None, Algorithm::Es256).len(), 2);
    }
}
