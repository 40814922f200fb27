//! Scenarios of one gate: requests in, steps out, replies by hand, the clock moved by the test.

use gatelatch_wire::Secret;
use gatelatch_wire::feed::Entry;
use gatelatch_wire::revocation::Digest;
use gatelatch_wire::session::{
    BeginOutcome, Claims, CompleteOutcome, FailOutcome, GoneReason, SessionView,
};
use serde_json::json;

use super::*;
use crate::config::tests::config_with;
use crate::jose::NoHostVerifier;
use crate::mint;
use crate::pending::Pending;
use crate::provider::Metadata;
use crate::revoked::tests::Memory;
use crate::revoked::{Head, Index};
use crate::step::{CallReply, Callout, Reply};

const START: u64 = 1_000_000;

struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) {
        self.0 = self.0.wrapping_add(1);
        out.fill(self.0);
    }
}

struct Scene {
    gate: Gate,
    now: u64,
    entropy: Counter,
    memory: Memory,
}

impl Scene {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl Fn(&mut serde_json::Value)) -> Self {
        let mut gate = Gate::new(config_with(change, |_| None), "gateway-1".into());
        let document = json!({
            "issuer": "https://idp.example",
            "authorization_endpoint": "https://idp.example/auth",
            "token_endpoint": "https://idp.example/token",
            "jwks_uri": "https://idp.example/jwks",
        });
        gate.provider.metadata =
            Metadata::parse(document.to_string().as_bytes(), "https://idp.example").ok();
        gate.revoked.head = Head {
            synced_at_ms: START * 1_000,
            ..Head::default()
        };
        Self {
            gate,
            now: START,
            entropy: Counter(0),
            memory: Memory::default(),
        }
    }

    fn act<T>(&mut self, act: impl FnOnce(&mut Gate, &mut Env<'_>) -> T) -> T {
        let mut env = Env {
            now: self.now,
            now_ms: self.now * 1_000,
            entropy: &mut self.entropy,
            segments: &self.memory,
            verifier: &NoHostVerifier,
        };
        act(&mut self.gate, &mut env)
    }

    fn request(&mut self, headers: &[(&str, &str)]) -> Step {
        let pairs: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()))
            .collect();
        self.act(|gate, env| {
            let request =
                Request::read(pairs, |name| gate.config.identity_headers.is_identity(name));
            gate.on_request(&request, env)
        })
    }

    fn get(&mut self, path: &str, cookie: &str) -> Step {
        self.request(&[(":method", "GET"), (":path", path), ("cookie", cookie)])
    }

    fn reply(&mut self, then: Pending, status: u32, body: &impl serde::Serialize) -> Step {
        let body = serde_json::to_vec(body).unwrap();
        self.act(|gate, env| {
            then.on_reply(
                gate,
                CallReply::Http {
                    status,
                    retry_after_s: None,
                    body: &body,
                },
                env,
            )
        })
    }

    fn fail(&mut self, then: Pending) -> Step {
        self.act(|gate, env| then.on_reply(gate, CallReply::Failed, env))
    }

    fn cookie(&mut self) -> String {
        let session = view();
        let minted = self
            .act(|gate, env| mint::mint(&gate.config, &session, "jti-1".into(), env))
            .unwrap();
        format!("__Host-gatelatch={}", minted.token)
    }

    fn revoke(&mut self, digest: Digest) {
        let mut index = Index::default();
        let entry = Entry {
            digest,
            expires_at: u32::MAX,
            issued_before: u32::MAX,
        };
        self.memory.write(&mut index, &[entry], self.now);
        let head = self.gate.revoked.head;
        self.gate.revoked.refresh(head, &index, &self.memory);
    }

    /// An expired session's request, up to the token call.
    fn until_token_call(&mut self) -> (Callout, Pending) {
        let cookie = self.cookie();
        self.now += 1_000;
        let (_, then) = awaiting(self.get("/page", &cookie));
        awaiting(self.reply(then, 200, &lease()))
    }
}

fn view() -> SessionView {
    SessionView {
        sid: "sid-1".into(),
        iss: "https://idp.example".into(),
        sub: "ada".into(),
        claims: Claims::from_iter([("email".into(), "ada@example".into())]),
        auth_time: START,
        started_at: START,
        ends_at: START + 43_200,
    }
}

fn lease() -> BeginOutcome {
    BeginOutcome::Lease {
        lease: "lease-1".into(),
        lease_ms: 9_000,
        refresh_token: Secret::new("old-refresh-token"),
        maybe_spent: false,
        session: view(),
    }
}

fn tokens() -> serde_json::Value {
    json!({"access_token": "a", "token_type": "Bearer", "refresh_token": "new-refresh-token"})
}

fn awaiting(step: Step) -> (Callout, Pending) {
    match step {
        Step::Await { call, then } => (call, then),
        other => panic!("{other:?}"),
    }
}

fn forwarded(step: Step) -> Edits {
    match step {
        Step::Forward(edits) => edits,
        other => panic!("{other:?}"),
    }
}

fn responded(step: Step) -> Reply {
    match step {
        Step::Respond(reply) => reply,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_live_session_is_forwarded_with_identity_and_without_our_cookie() {
    let mut scene = Scene::new();
    let cookie = scene.cookie();
    let edits = forwarded(scene.request(&[
        (":method", "GET"),
        (":path", "/page"),
        ("cookie", &format!("a=1; {cookie}; b=2")),
        ("x_auth_request_user", "root"),
    ]));
    assert_eq!(edits.cookie.as_deref(), Some(b"a=1; b=2".as_slice()));
    assert_eq!(edits.remove, [b"x_auth_request_user".to_vec()]);
    assert!(
        edits
            .add
            .contains(&("x-auth-request-user".into(), "ada".into()))
    );
    assert_eq!(edits.set_cookies, [] as [String; 0]);
}

#[test]
fn revocations_hold_for_a_token_that_was_verified_before() {
    let mut scene = Scene::new();
    let cookie = scene.cookie();
    forwarded(scene.get("/page", &cookie));
    scene.revoke(Digest::sid("sid-1"));
    assert_eq!(
        responded(scene.get("/page", &cookie)).code,
        "session_revoked"
    );
    assert_eq!(
        scene.memory.reads.get(),
        1 + 1,
        "one for the view, one for the exact answer"
    );
}

#[test]
fn a_revoked_user_must_authenticate_anew_and_another_need_not() {
    let mut scene = Scene::new();
    let cookie = scene.cookie();
    let navigate = |cookie: &'static str| {
        [
            (":method", "GET"),
            (":path", "/page"),
            ("accept", "text/html"),
            ("cookie", cookie),
        ]
    };
    let location = |step| {
        let reply = responded(step);
        reply
            .headers
            .into_iter()
            .find(|(name, _)| *name == "location")
            .unwrap()
            .1
    };
    assert!(!location(scene.request(&navigate("a=1"))).contains("prompt="));
    scene.revoke(Digest::sid("sid-1"));
    let revoked = [
        (":method", "GET"),
        (":path", "/page"),
        ("accept", "text/html"),
        ("cookie", cookie.as_str()),
    ];
    assert!(location(scene.request(&revoked)).ends_with("&prompt=login"));
    let after = navigate("__Host-gatelatch-reauthenticate=1");
    assert!(location(scene.request(&after)).ends_with("&prompt=login"));
}

#[test]
fn nothing_is_accepted_before_the_first_sync_and_past_the_staleness() {
    let mut scene = Scene::new();
    let cookie = scene.cookie();
    scene.gate.revoked.head.synced_at_ms = 0;
    assert_eq!(
        responded(scene.get("/page", &cookie)).code,
        "revocations_not_synced"
    );
    scene.gate.revoked.head.synced_at_ms = START * 1_000;
    scene.now += 60;
    forwarded(scene.get("/page", &cookie));
    scene.now += 1;
    assert_eq!(
        responded(scene.get("/page", &cookie)).code,
        "revocations_stale"
    );
}

#[test]
fn an_expired_session_is_renewed_and_the_request_goes_on_with_a_new_cookie() {
    let mut scene = Scene::new();
    let (call, then) = scene.until_token_call();
    assert_eq!(
        call.body,
        b"grant_type=refresh_token&refresh_token=old-refresh-token"
    );
    let (call, then) = awaiting(scene.reply(then, 200, &tokens()));
    assert_eq!(call.path, "/v1/sessions/sid-1/refresh/complete");
    assert!(
        String::from_utf8(call.body)
            .unwrap()
            .contains("new-refresh-token")
    );
    let edits = forwarded(scene.reply(then, 200, &CompleteOutcome::Stored { session: view() }));
    assert_eq!(edits.set_cookies.len(), 1);
    assert_eq!(edits.note, Some("refresh.renewed"));
    assert!(
        edits
            .add
            .contains(&("x-auth-request-user".into(), "ada".into()))
    );
}

#[test]
fn a_revocation_during_a_refresh_sets_no_cookie() {
    let mut scene = Scene::new();
    let (_, then) = scene.until_token_call();
    let (_, then) = awaiting(scene.reply(then, 200, &tokens()));
    let gone = CompleteOutcome::Gone {
        reason: GoneReason::Revoked,
    };
    let reply = responded(scene.reply(then, 200, &gone));
    assert_eq!((reply.status, reply.code), (401, "session_revoked"));
    let cookies: Vec<_> = reply
        .headers
        .iter()
        .filter(|(name, _)| *name == "set-cookie")
        .map(|(_, value)| value)
        .collect();
    assert!(cookies[0].starts_with("__Host-gatelatch=; "));
    assert!(cookies[1].starts_with("__Host-gatelatch-reauthenticate=1; "));
    assert_eq!(cookies.len(), 2);
}

#[test]
fn a_rotated_token_is_stored_again_and_again_until_it_lands() {
    let mut scene = Scene::new();
    let (_, then) = scene.until_token_call();
    let (first, then) = awaiting(scene.reply(then, 200, &tokens()));
    let (again, then) = awaiting(scene.fail(then));
    assert_eq!((&again.path, &again.body), (&first.path, &first.body));
    assert!(again.delay_ms > 0);
    forwarded(scene.reply(then, 200, &CompleteOutcome::Stored { session: view() }));
}

#[test]
fn within_the_grace_an_outage_is_not_noticed_and_past_it_nobody_is_logged_out() {
    let mut scene = Scene::new();
    let cookie = scene.cookie();
    for (after, code) in [(930, None), (961, Some("refresh_unavailable"))] {
        scene.now = START + after;
        let (_, then) = awaiting(scene.get("/page", &cookie));
        let (_, then) = awaiting(scene.reply(then, 200, &lease()));
        let (report, then) = awaiting(scene.fail(then));
        assert!(
            String::from_utf8(report.body)
                .unwrap()
                .contains("transient")
        );
        let step = scene.reply(
            then,
            200,
            &FailOutcome::Kept {
                retry_after_ms: 1_000,
            },
        );
        match code {
            None => assert_eq!(forwarded(step).note, Some("refresh.grace")),
            Some(code) => {
                let reply = responded(step);
                assert_eq!((reply.status, reply.code), (503, code));
                assert!(!reply.headers.iter().any(|(name, _)| *name == "set-cookie"));
            }
        }
    }
}

#[test]
fn a_rejected_token_is_tried_once_more_and_never_in_a_loop() {
    let mut scene = Scene::new();
    let (_, then) = scene.until_token_call();
    let rejected = json!({"error": "invalid_request"});
    let kept = FailOutcome::Kept {
        retry_after_ms: 100,
    };
    let (report, then) = awaiting(scene.reply(then, 400, &rejected));
    assert!(String::from_utf8(report.body).unwrap().contains("rejected"));
    let (again, then) = awaiting(scene.reply(then, 200, &kept));
    assert_eq!(again.path, "/v1/sessions/sid-1/refresh/begin");
    let (_, then) = awaiting(scene.reply(then, 200, &lease()));
    let (_, then) = awaiting(scene.reply(then, 400, &rejected));
    assert_eq!(
        responded(scene.reply(then, 200, &kept)).code,
        "refresh_unavailable"
    );
}

#[test]
fn what_cannot_be_refreshed_any_more_is_not_asked_for() {
    let mut scene = Scene::new();
    let cookie = scene.cookie();
    scene.now = START + 43_200;
    assert_eq!(
        responded(scene.get("/page", &cookie)).code,
        "session_expired"
    );
    let mut scene = Scene::with(|c| c["session"] = json!({"refresh_window": "1h"}));
    let cookie = scene.cookie();
    scene.now = START + 900 + 3_600;
    assert_eq!(
        responded(scene.get("/page", &cookie)).code,
        "session_expired"
    );
}

#[test]
fn an_early_renewal_delays_nobody_and_its_cookie_comes_with_a_later_response() {
    let mut scene = Scene::with(|c| c["refresh"] = json!({"early": "30s"}));
    let cookie = scene.cookie();
    scene.now = START + 869;
    scene.gate.revoked.head.synced_at_ms = scene.now * 1_000;
    forwarded(scene.get("/page", &cookie));
    scene.now = START + 870;
    let Step::ForwardAnd { edits, then, .. } = scene.get("/page", &cookie) else {
        panic!()
    };
    assert_eq!(edits.set_cookies.len(), 0);
    assert_eq!(
        forwarded(scene.get("/page", &cookie)).set_cookies.len(),
        0,
        "one renewal, not two"
    );
    let (_, then) = awaiting(scene.reply(then, 200, &lease()));
    let (_, then) = awaiting(scene.reply(then, 200, &tokens()));
    let stored = CompleteOutcome::Stored { session: view() };
    assert!(matches!(scene.reply(then, 200, &stored), Step::Done));
    assert_eq!(forwarded(scene.get("/page", &cookie)).set_cookies.len(), 1);
    assert_eq!(forwarded(scene.get("/page", &cookie)).set_cookies.len(), 0);
}

#[test]
fn an_optional_path_goes_on_without_identity_when_the_session_is_over() {
    let mut scene = Scene::new();
    let cookie = scene.cookie();
    scene.now += 1_000;
    let (_, then) = awaiting(scene.get("/optional/a", &cookie));
    let gone = BeginOutcome::Gone {
        reason: GoneReason::Logout,
    };
    let edits = forwarded(scene.reply(then, 200, &gone));
    assert_eq!((edits.add.len(), edits.set_cookies.len()), (0, 1));
}

#[test]
fn a_request_with_effects_from_another_site_is_refused() {
    let mut scene = Scene::new();
    let cookie = scene.cookie();
    let post = |origin| [(":method", "POST"), (":path", "/pay"), ("origin", origin)];
    let with_cookie = |headers: [(&'static str, &'static str); 3]| headers.to_vec();
    let mut evil = with_cookie(post("https://evil.example"));
    evil.push(("cookie", &cookie));
    assert_eq!(responded(scene.request(&evil)).code, "cross_site");
    let mut own = with_cookie(post("https://gw.example"));
    own.push(("cookie", &cookie));
    forwarded(scene.request(&own));
}

#[test]
fn a_preflight_reaches_the_application_only_where_configured_and_never_with_identity() {
    let preflight = [
        (":method", "OPTIONS"),
        (":path", "/api"),
        ("origin", "https://other.example"),
        ("access-control-request-method", "POST"),
        ("x-auth-request-user", "root"),
    ];
    assert_eq!(
        responded(Scene::new().request(&preflight)).code,
        "no_session"
    );
    let mut scene = Scene::with(|c| c["forward_cors_preflight"] = true.into());
    let edits = forwarded(scene.request(&preflight));
    assert_eq!((edits.add.len(), edits.remove.len()), (0, 1));
    let options = [(":method", "OPTIONS"), (":path", "/api")];
    assert_eq!(responded(scene.request(&options)).code, "no_session");
}

mod security {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The theorem: no header block leads a required path upstream with identity, or at all,
        /// unless it carries a session that was minted here.
        #[test]
        fn no_input_is_forwarded_on_a_required_path_without_a_session(
            path in "/[a-z/.%;\\\\?#0-9]{0,24}",
            headers in proptest::collection::vec((
                prop_oneof![
                    Just("cookie".to_owned()), Just("authorization".to_owned()), Just("accept".to_owned()),
                    Just("x-forwarded-uri".to_owned()), Just("x-original-url".to_owned()),
                    Just("x-auth-request-user".to_owned()), Just("host".to_owned()), "[a-z-]{1,12}",
                ],
                prop_oneof![
                    proptest::collection::vec(any::<u8>(), 0..40),
                    "__Host-gatelatch=[A-Za-z0-9_.=-]{0,60}(; __Host-gatelatch=x)?".prop_map(String::into_bytes),
                    Just(b"/public/".to_vec()),
                ],
            ), 0..8),
            method in prop_oneof![Just("GET"), Just("POST"), Just("OPTIONS"), Just("HEAD"), Just("CONNECT")],
        ) {
            let mut scene = Scene::new();
            let mut block: Vec<(&[u8], &[u8])> = vec![(b":method", method.as_bytes()), (b":path", path.as_bytes())];
            block.extend(headers.iter().map(|(name, value)| (name.as_bytes(), value.as_slice())));
            let step = scene.act(|gate, env| {
                let request = Request::read(block, |name| gate.config.identity_headers.is_identity(name));
                let access = gate.config.rules.access(request.path().as_ref());
                let own = request.path().is_some_and(|path| path.as_str().starts_with("/_gatelatch/"));
                (access, own, gate.on_request(&request, env))
            });
            match step {
                (Access::Required, false, Step::Respond(_)) => {}
                (Access::Required, false, other) => prop_assert!(false, "{other:?}"),
                (_, _, Step::Forward(edits)) => prop_assert!(edits.add.is_empty()),
                _ => {}
            }
        }
    }
}
