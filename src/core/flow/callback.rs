//! The way back from the IdP: transaction, code, tokens, session, cookie.
//!
//! ```text
//! callback → ExpectClaim → ExpectTokens → [ExpectKeys] → [ExpectUserinfo] → ExpectCreated → 302 to where it began
//! ```

mod params;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gatelatch_wire::Secret;
use gatelatch_wire::session::{
    ClaimLogin, ClaimOutcome, CreateOutcome, CreateSession, FailClass, SessionView,
};
use sha2::{Digest as _, Sha256};

use crate::control_api;
use crate::cookie::{self, Found};
use crate::denial::Denial;
use crate::flow::keys;
use crate::flow::login::{self, Transaction};
use crate::gate::{Challenge, Env, Gate, Session};
use crate::id_token::{IdToken, IdTokenError, Nonce};
use crate::mint;
use crate::pending::Pending;
use crate::reply;
use crate::request::Request;
use crate::step::{CallReply, Reply, Step};
use crate::token_endpoint::{self, Tokens};
use crate::userinfo::{self, UserinfoError};
use params::Params;

/// What a login carries from step to step.
#[derive(Debug)]
pub struct Login {
    transaction: Transaction,
    challenge: Challenge,
    /// The session that this browser had before.
    replaces: Option<String>,
}

/// Waits for the word that this callback is the first of its transaction.
#[derive(Debug)]
pub struct ExpectClaim {
    login: Login,
    code: Secret,
}

/// Waits for tokens.
#[derive(Debug)]
pub struct ExpectTokens {
    login: Login,
}

/// Waits for a newer key set.
#[derive(Debug)]
pub struct ExpectKeys {
    login: Login,
    tokens: Tokens,
}

/// Waits for claims that the ID token does not have.
#[derive(Debug)]
pub struct ExpectUserinfo {
    login: Login,
    tokens: Tokens,
    id_token: IdToken,
}

/// Waits for the session to be durable.
#[derive(Debug)]
pub struct ExpectCreated {
    login: Login,
    jti: String,
    session: SessionView,
}

/// `GET /_gatelatch/callback?code=…&state=…&iss=…`.
pub fn begin(gate: &mut Gate, request: &Request<'_>, env: &mut Env<'_>) -> Step {
    let mut challenge = gate.challenge(request);
    // Whatever asks for a callback is shown a page: it is the end of a navigation.
    challenge.navigation = true;
    let Some(params) = Params::parse(request.query()) else {
        return gate.refuse(&challenge, Denial::BadRequest, env);
    };
    let Some(transaction) = open_transaction(gate, request, &params.state, env) else {
        return match gate.session(request, env) {
            // A second use by a browser that is logged in, as after "back": nothing is wrong.
            Session::Live(_) | Session::Expired(_) => Step::Respond(reply::redirect(
                302,
                gate.config.public_url.join("/"),
                Vec::new(),
            )),
            _ => gate.refuse(&challenge, Denial::LoginUnknown, env),
        };
    };
    let replaces = gate
        .recognise(request, env)
        .ok()
        .map(|known| known.claims.sid.clone());
    let login = Login {
        transaction,
        challenge,
        replaces,
    };
    if !params.is_from(&login.transaction.issuer, gate) {
        return login.refuse(gate, Denial::LoginInvalid);
    }
    let Some(code) = params.code else {
        return login.refuse(gate, Denial::LoginRefused);
    };
    let id = URL_SAFE_NO_PAD.encode(Sha256::digest(&login.transaction.state));
    let body = ClaimLogin {
        expires_at: login.transaction.expires_at,
    };
    Step::Await {
        call: control_api::claim(&gate.config, &id, &body),
        then: Pending::ExpectClaim(Box::new(ExpectClaim {
            login,
            code: Secret::new(code),
        })),
    }
}

impl ExpectClaim {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, _: &mut Env<'_>) -> Step {
        match control_api::read(&reply) {
            Some(ClaimOutcome::Claimed) => {}
            Some(ClaimOutcome::Used) => return self.login.refuse(gate, Denial::LoginReplayed),
            None => return self.login.refuse(gate, Denial::ControlUnavailable),
        }
        let Some(metadata) = &gate.provider.metadata else {
            return self.login.refuse(gate, Denial::IdpUnavailable);
        };
        let verifier = &self.login.transaction.verifier;
        Step::Await {
            call: token_endpoint::exchange_code(
                &gate.config,
                metadata,
                self.code.reveal(),
                verifier,
            ),
            then: Pending::ExpectTokens(Box::new(ExpectTokens { login: self.login })),
        }
    }
}

impl ExpectTokens {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, env: &mut Env<'_>) -> Step {
        let tokens = match token_endpoint::read(&gate.config, &reply) {
            Ok(tokens) => tokens,
            Err(failure) => {
                let denial = match failure.class {
                    FailClass::InvalidGrant | FailClass::Rejected => Denial::LoginRefused,
                    _ => Denial::IdpUnavailable,
                };
                return self.login.refuse(gate, denial);
            }
        };
        match self.login.validate(gate, &tokens, env) {
            Ok(id_token) => ask_userinfo(gate, self.login, tokens, id_token, env),
            Err(IdTokenError::UnknownKey) => match keys::refetch(gate, env) {
                Some(call) => Step::Await {
                    call,
                    then: Pending::ExpectKeys(Box::new(ExpectKeys {
                        login: self.login,
                        tokens,
                    })),
                },
                None => self.login.refuse(gate, Denial::LoginInvalid),
            },
            Err(_) => self.login.refuse(gate, Denial::LoginInvalid),
        }
    }
}

impl ExpectKeys {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, env: &mut Env<'_>) -> Step {
        keys::take(gate, &reply);
        match self.login.validate(gate, &self.tokens, env) {
            Ok(id_token) => ask_userinfo(gate, self.login, self.tokens, id_token, env),
            Err(_) => self.login.refuse(gate, Denial::LoginInvalid),
        }
    }
}

impl ExpectUserinfo {
    pub(crate) fn on_reply(
        mut self,
        gate: &mut Gate,
        reply: CallReply<'_>,
        env: &mut Env<'_>,
    ) -> Step {
        match userinfo::read(&reply, &self.id_token.sub) {
            Ok(claims) => {
                userinfo::complete(&mut self.id_token.claims, claims);
                create(gate, self.login, self.tokens, self.id_token, env)
            }
            Err(UserinfoError::Unavailable) => self.login.refuse(gate, Denial::IdpUnavailable),
            Err(UserinfoError::Mismatch) => self.login.refuse(gate, Denial::LoginInvalid),
        }
    }
}

impl ExpectCreated {
    pub(crate) fn on_reply(
        mut self,
        gate: &mut Gate,
        reply: CallReply<'_>,
        env: &mut Env<'_>,
    ) -> Step {
        match control_api::read(&reply) {
            Some(CreateOutcome::Created { started_at }) => self.session.started_at = started_at,
            Some(CreateOutcome::Gone { .. }) => {
                return self.login.refuse(gate, Denial::LoginRefused);
            }
            None => return self.login.refuse(gate, Denial::ControlUnavailable),
        }
        match mint::mint(&gate.config, &self.session, self.jti, env) {
            Ok(minted) => {
                let mut cookies = vec![minted.set_cookie];
                cookies.extend(self.login.close_cookies(gate));
                if self.login.challenge.reauthenticate {
                    cookies.push(cookie::clear(&gate.config.cookies.reauthenticate, "/"));
                }
                let location = gate
                    .config
                    .public_url
                    .join(&self.login.transaction.return_to);
                Step::Respond(Reply {
                    code: "logged_in",
                    ..reply::redirect(302, location, cookies)
                })
            }
            Err(_) => self.login.refuse(gate, Denial::MintFailed),
        }
    }
}

impl Login {
    /// Ends this login with a page. Its transaction is closed: a new login has one of its own.
    fn refuse(self, gate: &Gate, denial: Denial) -> Step {
        let mut reply = reply::refusal(&gate.config, &self.challenge, denial);
        reply.headers.extend(
            self.close_cookies(gate)
                .into_iter()
                .map(|value| ("set-cookie", value)),
        );
        Step::Respond(reply)
    }

    /// The ID token of a login is required, and so is its nonce.
    fn validate(
        &self,
        gate: &Gate,
        tokens: &Tokens,
        env: &Env<'_>,
    ) -> Result<IdToken, IdTokenError> {
        let nonce = Nonce::Required(&self.transaction.nonce);
        keys::validate(gate, tokens, nonce, None, env)?.ok_or(IdTokenError::Malformed)
    }

    fn close_cookies(&self, gate: &Gate) -> Vec<String> {
        let id = login::transaction_id(&self.transaction.state).unwrap_or_default();
        login::close_cookies(&gate.config.cookies, &self.challenge.open_logins, id)
    }
}

/// Goes on to UserInfo where it is configured, otherwise straight to the session.
fn ask_userinfo(
    gate: &Gate,
    login: Login,
    tokens: Tokens,
    id_token: IdToken,
    env: &mut Env<'_>,
) -> Step {
    let metadata = gate.provider.metadata.as_ref();
    match userinfo::request(&gate.config, metadata, &tokens.access_token) {
        Some(call) => {
            let state = ExpectUserinfo {
                login,
                tokens,
                id_token,
            };
            Step::Await {
                call,
                then: Pending::ExpectUserinfo(Box::new(state)),
            }
        }
        None => create(gate, login, tokens, id_token, env),
    }
}

fn create(gate: &Gate, login: Login, tokens: Tokens, id_token: IdToken, env: &mut Env<'_>) -> Step {
    let (sid, jti) = (mint::fresh_id(env), mint::fresh_id(env));
    let session = SessionView {
        sid,
        iss: gate.config.issuer.clone(),
        sub: id_token.sub,
        claims: mint::chosen_claims(&gate.config, &id_token.claims),
        auth_time: id_token.auth_time.unwrap_or(id_token.iat),
        started_at: env.now,
        ends_at: env.now.saturating_add(gate.config.session.max_age),
    };
    let body = CreateSession {
        sid: session.sid.clone(),
        iss: session.iss.clone(),
        sub: session.sub.clone(),
        gateway: gate.config.public_url.origin(),
        idp_sid: id_token.sid,
        jti: jti.clone(),
        claims: session.claims.clone(),
        refresh_token: tokens.refresh_token,
        id_token: tokens.id_token,
        auth_time: session.auth_time,
        id_token_iat: id_token.iat,
        ends_at: session.ends_at,
        replaces: login.replaces.clone(),
    };
    Step::Await {
        call: control_api::create(&gate.config, &body),
        then: Pending::ExpectCreated(Box::new(ExpectCreated {
            login,
            jti,
            session,
        })),
    }
}

/// The transaction that `state` names, if this browser began it and it has not run out.
fn open_transaction(
    gate: &Gate,
    request: &Request<'_>,
    state: &str,
    env: &Env<'_>,
) -> Option<Transaction> {
    let name = format!(
        "{}{}",
        gate.config.cookies.login_prefix,
        login::transaction_id(state)?
    );
    let Found::One(sealed) = cookie::find(request.cookies.iter().copied(), &name) else {
        return None;
    };
    let plain = gate
        .config
        .sealer
        .open(&name, std::str::from_utf8(sealed).ok()?)?;
    let transaction: Transaction = serde_json::from_slice(&plain).ok()?;
    let fits = transaction.state == state
        && transaction.issuer == gate.config.issuer
        && env.now < transaction.expires_at;
    fits.then_some(transaction)
}
