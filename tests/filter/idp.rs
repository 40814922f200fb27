//! An OpenID provider in a few lines of state, with a real key, for tests of what a filter makes of
//! its answers.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use rsa::{RsaPrivateKey, RsaPublicKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::callout::Request;
use crate::peer::{Answer, Script};

/// `iss`, and the origin of every endpoint.
pub const ISSUER: &str = "http://localhost:9400";
/// The client's id.
pub const CLIENT_ID: &str = "gatelatch";
/// The client's secret, with characters that must be form-encoded in a Basic credential.
pub const CLIENT_SECRET: &str = "client secret/with+odd&characters=%:1234";

/// Changes claims of an ID token before it is signed.
type Edit = Box<dyn Fn(&mut Value)>;

/// The provider of a test.
pub struct ScriptedIdp {
    /// `sub` of whoever logs in.
    pub subject: String,
    /// Further claims of ID tokens.
    pub claims: Value,
    /// Whether a refresh answers with an ID token.
    pub refreshes_id_token: bool,
    /// Whether a refresh answers with a new refresh token.
    pub rotates: bool,
    /// Whether no grant comes with a refresh token.
    pub without_refresh_tokens: bool,
    /// Which key signs: 0 or 1. The key set lists those up to `published`.
    pub signing_key: usize,
    /// Whether ID tokens are signed by the other key than the one that they name.
    pub lies_about_its_key: bool,
    /// How many keys the key set lists.
    pub published: usize,
    /// What else the key set lists, before the provider's own keys.
    pub further_keys: Vec<Value>,
    edit: Option<Edit>,
    codes: BTreeMap<String, Authorization>,
    /// Live refresh tokens; a spent one is gone.
    refresh_tokens: BTreeMap<String, String>,
    issued: u32,
    script: Script,
}

/// What a code stands for.
#[derive(Debug, Clone)]
struct Authorization {
    nonce: String,
    challenge: String,
    redirect_uri: String,
}

impl Default for ScriptedIdp {
    fn default() -> Self {
        Self {
            subject: "ada".to_owned(),
            claims: json!({
                "email": "ada@example.test", "preferred_username": "ada", "groups": ["staff", "admins"],
                "sid": "idp-session-1",
            }),
            refreshes_id_token: true,
            rotates: true,
            without_refresh_tokens: false,
            signing_key: 0,
            lies_about_its_key: false,
            published: 1,
            further_keys: Vec::new(),
            edit: None,
            codes: BTreeMap::new(),
            refresh_tokens: BTreeMap::new(),
            issued: 0,
            script: Script::default(),
        }
    }
}

impl ScriptedIdp {
    /// The next call whose path ends so gets this answer instead.
    pub fn next(&mut self, path_end: &str, answer: Answer) {
        self.script.once(path_end, answer);
    }

    /// Every call whose path ends so gets this answer instead, until [`ScriptedIdp::behave`].
    pub fn always(&mut self, path_end: &str, answer: Answer) {
        self.script.always(path_end, answer);
    }

    /// Back to the standards, and to honest ID tokens.
    pub fn behave(&mut self) {
        self.script.clear();
        self.edit = None;
    }

    /// Changes the claims of every ID token before it is signed.
    pub fn edit_id_tokens(&mut self, edit: impl Fn(&mut Value) + 'static) {
        self.edit = Some(Box::new(edit));
    }

    /// Every call so far whose path ends so.
    pub fn calls(&self, path_end: &str) -> Vec<&Request> {
        self.script.seen(path_end)
    }

    /// How many refresh tokens would be accepted now.
    pub fn live_refresh_tokens(&self) -> usize {
        self.refresh_tokens.len()
    }

    /// The user logs in and agrees: the redirect to the gateway's callback.
    ///
    /// # Panics
    /// When `location` is not an authorization request of OIDC Core 3.1.2.1 with S256 (RFC 7636).
    pub fn log_in(&mut self, location: &str) -> String {
        let query = location
            .strip_prefix(&format!("{ISSUER}/auth?"))
            .expect("a redirect to the provider");
        let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .into_owned()
            .collect();
        let parameter = |name: &str| {
            let mut values = parameters
                .iter()
                .filter(|(held, _)| held == name)
                .map(|(_, value)| value.clone());
            let value = values
                .next()
                .unwrap_or_else(|| panic!("an authorization request with {name}: {query}"));
            assert_eq!(values.next(), None, "{name} twice in {query}");
            value
        };
        assert_eq!(
            (
                parameter("response_type").as_str(),
                parameter("client_id").as_str()
            ),
            ("code", CLIENT_ID)
        );
        assert_eq!(parameter("code_challenge_method"), "S256");
        assert!(parameter("scope").split(' ').any(|scope| scope == "openid"));
        self.issued += 1;
        let code = format!("code-{}", self.issued);
        let redirect_uri = parameter("redirect_uri");
        let authorization = Authorization {
            nonce: parameter("nonce"),
            challenge: parameter("code_challenge"),
            redirect_uri: redirect_uri.clone(),
        };
        self.codes.insert(code.clone(), authorization);
        let answer = form_urlencoded::Serializer::new(String::new())
            .append_pair("code", &code)
            .append_pair("state", &parameter("state"))
            .append_pair("iss", ISSUER)
            .finish();
        format!("{redirect_uri}?{answer}")
    }

    /// Notes a callout that has just arrived; what the test has ordered for it.
    pub(crate) fn arrive(&mut self, request: &Request) -> Option<Answer> {
        self.script.arrive(request)
    }

    pub(crate) fn answer(&mut self, request: &Request, now: Duration) -> Answer {
        match (request.method(), request.path()) {
            ("GET", "/.well-known/openid-configuration") => Answer::json(200, &metadata()),
            ("GET", "/jwks") => Answer::json(200, &self.key_set()),
            ("POST", "/token") => self.token(request, now),
            _ => Answer::text(404, "no such path"),
        }
    }

    fn key_set(&self) -> Value {
        let own = KEYS
            .iter()
            .take(self.published)
            .enumerate()
            .map(|(nth, key)| public_key(nth, key));
        json!({"keys": self.further_keys.iter().cloned().chain(own).collect::<Vec<_>>()})
    }

    fn token(&mut self, request: &Request, now: Duration) -> Answer {
        if request.headers.first("authorization") != Some(basic().as_bytes()) {
            return error(401, "invalid_client");
        }
        let form: BTreeMap<String, String> = request.form().into_iter().collect();
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        match field("grant_type").as_str() {
            "authorization_code" => {
                let Some(code) = self.codes.remove(&field("code")) else {
                    return error(400, "invalid_grant");
                };
                let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(field("code_verifier")));
                if challenge != code.challenge || field("redirect_uri") != code.redirect_uri {
                    return error(400, "invalid_grant");
                }
                self.grant(Some(code.nonce), self.subject.clone(), None, now)
            }
            "refresh_token" => {
                let token = field("refresh_token");
                let Some(subject) = self.refresh_tokens.get(&token).cloned() else {
                    return error(400, "invalid_grant");
                };
                if self.rotates {
                    self.refresh_tokens.remove(&token);
                }
                self.grant(None, subject, (!self.rotates).then_some(token), now)
            }
            _ => error(400, "unsupported_grant_type"),
        }
    }

    fn grant(
        &mut self,
        nonce: Option<String>,
        subject: String,
        kept: Option<String>,
        now: Duration,
    ) -> Answer {
        self.issued += 1;
        let access_token = format!("access-{}", self.issued);
        let mut body =
            json!({"access_token": access_token, "token_type": "Bearer", "expires_in": 300});
        if nonce.is_some() || self.refreshes_id_token {
            body["id_token"] = self.id_token(nonce, &subject, &access_token, now).into();
        }
        if kept.is_none() && !self.without_refresh_tokens {
            let refresh_token = format!("refresh-{}", self.issued);
            body["refresh_token"] = refresh_token.clone().into();
            self.refresh_tokens.insert(refresh_token, subject);
        }
        Answer::json(200, &body)
    }

    fn id_token(
        &self,
        nonce: Option<String>,
        subject: &str,
        access_token: &str,
        now: Duration,
    ) -> String {
        let now = now.as_secs();
        let at_hash = Sha256::digest(access_token);
        let mut claims = self.claims.clone();
        claims["iss"] = ISSUER.into();
        claims["aud"] = CLIENT_ID.into();
        claims["sub"] = subject.into();
        claims["iat"] = now.into();
        claims["exp"] = (now + 300).into();
        claims["auth_time"] = now.into();
        claims["at_hash"] = URL_SAFE_NO_PAD.encode(&at_hash[..16]).into();
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        if let Some(edit) = &self.edit {
            edit(&mut claims);
        }
        let by = if self.lies_about_its_key {
            1 - self.signing_key
        } else {
            self.signing_key
        };
        sign_as(&claims, self.signing_key, by)
    }
}

impl std::fmt::Debug for ScriptedIdp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScriptedIdp")
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

/// RS256 over `claims` with one of the provider's keys.
pub fn sign(claims: &Value, key: usize) -> String {
    sign_as(claims, key, key)
}

fn sign_as(claims: &Value, named: usize, by: usize) -> String {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(format!("key-{named}"));
    let der = KEYS[by].to_pkcs1_der().expect("a key has a DER form");
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_rsa_der(der.as_bytes()))
        .expect("RS256 signs")
}

/// The Basic credential of RFC 6749 section 2.3.1: both halves form-encoded.
fn basic() -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET));
    format!("Basic {}", STANDARD.encode(pair))
}

fn error(status: u16, code: &str) -> Answer {
    Answer::json(status, &json!({"error": code}))
}

fn metadata() -> Value {
    json!({
        "issuer": ISSUER,
        "authorization_endpoint": format!("{ISSUER}/auth"),
        "token_endpoint": format!("{ISSUER}/token"),
        "jwks_uri": format!("{ISSUER}/jwks"),
        "end_session_endpoint": format!("{ISSUER}/end"),
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "authorization_response_iss_parameter_supported": true,
    })
}

fn public_key(nth: usize, key: &RsaPrivateKey) -> Value {
    let public = RsaPublicKey::from(key);
    json!({
        "kty": "RSA", "use": "sig", "alg": "RS256", "kid": format!("key-{nth}"),
        "n": URL_SAFE_NO_PAD.encode(public.n().to_bytes_be()),
        "e": URL_SAFE_NO_PAD.encode(public.e().to_bytes_be()),
    })
}

/// Made anew in every test process, each at its first use.
static KEYS: [LazyLock<RsaPrivateKey>; 2] = [LazyLock::new(new_key), LazyLock::new(new_key)];

fn new_key() -> RsaPrivateKey {
    RsaPrivateKey::new(&mut rsa::rand_core::OsRng, 2048).expect("the system has entropy")
}
