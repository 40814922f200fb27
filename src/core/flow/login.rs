//! The way to the IdP: a login transaction, sealed into a cookie of its own, and a redirect.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use form_urlencoded::Serializer;
use gatelatch_wire::UnixSeconds;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::config::CookieNames;
use crate::cookie;
use crate::denial::Denial;
use crate::entropy;
use crate::gate::{Challenge, Env, Gate};
use crate::reply;
use crate::request::Request;
use crate::step::{Reply, Step};

/// What a callback must match. Sealed; the browser carries it and cannot read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transaction {
    /// `state` (RFC 6749 section 4.1.1).
    pub state: String,
    /// `nonce` (OIDC Core 3.1.2.1).
    pub nonce: String,
    /// `code_verifier` (RFC 7636 section 4.1).
    pub verifier: String,
    /// Where the browser wanted to go: path and query on our own origin.
    pub return_to: String,
    /// The issuer that was asked (RFC 9207 section 2.4).
    pub issuer: String,
    /// When the login has taken too long.
    pub expires_at: UnixSeconds,
}

/// Seconds that a login may take.
const TRANSACTION_TTL: u64 = 600;

/// Logins that one browser may have open at once; the oldest makes room.
const MAX_OPEN: usize = 8;

/// Characters of `state` that name the transaction's cookie.
const ID_CHARS: usize = 8;

/// The longest return target; a longer one would not fit into a cookie.
const MAX_RETURN_TARGET: usize = 1500;

/// The path that login transactions' cookies are sent to.
pub const CALLBACK_PATH: &str = "/_gatelatch/callback";

/// `GET /_gatelatch/login?return_to=/path?query`.
pub fn begin(gate: &mut Gate, request: &Request<'_>, env: &mut Env<'_>) -> Step {
    let mut challenge = gate.challenge(request);
    let mut targets =
        form_urlencoded::parse(request.query()).filter(|(name, _)| name == "return_to");
    let target = targets.next().map(|(_, value)| value.into_owned());
    if targets.next().is_some() {
        return gate.refuse(&challenge, Denial::BadRequest, env);
    }
    challenge.return_to =
        target.map_or_else(|| "/".to_owned(), |target| return_target(target.as_bytes()));
    // It begins beside the session that exists, and takes its place when it succeeds.
    redirect(gate, &challenge, None, env)
}

/// 302 to the IdP's authorization endpoint, with the transaction's cookie. Whoever was revoked must
/// prove anew who they are (`prompt=login`, OIDC Core 3.1.2.1), unless the operator has configured
/// a `prompt`: a provider that still has a session of theirs would lead them straight back in.
pub fn redirect(
    gate: &Gate,
    challenge: &Challenge,
    why: Option<Denial>,
    env: &mut Env<'_>,
) -> Step {
    let config = &gate.config;
    let Some(metadata) = &gate.provider.metadata else {
        return Step::Respond(reply::refusal(config, challenge, Denial::IdpUnavailable));
    };
    let transaction = Transaction {
        state: entropy::token(env.entropy, 32),
        nonce: entropy::token(env.entropy, 16),
        verifier: entropy::token(env.entropy, 32),
        return_to: challenge.return_to.clone(),
        issuer: config.issuer.clone(),
        expires_at: env.now.saturating_add(TRANSACTION_TTL),
    };
    let mut query = Serializer::new(String::new());
    query
        .append_pair("response_type", "code")
        .append_pair("client_id", &config.client_id)
        .append_pair("redirect_uri", &config.redirect_uri())
        .append_pair("scope", &config.scope(&metadata.scopes_supported))
        .append_pair("state", &transaction.state)
        .append_pair("nonce", &transaction.nonce)
        .append_pair("code_challenge", &code_challenge(&transaction.verifier))
        .append_pair("code_challenge_method", "S256")
        .extend_pairs(&config.authorization_params);
    let reauthenticate =
        challenge.reauthenticate || why.is_some_and(Denial::asks_for_reauthentication);
    let mut configured = config.authorization_params.iter().map(|(name, _)| name);
    if reauthenticate && !configured.any(|name| name == "prompt") {
        query.append_pair("prompt", "login");
    }
    let endpoint = &metadata.authorization_endpoint;
    let separator = if endpoint.query.is_some() { '&' } else { '?' };
    let location = format!(
        "{}{}{separator}{}",
        endpoint.origin(),
        endpoint.target(),
        query.finish()
    );

    let Some(mut set_cookies) = open_cookies(gate, challenge, &transaction, env) else {
        return Step::Respond(reply::refusal(config, challenge, Denial::MintFailed));
    };
    set_cookies.extend(
        why.into_iter()
            .flat_map(|why| reply::ended_cookies(config, challenge, why)),
    );
    Step::Respond(Reply {
        code: "login",
        ..reply::redirect(302, location, set_cookies)
    })
}

/// The path and query to come back to, if they stay on our own origin however a browser reads
/// them; otherwise the root. Browsers drop tabs and line breaks and read a backslash as a slash
/// (WHATWG URL section 4.4), so none may occur.
pub fn return_target(target: &[u8]) -> String {
    let plain = target
        .iter()
        .all(|byte| matches!(byte, 0x21..=0x7e) && *byte != b'\\' && *byte != b'#');
    let rooted = target.first() == Some(&b'/') && target.get(1) != Some(&b'/');
    let ours = target.starts_with(b"/_gatelatch");
    match std::str::from_utf8(target) {
        Ok(text) if plain && rooted && !ours && text.len() <= MAX_RETURN_TARGET => text.to_owned(),
        _ => "/".to_owned(),
    }
}

/// The transactions that a browser says it has open, oldest first.
pub fn open_logins<'a>(lines: impl Iterator<Item = &'a [u8]>, names: &CookieNames) -> Vec<String> {
    let cookie::Found::One(list) = cookie::find(lines, &names.logins) else {
        return Vec::new();
    };
    list.split(|byte| *byte == b'.')
        .filter_map(|id| std::str::from_utf8(id).ok())
        .filter(|id| is_id(id))
        .take(MAX_OPEN.saturating_mul(2))
        .map(str::to_owned)
        .collect()
}

/// The id under which a transaction's cookie is named.
pub fn transaction_id(state: &str) -> Option<&str> {
    state.get(..ID_CHARS).filter(|id| is_id(id))
}

/// The cookies that close a transaction: its own goes, and the list shrinks.
pub fn close_cookies(names: &CookieNames, open: &[String], id: &str) -> Vec<String> {
    let rest: Vec<&str> = open
        .iter()
        .map(String::as_str)
        .filter(|other| *other != id)
        .collect();
    vec![
        cookie::clear(&format!("{}{id}", names.login_prefix), CALLBACK_PATH),
        list_cookie(names, &rest),
    ]
}

fn open_cookies(
    gate: &Gate,
    challenge: &Challenge,
    transaction: &Transaction,
    env: &mut Env<'_>,
) -> Option<Vec<String>> {
    let names = &gate.config.cookies;
    let id = transaction_id(&transaction.state)?;
    let name = format!("{}{id}", names.login_prefix);
    let plain = serde_json::to_vec(transaction).ok()?;
    let sealed = gate.config.sealer.seal(&name, &plain, env.entropy).ok()?;
    let mut cookies = vec![cookie::set(&name, &sealed, CALLBACK_PATH, TRANSACTION_TTL)];

    let open: Vec<&str> = challenge
        .open_logins
        .iter()
        .map(String::as_str)
        .chain([id])
        .collect();
    let (evicted, kept) = open.split_at(open.len().saturating_sub(MAX_OPEN));
    cookies.push(list_cookie(names, kept));
    cookies.extend(
        evicted
            .iter()
            .map(|old| cookie::clear(&format!("{}{old}", names.login_prefix), CALLBACK_PATH)),
    );
    Some(cookies)
}

fn list_cookie(names: &CookieNames, ids: &[&str]) -> String {
    match ids {
        [] => cookie::clear(&names.logins, "/"),
        ids => cookie::set(&names.logins, &ids.join("."), "/", TRANSACTION_TTL),
    }
}

fn is_id(id: &str) -> bool {
    id.len() == ID_CHARS
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

/// RFC 7636 section 4.2, S256.
fn code_challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_return_target_stays_on_our_own_origin() {
        assert_eq!(return_target(b"/a/b?c=d&e=//f"), "/a/b?c=d&e=//f");
        for target in [
            "",
            "a",
            "//evil.example",
            "/\\evil.example",
            "/\t/evil.example",
            "\\/evil",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nb",
            "/%\u{e9}",
            "/a#b",
            "/_gatelatch/login",
            "/a\\b",
            " /a",
        ] {
            assert_eq!(return_target(target.as_bytes()), "/", "{target:?}");
        }
        assert_eq!(
            return_target(&[b"/".as_slice(), &[b'a'; 1500]].concat()),
            "/"
        );
    }

    #[test]
    fn the_code_challenge_is_that_of_rfc_7636_appendix_b() {
        assert_eq!(
            code_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
