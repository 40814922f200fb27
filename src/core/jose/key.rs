//! One public key of an issuer (RFC 7517, RFC 7518 section 6, RFC 8037).

use jsonwebtoken::DecodingKey;
use p256::pkcs8::EncodePublicKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{BigUint, RsaPublicKey};
use serde_json::{Map, Value};

use super::{Algorithm, decode_base64url};

/// The least that RFC 7518 section 3.3 allows.
const MIN_RSA_BITS: usize = 2048;
/// The most that is worth its time: verification grows with the square of it.
const MAX_RSA_BITS: usize = 4096;
/// The longest `kid` that is kept.
const MAX_KID_BYTES: usize = 512;

const RSA_ALGORITHMS: [Algorithm; 6] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
];

/// A public key and what it may be used for.
#[derive(Clone)]
pub struct VerifyKey {
    kid: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding_key: DecodingKey,
    spki_der: Option<Vec<u8>>,
}

impl VerifyKey {
    /// Reads one member of a JWKS. None: not a key that may verify here, or a broken one.
    ///
    /// Of use are RSA keys of 2048 to 4096 bits, EC keys on P-256 and P-384, and Ed25519, unless
    /// `use`, `key_ops` or `alg` says otherwise. Symmetric keys never are.
    pub(crate) fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        if jwk.get("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        if let Some(operations) = jwk.get("key_ops")
            && !operations
                .as_array()?
                .iter()
                .any(|operation| operation == "verify")
        {
            return None;
        }
        let kid = match jwk.get("kid") {
            None => None,
            Some(kid) => Some(
                kid.as_str()
                    .filter(|kid| kid.len() <= MAX_KID_BYTES)?
                    .to_owned(),
            ),
        };
        let material = Material::from_jwk(jwk)?;
        let algorithms = match jwk.get("alg") {
            None => material.algorithms.to_vec(),
            Some(alg) => vec![named_algorithm(alg.as_str()?, material.algorithms)?],
        };
        Some(Self {
            kid,
            algorithms,
            decoding_key: material.decoding_key,
            spki_der: material.spki_der,
        })
    }

    /// `kid`, where the issuer gave one.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The algorithms that this key may verify: the one of its `alg`, or those of its type.
    pub fn algorithms(&self) -> &[Algorithm] {
        &self.algorithms
    }

    /// The DER SubjectPublicKeyInfo (RFC 5280 section 4.1), built once. None for Ed25519.
    pub fn spki_der(&self) -> Option<&[u8]> {
        self.spki_der.as_deref()
    }

    pub(crate) fn decoding_key(&self) -> &DecodingKey {
        &self.decoding_key
    }
}

/// The value of a key's `alg`, if a key of this type can do it. RFC 9864 calls EdDSA on this curve
/// `Ed25519`.
fn named_algorithm(name: &str, possible: &[Algorithm]) -> Option<Algorithm> {
    let algorithm = match name {
        "Ed25519" => Algorithm::EdDsa,
        name => Algorithm::parse(name)?,
    };
    possible.contains(&algorithm).then_some(algorithm)
}

/// The key proper.
struct Material {
    algorithms: &'static [Algorithm],
    decoding_key: DecodingKey,
    spki_der: Option<Vec<u8>>,
}

impl Material {
    fn from_jwk(jwk: &Map<String, Value>) -> Option<Self> {
        match (text(jwk, "kty")?, text(jwk, "crv")) {
            ("RSA", _) => Self::rsa(&octets(jwk, "n")?, &octets(jwk, "e")?),
            ("EC", Some("P-256")) => Self::p256(&uncompressed_point(jwk, 32)?),
            ("EC", Some("P-384")) => Self::p384(&uncompressed_point(jwk, 48)?),
            ("OKP", Some("Ed25519")) => Self::ed25519(&octets(jwk, "x")?),
            _ => None,
        }
    }

    fn rsa(n: &[u8], e: &[u8]) -> Option<Self> {
        let key = RsaPublicKey::new(BigUint::from_bytes_be(n), BigUint::from_bytes_be(e)).ok()?;
        if !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&key.n().bits()) {
            return None;
        }
        Some(Self {
            algorithms: &RSA_ALGORITHMS,
            decoding_key: DecodingKey::from_rsa_raw_components(n, e),
            spki_der: Some(key.to_public_key_der().ok()?.into_vec()),
        })
    }

    fn p256(point: &[u8]) -> Option<Self> {
        let key = p256::PublicKey::from_sec1_bytes(point).ok()?;
        Some(Self {
            algorithms: &[Algorithm::Es256],
            decoding_key: DecodingKey::from_ec_der(point),
            spki_der: Some(key.to_public_key_der().ok()?.into_vec()),
        })
    }

    fn p384(point: &[u8]) -> Option<Self> {
        let key = p384::PublicKey::from_sec1_bytes(point).ok()?;
        Some(Self {
            algorithms: &[Algorithm::Es384],
            decoding_key: DecodingKey::from_ec_der(point),
            spki_der: Some(key.to_public_key_der().ok()?.into_vec()),
        })
    }

    fn ed25519(x: &[u8]) -> Option<Self> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(x.try_into().ok()?).ok()?;
        // A key of small order makes one signature right for every message.
        if key.is_weak() {
            return None;
        }
        Some(Self {
            algorithms: &[Algorithm::EdDsa],
            decoding_key: DecodingKey::from_ed_der(x),
            spki_der: None,
        })
    }
}

/// The point of an EC key as SEC 1 writes it: 4, x, y, each coordinate of full length.
fn uncompressed_point(jwk: &Map<String, Value>, coordinate_bytes: usize) -> Option<Vec<u8>> {
    let (x, y) = (octets(jwk, "x")?, octets(jwk, "y")?);
    if x.len() != coordinate_bytes || y.len() != coordinate_bytes {
        return None;
    }
    Some([&[4], x.as_slice(), y.as_slice()].concat())
}

fn octets(jwk: &Map<String, Value>, name: &str) -> Option<Vec<u8>> {
    decode_base64url(text(jwk, name)?)
}

fn text<'a>(jwk: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    jwk.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::{encode_base64url, testkeys::TestKey};

    fn read(jwk: &Value) -> Option<VerifyKey> {
        VerifyKey::from_jwk(jwk.as_object().unwrap())
    }

    fn with(key: TestKey, changes: Value) -> Value {
        let mut jwk = key.jwk("k");
        for (name, value) in changes.as_object().unwrap() {
            jwk[name] = value.clone();
        }
        jwk
    }

    #[test]
    fn a_key_without_alg_has_the_algorithms_of_its_type() {
        for (key, algorithms) in [
            (TestKey::Rsa, &RSA_ALGORITHMS[..]),
            (TestKey::P256, &[Algorithm::Es256]),
            (TestKey::P384, &[Algorithm::Es384]),
            (TestKey::Ed25519, &[Algorithm::EdDsa]),
        ] {
            let read = read(&key.jwk("k")).unwrap();
            assert_eq!(read.algorithms(), algorithms);
            assert_eq!(read.kid(), Some("k"));
        }
    }

    /// J1
    #[test]
    fn a_key_with_alg_has_that_one_alone() {
        let key = read(&with(TestKey::Rsa, json!({"alg": "PS384"}))).unwrap();
        assert_eq!(key.algorithms(), [Algorithm::Ps384]);
        let key = read(&with(TestKey::Ed25519, json!({"alg": "Ed25519"}))).unwrap();
        assert_eq!(key.algorithms(), [Algorithm::EdDsa]);
    }

    /// I10
    #[test]
    fn a_key_for_another_purpose_or_of_another_kind_is_not_read() {
        for (key, changes) in [
            (TestKey::Rsa, json!({"use": "enc"})),
            (TestKey::Rsa, json!({"use": 1})),
            (TestKey::Rsa, json!({"key_ops": ["encrypt"]})),
            (TestKey::Rsa, json!({"key_ops": "verify"})),
            (TestKey::Rsa, json!({"alg": "RSA-OAEP"})),
            (TestKey::Rsa, json!({"alg": "ES256"})),
            (TestKey::Rsa, json!({"alg": "HS256"})),
            (TestKey::Rsa, json!({"alg": 256})),
            (TestKey::Rsa, json!({"kid": 1})),
            (TestKey::Rsa, json!({"kid": "k".repeat(513)})),
            (TestKey::Rsa, json!({"kty": "oct", "k": "c2VjcmV0"})),
            (TestKey::Rsa, json!({"kty": "AKP"})),
            (TestKey::Rsa, json!({"kty": null})),
            (TestKey::P256, json!({"crv": "P-521"})),
            (TestKey::P256, json!({"crv": "secp256k1"})),
            (TestKey::Ed25519, json!({"crv": "X25519"})),
        ] {
            assert!(read(&with(key, changes.clone())).is_none(), "{changes}");
        }
        assert!(
            read(&with(
                TestKey::Rsa,
                json!({"use": "sig", "key_ops": ["verify"]})
            ))
            .is_some()
        );
    }

    /// I10
    #[test]
    fn a_weak_or_broken_key_is_not_read() {
        let good = TestKey::P256.jwk("k");
        for (key, changes) in [
            (TestKey::Rsa, json!({"n": TestKey::Rsa1024.jwk("k")["n"]})),
            (TestKey::Rsa, json!({"n": "AQAB"})),
            (TestKey::Rsa, json!({"n": ""})),
            (TestKey::Rsa, json!({"n": encode_base64url(&[0xff; 1024])})),
            (TestKey::Rsa, json!({"e": "AA"})),
            (TestKey::Rsa, json!({"e": "AQ"})),
            (TestKey::Rsa, json!({"e": encode_base64url(&[0xff; 9])})),
            (TestKey::Rsa, json!({"e": "AQAB="})),
            (TestKey::Rsa, json!({"e": 65537})),
            (TestKey::P256, json!({"x": good["y"]})),
            (TestKey::P256, json!({"x": ""})),
            (
                TestKey::P256,
                json!({"x": encode_base64url(&[0; 32]), "y": encode_base64url(&[0; 32])}),
            ),
            (TestKey::P256, json!({"crv": "P-384"})),
            (TestKey::Ed25519, json!({"x": "AAAA"})),
            (TestKey::Ed25519, json!({"x": encode_base64url(&[0; 32])})),
            (TestKey::Ed25519, json!({"x": encode_base64url(&[1; 33])})),
        ] {
            assert!(read(&with(key, changes.clone())).is_none(), "{changes}");
        }
    }

    /// The bytes are those that OpenSSL writes for the same key.
    #[test]
    fn the_spki_is_the_one_of_openssl() {
        for key in [TestKey::Rsa, TestKey::P256, TestKey::P384] {
            assert_eq!(
                read(&key.jwk("k")).unwrap().spki_der(),
                Some(key.openssl_spki().as_slice())
            );
        }
        assert_eq!(read(&TestKey::Ed25519.jwk("k")).unwrap().spki_der(), None);
    }
}
