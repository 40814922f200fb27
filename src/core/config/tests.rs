use serde_json::{Value, json};

use super::*;

/// The least that an operator must write, and what the tests of other modules use.
pub(crate) fn config() -> Config {
    config_with(|_| (), |_| None)
}

pub(crate) fn config_with(
    change: impl Fn(&mut Value),
    env: impl Fn(&str) -> Option<String>,
) -> Config {
    parse_with(change, env).unwrap()
}

fn parse_with(
    change: impl Fn(&mut Value),
    env: impl Fn(&str) -> Option<String>,
) -> Result<Config, ConfigError> {
    let mut json = json!({
        "issuer": "https://idp.example",
        "client_id": "gatelatch",
        "client_secret_env": "SECRET",
        "idp_cluster": "idp",
        "control_cluster": "control",
        "public_url": "https://gw.example",
        "session_keys": [{"kid": "k1", "env": "KEY"}],
        "rules": [
            {"prefix": "/public/", "access": "public"},
            {"prefix": "/optional/", "access": "optional"},
        ],
    });
    change(&mut json);
    let env = |name: &str| {
        env(name).or_else(|| match name {
            "SECRET" => Some("client-secret".into()),
            "KEY" => Some("0123456789abcdef0123456789abcdef".into()),
            "GATELATCH_GATEWAY_TOKEN" => Some("gateway-token".into()),
            _ => None,
        })
    };
    Config::parse(json.to_string().as_bytes(), &env)
}

fn field(change: impl Fn(&mut Value)) -> String {
    parse_with(change, |_| None).unwrap_err().field
}

#[test]
fn the_minimum_has_the_defaults_of_the_design() {
    let config = config();
    assert_eq!(
        (
            config.session.ttl,
            config.session.max_age,
            config.session.refresh_window
        ),
        (900, 43_200, 43_200)
    );
    assert_eq!(config.cookies.session, "__Host-gatelatch");
    assert_eq!(
        config.redirect_uri(),
        "https://gw.example/_gatelatch/callback"
    );
    assert_eq!(config.revocation.on_stale, OnStale::Deny);
}

#[test]
fn a_wrong_field_is_named() {
    assert_eq!(
        field(|c| c["session"] = json!({"ttl": "0s"})),
        "session.ttl"
    );
    assert_eq!(
        field(|c| c["session"] = json!({"ttl": "13h"})),
        "session.max_age"
    );
    assert_eq!(
        field(|c| c["session"] = json!({"ttl": "soon"})),
        "session.ttl"
    );
    assert_eq!(field(|c| c["session"] = json!({"ttl": 900})), "session.ttl");
    assert_eq!(
        field(|c| c["session"] = json!({"refresh_window": "2d"})),
        "session.refresh_window"
    );
    assert_eq!(field(|c| c["issuer"] = "idp.example".into()), "issuer");
    assert_eq!(
        field(|c| c["issuer"] = "http://idp.example".into()),
        "issuer"
    );
    assert_eq!(
        field(|c| c["public_url"] = "http://gw.example".into()),
        "public_url"
    );
    assert_eq!(
        field(|c| c["public_url"] = "https://gw.example/app".into()),
        "public_url"
    );
    assert_eq!(field(|c| c["client_id"] = " ".into()), "client_id");
    assert_eq!(field(|c| c["session_keys"] = json!([])), "session_keys");
    assert_eq!(
        field(|c| c["session_keys"][0]["env"] = "NOT_SET".into()),
        "session_keys[0].env"
    );
    assert_eq!(
        field(|c| c["session_keys"][0]["alg"] = "RS256".into()),
        "session_keys[0].alg"
    );
    assert_eq!(
        field(|c| c["rules"][1]["access"] = "maybe".into()),
        "rules[1].access"
    );
    assert_eq!(
        field(|c| c["rules"][0] = json!({"prefix": "/a/../", "access": "public"})),
        "rules[0].prefix"
    );
    assert_eq!(
        field(|c| c["rules"][0] = json!({"access": "public"})),
        "rules[0]"
    );
    assert_eq!(
        field(|c| c["cookie"] = json!({"name": "session"})),
        "cookie.name"
    );
    assert_eq!(field(|c| c["scopes"] = json!(["profile"])), "scopes");
    assert_eq!(
        field(|c| c["identity_headers"] = json!({"cookie": "sub"})),
        "identity_headers.cookie"
    );
    assert_eq!(
        field(|c| c["authorization_params"] = json!({"state": "x"})),
        "authorization_params.state"
    );
    assert_eq!(
        field(|c| c["revocation"] = json!({"max_staleness": "1s"})),
        "revocation.max_staleness"
    );
}

#[test]
fn an_unknown_or_missing_field_is_named() {
    let unknown = parse_with(|c| c["isuer"] = "x".into(), |_| None)
        .unwrap_err()
        .to_string();
    assert!(unknown.contains("unknown field `isuer`"), "{unknown}");
    let missing = parse_with(
        |c| drop(c.as_object_mut().unwrap().remove("client_id")),
        |_| None,
    );
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("missing field `client_id`")
    );
}

#[test]
fn a_short_key_is_refused_without_showing_it() {
    let error = parse_with(
        |_| (),
        |name| (name == "KEY").then(|| "short-and-secret".into()),
    )
    .unwrap_err();
    assert_eq!(error.field, "session_keys[0].env");
    assert!(!error.to_string().contains("short-and-secret"));
}

#[test]
fn nothing_secret_is_in_a_debug_of_the_configuration() {
    let shown = format!("{:?}", config());
    for secret in ["client-secret", "0123456789abcdef", "gateway-token"] {
        assert!(!shown.contains(secret));
    }
}

#[test]
fn offline_access_is_asked_for_where_the_provider_lists_it() {
    let config = config();
    assert_eq!(config.scope(&[]), "openid profile email");
    assert_eq!(
        config.scope(&["offline_access".into()]),
        "openid profile email offline_access"
    );
}
