//! Checking a signature: by the host where it can, by jsonwebtoken where it cannot.

use super::{Algorithm, CompactJws, JwkSet, TokenError, VerifyKey};

/// Signature arithmetic that the surrounding host offers. In wasm, RSA and ECDSA by the host are
/// some twenty times faster than by us.
pub trait SignatureVerifier {
    /// Whether `signature` over `message` is right.
    ///
    /// `signature` is in the form of RFC 7518: for ECDSA the concatenation of r and s, which
    /// [`ecdsa_signature_der`] turns into the DER that OpenSSL and its kin await. `None` means
    /// that this host cannot do `algorithm`, or has no say; the core then computes it itself.
    fn verify(
        &self,
        algorithm: Algorithm,
        key: &VerifyKey,
        message: &[u8],
        signature: &[u8],
    ) -> Option<bool>;
}

/// A host that can do nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHostVerifier;

impl SignatureVerifier for NoHostVerifier {
    fn verify(&self, _: Algorithm, _: &VerifyKey, _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}

/// Checks the signature of `jws` against the keys of an issuer.
///
/// `allowed` is what the operator configured; the token chooses among those only, and HMAC is
/// refused even there, since a public key is no secret. Where several keys fit (one `kid` twice,
/// or no `kid` at all), each is tried, up to [`super::jwks::MAX_CANDIDATES`].
///
/// Errors: [`TokenError::UnknownKey`] when no key has the token's `kid`, or when a token without
/// `kid` fits none of the keys: both are what a rotation at the issuer looks like, and worth one
/// new fetch.
pub fn verify_with_set(
    jws: &CompactJws<'_>,
    allowed: &[Algorithm],
    keys: &JwkSet,
    host: &dyn SignatureVerifier,
) -> Result<(), TokenError> {
    let algorithm = jws.header.algorithm;
    if !algorithm.is_asymmetric() || !allowed.contains(&algorithm) {
        return Err(TokenError::Algorithm);
    }
    let candidates = keys.candidates(jws.header.kid.as_deref(), algorithm);
    if candidates.iter().any(|key| verify_one(jws, key, host)) {
        return Ok(());
    }
    if candidates.is_empty() || jws.header.kid.is_none() {
        return Err(TokenError::UnknownKey);
    }
    Err(TokenError::Signature)
}

fn verify_one(jws: &CompactJws<'_>, key: &VerifyKey, host: &dyn SignatureVerifier) -> bool {
    let algorithm = jws.header.algorithm;
    let message = jws.signing_input.as_bytes();
    host.verify(algorithm, key, message, &jws.signature)
        .unwrap_or_else(|| {
            jsonwebtoken::crypto::verify(
                jws.signature_text,
                message,
                key.decoding_key(),
                algorithm.to_jsonwebtoken(),
            )
            .unwrap_or(false)
        })
}

/// An ECDSA signature of RFC 7518 section 3.4 (r and s side by side) as the DER of RFC 3279
/// section 2.2.3. None: not ECDSA, or not a signature of that curve.
pub fn ecdsa_signature_der(algorithm: Algorithm, signature: &[u8]) -> Option<Vec<u8>> {
    match algorithm {
        Algorithm::Es256 => p256::ecdsa::Signature::from_slice(signature)
            .ok()
            .map(|signature| signature.to_der().as_bytes().to_vec()),
        Algorithm::Es384 => p384::ecdsa::Signature::from_slice(signature)
            .ok()
            .map(|signature| signature.to_der().as_bytes().to_vec()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;
    use crate::jose::testkeys::{self, TestKey};

    /// Algorithm, message and signature of one question.
    type Question = (Algorithm, Vec<u8>, Vec<u8>);

    /// Answers as told and remembers what it was asked.
    struct Host {
        answer: Option<bool>,
        asked: RefCell<Vec<Question>>,
    }

    impl Host {
        fn new(answer: Option<bool>) -> Self {
            Self {
                answer,
                asked: RefCell::new(Vec::new()),
            }
        }
    }

    impl SignatureVerifier for Host {
        fn verify(
            &self,
            algorithm: Algorithm,
            key: &VerifyKey,
            message: &[u8],
            signature: &[u8],
        ) -> Option<bool> {
            assert_eq!(key.kid(), Some("k"));
            self.asked
                .borrow_mut()
                .push((algorithm, message.to_vec(), signature.to_vec()));
            self.answer
        }
    }

    fn verify(token: &str, keys: &JwkSet, host: &dyn SignatureVerifier) -> Result<(), TokenError> {
        let jws = CompactJws::parse(token, 4096).unwrap();
        verify_with_set(&jws, &Algorithm::ALL, keys, host)
    }

    /// I2
    #[test]
    fn every_asymmetric_algorithm_verifies_with_its_key_and_with_no_other_message() {
        for (key, algorithm) in testkeys::all_pairs() {
            let keys = testkeys::set(&[(key, "k")]);
            let token = key.sign(algorithm, Some("k"), None, r#"{"a":1}"#);
            assert_eq!(
                verify(&token, &keys, &NoHostVerifier),
                Ok(()),
                "{algorithm}"
            );

            let other = key.sign(algorithm, Some("k"), None, r#"{"a":2}"#);
            let (head, _) = other.rsplit_once('.').unwrap();
            let (_, signature) = token.rsplit_once('.').unwrap();
            assert_eq!(
                verify(&format!("{head}.{signature}"), &keys, &NoHostVerifier),
                Err(TokenError::Signature),
                "{algorithm}"
            );
        }
    }

    /// I2
    #[test]
    fn an_algorithm_that_is_not_configured_is_refused_whatever_the_signature() {
        let token = TestKey::Rsa.sign(Algorithm::Rs256, Some("k"), None, "{}");
        let jws = CompactJws::parse(&token, 4096).unwrap();
        let keys = testkeys::set(&[(TestKey::Rsa, "k")]);
        for allowed in [&[][..], &[Algorithm::Rs512, Algorithm::Ps256]] {
            assert_eq!(
                verify_with_set(&jws, allowed, &keys, &NoHostVerifier),
                Err(TokenError::Algorithm)
            );
        }
    }

    /// I2: the public key is not taken as an HMAC secret, even where somebody allowed HS256.
    #[test]
    fn hmac_is_refused_against_a_key_set() {
        let key = testkeys::set(&[(TestKey::Rsa, "k")]);
        let secret = key.candidates(Some("k"), Algorithm::Rs256)[0]
            .spki_der()
            .unwrap()
            .to_vec();
        let token = testkeys::sign_hs256(&secret, Some("k"), None, "{}");
        assert_eq!(
            verify(&token, &key, &NoHostVerifier),
            Err(TokenError::Algorithm)
        );
    }

    /// I10
    #[test]
    fn an_unknown_kid_is_told_apart_from_a_wrong_signature() {
        let token = TestKey::P256.sign(Algorithm::Es256, Some("new"), None, "{}");
        let keys = testkeys::set(&[(TestKey::P256, "k")]);
        assert_eq!(
            verify(&token, &keys, &NoHostVerifier),
            Err(TokenError::UnknownKey)
        );
    }

    /// I10
    #[test]
    fn without_a_kid_every_fitting_key_is_tried() {
        let token = TestKey::P256.sign(Algorithm::Es256, None, None, "{}");
        let keys = testkeys::set(&[
            (TestKey::Rsa, "r"),
            (TestKey::P256Other, "a"),
            (TestKey::P256, "b"),
        ]);
        assert_eq!(verify(&token, &keys, &NoHostVerifier), Ok(()));
        let keys = testkeys::set(&[(TestKey::P256Other, "a")]);
        assert_eq!(
            verify(&token, &keys, &NoHostVerifier),
            Err(TokenError::UnknownKey)
        );
    }

    /// I10
    #[test]
    fn several_keys_of_one_kid_are_all_tried() {
        let keys = testkeys::set(&[
            (TestKey::P256Other, "k"),
            (TestKey::Rsa, "k"),
            (TestKey::P256, "k"),
        ]);
        for (key, algorithm) in [
            (TestKey::P256, Algorithm::Es256),
            (TestKey::Rsa, Algorithm::Rs256),
        ] {
            let token = key.sign(algorithm, Some("k"), None, "{}");
            assert_eq!(verify(&token, &keys, &NoHostVerifier), Ok(()));
        }
    }

    #[test]
    fn the_host_decides_where_it_can_and_is_asked_for_the_right_thing() {
        let keys = testkeys::set(&[(TestKey::Rsa, "k")]);
        let token = TestKey::Rsa.sign(Algorithm::Rs256, Some("k"), None, "{}");

        let yes = Host::new(Some(true));
        assert_eq!(verify(&token, &keys, &yes), Ok(()));
        let jws = CompactJws::parse(&token, 4096).unwrap();
        assert_eq!(
            yes.asked.into_inner(),
            [(
                Algorithm::Rs256,
                jws.signing_input.as_bytes().to_vec(),
                jws.signature.clone()
            )]
        );
        assert_eq!(
            verify(&token, &keys, &Host::new(Some(false))),
            Err(TokenError::Signature)
        );
        assert_eq!(verify(&token, &keys, &Host::new(None)), Ok(()));
    }

    /// RFC 7515 appendix A.3 and RFC 8037 appendix A.4.
    #[test]
    fn the_examples_of_the_standards_verify() {
        let keys = JwkSet::parse(
            br#"{"keys":[
                {"kty":"EC","crv":"P-256",
                 "x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
                 "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"},
                {"kty":"OKP","crv":"Ed25519",
                 "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
            ]}"#,
        )
        .unwrap();
        for token in [
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        ] {
            assert_eq!(verify(token, &keys, &NoHostVerifier), Ok(()), "{token}");
        }
    }

    #[test]
    fn an_ecdsa_signature_is_turned_into_der() {
        let mut raw = [0; 64];
        raw[31] = 1;
        raw[63] = 0x80;
        assert_eq!(
            ecdsa_signature_der(Algorithm::Es256, &raw).unwrap(),
            [0x30, 7, 2, 1, 1, 2, 2, 0, 0x80]
        );
        assert_eq!(ecdsa_signature_der(Algorithm::Es256, &raw[1..]), None);
        assert_eq!(ecdsa_signature_der(Algorithm::Es256, &[0; 64]), None);
        assert_eq!(ecdsa_signature_der(Algorithm::Es384, &raw), None);
        assert_eq!(ecdsa_signature_der(Algorithm::EdDsa, &raw), None);
    }
}
