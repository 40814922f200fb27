//! The strict subset of JOSE that Gatelatch reads and writes.
//!
//! What it never does: take a key or an algorithm from a token, read a clock, accept a second
//! spelling of the same token, or put a peer's text into an error. The signature arithmetic is
//! jsonwebtoken's (or the host's, through [`SignatureVerifier`]); the parsing is ours, because
//! jsonwebtoken tolerates duplicate members and unknown `crit` extensions.

#![cfg_attr(not(test), deny(clippy::arithmetic_side_effects))]

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

pub mod claims;
pub mod compact;
pub mod json;
pub mod jwks;
pub mod key;
pub mod verifier;

#[cfg(test)]
pub(crate) mod testkeys;

pub use compact::CompactJws;
pub use jwks::{JwkSet, JwksError};
pub use key::VerifyKey;
pub use verifier::{NoHostVerifier, SignatureVerifier};

/// A signature algorithm of RFC 7518 section 3.1 or RFC 8037 section 3.1. `none` is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256; for our own session JWT only.
    Hs256,
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, in the order of the enum.
    pub const ALL: [Self; 10] = [
        Self::Hs256,
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    /// Reads the value of `alg`. The comparison is case-sensitive (RFC 7515 section 4.1.1).
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
    }

    /// The value of `alg`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Whether verifying needs no secret.
    pub fn is_asymmetric(self) -> bool {
        self != Self::Hs256
    }

    pub(crate) fn to_jsonwebtoken(self) -> jsonwebtoken::Algorithm {
        match self {
            Self::Hs256 => jsonwebtoken::Algorithm::HS256,
            Self::Rs256 => jsonwebtoken::Algorithm::RS256,
            Self::Rs384 => jsonwebtoken::Algorithm::RS384,
            Self::Rs512 => jsonwebtoken::Algorithm::RS512,
            Self::Ps256 => jsonwebtoken::Algorithm::PS256,
            Self::Ps384 => jsonwebtoken::Algorithm::PS384,
            Self::Ps512 => jsonwebtoken::Algorithm::PS512,
            Self::Es256 => jsonwebtoken::Algorithm::ES256,
            Self::Es384 => jsonwebtoken::Algorithm::ES384,
            Self::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a token is refused. Nothing of the token is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than the bound, refused before any work.
    #[error("the token is too long")]
    TooLarge,
    /// Not a compact JWS, or a part of it is not what RFC 7515 and RFC 7519 say.
    #[error("the token is malformed")]
    Malformed,
    /// `alg` is unknown, not allowed here, or not the key's.
    #[error("the token's algorithm is not allowed")]
    Algorithm,
    /// `typ` is not that of the awaited kind of token (RFC 8725 section 3.11).
    #[error("the token is of another type")]
    Type,
    /// No key for this `kid`, or none at all that fits. Worth one new fetch of a JWKS.
    #[error("no known key fits the token")]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong")]
    Signature,
    /// `iss` is not the awaited one.
    #[error("the token has another issuer")]
    Issuer,
    /// `aud` or `azp` is not ours, or names others that are not trusted.
    #[error("the token has another audience")]
    Audience,
    /// `exp` has passed, or `iat` lies too far back.
    #[error("the token has expired")]
    Expired,
    /// `iat` or `nbf` lies in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `nonce` is absent, or not the one of this login.
    #[error("the token has another nonce")]
    Nonce,
    /// `sub` is not the one of this session (OIDC Core 12.2).
    #[error("the token has another subject")]
    Subject,
    /// The named claim is absent, of the wrong type, or has a value it must not have.
    #[error("the token's claim {0} is not acceptable")]
    Claim(&'static str),
}

impl TokenError {
    /// The stable name used in responses, metrics and logs.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLarge => "token_too_large",
            Self::Malformed => "token_malformed",
            Self::Algorithm => "token_alg",
            Self::Type => "token_type",
            Self::UnknownKey => "token_key",
            Self::Signature => "token_signature",
            Self::Issuer => "token_issuer",
            Self::Audience => "token_audience",
            Self::Expired => "token_expired",
            Self::NotYetValid => "token_not_yet_valid",
            Self::Nonce => "token_nonce",
            Self::Subject => "token_subject",
            Self::Claim(_) => "token_claim",
        }
    }
}

/// Unpadded base64url (RFC 7515 section 2).
pub fn encode_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Reads unpadded base64url, and only its one canonical spelling: no padding, no whitespace, no
/// `+` or `/`, no bits left over in the last character.
pub fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_algorithm_is_read_back_from_its_name() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::parse(algorithm.name()), Some(algorithm));
        }
    }

    /// J1
    #[test]
    fn algorithm_names_are_case_sensitive_and_none_is_never_one() {
        for name in [
            "none", "None", "NONE", "nOnE", "", "hs256", "Hs256", "rs256", "eddsa", "EDDSA",
            "HS256 ",
        ] {
            assert_eq!(Algorithm::parse(name), None, "{name:?}");
        }
    }

    /// J4
    #[test]
    fn base64url_with_padding_whitespace_another_alphabet_or_trailing_bits_is_refused() {
        assert_eq!(decode_base64url("-_8"), Some(vec![0xfb, 0xff]));
        for text in ["-_8=", "-_8 ", " -_8", "-_\n8", "+/8", "-_9", "-", "-_8-_"] {
            assert_eq!(decode_base64url(text), None, "{text:?}");
        }
    }

    proptest! {
        /// J4
        #[test]
        fn base64url_has_one_spelling(text in "[A-Za-z0-9_+/= -]{0,24}") {
            if let Some(bytes) = decode_base64url(&text) {
                prop_assert_eq!(encode_base64url(&bytes), text);
            }
        }

        #[test]
        fn base64url_round_trips(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assert_eq!(decode_base64url(&encode_base64url(&bytes)), Some(bytes));
        }
    }
}
