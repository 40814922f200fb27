//! `POST /_gatelatch/logout`: ended here first, then at the IdP (RP-Initiated Logout 2).

use form_urlencoded::Serializer;
use gatelatch_wire::Secret;
use gatelatch_wire::session::{EndSession, GoneReason, SessionEnded};

use crate::control_api;
use crate::cookie;
use crate::denial::Denial;
use crate::gate::{Challenge, Env, Gate};
use crate::pending::Pending;
use crate::reply;
use crate::request::{Request, Site};
use crate::step::{CallReply, Reply, Step};

/// Waits for the session's end to be durable.
#[derive(Debug)]
pub struct ExpectEnded {
    challenge: Challenge,
}

/// Ends the session of the cookie, expired or not. Without one there is nothing to end, and the
/// browser is sent on all the same.
pub fn begin(gate: &mut Gate, request: &Request<'_>, env: &mut Env<'_>) -> Step {
    let challenge = gate.challenge(request);
    if gate.site(request) == Site::Cross {
        return gate.refuse(&challenge, Denial::CrossSite, env);
    }
    match gate.recognise(request, env) {
        Ok(known) => Step::Await {
            call: control_api::end(
                &gate.config,
                &known.claims.sid,
                &EndSession {
                    reason: GoneReason::Logout,
                },
            ),
            then: Pending::ExpectEnded(Box::new(ExpectEnded { challenge })),
        },
        Err(_) => leave(
            gate,
            gate.config.public_url.join(&gate.config.post_logout_path),
        ),
    }
}

impl ExpectEnded {
    pub(crate) fn on_reply(self, gate: &mut Gate, reply: CallReply<'_>, env: &mut Env<'_>) -> Step {
        match control_api::read::<SessionEnded>(&reply) {
            Some(ended) => leave(
                gate,
                end_session_location(gate, ended.id_token_hint.as_ref()),
            ),
            // Not durable, so not ended: the cookie stays, and the button can be pressed again.
            None => gate.refuse(&self.challenge, Denial::ControlUnavailable, env),
        }
    }
}

/// 303, so that the POST becomes a GET wherever it leads.
fn leave(gate: &Gate, location: String) -> Step {
    let cleared = vec![cookie::clear(&gate.config.cookies.session, "/")];
    Step::Respond(Reply {
        code: "logged_out",
        ..reply::redirect(303, location, cleared)
    })
}

fn end_session_location(gate: &Gate, id_token_hint: Option<&Secret>) -> String {
    let config = &gate.config;
    let home = config.public_url.join(&config.post_logout_path);
    let endpoint = gate
        .provider
        .metadata
        .as_ref()
        .and_then(|metadata| metadata.end_session_endpoint.as_ref());
    let Some(endpoint) = endpoint else {
        return home;
    };
    let mut query = Serializer::new(String::new());
    query
        .append_pair("client_id", &config.client_id)
        .append_pair("post_logout_redirect_uri", &home);
    if let Some(hint) = id_token_hint {
        query.append_pair("id_token_hint", hint.reveal());
    }
    let separator = if endpoint.query.is_some() { '&' } else { '?' };
    format!(
        "{}{}{separator}{}",
        endpoint.origin(),
        endpoint.target(),
        query.finish()
    )
}
