//! Creating, ending, listing.

use std::time::Duration;

use gatelatch_wire::revocation::Digest;
use serde_json::{Value, json};

use crate::on_every_store;
use crate::service::{ADMIN, GATEWAY, ISS, PUBLIC, Service};

on_every_store!(
    creating_a_session_again_changes_nothing,
    a_sid_of_somebody_else_is_a_conflict,
    a_login_replaces_the_session_that_the_browser_had,
    a_session_that_would_outlast_its_revocations_is_refused,
    a_login_in_the_second_of_a_cut_starts_just_behind_it,
    a_cut_that_lies_ahead_refuses_logins,
    a_revoked_sid_or_jti_cannot_log_in,
    a_logout_gives_the_id_token_once_and_is_told_to_the_gateways_once,
    an_administrator_ends_a_session,
    a_listing_is_filtered_and_paged_and_shows_no_token,
);

fn creating_a_session_again_changes_nothing(service: Service) {
    let created = json!({"outcome": "created", "started_at": service.now()});
    assert_eq!(service.create("s", "u"), created);
    service.advance(Duration::from_secs(5));
    assert_eq!(service.create("s", "u"), created);
    service
        .caller()
        .gateway("/v1/sessions/s/end", &json!({"reason": "logout"}));
    assert_eq!(
        service.create("s", "u"),
        json!({"outcome": "gone", "reason": "logout"})
    );
}

fn a_sid_of_somebody_else_is_a_conflict(service: Service) {
    service.create("s", "alice");
    let (status, answer) =
        service
            .caller()
            .post(GATEWAY, "/v1/sessions", &service.login("s", "bob"));
    assert_eq!(
        (status, &answer["error"]),
        (409, &json!("session_conflict"))
    );
}

fn a_login_replaces_the_session_that_the_browser_had(service: Service) {
    let caller = service.caller();
    service.create("old", "u");
    let mut login = service.login("new", "u");
    login["replaces"] = json!("old");
    caller.gateway("/v1/sessions", &login);
    assert_eq!(
        caller.begin("old", "jti-old", 0),
        json!({"outcome": "gone", "reason": "replaced"})
    );
    assert_eq!(
        caller.feed("gateway=e").entries[0].digest,
        Digest::sid("old")
    );
    assert_eq!(caller.begin("new", "jti-new", 0)["outcome"], "lease");
}

fn a_session_that_would_outlast_its_revocations_is_refused(service: Service) {
    let mut login = service.login("s", "u");
    login["ends_at"] = json!(service.now() + 31 * 86_400);
    let (status, answer) = service.caller().post(GATEWAY, "/v1/sessions", &login);
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().contains("--retention"));
    login["ends_at"] = json!(service.now());
    assert_eq!(
        service.caller().gateway("/v1/sessions", &login),
        json!({"outcome": "gone", "reason": "expired"})
    );
}

fn a_login_in_the_second_of_a_cut_starts_just_behind_it(service: Service) {
    let caller = service.caller();
    service.create("old", "u");
    let revoked = caller.revoke(&json!({"kind": "sub", "iss": ISS, "sub": "u"}));
    assert_eq!(revoked["sessions_ended"], 1);
    let created = json!({"outcome": "created", "started_at": service.now() + 1});
    assert_eq!(service.create("new", "u"), created);
    assert_eq!(caller.begin("new", "jti-new", 0)["outcome"], "lease");
    assert_eq!(caller.begin("old", "jti-old", 0)["reason"], "revoked");
}

fn a_cut_that_lies_ahead_refuses_logins(service: Service) {
    let ahead = service.now() + 60;
    let gone = json!({"outcome": "gone", "reason": "revoked"});
    service
        .caller()
        .revoke(&json!({"kind": "sub", "iss": PUBLIC, "sub": "u", "issued_before": ahead}));
    assert_eq!(service.create("s1", "u"), gone);
    assert_eq!(service.create("s2", "other")["outcome"], "created");
    service
        .caller()
        .revoke(&json!({"kind": "all", "issued_before": ahead}));
    assert_eq!(service.create("s3", "other"), gone);
    service.advance(Duration::from_secs(61));
    assert_eq!(service.create("s4", "u")["outcome"], "created");
}

fn a_revoked_sid_or_jti_cannot_log_in(service: Service) {
    let gone = json!({"outcome": "gone", "reason": "revoked"});
    service
        .caller()
        .revoke(&json!([{"kind": "sid", "id": "a"}, {"kind": "jti", "id": "jti-b"}]));
    assert_eq!(service.create("a", "u"), gone);
    assert_eq!(service.create("b", "u"), gone);
    assert_eq!(service.create("c", "u")["outcome"], "created");
}

fn a_logout_gives_the_id_token_once_and_is_told_to_the_gateways_once(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    let end = |sid: &str| {
        caller.gateway(
            &format!("/v1/sessions/{sid}/end"),
            &json!({"reason": "logout"}),
        )
    };
    assert_eq!(end("s"), json!({"id_token_hint": "idt0-s"}));
    let told = caller.feed("gateway=e");
    assert_eq!(told.entries.len(), 1);
    assert_eq!(told.entries[0].digest, Digest::sid("s"));
    assert_eq!(end("s"), json!({}));
    assert_eq!(caller.feed("gateway=e"), told);
    // A session that is not known may still have JWTs somewhere.
    assert_eq!(end("unknown"), json!({}));
    assert_eq!(
        caller.feed("gateway=e").entries[1].digest,
        Digest::sid("unknown")
    );
}

fn an_administrator_ends_a_session(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    assert_eq!(
        caller.delete("/v1/sessions/s"),
        (200, json!({"ended": true}))
    );
    assert_eq!(
        caller.delete("/v1/sessions/s"),
        (200, json!({"ended": false}))
    );
    assert_eq!(caller.begin("s", "jti-s", 0)["reason"], "revoked");
    assert_eq!(caller.feed("gateway=e").entries.len(), 1);
}

fn a_listing_is_filtered_and_paged_and_shows_no_token(service: Service) {
    let caller = service.caller();
    for (sid, sub) in [("a", "alice"), ("b", "bob"), ("c", "alice"), ("d", "alice")] {
        service.create(sid, sub);
    }
    caller.gateway("/v1/sessions/d/end", &json!({"reason": "logout"}));
    let sids = |list: &Value| -> Vec<String> {
        let sessions = list["sessions"].as_array().unwrap();
        sessions
            .iter()
            .map(|session| session["sid"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = caller.admin("/v1/sessions");
    assert_eq!(sids(&all), ["a", "b", "c"]);
    assert!(!all.to_string().contains("rt0") && !all.to_string().contains("idt0"));
    assert_eq!(sids(&caller.admin("/v1/sessions?sub=alice")), ["a", "c"]);
    assert_eq!(
        sids(&caller.admin("/v1/sessions?sub=alice&ended=true")),
        ["a", "c", "d"]
    );
    assert_eq!(
        sids(&caller.admin(&format!("/v1/sessions?iss={PUBLIC}"))),
        ["a", "b", "c"]
    );
    assert_eq!(
        sids(&caller.admin("/v1/sessions?iss=https://other")),
        Vec::<String>::new()
    );
    let page = caller.admin("/v1/sessions?limit=2");
    assert_eq!(
        (sids(&page), &page["next"]),
        (vec!["a".into(), "b".into()], &json!("b"))
    );
    let page = caller.admin("/v1/sessions?limit=2&after=b");
    assert_eq!(
        (sids(&page), &page["next"]),
        (vec!["c".into()], &Value::Null)
    );
    let one = caller.admin("/v1/sessions/a");
    assert_eq!(one["claims"], json!({"email": "alice@example"}));
    assert!(!one.to_string().contains("rt0") && !one.to_string().contains("idt0"));
    assert_eq!(caller.get(ADMIN, "/v1/sessions/nobody").0, 404);
}

#[test]
fn tokens_are_never_on_disk_in_plain_text() {
    let mut service = Service::on_sqlite();
    service.create("s", "u");
    let lease = service.caller().lease("s");
    service.caller().complete("s", &lease, "rt1-s");
    service.stop();
    let bytes = service.bytes_on_disk();
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("u@example"));
    assert!(!holds("rt0-s") && !holds("rt1-s") && !holds("idt0-s"));
}
