//! The checks that make a [`Raw`] configuration a [`Config`].

use std::collections::BTreeMap;

use gatelatch_wire::Secret;

use super::{Raw, RawAlg, RawCookie, RawRefresh, RawRevocation, RawRule, RawSession};
use crate::config::url::BaseUrl;
use crate::config::{
    Config, ConfigError, CookieNames, RefreshPolicy, RevocationPolicy, SessionPolicy,
};
use crate::identity::IdentityHeaders;
use crate::path::CanonicalPath;
use crate::rules::{Rules, Scope};
use crate::seal::Sealer;
use crate::session_token::{RESERVED_CLAIMS, SessionKey, SessionKeys};

impl Raw {
    /// Checks every field and takes the secrets from the environment.
    pub(in crate::config) fn check(
        self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, ConfigError> {
        let (issuer_url, public_url) = (self.issuer_url()?, self.public_url()?);
        for (field, value) in [
            ("client_id", &self.client_id),
            ("idp_cluster", &self.idp_cluster),
            ("control_cluster", &self.control_cluster),
        ] {
            if value.trim().is_empty() {
                return Err(ConfigError::new(field, "must not be empty"));
            }
        }
        let client_secret = secret(env, "client_secret_env", &self.client_secret_env)?;
        let control_token = secret(env, "control_token_env", &self.control_token_env)?;
        let session_keys = self.session_keys(env)?;
        let sealer = Sealer::from_session_keys(&session_keys);
        let identity_headers =
            IdentityHeaders::new(&self.identity_headers).map_err(|(header, problem)| {
                ConfigError::new(format!("identity_headers.{header}"), problem)
            })?;
        if let Some(name) = self
            .claims
            .iter()
            .find(|name| RESERVED_CLAIMS.contains(&name.as_str()))
        {
            let problem = format!("must not contain {name}, which the session JWT uses itself");
            return Err(ConfigError::new("claims", problem));
        }
        let session = self.session.check()?;
        let clock_skew = duration("clock_skew", &self.clock_skew)?.as_secs();
        if clock_skew > 300 {
            return Err(ConfigError::new("clock_skew", "must be at most 5m"));
        }
        if CanonicalPath::parse(self.post_logout_path.as_bytes()).is_none() {
            return Err(ConfigError::new(
                "post_logout_path",
                "must be a plain absolute path, such as /",
            ));
        }
        Ok(Config {
            refresh: self.refresh.check(session.ttl)?,
            revocation: self.revocation.check()?,
            cookies: self.cookie.check()?,
            rules: rules(&self.rules)?,
            scopes: scopes(self.scopes)?,
            authorization_params: authorization_params(self.authorization_params)?,
            control_authority: self
                .control_authority
                .unwrap_or_else(|| self.control_cluster.clone()),
            issuer: self.issuer,
            issuer_url,
            client_id: self.client_id,
            client_secret,
            client_auth: self.client_auth,
            idp_cluster: self.idp_cluster,
            control_cluster: self.control_cluster,
            control_token,
            public_url,
            session_keys,
            sealer,
            session,
            claims: self.claims,
            userinfo: self.userinfo,
            identity_headers,
            post_logout_path: self.post_logout_path,
            forward_cors_preflight: self.forward_cors_preflight,
            forward_jwt: self.forward_jwt,
            clock_skew,
        })
    }

    fn issuer_url(&self) -> Result<BaseUrl, ConfigError> {
        let url = BaseUrl::parse(&self.issuer)
            .filter(|url| url.query.is_none())
            .ok_or_else(|| {
                ConfigError::new(
                    "issuer",
                    "must be an absolute URL, such as https://idp.example",
                )
            })?;
        if url.scheme == "http" && !url.is_loopback() && !self.insecure_issuer {
            let problem = "must be https (http is for loopback hosts, or with insecure_issuer: true for trials)";
            return Err(ConfigError::new("issuer", problem));
        }
        Ok(url)
    }

    fn public_url(&self) -> Result<BaseUrl, ConfigError> {
        let url = BaseUrl::parse(&self.public_url).ok_or_else(|| {
            ConfigError::new(
                "public_url",
                "must be an absolute URL, such as https://app.example",
            )
        })?;
        if !matches!(url.path.as_str(), "" | "/") || url.query.is_some() {
            return Err(ConfigError::new(
                "public_url",
                "must not have a path: cookies and rules are for a whole host",
            ));
        }
        if url.scheme == "http" && !url.is_loopback() {
            let problem = "must be https: browsers keep no __Host- cookie from a plain http host";
            return Err(ConfigError::new("public_url", problem));
        }
        Ok(url)
    }

    fn session_keys(
        &self,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<SessionKeys, ConfigError> {
        let mut keys = Vec::new();
        for (nth, raw) in self.session_keys.iter().enumerate() {
            let field = format!("session_keys[{nth}]");
            if raw.kid.is_empty()
                || self
                    .session_keys
                    .iter()
                    .filter(|key| key.kid == raw.kid)
                    .count()
                    > 1
            {
                return Err(ConfigError::new(
                    format!("{field}.kid"),
                    "must be unique and not empty",
                ));
            }
            let field = format!("{field}.env");
            let value = secret(env, &field, &raw.env)?;
            let key = match raw.alg {
                RawAlg::HS256 => SessionKey::hs256(&raw.kid, value.reveal().as_bytes()),
                RawAlg::EdDSA => SessionKey::eddsa_pem(&raw.kid, value.reveal()),
                RawAlg::ES256 => SessionKey::es256_pem(&raw.kid, value.reveal()),
            };
            keys.push(
                key.map_err(|error| ConfigError::new(field, format!("{error} ({})", raw.env)))?,
            );
        }
        SessionKeys::new(keys).map_err(|error| ConfigError::new("session_keys", error.to_string()))
    }
}

impl RawSession {
    fn check(&self) -> Result<SessionPolicy, ConfigError> {
        let ttl = duration("session.ttl", &self.ttl)?.as_secs();
        let max_age = duration("session.max_age", &self.max_age)?.as_secs();
        let refresh_window = match &self.refresh_window {
            Some(text) => duration("session.refresh_window", text)?.as_secs(),
            None => max_age,
        };
        if !(1..=86_400).contains(&ttl) {
            return Err(ConfigError::new(
                "session.ttl",
                "must be between 1s and 24h",
            ));
        }
        if max_age < ttl || max_age > 30 * 86_400 {
            return Err(ConfigError::new(
                "session.max_age",
                "must be between session.ttl and 30d",
            ));
        }
        if refresh_window > max_age {
            return Err(ConfigError::new(
                "session.refresh_window",
                "must not be longer than session.max_age",
            ));
        }
        Ok(SessionPolicy {
            ttl,
            max_age,
            refresh_window,
        })
    }
}

impl RawRefresh {
    fn check(self, ttl: u64) -> Result<RefreshPolicy, ConfigError> {
        let grace = duration("refresh.grace", &self.grace)?.as_secs();
        if grace > 3600 {
            return Err(ConfigError::new("refresh.grace", "must be at most 1h"));
        }
        let early = duration("refresh.early", &self.early)?.as_secs();
        if early > MAX_EARLY || early.saturating_mul(2) > ttl {
            let problem = "must be at most 30s, and at most half of session.ttl";
            return Err(ConfigError::new("refresh.early", problem));
        }
        if !self
            .terminal_errors
            .iter()
            .any(|error| error == "invalid_grant")
        {
            let problem = "must contain invalid_grant: such a token never works again";
            return Err(ConfigError::new("refresh.terminal_errors", problem));
        }
        Ok(RefreshPolicy {
            grace,
            grace_safe_methods_only: self.grace_safe_methods_only,
            early,
            scope: self.scope,
            terminal_errors: self.terminal_errors,
            idp_timeout_ms: millis("refresh.idp_timeout", &self.idp_timeout, 1_000, 60_000)?,
            wait_ms: millis("refresh.wait", &self.wait, 100, 30_000)?,
        })
    }
}

/// The shortest tail window of the control service: what was renewed early is handed out to the
/// other workers until the old token has expired.
const MAX_EARLY: u64 = 30;

impl RawRevocation {
    fn check(&self) -> Result<RevocationPolicy, ConfigError> {
        let max = millis(
            "revocation.max_staleness",
            &self.max_staleness,
            5_000,
            86_400_000,
        )?;
        Ok(RevocationPolicy {
            max_staleness_ms: max.into(),
            on_stale: self.on_stale,
        })
    }
}

impl RawCookie {
    fn check(&self) -> Result<CookieNames, ConfigError> {
        let bare = self.name.strip_prefix("__Host-").unwrap_or_default();
        if bare.is_empty()
            || !bare
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            let problem = "must be __Host- followed by letters, digits, '-', '_' or '.'";
            return Err(ConfigError::new("cookie.name", problem));
        }
        Ok(CookieNames {
            session: self.name.clone(),
            login_prefix: format!("__Secure-{bare}-login-"),
            logins: format!("__Host-{bare}-logins"),
            reauthenticate: format!("__Host-{bare}-reauthenticate"),
        })
    }
}

fn rules(raw: &[RawRule]) -> Result<Rules, ConfigError> {
    let mut checked = Vec::new();
    for (nth, rule) in raw.iter().enumerate() {
        let (field, text) = match (&rule.path, &rule.prefix) {
            (Some(path), None) => ("path", path),
            (None, Some(prefix)) => ("prefix", prefix),
            _ => {
                return Err(ConfigError::new(
                    format!("rules[{nth}]"),
                    "must have either path or prefix",
                ));
            }
        };
        let canonical = CanonicalPath::parse(text.as_bytes()).filter(|path| path.as_str() == text);
        if canonical.is_none() {
            let problem =
                "must be a plain absolute path: no query, no dot segments, nothing percent-encoded";
            return Err(ConfigError::new(format!("rules[{nth}].{field}"), problem));
        }
        if text.starts_with("/_gatelatch") {
            return Err(ConfigError::new(
                format!("rules[{nth}].{field}"),
                "must not be below /_gatelatch",
            ));
        }
        let scope = if rule.path.is_some() {
            Scope::Exact(text.clone())
        } else {
            Scope::Prefix(text.clone())
        };
        checked.push((scope, rule.access));
    }
    Ok(Rules::new(checked))
}

fn scopes(raw: Option<Vec<String>>) -> Result<Option<Vec<String>>, ConfigError> {
    match &raw {
        Some(scopes) if !scopes.iter().any(|scope| scope == "openid") => {
            Err(ConfigError::new("scopes", "must contain openid"))
        }
        _ => Ok(raw),
    }
}

fn authorization_params(
    raw: BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, ConfigError> {
    const OURS: [&str; 8] = [
        "client_id",
        "redirect_uri",
        "response_type",
        "scope",
        "state",
        "nonce",
        "code_challenge",
        "code_challenge_method",
    ];
    match raw.keys().find(|name| OURS.contains(&name.as_str())) {
        Some(name) => Err(ConfigError::new(
            format!("authorization_params.{name}"),
            "is set by the gateway itself",
        )),
        None => Ok(raw.into_iter().collect()),
    }
}

fn secret(
    env: &dyn Fn(&str) -> Option<String>,
    field: &str,
    name: &str,
) -> Result<Secret, ConfigError> {
    match env(name).filter(|value| !value.is_empty()) {
        Some(value) => Ok(Secret::new(value)),
        None => {
            let problem = format!(
                "environment variable {name} is empty or not passed to the VM (host_env_keys)"
            );
            Err(ConfigError::new(field, problem))
        }
    }
}

fn duration(field: &str, text: &str) -> Result<std::time::Duration, ConfigError> {
    humantime::parse_duration(text)
        .map_err(|_| ConfigError::new(field, "must be a duration, such as 30s, 15m or 12h"))
}

fn millis(field: &str, text: &str, min: u32, max: u32) -> Result<u32, ConfigError> {
    let value = u32::try_from(duration(field, text)?.as_millis()).unwrap_or(u32::MAX);
    if !(min..=max).contains(&value) {
        return Err(ConfigError::new(
            field,
            format!("must be between {min}ms and {max}ms"),
        ));
    }
    Ok(value)
}
