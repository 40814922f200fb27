//! The filter's configuration: checked once, never parsed again.
//!
//! [`Config::parse`] reads the JSON of the plugin configuration, takes secrets from the VM's
//! environment by name, and either gives a value in which everything holds or one
//! [`ConfigError`] that names the field.

mod protobuf;
mod raw;
pub mod url;

use gatelatch_wire::Secret;

use crate::identity::IdentityHeaders;
use crate::rules::Rules;
use crate::seal::Sealer;
use crate::session_token::SessionKeys;
use url::BaseUrl;

/// Everything that an operator decides. Immutable; one for each VM.
#[derive(Debug)]
pub struct Config {
    /// The OpenID provider, as it names itself; compared byte for byte.
    pub issuer: String,
    /// The same, taken apart.
    pub issuer_url: BaseUrl,
    /// `client_id` (RFC 6749 section 2.2).
    pub client_id: String,
    /// `client_secret` (RFC 6749 section 2.3.1).
    pub client_secret: Secret,
    /// How the client proves itself at the token endpoint.
    pub client_auth: ClientAuth,
    /// Envoy cluster of the provider.
    pub idp_cluster: String,
    /// Envoy cluster of the control service.
    pub control_cluster: String,
    /// `:authority` of calls to the control service.
    pub control_authority: String,
    /// The gateway's credential at the control service.
    pub control_token: Secret,
    /// Where browsers reach this gateway. Redirect URIs, `iss` and `aud` come from here and never
    /// from a request.
    pub public_url: BaseUrl,
    /// Keys of the session JWT: the first signs, all verify.
    pub session_keys: SessionKeys,
    /// Seals login transactions.
    pub sealer: Sealer,
    /// Lifetimes.
    pub session: SessionPolicy,
    /// What to do when a refresh fails.
    pub refresh: RefreshPolicy,
    /// What to do when revocations are not known.
    pub revocation: RevocationPolicy,
    /// Names of our cookies.
    pub cookies: CookieNames,
    /// Which paths ask for a session.
    pub rules: Rules,
    /// Claims of the ID token that go into the session JWT.
    pub claims: Vec<String>,
    /// Claims to request headers.
    pub identity_headers: IdentityHeaders,
    /// Whether claims are asked from the UserInfo endpoint too.
    pub userinfo: bool,
    /// Scopes asked for, `openid` among them; None: `openid profile email`, and `offline_access`
    /// where the provider's metadata lists it.
    pub scopes: Option<Vec<String>>,
    /// Further parameters of the authorization request.
    pub authorization_params: Vec<(String, String)>,
    /// Where the provider sends the browser after logout; a path of ours.
    pub post_logout_path: String,
    /// Whether applications answer CORS preflights themselves, on every path.
    pub forward_cors_preflight: bool,
    /// Whether applications receive the session JWT in its cookie.
    pub forward_jwt: bool,
    /// Tolerated difference between clocks in seconds, for `iat` and `nbf`.
    pub clock_skew: u64,
}

/// How the client proves itself at the token endpoint (OIDC Core 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP Basic with both halves form-encoded.
    ClientSecretBasic,
    /// In the form body.
    ClientSecretPost,
}

/// Lifetimes in seconds.
#[derive(Debug, Clone, Copy)]
pub struct SessionPolicy {
    /// Of one session JWT.
    pub ttl: u64,
    /// Of the whole session, through any number of refreshes.
    pub max_age: u64,
    /// How long after its expiry a session JWT can still be refreshed.
    pub refresh_window: u64,
}

/// What to do when a refresh fails for a reason that is not the session's.
#[derive(Debug, Clone)]
pub struct RefreshPolicy {
    /// Seconds after expiry in which a request still goes on with the old claims.
    pub grace: u64,
    /// Whether grace is for safe methods only.
    pub grace_safe_methods_only: bool,
    /// Seconds before expiry in which a session is renewed beside the request that finds it so; 0:
    /// never before its expiry.
    pub early: u64,
    /// `scope` of a refresh request; None: left out, so that it stays as granted.
    pub scope: Option<String>,
    /// Errors of the token endpoint that end a session at once.
    pub terminal_errors: Vec<String>,
    /// Milliseconds that the provider may take for a token answer.
    pub idp_timeout_ms: u32,
    /// Milliseconds that a request waits for another's refresh.
    pub wait_ms: u32,
}

/// What to do when revocations are not known.
#[derive(Debug, Clone, Copy)]
pub struct RevocationPolicy {
    /// Milliseconds without word from the control service after which `on_stale` holds.
    pub max_staleness_ms: u64,
    /// Before the first sync and past `max_staleness`.
    pub on_stale: OnStale,
}

/// What holds while revocations are unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnStale {
    /// Sessions are refused with 503.
    Deny,
    /// Sessions are accepted.
    Allow,
}

/// Names of our cookies.
#[derive(Debug, Clone)]
pub struct CookieNames {
    /// The session JWT.
    pub session: String,
    /// Login transactions: this, then an id.
    pub login_prefix: String,
    /// The ids of the login transactions that this browser has open.
    pub logins: String,
    /// Whether the next login of this browser must ask for the password.
    pub reauthenticate: String,
}

impl CookieNames {
    /// Whether a cookie of this name is ours and must not reach the application.
    pub fn is_ours(&self, name: &[u8]) -> bool {
        name == self.session.as_bytes()
            || name == self.logins.as_bytes()
            || name == self.reauthenticate.as_bytes()
            || name.starts_with(self.login_prefix.as_bytes())
    }
}

/// Why a configuration is refused: the field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct ConfigError {
    /// Path of the field, as `session.ttl`.
    pub field: String,
    /// What is wrong and the way out.
    pub problem: String,
}

impl ConfigError {
    fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            problem: problem.into(),
        }
    }
}

impl Config {
    /// Reads the plugin configuration. `env` looks up an environment variable of the VM.
    pub fn parse(json: &[u8], env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        raw::Raw::read(json)?.check(env)
    }

    /// `redirect_uri` of every authorization request.
    pub fn redirect_uri(&self) -> String {
        self.public_url.join("/_gatelatch/callback")
    }

    /// Scopes of an authorization request, given those that the provider lists.
    pub fn scope(&self, supported: &[String]) -> String {
        match &self.scopes {
            Some(scopes) => scopes.join(" "),
            None if supported.iter().any(|scope| scope == "offline_access") => {
                "openid profile email offline_access".to_owned()
            }
            None => "openid profile email".to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
