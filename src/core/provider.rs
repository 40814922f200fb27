//! The OpenID provider's metadata and keys, and the one who keeps them fresh.

use gatelatch_wire::UnixSeconds;
use serde::Deserialize;

use crate::config::Config;
use crate::config::url::BaseUrl;
use crate::jose::Algorithm;
use crate::jose::jwks::JwkSet;
use crate::step::{CallReply, Callout, Peer};

/// What is used of the provider's metadata (OIDC Discovery 3, RFC 8414 section 2).
#[derive(Debug, Clone)]
pub struct Metadata {
    /// `authorization_endpoint`.
    pub authorization_endpoint: BaseUrl,
    /// `token_endpoint`.
    pub token_endpoint: BaseUrl,
    /// `jwks_uri`.
    pub jwks_uri: BaseUrl,
    /// `userinfo_endpoint`.
    pub userinfo_endpoint: Option<BaseUrl>,
    /// `end_session_endpoint` (RP-Initiated Logout 2.1).
    pub end_session_endpoint: Option<BaseUrl>,
    /// `scopes_supported`.
    pub scopes_supported: Vec<String>,
    /// `authorization_response_iss_parameter_supported` (RFC 9207 section 3).
    pub response_iss: bool,
    /// Asymmetric algorithms among `id_token_signing_alg_values_supported`.
    pub id_token_algorithms: Vec<Algorithm>,
}

/// Why metadata is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MetadataError {
    /// Too large, or not the JSON that metadata is.
    #[error("provider metadata is malformed")]
    Malformed,
    /// `issuer` is not the configured one, byte for byte.
    #[error("provider metadata names another issuer than configured")]
    Issuer,
    /// An endpoint is missing, not a URL, or not https.
    #[error("provider metadata has an unusable endpoint")]
    Endpoint,
    /// The provider signs ID tokens with nothing that can be accepted.
    #[error("provider metadata lists no acceptable ID token algorithm")]
    Algorithm,
}

/// Metadata and keys as one VM has them.
#[derive(Debug, Default)]
pub struct Provider {
    /// None: not known yet.
    pub metadata: Option<Metadata>,
    /// Empty: not known yet.
    pub keys: JwkSet,
    /// When an unknown key id last led to a fetch.
    pub keys_refetched_at: UnixSeconds,
}

/// Largest metadata or key set that is read.
pub const MAX_DOCUMENT: usize = 256 * 1024;

#[derive(Deserialize)]
struct Raw {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    #[serde(default)]
    userinfo_endpoint: Option<String>,
    #[serde(default)]
    end_session_endpoint: Option<String>,
    #[serde(default)]
    scopes_supported: Vec<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
}

impl Metadata {
    /// Reads a discovery document and holds it against the configured issuer (OIDC Discovery 4.3).
    /// Endpoints are https, unless the issuer itself is not.
    pub fn parse(body: &[u8], issuer: &str) -> Result<Self, MetadataError> {
        if body.len() > MAX_DOCUMENT {
            return Err(MetadataError::Malformed);
        }
        let raw: Raw = serde_json::from_slice(body).map_err(|_| MetadataError::Malformed)?;
        if raw.issuer != issuer {
            return Err(MetadataError::Issuer);
        }
        let endpoint = |text: &str| {
            BaseUrl::parse(text)
                .filter(|url| url.scheme == "https" || issuer.starts_with("http://"))
                .ok_or(MetadataError::Endpoint)
        };
        let listed = &raw.id_token_signing_alg_values_supported;
        let id_token_algorithms: Vec<_> = if listed.is_empty() {
            vec![Algorithm::Rs256]
        } else {
            listed
                .iter()
                .filter_map(|name| Algorithm::parse(name))
                .filter(|alg| alg.is_asymmetric())
                .collect()
        };
        if id_token_algorithms.is_empty() {
            return Err(MetadataError::Algorithm);
        }
        Ok(Self {
            authorization_endpoint: endpoint(&raw.authorization_endpoint)?,
            token_endpoint: endpoint(&raw.token_endpoint)?,
            jwks_uri: endpoint(&raw.jwks_uri)?,
            userinfo_endpoint: raw.userinfo_endpoint.as_deref().map(endpoint).transpose()?,
            end_session_endpoint: raw
                .end_session_endpoint
                .as_deref()
                .map(endpoint)
                .transpose()?,
            scopes_supported: raw.scopes_supported,
            response_iss: raw.authorization_response_iss_parameter_supported,
            id_token_algorithms,
        })
    }
}

/// Keeps metadata and keys fresh; runs in the one VM of an Envoy that polls.
#[derive(Debug, Default)]
pub struct Discovery {
    waiting: bool,
    failures: u32,
    due_ms: u64,
}

/// A document to publish to all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The discovery document.
    Metadata,
    /// The key set.
    Keys,
}

const REFRESH_MS: u64 = 300_000;
const TIMEOUT_MS: u32 = 5_000;
const MAX_BACKOFF_MS: u64 = 30_000;

impl Discovery {
    /// The next fetch, when it is due and none is under way.
    pub fn poll(&mut self, config: &Config, now_ms: u64) -> Option<(Document, Callout)> {
        if self.waiting || now_ms < self.due_ms {
            return None;
        }
        self.waiting = true;
        let url = config.issuer_url.join("/.well-known/openid-configuration");
        BaseUrl::parse(&url).map(|url| (Document::Metadata, fetch(&url)))
    }

    /// Takes the discovery document. The key set follows at once; None: refused, what was known
    /// stays, and the next try waits.
    pub fn on_metadata(
        &mut self,
        reply: CallReply<'_>,
        config: &Config,
        now_ms: u64,
    ) -> Option<Callout> {
        let metadata = reply
            .success()
            .and_then(|body| Metadata::parse(body, &config.issuer).ok());
        match metadata {
            Some(metadata) => Some(fetch(&metadata.jwks_uri)),
            None => {
                self.failed(now_ms);
                None
            }
        }
    }

    /// Takes the key set. Whether it can be used.
    pub fn on_keys(&mut self, reply: CallReply<'_>, now_ms: u64) -> bool {
        let usable = reply
            .success()
            .and_then(|body| JwkSet::parse(body).ok())
            .is_some_and(|keys| keys.usable_keys() > 0);
        if usable {
            self.waiting = false;
            self.failures = 0;
            self.due_ms = now_ms.saturating_add(REFRESH_MS);
        } else {
            self.failed(now_ms);
        }
        usable
    }

    fn failed(&mut self, now_ms: u64) {
        self.waiting = false;
        self.failures = self.failures.saturating_add(1);
        let backoff = 500_u64
            .saturating_mul(1 << self.failures.min(7))
            .min(MAX_BACKOFF_MS);
        self.due_ms = now_ms.saturating_add(backoff);
    }
}

/// A GET of one of the provider's documents.
pub fn fetch(url: &BaseUrl) -> Callout {
    Callout {
        peer: Peer::Idp,
        method: "GET",
        scheme: url.scheme,
        authority: url.authority.clone(),
        path: url.target(),
        headers: vec![("accept", "application/json".to_owned())],
        body: Vec::new(),
        timeout_ms: TIMEOUT_MS,
        delay_ms: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    const ISSUER: &str = "https://idp.example";

    fn document(change: impl Fn(&mut serde_json::Value)) -> Vec<u8> {
        let mut document = serde_json::json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://tokens.example/token?v=2",
            "jwks_uri": "https://idp.example/jwks",
            "id_token_signing_alg_values_supported": ["HS256", "none", "ES256"],
        });
        change(&mut document);
        document.to_string().into_bytes()
    }

    #[test]
    fn endpoints_come_from_metadata_and_only_asymmetric_algorithms_count() {
        let metadata = Metadata::parse(&document(|_| ()), ISSUER).unwrap();
        assert_eq!(metadata.token_endpoint.target(), "/token?v=2");
        assert_eq!(metadata.token_endpoint.authority, "tokens.example");
        assert_eq!(metadata.id_token_algorithms, [Algorithm::Es256]);
    }

    #[test]
    fn another_issuer_a_plain_endpoint_and_garbage_are_refused() {
        let parse = |body: Vec<u8>| Metadata::parse(&body, ISSUER).unwrap_err();
        assert_eq!(
            parse(document(|d| d["issuer"] = "https://idp.example/".into())),
            MetadataError::Issuer
        );
        assert_eq!(
            parse(document(
                |d| d["jwks_uri"] = "http://idp.example/jwks".into()
            )),
            MetadataError::Endpoint
        );
        assert_eq!(
            parse(document(|d| d["token_endpoint"] = "/token".into())),
            MetadataError::Endpoint
        );
        assert_eq!(
            parse(document(
                |d| d["id_token_signing_alg_values_supported"] = serde_json::json!(["none"])
            )),
            MetadataError::Algorithm
        );
        assert_eq!(parse(b"<html>".to_vec()), MetadataError::Malformed);
    }

    #[test]
    fn a_failed_fetch_is_tried_again_after_a_pause_that_grows() {
        let (config, mut discovery) = (config(), Discovery::default());
        assert!(discovery.poll(&config, 0).is_some());
        assert!(discovery.poll(&config, 0).is_none());
        assert!(
            discovery
                .on_metadata(CallReply::Failed, &config, 0)
                .is_none()
        );
        assert!(discovery.poll(&config, 999).is_none());
        assert!(discovery.poll(&config, 1_000).is_some());
    }
}
