//! `GET /_gatelatch/session`: what a page may know of its session.

use serde_json::json;

use crate::denial::Denial;
use crate::flow::refresh;
use crate::gate::{Env, Gate, Goal, Session};
use crate::known::KnownToken;
use crate::reply;
use crate::request::Request;
use crate::rules::Access;
use crate::step::{Edits, Step};

/// Answers with the session, renewed where it has expired. Never a redirect: scripts ask here.
pub fn begin(gate: &mut Gate, request: &Request<'_>, env: &mut Env<'_>) -> Step {
    match gate.session(request, env) {
        Session::Live(known) => answer(&known, Vec::new(), env),
        Session::Expired(known) => {
            let mut held = gate.hold(
                request,
                Access::Required,
                Goal::SessionInfo,
                Edits::default(),
            );
            held.challenge.navigation = false;
            refresh::begin(gate, held, known)
        }
        Session::Absent(denial) => refuse(gate, request, denial, env),
    }
}

/// The session as JSON, with new cookies if it was renewed.
pub(crate) fn answer(known: &KnownToken, set_cookies: Vec<String>, env: &Env<'_>) -> Step {
    let claims = &known.claims;
    let body = json!({
        "sub": claims.sub,
        "sid": claims.sid,
        "claims": claims.claims,
        "exp": claims.exp,
        "seconds_left": claims.exp.saturating_sub(env.now),
        "session_exp": claims.session_exp,
    });
    Step::Respond(reply::json(&body, set_cookies, "session"))
}

fn refuse(gate: &Gate, request: &Request<'_>, denial: Denial, env: &mut Env<'_>) -> Step {
    let mut challenge = gate.challenge(request);
    challenge.navigation = false;
    gate.refuse(&challenge, denial, env)
}
