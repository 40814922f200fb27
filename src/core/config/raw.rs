//! The configuration as it is written: its fields and their defaults.

mod check;

use std::collections::BTreeMap;

use serde::Deserialize;

use super::protobuf;
use super::{ClientAuth, ConfigError, OnStale};
use crate::rules::Access;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    issuer: String,
    client_id: String,
    client_secret_env: String,
    idp_cluster: String,
    control_cluster: String,
    public_url: String,
    session_keys: Vec<RawKey>,
    #[serde(default)]
    insecure_issuer: bool,
    #[serde(default = "default_client_auth")]
    client_auth: ClientAuth,
    #[serde(default)]
    control_authority: Option<String>,
    #[serde(default = "default_control_token_env")]
    control_token_env: String,
    #[serde(default)]
    session: RawSession,
    #[serde(default)]
    refresh: RawRefresh,
    #[serde(default)]
    revocation: RawRevocation,
    #[serde(default)]
    cookie: RawCookie,
    #[serde(default)]
    rules: Vec<RawRule>,
    #[serde(default = "default_claims")]
    claims: Vec<String>,
    #[serde(default = "default_identity_headers")]
    identity_headers: BTreeMap<String, String>,
    #[serde(default)]
    userinfo: bool,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    authorization_params: BTreeMap<String, String>,
    #[serde(default = "default_post_logout_path")]
    post_logout_path: String,
    #[serde(default)]
    forward_cors_preflight: bool,
    #[serde(default)]
    forward_jwt: bool,
    #[serde(default = "default_clock_skew")]
    clock_skew: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    kid: String,
    env: String,
    #[serde(default)]
    alg: RawAlg,
}

#[derive(Deserialize, Default, Clone, Copy)]
enum RawAlg {
    #[default]
    HS256,
    EdDSA,
    ES256,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawSession {
    ttl: String,
    max_age: String,
    refresh_window: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRefresh {
    grace: String,
    grace_safe_methods_only: bool,
    early: String,
    scope: Option<String>,
    terminal_errors: Vec<String>,
    idp_timeout: String,
    wait: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawRevocation {
    max_staleness: String,
    on_stale: OnStale,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawCookie {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRule {
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    prefix: Option<String>,
    access: Access,
}

impl Default for RawSession {
    fn default() -> Self {
        Self {
            ttl: "15m".into(),
            max_age: "12h".into(),
            refresh_window: None,
        }
    }
}

impl Default for RawRefresh {
    fn default() -> Self {
        Self {
            grace: "1m".into(),
            grace_safe_methods_only: false,
            early: "0s".into(),
            scope: None,
            terminal_errors: vec!["invalid_grant".into()],
            idp_timeout: "20s".into(),
            wait: "25s".into(),
        }
    }
}

impl Default for RawRevocation {
    fn default() -> Self {
        Self {
            max_staleness: "1m".into(),
            on_stale: OnStale::Deny,
        }
    }
}

impl Default for RawCookie {
    fn default() -> Self {
        Self {
            name: "__Host-gatelatch".into(),
        }
    }
}

fn default_client_auth() -> ClientAuth {
    ClientAuth::ClientSecretBasic
}

fn default_control_token_env() -> String {
    "GATELATCH_GATEWAY_TOKEN".into()
}

fn default_claims() -> Vec<String> {
    ["email", "preferred_username", "name", "groups"]
        .map(String::from)
        .into()
}

fn default_identity_headers() -> BTreeMap<String, String> {
    [
        ("x-auth-request-user", "sub"),
        ("x-auth-request-email", "email"),
        ("x-auth-request-preferred-username", "preferred_username"),
        ("x-auth-request-groups", "groups"),
        ("x-auth-request-session", "sid"),
    ]
    .map(|(header, claim)| (header.into(), claim.into()))
    .into()
}

fn default_post_logout_path() -> String {
    "/".into()
}

fn default_clock_skew() -> String {
    "10s".into()
}

impl Raw {
    /// Reads JSON, as a control plane or a `StringValue` gives it, or the `google.protobuf.Struct`
    /// that Envoy hands over as it is.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, ConfigError> {
        let malformed = |problem: String| ConfigError::new("configuration", problem);
        let document = if bytes.is_empty() {
            return Err(malformed("is missing".to_owned()));
        } else if bytes.trim_ascii_start().starts_with(b"{") {
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?
        } else {
            protobuf::json(bytes)
                .ok_or_else(|| malformed("must be a JSON object or a Struct".to_owned()))?
        };
        Self::from_document(document)
    }

    fn from_document(document: serde_json::Value) -> Result<Self, ConfigError> {
        serde_path_to_error::deserialize(document).map_err(|error| {
            let field = match error.path().to_string() {
                root if root == "." => "configuration".to_owned(),
                path => path,
            };
            ConfigError::new(field, error.inner().to_string())
        })
    }
}
