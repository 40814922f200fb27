//! Back-channel logout and login transactions.

use std::time::Duration;

use gatelatch_wire::revocation::Digest;
use serde_json::{Value, json};

use crate::on_every_store;
use crate::service::{GATEWAY, ISS, Service};

on_every_store!(
    a_logout_by_session_ends_that_session_alone,
    a_logout_by_user_ends_all_sessions_of_the_user,
    a_logout_reaches_sessions_that_do_not_know_their_own_by_the_user,
    a_replayed_logout_changes_nothing,
    a_login_that_was_under_way_cannot_bring_a_session_back,
    a_logout_that_comes_late_spares_the_login_that_followed_it,
    a_logout_names_somebody,
    a_login_transaction_is_spent_once,
);

impl Service {
    fn create_with_idp_sid(&self, sid: &str, sub: &str, idp_sid: &str) -> Value {
        let mut login = self.login(sid, sub);
        login["idp_sid"] = json!(idp_sid);
        self.caller().gateway("/v1/sessions", &login)
    }

    fn logout(&self, jti: &str, more: &Value) -> Value {
        let now = self.now();
        let mut body = json!({"iss": ISS, "jti": jti, "iat": now, "exp": now + 120});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        self.caller().gateway("/v1/backchannel-logout", &body)
    }

    fn outcome(&self, sid: &str) -> String {
        let answer = self.caller().begin(sid, "j", 0);
        answer
            .get("reason")
            .unwrap_or_else(|| &answer["outcome"])
            .as_str()
            .unwrap()
            .to_owned()
    }
}

fn a_logout_by_session_ends_that_session_alone(service: Service) {
    service.create_with_idp_sid("a", "u", "idp-a");
    service.create_with_idp_sid("b", "u", "idp-b");
    let both = json!({"idp_sid": "idp-a", "sub": "u"});
    assert_eq!(service.logout("1", &both), json!({"sessions": 1}));
    assert_eq!(service.outcome("a"), "backchannel_logout");
    assert_eq!(service.outcome("b"), "lease");
    let page = service.caller().feed("gateway=e");
    assert_eq!(
        page.entries.iter().map(|e| e.digest).collect::<Vec<_>>(),
        [Digest::sid("a")]
    );
}

fn a_logout_by_user_ends_all_sessions_of_the_user(service: Service) {
    service.create_with_idp_sid("a", "u", "idp-a");
    service.create("b", "u");
    service.create("c", "other");
    assert_eq!(
        service.logout("1", &json!({"sub": "u"})),
        json!({"sessions": 2})
    );
    assert_eq!(service.outcome("a"), "backchannel_logout");
    assert_eq!(service.outcome("b"), "backchannel_logout");
    assert_eq!(service.outcome("c"), "lease");
    assert_eq!(
        service.logout("2", &json!({"sub": "nobody"})),
        json!({"sessions": 0})
    );
}

fn a_logout_reaches_sessions_that_do_not_know_their_own_by_the_user(service: Service) {
    service.create("a", "u");
    service.create_with_idp_sid("b", "u", "idp-b");
    let both = json!({"idp_sid": "idp-a", "sub": "u"});
    assert_eq!(service.logout("1", &both), json!({"sessions": 1}));
    assert_eq!(service.outcome("a"), "backchannel_logout");
    assert_eq!(service.outcome("b"), "lease");
}

fn a_replayed_logout_changes_nothing(service: Service) {
    service.create("a", "u");
    assert_eq!(
        service.logout("1", &json!({"sub": "u"})),
        json!({"sessions": 1})
    );
    service.advance(Duration::from_secs(1));
    service.create("b", "u");
    assert_eq!(
        service.logout("1", &json!({"sub": "u"})),
        json!({"sessions": 1})
    );
    assert_eq!(service.outcome("b"), "lease");
}

fn a_login_that_was_under_way_cannot_bring_a_session_back(service: Service) {
    let gone = json!({"outcome": "gone", "reason": "backchannel_logout"});
    let mut by_session = service.login("a", "u");
    by_session["idp_sid"] = json!("idp-a");
    let mut other_session = service.login("b", "u");
    other_session["idp_sid"] = json!("idp-b");
    let without = service.login("c", "u");
    service.advance(Duration::from_secs(1));
    service.logout("1", &json!({"idp_sid": "idp-a", "sub": "u"}));
    let create = |login: &Value| service.caller().gateway("/v1/sessions", login);
    assert_eq!(create(&by_session), gone);
    assert_eq!(create(&without), gone);
    assert_eq!(create(&other_session)["outcome"], "created");
    service.logout("2", &json!({"sub": "v"}));
    assert_eq!(service.create("d", "v"), gone);
    service.advance(Duration::from_secs(1));
    assert_eq!(service.create("d", "v")["outcome"], "created");
}

fn a_logout_that_comes_late_spares_the_login_that_followed_it(service: Service) {
    service.create("old", "u");
    let iat = service.now() + 1;
    service.advance(Duration::from_secs(2));
    service.create("new", "u");
    assert_eq!(
        service.logout("1", &json!({"sub": "u", "iat": iat})),
        json!({"sessions": 1})
    );
    assert_eq!(service.outcome("old"), "backchannel_logout");
    assert_eq!(service.outcome("new"), "lease");
}

fn a_logout_names_somebody(service: Service) {
    let body = json!({"iss": ISS, "jti": "1", "iat": 1, "exp": 2});
    let (status, answer) = service
        .caller()
        .post(GATEWAY, "/v1/backchannel-logout", &body);
    assert_eq!(
        (status, &answer["message"]),
        (400, &json!("one of sub and idp_sid must be present"))
    );
}

fn a_login_transaction_is_spent_once(mut service: Service) {
    let body = json!({"expires_at": service.now() + 600});
    let claim = |service: &Service, id: &str| {
        service
            .caller()
            .gateway(&format!("/v1/logins/{id}/claim"), &body)
    };
    assert_eq!(claim(&service, "x"), json!({"outcome": "claimed"}));
    assert_eq!(claim(&service, "x"), json!({"outcome": "used"}));
    service.restart();
    assert_eq!(claim(&service, "x"), json!({"outcome": "used"}));
    assert_eq!(claim(&service, "y"), json!({"outcome": "claimed"}));
}
