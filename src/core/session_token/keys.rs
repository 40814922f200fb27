//! The keys that sign session JWTs, and the ring that lets one follow another.

use std::fmt;

use ed25519_dalek::pkcs8::DecodePrivateKey as _;
use hmac::{Hmac, Mac as _};
use jsonwebtoken::{DecodingKey, EncodingKey};
use p256::pkcs8::EncodePrivateKey as _;
use serde_json::{Value, json};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::TYPE;
use crate::jose::{Algorithm, encode_base64url};

/// HMAC-SHA256 wants a key as long as its output (RFC 7518 section 3.2).
const MIN_SECRET_BYTES: usize = 32;

const MAX_KID_CHARS: usize = 64;
const MAX_KEYS: usize = 16;

/// The algorithms that a session JWT may be signed with; a key has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionAlgorithm {
    /// HMAC with SHA-256: the default, and the fastest to verify.
    Hs256,
    /// Ed25519, for upstreams that verify the forwarded token themselves.
    EdDsa,
    /// ECDSA on P-256, for the same where EdDSA is not to be had.
    Es256,
}

impl SessionAlgorithm {
    fn jose(self) -> Algorithm {
        match self {
            Self::Hs256 => Algorithm::Hs256,
            Self::EdDsa => Algorithm::EdDsa,
            Self::Es256 => Algorithm::Es256,
        }
    }
}

/// Why a key or a ring of keys is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionKeyError {
    /// `kid` is empty, too long, or has other characters.
    #[error("kid must be 1 to 64 characters of A-Z, a-z, 0-9, '.', '_' and '-'")]
    Kid,
    /// The HMAC secret is too short.
    #[error(
        "the HS256 secret has {bytes} bytes and must have at least 32; `openssl rand -base64 48` makes a good one"
    )]
    ShortSecret {
        /// How long it is.
        bytes: usize,
    },
    /// Not an Ed25519 private key.
    #[error(
        "not an Ed25519 private key in PKCS#8 PEM; `openssl genpkey -algorithm ED25519` makes one"
    )]
    NotEd25519,
    /// Not a P-256 private key.
    #[error(
        "not a P-256 private key in PKCS#8 PEM; `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one"
    )]
    NotP256,
    /// No key at all, or more than one can keep an eye on.
    #[error("there must be 1 to 16 session keys")]
    Count,
    /// Two keys have the same `kid`.
    #[error("two session keys have the same kid; give each its own")]
    DuplicateKid,
}

impl SessionKeyError {
    /// The stable name used in logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::Kid => "session_key_kid",
            Self::ShortSecret { .. } => "session_key_short_secret",
            Self::NotEd25519 => "session_key_not_ed25519",
            Self::NotP256 => "session_key_not_p256",
            Self::Count => "session_key_count",
            Self::DuplicateKid => "session_key_duplicate_kid",
        }
    }
}

/// One key with its name and its one algorithm (RFC 8725 section 3.1).
#[derive(Clone)]
pub struct SessionKey {
    kid: String,
    algorithm: SessionAlgorithm,
    signing: EncodingKey,
    verifying: DecodingKey,
    /// HMAC keyed with the secret proper: the HMAC secret, the Ed25519 seed or the P-256 scalar.
    derivation: Hmac<Sha256>,
    public_jwk: Option<Value>,
}

impl SessionKey {
    /// An HMAC key: the bytes of `secret` as they are, at least 32.
    pub fn hs256(kid: &str, secret: &[u8]) -> Result<Self, SessionKeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(SessionKeyError::ShortSecret {
                bytes: secret.len(),
            });
        }
        Ok(Self {
            kid: checked_kid(kid)?,
            algorithm: SessionAlgorithm::Hs256,
            signing: EncodingKey::from_secret(secret),
            verifying: DecodingKey::from_secret(secret),
            derivation: keyed(secret)?,
            public_jwk: None,
        })
    }

    /// An Ed25519 private key in PKCS#8 PEM (RFC 8410 section 7).
    pub fn eddsa_pem(kid: &str, private_pem: &str) -> Result<Self, SessionKeyError> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(private_pem)
            .map_err(|_| SessionKeyError::NotEd25519)?;
        let der = key
            .to_pkcs8_der()
            .map_err(|_| SessionKeyError::NotEd25519)?;
        let public = key.verifying_key();
        Ok(Self {
            kid: checked_kid(kid)?,
            algorithm: SessionAlgorithm::EdDsa,
            signing: EncodingKey::from_ed_der(der.as_bytes()),
            verifying: DecodingKey::from_ed_der(public.as_bytes()),
            derivation: keyed(key.as_bytes())?,
            public_jwk: Some(json!({
                "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": kid,
                "x": encode_base64url(public.as_bytes()),
            })),
        })
    }

    /// A P-256 private key in PKCS#8 PEM (RFC 5208).
    pub fn es256_pem(kid: &str, private_pem: &str) -> Result<Self, SessionKeyError> {
        let key =
            p256::SecretKey::from_pkcs8_pem(private_pem).map_err(|_| SessionKeyError::NotP256)?;
        let der = key.to_pkcs8_der().map_err(|_| SessionKeyError::NotP256)?;
        let point = p256::ecdsa::VerifyingKey::from(key.public_key()).to_encoded_point(false);
        let (Some(x), Some(y)) = (point.x(), point.y()) else {
            return Err(SessionKeyError::NotP256);
        };
        Ok(Self {
            kid: checked_kid(kid)?,
            algorithm: SessionAlgorithm::Es256,
            signing: EncodingKey::from_ec_der(der.as_bytes()),
            verifying: DecodingKey::from_ec_der(point.as_bytes()),
            derivation: keyed(&Zeroizing::new(<[u8; 32]>::from(key.to_bytes()))[..])?,
            public_jwk: Some(json!({
                "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": kid,
                "x": encode_base64url(x), "y": encode_base64url(y),
            })),
        })
    }

    /// The name under which a token asks for this key.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm.jose()
    }

    /// Another key, bound to `message`; see [`crate::seal`].
    pub(crate) fn derive(&self, message: &[u8]) -> [u8; 32] {
        self.derivation
            .clone()
            .chain_update(message)
            .finalize()
            .into_bytes()
            .into()
    }

    /// The protected header of every token that this key signs. `kid` needs no escaping.
    pub(super) fn header(&self) -> String {
        format!(
            r#"{{"alg":"{}","kid":"{}","typ":"{TYPE}"}}"#,
            self.algorithm(),
            self.kid
        )
    }

    /// The signature over `input` in base64url; ECDSA's too is deterministic (RFC 6979).
    pub(super) fn sign(&self, input: &str) -> Option<String> {
        let algorithm = self.algorithm().to_jsonwebtoken();
        jsonwebtoken::crypto::sign(input.as_bytes(), &self.signing, algorithm).ok()
    }

    /// Whether `signature`, in base64url, is this key's over `input`.
    pub(super) fn verify(&self, input: &str, signature: &str) -> bool {
        let algorithm = self.algorithm().to_jsonwebtoken();
        jsonwebtoken::crypto::verify(signature, input.as_bytes(), &self.verifying, algorithm)
            .unwrap_or(false)
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionKey")
            .field("kid", &self.kid)
            .field("algorithm", &self.algorithm)
            .finish_non_exhaustive()
    }
}

/// The ring: the first key signs, every key verifies the tokens that name it.
#[derive(Debug, Clone)]
pub struct SessionKeys {
    first: SessionKey,
    others: Vec<SessionKey>,
}

impl SessionKeys {
    /// Puts 1 to 16 keys of different names into their order.
    pub fn new(keys: Vec<SessionKey>) -> Result<Self, SessionKeyError> {
        if keys.len() > MAX_KEYS {
            return Err(SessionKeyError::Count);
        }
        for (index, key) in keys.iter().enumerate() {
            if keys
                .iter()
                .take(index)
                .any(|earlier| earlier.kid == key.kid)
            {
                return Err(SessionKeyError::DuplicateKid);
            }
        }
        let mut keys = keys.into_iter();
        let first = keys.next().ok_or(SessionKeyError::Count)?;
        Ok(Self {
            first,
            others: keys.collect(),
        })
    }

    /// The keys, the signing one first.
    pub fn iter(&self) -> impl Iterator<Item = &SessionKey> {
        std::iter::once(&self.first).chain(&self.others)
    }

    /// The public halves as a JWK Set (RFC 7517 section 5); HMAC keys have none.
    pub fn public_jwks(&self) -> Value {
        let keys: Vec<_> = self
            .iter()
            .filter_map(|key| key.public_jwk.clone())
            .collect();
        json!({ "keys": keys })
    }

    pub(crate) fn signing(&self) -> &SessionKey {
        &self.first
    }

    pub(super) fn by_kid(&self, kid: &str) -> Option<&SessionKey> {
        self.iter().find(|key| key.kid == kid)
    }
}

fn keyed(secret: &[u8]) -> Result<Hmac<Sha256>, SessionKeyError> {
    // HMAC takes a key of any length; the error cannot occur, and is an error all the same.
    Hmac::new_from_slice(secret).map_err(|_| SessionKeyError::ShortSecret {
        bytes: secret.len(),
    })
}

fn checked_kid(kid: &str) -> Result<String, SessionKeyError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if kid.is_empty() || kid.len() > MAX_KID_CHARS || !kid.bytes().all(allowed) {
        return Err(SessionKeyError::Kid);
    }
    Ok(kid.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::JwkSet;
    use crate::jose::testkeys::TestKey;

    const SECRET: &[u8] = b"a-secret-of-thirty-two-bytes-xyz";

    /// J9
    #[test]
    fn an_hmac_secret_of_less_than_32_bytes_is_refused() {
        assert_eq!(SECRET.len(), 32);
        assert!(SessionKey::hs256("k", SECRET).is_ok());
        assert_eq!(
            SessionKey::hs256("k", &SECRET[1..]).err(),
            Some(SessionKeyError::ShortSecret { bytes: 31 })
        );
    }

    #[test]
    fn a_kid_has_plain_characters_only() {
        for kid in ["", "a b", "a\"", "\u{e4}", "a/b", &"a".repeat(65)] {
            assert_eq!(
                SessionKey::hs256(kid, SECRET).err(),
                Some(SessionKeyError::Kid),
                "{kid}"
            );
        }
        assert!(SessionKey::hs256(&"a".repeat(64), SECRET).is_ok());
        assert!(SessionKey::hs256("2026-11_k.1", SECRET).is_ok());
    }

    /// J1
    #[test]
    fn a_private_key_of_another_kind_is_refused() {
        for pem in [TestKey::P256.pem(), TestKey::Rsa.pem(), "", "secret"] {
            assert_eq!(
                SessionKey::eddsa_pem("k", pem).err(),
                Some(SessionKeyError::NotEd25519)
            );
        }
        for pem in [
            TestKey::Ed25519.pem(),
            TestKey::P384.pem(),
            TestKey::Rsa.pem(),
            "",
        ] {
            assert_eq!(
                SessionKey::es256_pem("k", pem).err(),
                Some(SessionKeyError::NotP256)
            );
        }
    }

    #[test]
    fn a_ring_has_one_to_sixteen_keys_of_different_names() {
        let key = |n: usize| SessionKey::hs256(&format!("k{n}"), SECRET).unwrap();
        assert_eq!(SessionKeys::new(vec![]).err(), Some(SessionKeyError::Count));
        assert_eq!(
            SessionKeys::new((0..17).map(key).collect()).err(),
            Some(SessionKeyError::Count)
        );
        assert_eq!(
            SessionKeys::new(vec![key(1), key(2), key(1)]).err(),
            Some(SessionKeyError::DuplicateKid)
        );
        let ring = SessionKeys::new((0..16).map(key).collect()).unwrap();
        assert_eq!(ring.iter().next().unwrap().kid(), "k0");
    }

    #[test]
    fn debug_shows_no_secret() {
        let key = SessionKey::hs256("k1", SECRET).unwrap();
        let ring = SessionKeys::new(vec![key]).unwrap();
        assert_eq!(
            format!("{ring:?}"),
            r#"SessionKeys { first: SessionKey { kid: "k1", algorithm: Hs256, .. }, others: [] }"#
        );
    }

    #[test]
    fn the_public_key_set_has_the_public_halves_alone() {
        let ring = SessionKeys::new(vec![
            SessionKey::hs256("h", SECRET).unwrap(),
            SessionKey::eddsa_pem("e", TestKey::Ed25519.pem()).unwrap(),
            SessionKey::es256_pem("p", TestKey::P256.pem()).unwrap(),
        ])
        .unwrap();
        let jwks = ring.public_jwks();
        let mut ed25519 = TestKey::Ed25519.jwk("e");
        ed25519["alg"] = "EdDSA".into();
        ed25519["use"] = "sig".into();
        let mut p256 = TestKey::P256.jwk("p");
        p256["alg"] = "ES256".into();
        p256["use"] = "sig".into();
        assert_eq!(jwks, json!({"keys": [ed25519, p256]}));
        assert_eq!(
            JwkSet::parse(jwks.to_string().as_bytes())
                .unwrap()
                .usable_keys(),
            2
        );
    }
}
