//! Keys for tests, in every test run the same, and the tokens signed with them.
//!
//! They were made with `openssl genpkey` and protect nothing.

use jsonwebtoken::EncodingKey;
use p256::pkcs8::DecodePrivateKey as _;
use p256::pkcs8::EncodePrivateKey as _;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};

use super::{Algorithm, JwkSet, encode_base64url};

/// A private key of the test suite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TestKey {
    Rsa,
    Rsa1024,
    P256,
    P256Other,
    P384,
    Ed25519,
}

/// Every key with every algorithm that it can do.
pub(crate) fn all_pairs() -> Vec<(TestKey, Algorithm)> {
    vec![
        (TestKey::Rsa, Algorithm::Rs256),
        (TestKey::Rsa, Algorithm::Rs384),
        (TestKey::Rsa, Algorithm::Rs512),
        (TestKey::Rsa, Algorithm::Ps256),
        (TestKey::Rsa, Algorithm::Ps384),
        (TestKey::Rsa, Algorithm::Ps512),
        (TestKey::P256, Algorithm::Es256),
        (TestKey::P384, Algorithm::Es384),
        (TestKey::Ed25519, Algorithm::EdDsa),
    ]
}

/// The public halves as a key set, each under its `kid`.
pub(crate) fn set(keys: &[(TestKey, &str)]) -> JwkSet {
    let keys: Vec<_> = keys.iter().map(|(key, kid)| key.jwk(kid)).collect();
    JwkSet::parse(json!({ "keys": keys }).to_string().as_bytes()).unwrap()
}

/// A JWS with an HMAC.
pub(crate) fn sign_hs256(
    secret: &[u8],
    kid: Option<&str>,
    typ: Option<&str>,
    payload: &str,
) -> String {
    sign(
        &EncodingKey::from_secret(secret),
        Algorithm::Hs256,
        kid,
        typ,
        payload,
    )
}

impl TestKey {
    pub(crate) fn pem(self) -> &'static str {
        match self {
            Self::Rsa => include_str!("testkeys/test-only-rsa-2048.pem"),
            Self::Rsa1024 => include_str!("testkeys/test-only-rsa-1024.pem"),
            Self::P256 => include_str!("testkeys/test-only-p256.pem"),
            Self::P256Other => include_str!("testkeys/test-only-p256-other.pem"),
            Self::P384 => include_str!("testkeys/test-only-p384.pem"),
            Self::Ed25519 => include_str!("testkeys/test-only-ed25519.pem"),
        }
    }

    /// The public half as a JWK without `alg` and `use`.
    pub(crate) fn jwk(self, kid: &str) -> Value {
        let b64 = encode_base64url;
        match self {
            Self::Rsa | Self::Rsa1024 => {
                let key = rsa::RsaPrivateKey::from_pkcs8_pem(self.pem()).unwrap();
                json!({"kty": "RSA", "kid": kid, "n": b64(&key.n().to_bytes_be()), "e": b64(&key.e().to_bytes_be())})
            }
            Self::P256 | Self::P256Other => {
                let key = p256::ecdsa::SigningKey::from_pkcs8_pem(self.pem()).unwrap();
                let point = key.verifying_key().to_encoded_point(false);
                json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": b64(point.x().unwrap()), "y": b64(point.y().unwrap())})
            }
            Self::P384 => {
                let key = p384::ecdsa::SigningKey::from_pkcs8_pem(self.pem()).unwrap();
                let point = key.verifying_key().to_encoded_point(false);
                json!({"kty": "EC", "crv": "P-384", "kid": kid, "x": b64(point.x().unwrap()), "y": b64(point.y().unwrap())})
            }
            Self::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_pkcs8_pem(self.pem()).unwrap();
                json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": b64(key.verifying_key().as_bytes())})
            }
        }
    }

    /// What `openssl pkey -pubout` wrote.
    pub(crate) fn openssl_spki(self) -> Vec<u8> {
        let pem = match self {
            Self::Rsa => include_str!("testkeys/test-only-rsa-2048.pub.pem"),
            Self::P256 => include_str!("testkeys/test-only-p256.pub.pem"),
            Self::P384 => include_str!("testkeys/test-only-p384.pub.pem"),
            _ => panic!("no public file for {self:?}"),
        };
        let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        base64::Engine::decode(&base64::engine::general_purpose::STANDARD, body).unwrap()
    }

    /// A compact JWS over `payload` as it is.
    pub(crate) fn sign(
        self,
        algorithm: Algorithm,
        kid: Option<&str>,
        typ: Option<&str>,
        payload: &str,
    ) -> String {
        sign(&self.encoding_key(), algorithm, kid, typ, payload)
    }

    fn encoding_key(self) -> EncodingKey {
        match self {
            Self::Rsa | Self::Rsa1024 => {
                let key = rsa::RsaPrivateKey::from_pkcs8_pem(self.pem()).unwrap();
                EncodingKey::from_rsa_der(key.to_pkcs1_der().unwrap().as_bytes())
            }
            Self::P256 | Self::P256Other => {
                let key = p256::SecretKey::from_pkcs8_pem(self.pem()).unwrap();
                EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes())
            }
            Self::P384 => {
                let key = p384::SecretKey::from_pkcs8_pem(self.pem()).unwrap();
                EncodingKey::from_ec_der(key.to_pkcs8_der().unwrap().as_bytes())
            }
            Self::Ed25519 => {
                let key = ed25519_dalek::SigningKey::from_pkcs8_pem(self.pem()).unwrap();
                EncodingKey::from_ed_der(key.to_pkcs8_der().unwrap().as_bytes())
            }
        }
    }
}

fn sign(
    key: &EncodingKey,
    algorithm: Algorithm,
    kid: Option<&str>,
    typ: Option<&str>,
    payload: &str,
) -> String {
    let mut header = json!({"alg": algorithm.name()});
    for (name, value) in [("kid", kid), ("typ", typ)] {
        if let Some(value) = value {
            header[name] = value.into();
        }
    }
    let input = format!(
        "{}.{}",
        encode_base64url(header.to_string().as_bytes()),
        encode_base64url(payload.as_bytes())
    );
    let signature =
        jsonwebtoken::crypto::sign(input.as_bytes(), key, algorithm.to_jsonwebtoken()).unwrap();
    format!("{input}.{signature}")
}
