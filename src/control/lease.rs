//! The names of leases, which say what they are about.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatelatch_wire::revocation::Digest;

/// The name of a lease: the generation that it may end and the JWT that asked for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseName {
    pub(crate) generation: u64,
    pub(crate) jti: Digest,
    nonce: [u8; 16],
}

impl LeaseName {
    /// A name that nobody can guess.
    pub(crate) fn new(generation: u64, jti: Digest) -> Self {
        let mut nonce = [0; 16];
        crate::keyring::fill_random(&mut nonce);
        Self {
            generation,
            jti,
            nonce,
        }
    }

    /// `GENERATION.JTI-DIGEST.NONCE`, the last two in base64url.
    pub(crate) fn encode(&self) -> String {
        let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        format!(
            "{}.{}.{}",
            self.generation,
            encode(&self.jti.0),
            encode(&self.nonce)
        )
    }

    /// Reads what [`LeaseName::encode`] wrote.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let generation = parts.next()?.parse().ok()?;
        let mut bytes =
            || -> Option<[u8; 16]> { URL_SAFE_NO_PAD.decode(parts.next()?).ok()?.try_into().ok() };
        let name = Self {
            generation,
            jti: Digest(bytes()?),
            nonce: bytes()?,
        };
        parts.next().is_none().then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_name_reads_back_and_nothing_else_does() {
        let name = LeaseName::new(7, Digest::jti("j"));
        let text = name.encode();
        assert_eq!(LeaseName::parse(&text), Some(name));
        for bad in ["", "7", "7..", "x.a.b", &format!("{text}."), &text[1..]] {
            assert_eq!(LeaseName::parse(bad), None, "{bad}");
        }
    }
}
