//! The OpenID providers whose logout tokens are accepted, and their keys.
//!
//! Keys are fetched at the first logout token and again when one is signed by a key that is not
//! known, but not more often than every half minute, whatever arrives.

use std::sync::Mutex;
use std::time::Duration;

use gatelatch_core::config::url::BaseUrl;
use gatelatch_core::jose::jwks::JwkSet;
use gatelatch_core::jose::{Algorithm, NoHostVerifier, TokenError};
use gatelatch_core::logout_token::{self, LogoutToken, LogoutTokenExpect};
use gatelatch_core::provider::{MAX_DOCUMENT, Metadata};

/// A provider and what this product is to it: `ISSUER,CLIENT_ID`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idp {
    /// `issuer`, byte for byte.
    pub issuer: String,
    /// `client_id`, the audience of its logout tokens.
    pub client_id: String,
}

impl std::str::FromStr for Idp {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (issuer, client_id) = text
            .split_once(',')
            .filter(|(_, client_id)| !client_id.is_empty())
            .ok_or("must be ISSUER,CLIENT_ID")?;
        BaseUrl::parse(issuer)
            .filter(|url| url.query.is_none())
            .ok_or("must begin with an absolute URL, such as https://idp.example")?;
        Ok(Self {
            issuer: issuer.to_owned(),
            client_id: client_id.to_owned(),
        })
    }
}

/// All providers of one service.
#[derive(Debug, Default)]
pub(crate) struct Idps(Vec<Known>);

#[derive(Debug)]
struct Known {
    idp: Idp,
    keys: Mutex<Keys>,
}

#[derive(Debug, Default, Clone)]
struct Keys {
    set: JwkSet,
    algorithms: Vec<Algorithm>,
    fetched_at: Option<u64>,
}

/// Seconds between two fetches of one provider's keys.
const REFETCH: u64 = 30;

/// For one document.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Tolerated difference between the provider's clock and ours, in seconds.
const CLOCK_SKEW: u64 = 60;

impl Idps {
    pub(crate) fn new(idps: Vec<Idp>) -> Self {
        let known = |idp| Known {
            idp,
            keys: Mutex::default(),
        };
        Self(idps.into_iter().map(known).collect())
    }

    /// Validates a logout token against every provider (OIDC Back-Channel Logout 2.6).
    ///
    /// # Errors
    /// What the last provider that could judge it found wrong.
    pub(crate) async fn validate(&self, token: &str, now: u64) -> Result<LogoutToken, TokenError> {
        let mut error = TokenError::Issuer;
        for known in &self.0 {
            match known.validate(token, now).await {
                Ok(token) => return Ok(token),
                // Another provider's key is no finding about this token.
                Err(TokenError::UnknownKey) => {}
                Err(found) => error = found,
            }
        }
        Err(error)
    }
}

impl Known {
    async fn validate(&self, token: &str, now: u64) -> Result<LogoutToken, TokenError> {
        match self.judge(token, &self.keys(), now) {
            Err(TokenError::UnknownKey | TokenError::Algorithm) if self.may_fetch(now) => {
                let idp = self.idp.clone();
                let fetched = tokio::task::spawn_blocking(move || fetch(&idp)).await;
                match fetched {
                    Ok(Ok((set, algorithms))) => self.take(set, algorithms),
                    Ok(Err(problem)) => {
                        tracing::warn!(issuer = self.idp.issuer, problem, "keys not fetched")
                    }
                    Err(_) => {}
                }
                self.judge(token, &self.keys(), now)
            }
            judged => judged,
        }
    }

    fn judge(&self, token: &str, keys: &Keys, now: u64) -> Result<LogoutToken, TokenError> {
        let expect = LogoutTokenExpect {
            issuer: &self.idp.issuer,
            client_id: &self.idp.client_id,
            algorithms: &keys.algorithms,
            now,
            clock_skew: CLOCK_SKEW,
        };
        logout_token::validate(token, &expect, &keys.set, &NoHostVerifier)
    }

    fn keys(&self) -> Keys {
        self.lock().clone()
    }

    fn take(&self, set: JwkSet, algorithms: Vec<Algorithm>) {
        let mut keys = self.lock();
        keys.set = set;
        keys.algorithms = algorithms;
    }

    /// Whether keys may be fetched now; if so, the next time is a while away.
    fn may_fetch(&self, now: u64) -> bool {
        let mut keys = self.lock();
        let due = keys
            .fetched_at
            .is_none_or(|at| now >= at.saturating_add(REFETCH));
        if due {
            keys.fetched_at = Some(now);
        }
        due
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Keys> {
        self.keys
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn fetch(idp: &Idp) -> Result<(JwkSet, Vec<Algorithm>), &'static str> {
    let issuer = idp.issuer.trim_end_matches('/');
    let document = get(&format!("{issuer}/.well-known/openid-configuration"))?;
    let metadata =
        Metadata::parse(&document, &idp.issuer).map_err(|_| "the metadata cannot be used")?;
    let jwks_uri = format!(
        "{}{}",
        metadata.jwks_uri.origin(),
        metadata.jwks_uri.target()
    );
    let set = JwkSet::parse(&get(&jwks_uri)?).map_err(|_| "the key set cannot be used")?;
    Ok((set, metadata.id_token_algorithms))
}

fn get(url: &str) -> Result<Vec<u8>, &'static str> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(TIMEOUT))
        .max_redirects(0)
        .build()
        .into();
    let mut response = agent
        .get(url)
        .call()
        .map_err(|_| "the provider does not answer")?;
    response
        .body_mut()
        .with_config()
        .limit(MAX_DOCUMENT as u64)
        .read_to_vec()
        .map_err(|_| "the answer is too large or was cut off")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_named_with_its_client() {
        let idp: Idp = "https://idp.example/,gate,latch".parse().unwrap();
        assert_eq!(
            (idp.issuer.as_str(), idp.client_id.as_str()),
            ("https://idp.example/", "gate,latch")
        );
        for text in [
            "",
            "https://idp.example",
            "https://idp.example,",
            "idp.example,gatelatch",
        ] {
            assert!(text.parse::<Idp>().is_err(), "{text}");
        }
    }

    #[test]
    fn keys_are_fetched_once_in_a_while_whatever_arrives() {
        let idps = Idps::new(vec!["https://idp.example,gatelatch".parse().unwrap()]);
        let known = &idps.0[0];
        assert!(known.may_fetch(1_000));
        assert!(!known.may_fetch(1_029));
        assert!(known.may_fetch(1_030));
    }
}
