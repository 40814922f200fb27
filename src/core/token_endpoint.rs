//! The provider's token endpoint: requests, and what an answer means.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::{Serializer, byte_serialize};
use gatelatch_wire::Secret;
use gatelatch_wire::session::FailClass;
use serde_json::{Map, Value};

use crate::config::{ClientAuth, Config};
use crate::provider::Metadata;
use crate::step::{CallReply, Callout, Peer};

/// A token answer of status 200 (RFC 6749 section 5.1, OIDC Core 3.1.3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// `access_token`.
    pub access_token: Secret,
    /// `refresh_token`.
    pub refresh_token: Option<Secret>,
    /// `id_token`.
    pub id_token: Option<Secret>,
}

/// What went wrong, by what it means for the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// What kind.
    pub class: FailClass,
    /// Retry-After in seconds.
    pub retry_after_s: Option<u32>,
}

/// Largest token answer that is read.
const MAX_BODY: usize = 256 * 1024;

/// The request that turns a code into tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5).
pub fn exchange_code(config: &Config, metadata: &Metadata, code: &str, verifier: &str) -> Callout {
    let redirect_uri = config.redirect_uri();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &redirect_uri),
        ("code_verifier", verifier),
    ];
    request(config, metadata, &form)
}

/// The request that renews tokens (RFC 6749 section 6). The scope is left out, so that it stays as
/// granted, unless it is configured: some providers answer with an ID token only when asked.
pub fn refresh(config: &Config, metadata: &Metadata, refresh_token: &Secret) -> Callout {
    let mut form = vec![
        ("grant_type", "refresh_token"),
        ("refresh_token", refresh_token.reveal()),
    ];
    form.extend(
        config
            .refresh
            .scope
            .as_deref()
            .map(|scope| ("scope", scope)),
    );
    request(config, metadata, &form)
}

/// Reads an answer: by status first, so that a throttled request (429) is no verdict on the grant
/// whatever its body says.
pub fn read(config: &Config, reply: &CallReply<'_>) -> Result<Tokens, Failure> {
    let CallReply::Http {
        status,
        retry_after_s,
        body,
    } = *reply
    else {
        return Err(Failure {
            class: FailClass::Transient,
            retry_after_s: None,
        });
    };
    let failure = |class| {
        Err(Failure {
            class,
            retry_after_s,
        })
    };
    let document = (body.len() <= MAX_BODY)
        .then(|| serde_json::from_slice::<Map<String, Value>>(body).ok())
        .flatten()
        .unwrap_or_default();
    match status {
        200 => match tokens(&document) {
            Some(tokens) => Ok(tokens),
            None => failure(FailClass::Transient),
        },
        400 | 401 | 403 => match document.get("error").and_then(Value::as_str) {
            Some(error)
                if config
                    .refresh
                    .terminal_errors
                    .iter()
                    .any(|terminal| terminal == error) =>
            {
                failure(FailClass::InvalidGrant)
            }
            Some(
                "invalid_client"
                | "unauthorized_client"
                | "unsupported_grant_type"
                | "invalid_scope",
            ) => failure(FailClass::Misconfigured),
            Some("temporarily_unavailable" | "server_error" | "slow_down") => {
                failure(FailClass::Transient)
            }
            Some(_) => failure(FailClass::Rejected),
            None => failure(FailClass::Transient),
        },
        _ => failure(FailClass::Transient),
    }
}

fn tokens(document: &Map<String, Value>) -> Option<Tokens> {
    // A 200 that carries an error is no success, whatever else it carries.
    if document.contains_key("error") {
        return None;
    }
    let bearer = document.get("token_type").and_then(Value::as_str)?;
    if !bearer.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let optional = |name: &str| match document.get(name) {
        None | Some(Value::Null) => Some(None),
        Some(Value::String(token)) if token.is_empty() => Some(None),
        Some(Value::String(token)) => Some(Some(Secret::new(token.as_str()))),
        Some(_) => None,
    };
    Some(Tokens {
        access_token: optional("access_token")??,
        refresh_token: optional("refresh_token")?,
        id_token: optional("id_token")?,
    })
}

fn request(config: &Config, metadata: &Metadata, form: &[(&str, &str)]) -> Callout {
    let mut body = Serializer::new(String::new());
    body.extend_pairs(form);
    let mut headers = vec![
        (
            "content-type",
            "application/x-www-form-urlencoded".to_owned(),
        ),
        ("accept", "application/json".to_owned()),
    ];
    match config.client_auth {
        ClientAuth::ClientSecretBasic => headers.push(("authorization", basic(config))),
        ClientAuth::ClientSecretPost => {
            body.append_pair("client_id", &config.client_id);
            body.append_pair("client_secret", config.client_secret.reveal());
        }
    }
    let endpoint = &metadata.token_endpoint;
    Callout {
        peer: Peer::Idp,
        method: "POST",
        scheme: endpoint.scheme,
        authority: endpoint.authority.clone(),
        path: endpoint.target(),
        headers,
        body: body.finish().into_bytes(),
        timeout_ms: config.refresh.idp_timeout_ms,
        delay_ms: 0,
    }
}

/// RFC 6749 section 2.3.1: both halves are form-encoded before they are joined.
fn basic(config: &Config) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!(
        "{}:{}",
        encode(&config.client_id),
        encode(config.client_secret.reveal())
    );
    format!("Basic {}", STANDARD.encode(pair))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{config, config_with};

    fn class(status: u32, body: &str) -> FailClass {
        read(
            &config(),
            &CallReply::Http {
                status,
                retry_after_s: None,
                body: body.as_bytes(),
            },
        )
        .unwrap_err()
        .class
    }

    #[test]
    fn only_a_parsed_invalid_grant_with_a_client_error_status_ends_a_session() {
        let invalid_grant = r#"{"error":"invalid_grant"}"#;
        for status in [400, 401, 403] {
            assert_eq!(class(status, invalid_grant), FailClass::InvalidGrant);
        }
        for status in [200, 302, 404, 429, 500, 503, 504] {
            assert_eq!(
                class(status, invalid_grant),
                FailClass::Transient,
                "{status}"
            );
        }
        assert_eq!(class(400, "invalid_grant"), FailClass::Transient);
        assert_eq!(
            class(400, r#"{"error":"x","error_description":"invalid_grant"}"#),
            FailClass::Rejected
        );
        assert_eq!(
            class(401, r#"{"error":"invalid_client"}"#),
            FailClass::Misconfigured
        );
        assert_eq!(
            class(401, r#"{"error":"unauthorized_client"}"#),
            FailClass::Misconfigured
        );
        assert_eq!(
            class(400, r#"{"error":"invalid_request"}"#),
            FailClass::Rejected
        );
        assert_eq!(
            class(400, r#"{"error":"interaction_required"}"#),
            FailClass::Rejected
        );
    }

    #[test]
    fn a_200_that_is_no_token_answer_is_no_success() {
        for body in [
            "",
            "<html>",
            "[]",
            "{}",
            r#"{"access_token":"a"}"#,
            r#"{"access_token":1,"token_type":"Bearer"}"#,
            r#"{"access_token":"a","token_type":"DPoP"}"#,
            r#"{"access_token":"a","token_type":"Bearer","error":"x"}"#,
            r#"{"access_token":"a","token_type":"Bearer","refresh_token":{}}"#,
        ] {
            assert_eq!(class(200, body), FailClass::Transient, "{body}");
        }
    }

    #[test]
    fn the_token_type_is_compared_without_case_and_other_members_are_optional() {
        let body = br#"{"access_token":"a","token_type":"bearer","refresh_token":null,"expires_in":"soon"}"#;
        let tokens = read(
            &config(),
            &CallReply::Http {
                status: 200,
                retry_after_s: None,
                body,
            },
        )
        .unwrap();
        assert_eq!((tokens.refresh_token, tokens.id_token), (None, None));
    }

    #[test]
    fn basic_credentials_are_form_encoded_before_base64() {
        let config = config_with(
            |json| json["client_id"] = "a:b".into(),
            |name| (name == "SECRET").then(|| "p+/= é".into()),
        );
        assert_eq!(
            basic(&config),
            format!("Basic {}", STANDARD.encode("a%3Ab:p%2B%2F%3D+%C3%A9"))
        );
    }

    #[test]
    fn a_refresh_names_no_scope_and_encodes_the_token() {
        let body = crate::provider::Metadata::parse(
            br#"{"issuer":"https://idp.example","authorization_endpoint":"https://idp.example/a","token_endpoint":"https://idp.example/t","jwks_uri":"https://idp.example/j"}"#,
            "https://idp.example",
        );
        let call = refresh(&config(), &body.unwrap(), &Secret::new("a+b&c"));
        assert_eq!(
            String::from_utf8(call.body).unwrap(),
            "grant_type=refresh_token&refresh_token=a%2Bb%26c"
        );
    }
}
