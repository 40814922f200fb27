//! The provider's UserInfo endpoint, for claims that it keeps out of its ID tokens (OIDC Core 5.3).

use gatelatch_wire::Secret;
use serde_json::{Map, Value};

use crate::config::Config;
use crate::jose::json::parse_object;
use crate::provider::Metadata;
use crate::step::{CallReply, Callout, Peer};

/// Why there are no claims.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserinfoError {
    /// No answer, or none that is JSON. Says nothing about the user.
    Unavailable,
    /// The answer is about somebody else (OIDC Core 5.3.2).
    Mismatch,
}

/// Largest answer that is read.
const MAX_BODY: usize = 64 * 1024;

const TIMEOUT_MS: u32 = 5_000;

/// The request, where it is configured and the provider has the endpoint.
pub fn request(
    config: &Config,
    metadata: Option<&Metadata>,
    access_token: &Secret,
) -> Option<Callout> {
    if !config.userinfo {
        return None;
    }
    let endpoint = metadata?.userinfo_endpoint.as_ref()?;
    let bearer = format!("Bearer {}", access_token.reveal());
    Some(Callout {
        peer: Peer::Idp,
        method: "GET",
        scheme: endpoint.scheme,
        authority: endpoint.authority.clone(),
        path: endpoint.target(),
        headers: vec![
            ("authorization", bearer),
            ("accept", "application/json".to_owned()),
        ],
        body: Vec::new(),
        timeout_ms: TIMEOUT_MS,
        delay_ms: 0,
    })
}

/// The claims, if they are about `sub`.
///
/// # Errors
/// See [`UserinfoError`].
pub fn read(reply: &CallReply<'_>, sub: &str) -> Result<Map<String, Value>, UserinfoError> {
    let body = reply.success().ok_or(UserinfoError::Unavailable)?;
    let claims = parse_object(body, MAX_BODY).map_err(|_| UserinfoError::Unavailable)?;
    match claims.get("sub").and_then(Value::as_str) {
        Some(found) if found == sub => Ok(claims),
        _ => Err(UserinfoError::Mismatch),
    }
}

/// Adds what the ID token does not say itself: it is signed, so its own claims stand.
pub fn complete(id_token: &mut Map<String, Value>, userinfo: Map<String, Value>) {
    for (name, value) in userinfo {
        id_token.entry(name).or_insert(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_body(body: &str) -> Result<Map<String, Value>, UserinfoError> {
        read(
            &CallReply::Http {
                status: 200,
                retry_after_s: None,
                body: body.as_bytes(),
            },
            "ada",
        )
    }

    #[test]
    fn only_an_answer_about_the_same_user_counts() {
        assert!(read_body(r#"{"sub":"ada","groups":["a"]}"#).is_ok());
        assert_eq!(read_body(r#"{"sub":"eve"}"#), Err(UserinfoError::Mismatch));
        assert_eq!(read_body(r#"{"groups":[]}"#), Err(UserinfoError::Mismatch));
        assert_eq!(read_body("[]"), Err(UserinfoError::Unavailable));
        assert_eq!(
            read_body(r#"{"sub":"eve","sub":"ada"}"#),
            Err(UserinfoError::Unavailable)
        );
        assert_eq!(
            read(&CallReply::Failed, "ada"),
            Err(UserinfoError::Unavailable)
        );
    }

    #[test]
    fn the_claims_of_the_id_token_stand() {
        let mut id_token = Map::from_iter([("email".to_owned(), Value::from("signed"))]);
        complete(
            &mut id_token,
            Map::from_iter([
                ("email".into(), "other".into()),
                ("groups".into(), "x".into()),
            ]),
        );
        assert_eq!(
            (&id_token["email"], &id_token["groups"]),
            (&Value::from("signed"), &Value::from("x"))
        );
    }
}
