//! Randomness, handed in: the core has no source of its own.

use crate::jose::encode_base64url;

/// A source of unpredictable bytes, fit for keys (the operating system's, never a counter).
pub trait Entropy {
    /// Fills all of `out`.
    fn fill(&mut self, out: &mut [u8]);
}

/// `bytes` random bytes as unpadded base64url: an identifier, a state, a nonce, a PKCE verifier.
///
/// 16 bytes give the 128 bits that RFC 6749 section 10.10 asks of a value that nobody may guess;
/// 32 bytes give the 43 characters that RFC 7636 section 4.1 recommends for a verifier.
pub fn token(entropy: &mut dyn Entropy, bytes: usize) -> String {
    let mut random = vec![0; bytes];
    entropy.fill(&mut random);
    encode_base64url(&random)
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Entropy;

    /// Predictable, so that a test can name the outcome.
    pub(crate) struct Counter(pub(crate) u8);

    impl Entropy for Counter {
        fn fill(&mut self, out: &mut [u8]) {
            for byte in out {
                *byte = self.0;
                self.0 = self.0.wrapping_add(1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{testing::Counter, token};

    #[test]
    fn a_token_is_the_base64url_of_fresh_bytes() {
        let mut entropy = Counter(0);
        assert_eq!(token(&mut entropy, 4), "AAECAw");
        assert_eq!(token(&mut entropy, 4), "BAUGBw");
        assert_eq!(token(&mut entropy, 32).len(), 43);
    }
}
