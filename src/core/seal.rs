//! Sealing small values into cookies: XChaCha20-Poly1305 under keys derived from the session keys.
//!
//! ```text
//! sealed = base64url( version (1) | key tag (4) | nonce (24) | ciphertext and tag (n + 16) )
//! AAD    = length of purpose (8, big endian) | purpose | version | key tag
//! ```
//!
//! The purpose is the cookie's name, so that a value moved to another cookie does not open. The
//! nonce is random and long enough never to repeat. Opening has one outcome for every failure:
//! nobody learns whether the form, the key or the tag was wrong.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::fmt;

use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use crate::Entropy;
use crate::jose::{decode_base64url, encode_base64url};
use crate::session_token::{SessionKey, SessionKeys};

const VERSION: u8 = 1;
const TAG_BYTES: usize = 4;
const NONCE_BYTES: usize = 24;
const KEY_LABEL: &[u8] = b"gatelatch login transaction v1";
const TAG_LABEL: &[u8] = b"gatelatch sealing key tag v1";

/// The most that is sealed, in bytes. In base64url it still fits a cookie beside its name.
pub const MAX_PLAINTEXT_BYTES: usize = 2900;
/// The longest sealed value that is looked at, in characters.
const MAX_SEALED_CHARS: usize = 4096;

/// Why nothing is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Longer than [`MAX_PLAINTEXT_BYTES`].
    #[error("the value to seal is longer than 2900 bytes")]
    TooLarge,
}

impl SealError {
    /// The stable name used in responses, metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "seal_too_large",
        }
    }
}

/// Seals with the first key of the ring, opens with every key.
#[derive(Clone)]
pub struct Sealer {
    first: SealingKey,
    others: Vec<SealingKey>,
}

#[derive(Clone)]
struct SealingKey {
    /// Says which key opens a value, without telling the `kid`.
    tag: [u8; TAG_BYTES],
    key: Zeroizing<[u8; 32]>,
}

impl Sealer {
    /// Derives one sealing key from each session key, in the ring's order, so that rotating the
    /// session keys rotates these too.
    pub fn from_session_keys(keys: &SessionKeys) -> Self {
        Self {
            first: SealingKey::derive(keys.signing()),
            others: keys.iter().skip(1).map(SealingKey::derive).collect(),
        }
    }

    /// Seals `plaintext` for `purpose` (the cookie's name).
    pub fn seal(
        &self,
        purpose: &str,
        plaintext: &[u8],
        entropy: &mut dyn Entropy,
    ) -> Result<String, SealError> {
        if plaintext.len() > MAX_PLAINTEXT_BYTES {
            return Err(SealError::TooLarge);
        }
        let key = &self.first;
        let mut nonce = [0; NONCE_BYTES];
        entropy.fill(&mut nonce);
        let aad = associated_data(purpose, key.tag);
        let ciphertext = key
            .cipher()
            .encrypt(
                &XNonce::from(nonce),
                Payload {
                    msg: plaintext,
                    aad: &aad,
                },
            )
            .map_err(|_| SealError::TooLarge)?;
        let sealed = [&[VERSION], key.tag.as_slice(), &nonce, &ciphertext].concat();
        Ok(encode_base64url(&sealed))
    }

    /// Opens what [`seal`](Self::seal) made for the same purpose.
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<Vec<u8>> {
        if sealed.len() > MAX_SEALED_CHARS {
            return None;
        }
        let sealed = decode_base64url(sealed)?;
        let (&version, rest) = sealed.split_first()?;
        let (tag, rest) = rest.split_first_chunk::<TAG_BYTES>()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        if version != VERSION {
            return None;
        }
        let aad = associated_data(purpose, *tag);
        // Tags are short, so two keys may share one: try each.
        std::iter::once(&self.first)
            .chain(&self.others)
            .filter(|key| key.tag == *tag)
            .find_map(|key| {
                key.cipher()
                    .decrypt(
                        &XNonce::from(*nonce),
                        Payload {
                            msg: ciphertext,
                            aad: &aad,
                        },
                    )
                    .ok()
            })
    }
}

impl fmt::Debug for Sealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sealer").finish_non_exhaustive()
    }
}

impl SealingKey {
    /// HMAC-SHA256 keyed with the session key's secret. Each input is preceded by its length, so
    /// that no two differ in where they are cut, and so that the first byte is zero: what the
    /// secret signs elsewhere begins with a letter.
    fn derive(from: &SessionKey) -> Self {
        let kid = from.kid().as_bytes();
        let message = [delimited(KEY_LABEL), delimited(kid)].concat();
        let tag = Sha256::digest([delimited(TAG_LABEL), delimited(kid)].concat());
        let mut short_tag = [0; TAG_BYTES];
        for (to, from) in short_tag.iter_mut().zip(tag) {
            *to = from;
        }
        Self {
            tag: short_tag,
            key: Zeroizing::new(from.derive(&message)),
        }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&(*self.key).into())
    }
}

fn associated_data(purpose: &str, tag: [u8; TAG_BYTES]) -> Vec<u8> {
    [delimited(purpose.as_bytes()).as_slice(), &[VERSION], &tag].concat()
}

/// The length in eight bytes, big endian, then the bytes.
fn delimited(bytes: &[u8]) -> Vec<u8> {
    [(bytes.len() as u64).to_be_bytes().as_slice(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::entropy::testing::Counter;
    use crate::jose::testkeys::TestKey;

    const COOKIE: &str = "__Secure-gatelatch-login-1";

    fn hs256(kid: &str, secret: &[u8; 32]) -> SessionKey {
        SessionKey::hs256(kid, secret).unwrap()
    }

    fn sealer(keys: Vec<SessionKey>) -> Sealer {
        Sealer::from_session_keys(&SessionKeys::new(keys).unwrap())
    }

    fn one() -> Sealer {
        sealer(vec![hs256("k1", &[1; 32])])
    }

    fn seal(sealer: &Sealer, plaintext: &[u8]) -> String {
        sealer.seal(COOKIE, plaintext, &mut Counter(7)).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_under_every_kind_of_session_key() {
        for sealer in [
            one(),
            sealer(vec![
                SessionKey::eddsa_pem("e", TestKey::Ed25519.pem()).unwrap(),
            ]),
            sealer(vec![
                SessionKey::es256_pem("p", TestKey::P256.pem()).unwrap(),
            ]),
        ] {
            let sealed = seal(&sealer, b"state");
            assert_eq!(sealer.open(COOKIE, &sealed).as_deref(), Some(&b"state"[..]));
        }
    }

    #[test]
    fn the_form_is_version_tag_nonce_ciphertext() {
        let sealed = decode_base64url(&seal(&one(), b"state")).unwrap();
        assert_eq!(sealed.len(), 1 + 4 + 24 + 5 + 16);
        assert_eq!(sealed[0], VERSION);
        assert_eq!(sealed[5..29], (7..31).collect::<Vec<u8>>());
    }

    /// The construction, computed once more with Python's `hmac` and `hashlib`.
    #[test]
    fn the_derived_key_and_tag_stay_the_same_from_release_to_release() {
        let key = one().first;
        assert_eq!(encode_base64url(&key.tag), "wk4S3A");
        assert_eq!(
            encode_base64url(&*key.key),
            "ExIGuid4vnvmjx9mahD0zW2YAXEhB1aDf4JYORb2V7o"
        );
    }

    #[test]
    fn a_value_does_not_open_for_another_purpose() {
        let sealed = seal(&one(), b"state");
        for purpose in [
            "",
            "__Secure-gatelatch-login-2",
            "__Secure-gatelatch-login-",
            "__secure-gatelatch-login-1",
        ] {
            assert_eq!(one().open(purpose, &sealed), None, "{purpose}");
        }
    }

    #[test]
    fn a_value_with_any_bit_flipped_does_not_open() {
        let sealed = decode_base64url(&seal(&one(), b"state")).unwrap();
        for index in 0..sealed.len() {
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[index] ^= 1 << bit;
                assert_eq!(
                    one().open(COOKIE, &encode_base64url(&flipped)),
                    None,
                    "{index} {bit}"
                );
            }
        }
    }

    #[test]
    fn a_value_cut_short_or_in_another_spelling_does_not_open() {
        let sealed = seal(&one(), b"state");
        for length in 0..sealed.len() {
            assert_eq!(
                one().open(COOKIE, sealed.get(..length).unwrap()),
                None,
                "{length}"
            );
        }
        for text in [
            format!("{sealed}="),
            format!("{sealed}A"),
            format!(" {sealed}"),
            "\u{e4}".into(),
        ] {
            assert_eq!(one().open(COOKIE, &text), None, "{text}");
        }
        assert_eq!(one().open(COOKIE, &"A".repeat(MAX_SEALED_CHARS + 4)), None);
    }

    #[test]
    fn every_key_of_the_ring_opens_and_the_first_seals() {
        let (old, new) = (hs256("k1", &[1; 32]), hs256("k2", &[2; 32]));
        let rotated = sealer(vec![new.clone(), old]);
        let of_old = seal(&one(), b"old");
        let of_new = seal(&rotated, b"new");
        assert_eq!(rotated.open(COOKIE, &of_old).as_deref(), Some(&b"old"[..]));
        assert_eq!(
            sealer(vec![new]).open(COOKIE, &of_new).as_deref(),
            Some(&b"new"[..])
        );
        assert_eq!(one().open(COOKIE, &of_new), None);
    }

    #[test]
    fn the_same_secret_under_another_kid_or_the_same_kid_with_another_secret_does_not_open() {
        let sealed = seal(&one(), b"state");
        assert_eq!(
            sealer(vec![hs256("k2", &[1; 32])]).open(COOKIE, &sealed),
            None
        );
        assert_eq!(
            sealer(vec![hs256("k1", &[2; 32])]).open(COOKIE, &sealed),
            None
        );
    }

    #[test]
    fn size_is_bounded_and_the_largest_value_fits_a_cookie() {
        let most = seal(&one(), &[0; MAX_PLAINTEXT_BYTES]);
        assert!(
            most.len() + COOKIE.len() + 32 < MAX_SEALED_CHARS,
            "{}",
            most.len()
        );
        assert!(one().open(COOKIE, &most).is_some());
        assert_eq!(
            one().seal(COOKIE, &[0; MAX_PLAINTEXT_BYTES + 1], &mut Counter(0)),
            Err(SealError::TooLarge)
        );
    }

    #[test]
    fn debug_shows_no_key() {
        assert_eq!(format!("{:?}", one()), "Sealer { .. }");
    }

    proptest! {
        #[test]
        fn sealing_round_trips(purpose in ".{0,40}", plaintext in proptest::collection::vec(any::<u8>(), 0..300), start: u8) {
            let sealed = one().seal(&purpose, &plaintext, &mut Counter(start)).unwrap();
            prop_assert_eq!(one().open(&purpose, &sealed), Some(plaintext));
        }

        #[test]
        fn random_text_does_not_open(text in "[A-Za-z0-9_-]{0,120}") {
            prop_assert_eq!(one().open(COOKIE, &text), None);
        }
    }
}
