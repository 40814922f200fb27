//! Encryption of what the store must not show: refresh tokens and ID tokens.
//!
//! XChaCha20-Poly1305 with a random 192-bit nonce for each value. The additional data binds a value
//! to its column and its session, so that a row's ciphertext cannot be moved to another. A stored
//! value names its key: `len(kid)` (1 byte), `kid`, nonce (24 bytes), ciphertext.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use gatelatch_wire::Secret;
use zeroize::Zeroizing;

const NONCE_BYTES: usize = 24;
const KEY_BYTES: usize = 32;

/// The keys of the store: the first encrypts, all decrypt.
pub struct KeyRing(Vec<Key>);

struct Key {
    kid: String,
    cipher: XChaCha20Poly1305,
}

/// Which encrypted column a value belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    RefreshToken,
    IdToken,
}

/// Why the text of a key file is not a key ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRingError {
    /// No key at all.
    #[error("holds no key; `gatelatch keygen encryption-key` makes a line for it")]
    Empty,
    /// Not `kid base64`, or the key is not 32 bytes, or the kid is too long.
    #[error(
        "line {0} is not `KID BASE64-OF-32-BYTES`; `gatelatch keygen encryption-key` makes such a line"
    )]
    Line(usize),
    /// Two keys of one name.
    #[error("line {0} repeats a key id of an earlier line")]
    Repeated(usize),
}

/// A stored value that no key of the ring opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored token cannot be decrypted with the configured keys")]
pub(crate) struct Unopenable;

impl KeyRing {
    /// Reads a key file: `KID BASE64-OF-32-BYTES` a line; empty lines and `#` comments are skipped.
    pub fn parse(text: &str) -> Result<Self, KeyRingError> {
        let mut keys: Vec<Key> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = Key::parse(line).ok_or(KeyRingError::Line(index + 1))?;
            if keys.iter().any(|known| known.kid == key.kid) {
                return Err(KeyRingError::Repeated(index + 1));
            }
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(KeyRingError::Empty);
        }
        Ok(Self(keys))
    }

    pub(crate) fn seal(&self, column: Column, sid: &str, plain: &Secret) -> Vec<u8> {
        let key = &self.0[0];
        let mut nonce = [0; NONCE_BYTES];
        fill_random(&mut nonce);
        let aad = column.aad(sid);
        let payload = Payload {
            msg: plain.reveal().as_bytes(),
            aad: &aad,
        };
        let sealed = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .expect("encryption into a Vec fails only past 256 GiB");
        let mut out = Vec::with_capacity(1 + key.kid.len() + NONCE_BYTES + sealed.len());
        out.push(key.kid.len() as u8);
        out.extend_from_slice(key.kid.as_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    pub(crate) fn open(
        &self,
        column: Column,
        sid: &str,
        sealed: &[u8],
    ) -> Result<Secret, Unopenable> {
        let (len, rest) = sealed.split_first().ok_or(Unopenable)?;
        let (kid, rest) = rest.split_at_checked(usize::from(*len)).ok_or(Unopenable)?;
        let (nonce, msg) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(Unopenable)?;
        let key = self
            .0
            .iter()
            .find(|key| key.kid.as_bytes() == kid)
            .ok_or(Unopenable)?;
        let aad = column.aad(sid);
        let plain = key
            .cipher
            .decrypt(&XNonce::from(*nonce), Payload { msg, aad: &aad })
            .map_err(|_| Unopenable)?;
        let plain = Zeroizing::new(plain);
        let text = std::str::from_utf8(&plain).map_err(|_| Unopenable)?;
        Ok(Secret::new(text))
    }
}

/// A fresh line for the key file.
pub fn generate_line() -> String {
    let mut kid = [0; 4];
    fill_random(&mut kid);
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    fill_random(key.as_mut());
    let kid: String = kid.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("k{kid} {}", STANDARD.encode(key.as_ref()))
}

/// A fresh bearer token or session key: 256 random bits in base64url.
pub fn generate_token() -> String {
    let mut token = Zeroizing::new([0; KEY_BYTES]);
    fill_random(token.as_mut());
    URL_SAFE_NO_PAD.encode(token.as_ref())
}

/// Fills `out` from the entropy of the operating system.
pub(crate) fn fill_random(out: &mut [u8]) {
    // Without entropy no key, nonce or lease may be made: ending the request is the safe answer.
    getrandom::fill(out).expect("the operating system gives entropy");
}

impl Key {
    fn parse(line: &str) -> Option<Self> {
        let (kid, encoded) = line.split_once(char::is_whitespace)?;
        let bytes = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
        let bytes: &[u8; KEY_BYTES] = bytes.as_slice().try_into().ok()?;
        let cipher = XChaCha20Poly1305::new_from_slice(bytes).ok()?;
        (kid.len() <= 64).then(|| Self {
            kid: kid.to_owned(),
            cipher,
        })
    }
}

impl Column {
    fn aad(self, sid: &str) -> Vec<u8> {
        let column = match self {
            Self::RefreshToken => "refresh_token",
            Self::IdToken => "id_token",
        };
        [b"gatelatch/1\0", column.as_bytes(), b"\0", sid.as_bytes()].concat()
    }
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.0.iter().map(|key| &key.kid))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kid: &str, byte: u8) -> String {
        format!("{kid} {}\n", STANDARD.encode([byte; KEY_BYTES]))
    }

    #[test]
    fn a_value_opens_only_in_its_column_and_session() {
        let ring = KeyRing::parse(&line("a", 1)).unwrap();
        let sealed = ring.seal(Column::RefreshToken, "s1", &Secret::new("rt"));
        assert_eq!(
            ring.open(Column::RefreshToken, "s1", &sealed)
                .unwrap()
                .reveal(),
            "rt"
        );
        assert_eq!(ring.open(Column::IdToken, "s1", &sealed), Err(Unopenable));
        assert_eq!(
            ring.open(Column::RefreshToken, "s2", &sealed),
            Err(Unopenable)
        );
    }

    #[test]
    fn the_first_key_encrypts_and_every_key_decrypts() {
        let old = KeyRing::parse(&line("old", 1)).unwrap();
        let sealed = old.seal(Column::IdToken, "s", &Secret::new("x"));
        let both = KeyRing::parse(&(line("new", 2) + &line("old", 1))).unwrap();
        assert_eq!(
            both.open(Column::IdToken, "s", &sealed).unwrap().reveal(),
            "x"
        );
        let resealed = both.seal(Column::IdToken, "s", &Secret::new("x"));
        assert_eq!(old.open(Column::IdToken, "s", &resealed), Err(Unopenable));
    }

    #[test]
    fn no_truncation_and_no_flipped_byte_opens() {
        let ring = KeyRing::parse(&line("a", 1)).unwrap();
        let sealed = ring.seal(Column::RefreshToken, "s", &Secret::new("rt"));
        for at in 0..sealed.len() {
            assert_eq!(
                ring.open(Column::RefreshToken, "s", &sealed[..at]),
                Err(Unopenable)
            );
            let mut flipped = sealed.clone();
            flipped[at] ^= 1;
            assert_eq!(
                ring.open(Column::RefreshToken, "s", &flipped),
                Err(Unopenable)
            );
        }
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        assert_eq!(KeyRing::parse("# none\n").unwrap_err(), KeyRingError::Empty);
        let text = format!("{}nonsense\n", line("a", 1));
        assert_eq!(KeyRing::parse(&text).unwrap_err(), KeyRingError::Line(2));
        let text = format!("{}{}", line("a", 1), line("a", 2));
        assert_eq!(
            KeyRing::parse(&text).unwrap_err(),
            KeyRingError::Repeated(2)
        );
    }

    #[test]
    fn a_generated_line_is_a_key() {
        assert!(KeyRing::parse(&generate_line()).is_ok());
    }

    #[test]
    fn debug_shows_key_ids_only() {
        let ring = KeyRing::parse(&line("a", 1)).unwrap();
        assert_eq!(format!("{ring:?}"), r#"["a"]"#);
    }
}
