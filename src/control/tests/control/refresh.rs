//! One token call per expiry, whatever happens.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::on_every_store;
use crate::service::{Caller, GATEWAY, ISS, PUBLIC, Service, eventually};

on_every_store!(
    of_many_who_ask_one_refreshes_and_all_get_its_result,
    the_rotated_token_and_the_new_claims_are_what_comes_next,
    a_lease_outlives_a_restart_and_so_does_its_result,
    after_a_holder_vanished_the_next_is_told_and_the_late_token_is_kept,
    a_holder_that_lives_keeps_its_lease,
    a_waiter_gets_the_lease_when_it_expires,
    a_waiter_whose_time_is_up_is_told_when_to_come_back,
    a_waiter_that_leaves_frees_its_place,
    a_revocation_during_a_refresh_wins,
    a_jwt_revoked_during_its_refresh_gets_no_successor,
    a_revoked_jwt_cannot_begin,
    a_repeated_complete_gets_the_same_answer_until_it_is_superseded,
    each_class_of_failure_means_what_it_says,
    a_failure_that_is_not_the_holders_changes_nothing,
    a_second_rejection_in_a_row_ends_the_session,
    an_issuer_that_keeps_failing_is_given_a_rest,
    the_end_of_a_session_is_absolute,
    a_session_without_a_refresh_token_ends_with_its_first_jwt,
);

const TAIL: Duration = Duration::from_secs(30);
const LEASE: Duration = Duration::from_secs(10);

fn waiters(caller: &Caller) -> f64 {
    caller.metric("gatelatch_refresh_waiters")
}

fn gone(reason: &str) -> Value {
    json!({"outcome": "gone", "reason": reason})
}

fn of_many_who_ask_one_refreshes_and_all_get_its_result(service: Service) {
    const MANY: usize = 64;
    service.create("s", "u");
    let caller = service.caller();
    let outcomes = thread::scope(|scope| {
        let asking: Vec<_> = (0..MANY)
            .map(|n| {
                let caller = service.caller();
                scope.spawn(move || {
                    let answer = caller.begin("s", &format!("jti-{n}"), 30_000);
                    if let Some(lease) = answer["lease"].as_str() {
                        eventually("all others wait", || waiters(&caller) == (MANY - 1) as f64);
                        caller.complete("s", lease, "rt1");
                    }
                    answer["outcome"].as_str().unwrap().to_owned()
                })
            })
            .collect();
        let mut outcomes = HashMap::new();
        for one in asking {
            *outcomes.entry(one.join().unwrap()).or_insert(0) += 1;
        }
        outcomes
    });
    assert_eq!(
        outcomes,
        HashMap::from([("lease".to_owned(), 1), ("renewed".to_owned(), MANY - 1)])
    );
    assert_eq!(waiters(&caller), 0.0);
}

fn the_rotated_token_and_the_new_claims_are_what_comes_next(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    let first = caller.begin("s", "jti-s", 0);
    assert_eq!(first["refresh_token"], "rt0-s");
    assert_eq!(first["session"]["claims"], json!({"email": "u@example"}));
    let body = json!({"lease": first["lease"], "refresh_token": "rt1", "id_token": "idt1",
        "claims": {"email": "new@example"}});
    let stored = caller.gateway("/v1/sessions/s/refresh/complete", &body);
    assert_eq!(stored["outcome"], "stored");
    assert_eq!(stored["session"]["claims"], json!({"email": "new@example"}));
    let renewed = caller.begin("s", "jti-old", 0);
    assert_eq!(
        (&renewed["outcome"], &renewed["session"]),
        (&json!("renewed"), &stored["session"])
    );
    service.advance(TAIL);
    let second = caller.begin("s", "jti-2", 0);
    assert_eq!(second["refresh_token"], "rt1");
    // The IdP did not rotate: the token stays.
    caller.gateway(
        "/v1/sessions/s/refresh/complete",
        &json!({"lease": second["lease"]}),
    );
    service.advance(TAIL);
    assert_eq!(caller.begin("s", "jti-3", 0)["refresh_token"], "rt1");
    let ended = caller.gateway("/v1/sessions/s/end", &json!({"reason": "logout"}));
    assert_eq!(ended["id_token_hint"], "idt1");
}

fn a_lease_outlives_a_restart_and_so_does_its_result(mut service: Service) {
    service.create("s", "u");
    let lease = service.caller().lease("s");
    service.restart();
    assert_eq!(service.caller().begin("s", "jti-s", 0)["outcome"], "busy");
    assert_eq!(
        service.caller().complete("s", &lease, "rt1")["outcome"],
        "stored"
    );
    service.restart();
    assert_eq!(
        service.caller().begin("s", "jti-s", 0)["outcome"],
        "renewed"
    );
    service.advance(TAIL);
    assert_eq!(
        service.caller().begin("s", "jti-s", 0)["refresh_token"],
        "rt1"
    );
}

fn after_a_holder_vanished_the_next_is_told_and_the_late_token_is_kept(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    let first = caller.lease("s");
    service.advance(LEASE);
    let second = caller.begin("s", "jti-s", 0);
    assert_eq!(
        (&second["outcome"], &second["maybe_spent"]),
        (&json!("lease"), &json!(true))
    );
    assert_eq!(
        caller.metric("gatelatch_refresh_vanished_holders_total"),
        1.0
    );
    assert_eq!(caller.complete("s", &first, "late")["outcome"], "stored");
    let second = second["lease"].as_str().unwrap();
    assert_eq!(
        caller.complete("s", second, "other")["outcome"],
        "superseded"
    );
    service.advance(TAIL);
    let third = caller.begin("s", "jti-s", 0);
    assert_eq!(
        (&third["refresh_token"], &third["maybe_spent"]),
        (&json!("late"), &json!(false))
    );
}

fn a_holder_that_lives_keeps_its_lease(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    let lease = caller.lease("s");
    let renew = || {
        caller.post(
            GATEWAY,
            "/v1/sessions/s/refresh/renew",
            &json!({"lease": lease}),
        )
    };
    for _ in 0..3 {
        service.advance(LEASE - Duration::from_secs(1));
        assert_eq!(renew(), (200, json!({"lease_ms": 10_000})));
        assert_eq!(caller.begin("s", "jti-s", 0)["outcome"], "busy");
    }
    service.advance(LEASE);
    assert_eq!(
        (renew().0, &renew().1["error"]),
        (409, &json!("not_holder"))
    );
    caller.gateway("/v1/sessions/s/end", &json!({"reason": "logout"}));
    assert_eq!(
        (renew().0, &renew().1["error"]),
        (410, &json!("session_gone"))
    );
}

fn a_waiter_gets_the_lease_when_it_expires(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    caller.lease("s");
    let answer = thread::scope(|scope| {
        let waiting = scope.spawn(|| service.caller().begin("s", "jti-2", 30_000));
        eventually("it waits", || waiters(&caller) == 1.0);
        service.advance(LEASE);
        waiting.join().unwrap()
    });
    assert_eq!(
        (&answer["outcome"], &answer["maybe_spent"]),
        (&json!("lease"), &json!(true))
    );
}

fn a_waiter_whose_time_is_up_is_told_when_to_come_back(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    caller.lease("s");
    let answer = thread::scope(|scope| {
        let waiting = scope.spawn(|| service.caller().begin("s", "jti-2", 4_000));
        eventually("it waits", || waiters(&caller) == 1.0);
        service.advance(Duration::from_secs(4));
        waiting.join().unwrap()
    });
    assert_eq!(answer, json!({"outcome": "busy", "retry_after_ms": 6_000}));
}

fn a_waiter_that_leaves_frees_its_place(service: Service) {
    use std::io::Write;
    let caller = service.caller();
    service.create("s", "u");
    let lease = caller.lease("s");
    let address = caller.url().strip_prefix("http://").unwrap();
    let mut socket = std::net::TcpStream::connect(address).unwrap();
    let body = r#"{"jti":"j","holder":"h","wait_ms":30000}"#;
    write!(
        socket,
        "POST /v1/sessions/s/refresh/begin HTTP/1.1\r\nhost: x\r\n\
         authorization: Bearer {GATEWAY}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    eventually("it waits", || waiters(&caller) == 1.0);
    drop(socket);
    eventually("its place is free", || waiters(&caller) == 0.0);
    assert_eq!(caller.complete("s", &lease, "rt1")["outcome"], "stored");
}

fn a_revocation_during_a_refresh_wins(service: Service) {
    let caller = service.caller();
    let revocations = [
        ("a", json!({"kind": "sid", "id": "a"})),
        ("b", json!({"kind": "sub", "iss": ISS, "sub": "b"})),
        ("c", json!({"kind": "sub", "iss": PUBLIC, "sub": "c"})),
        ("d", json!({"kind": "all"})),
    ];
    for (sid, revocation) in revocations {
        service.create(sid, sid);
        let lease = caller.lease(sid);
        let waiter = thread::scope(|scope| {
            let waiting = scope.spawn(|| service.caller().begin(sid, "other", 30_000));
            eventually("it waits", || waiters(&caller) == 1.0);
            caller.revoke(&revocation);
            waiting.join().unwrap()
        });
        assert_eq!(waiter, gone("revoked"), "{revocation}");
        assert_eq!(
            caller.complete(sid, &lease, "rt1"),
            gone("revoked"),
            "{revocation}"
        );
        assert_eq!(
            caller.begin(sid, "other", 0),
            gone("revoked"),
            "{revocation}"
        );
    }
}

fn a_jwt_revoked_during_its_refresh_gets_no_successor(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    let lease = caller.lease("s");
    caller.revoke(&json!({"kind": "jti", "id": "jti-s"}));
    assert_eq!(caller.complete("s", &lease, "rt1"), gone("revoked"));
    assert_eq!(caller.complete("s", &lease, "rt1"), gone("revoked"));
    assert_eq!(caller.begin("s", "jti-s", 0), gone("revoked"));
    // The session itself lives, with the rotated token.
    assert_eq!(caller.begin("s", "jti-other", 0)["outcome"], "renewed");
    service.advance(TAIL);
    assert_eq!(caller.begin("s", "jti-other", 0)["refresh_token"], "rt1");
}

fn a_revoked_jwt_cannot_begin(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    caller.revoke(&json!({"kind": "jti", "id": "jti-s"}));
    assert_eq!(caller.begin("s", "jti-s", 0), gone("revoked"));
    assert_eq!(caller.begin("s", "jti-other", 0)["outcome"], "lease");
}

fn a_repeated_complete_gets_the_same_answer_until_it_is_superseded(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    let first = caller.lease("s");
    let stored = caller.complete("s", &first, "rt1");
    assert_eq!(caller.complete("s", &first, "rt1"), stored);
    service.advance(TAIL);
    let second = caller.begin("s", "jti-2", 0);
    assert_eq!(second["refresh_token"], "rt1");
    assert_eq!(caller.complete("s", &first, "rt1"), stored);
    caller.complete("s", second["lease"].as_str().unwrap(), "rt2");
    assert_eq!(caller.complete("s", &first, "rt1")["outcome"], "superseded");
    service.advance(TAIL);
    assert_eq!(caller.begin("s", "jti-2", 0)["refresh_token"], "rt2");
}

fn each_class_of_failure_means_what_it_says(service: Service) {
    let caller = service.caller();
    for (class, reason) in [("invalid_grant", "invalid_grant"), ("mismatch", "mismatch")] {
        service.create(class, "u");
        let lease = caller.lease(class);
        assert_eq!(caller.fail(class, &lease, class), gone(reason));
        assert_eq!(caller.fail(class, &lease, class), gone(reason));
        assert_eq!(caller.begin(class, "j", 0), gone(reason));
    }
    for class in ["transient", "misconfigured", "rejected"] {
        service.create(class, "u");
        let lease = caller.lease(class);
        let kept = json!({"outcome": "kept", "retry_after_ms": 1_000});
        assert_eq!(caller.fail(class, &lease, class), kept);
        let again = caller.begin(class, "j", 0);
        assert_eq!(again["refresh_token"], format!("rt0-{class}"));
        assert_eq!(again["maybe_spent"], false);
        let body = json!({"lease": again["lease"], "class": "transient", "retry_after_s": 7});
        let kept = caller.gateway(&format!("/v1/sessions/{class}/refresh/fail"), &body);
        assert_eq!(kept["retry_after_ms"], 7_000);
    }
}

fn a_failure_that_is_not_the_holders_changes_nothing(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    let first = caller.lease("s");
    service.advance(LEASE);
    let second = caller.lease("s");
    assert_eq!(caller.fail("s", &first, "invalid_grant")["outcome"], "kept");
    assert_eq!(caller.begin("s", "j", 0)["outcome"], "busy");
    assert_eq!(caller.complete("s", &second, "rt1")["outcome"], "stored");
    assert_eq!(
        caller.fail("s", &second, "invalid_grant")["outcome"],
        "kept"
    );
    assert_eq!(caller.begin("s", "j", 0)["outcome"], "renewed");
}

fn a_second_rejection_in_a_row_ends_the_session(service: Service) {
    let caller = service.caller();
    service.create("s", "u");
    let reject = || caller.fail("s", &caller.lease("s"), "rejected");
    assert_eq!(reject()["outcome"], "kept");
    caller.complete("s", &caller.lease("s"), "rt1");
    service.advance(TAIL);
    assert_eq!(reject()["outcome"], "kept");
    assert_eq!(reject(), gone("refresh_rejected"));
}

fn an_issuer_that_keeps_failing_is_given_a_rest(service: Service) {
    let caller = service.caller();
    for n in 0..6 {
        service.create(&format!("s{n}"), "u");
    }
    for n in 0..5 {
        let sid = format!("s{n}");
        caller.fail(&sid, &caller.lease(&sid), "transient");
    }
    let backoff = |ms: u32| json!({"outcome": "backoff", "retry_after_ms": ms});
    assert_eq!(caller.begin("s5", "j", 30_000), backoff(1_000));
    assert_eq!(caller.metric("gatelatch_breakers_open"), 1.0);
    service.advance(Duration::from_secs(1));
    let trial = caller.lease("s5");
    assert_eq!(caller.begin("s0", "j", 0), backoff(10_000));
    assert_eq!(
        caller.fail("s5", &trial, "transient")["retry_after_ms"],
        2_000
    );
    service.advance(Duration::from_secs(2));
    let trial = caller.lease("s5");
    assert_eq!(caller.complete("s5", &trial, "rt1")["outcome"], "stored");
    assert_eq!(caller.begin("s0", "j", 0)["outcome"], "lease");
}

fn the_end_of_a_session_is_absolute(service: Service) {
    let caller = service.caller();
    let mut login = service.login("s", "u");
    login["ends_at"] = json!(service.now() + 60);
    caller.gateway("/v1/sessions", &login);
    service.advance(Duration::from_secs(55));
    let lease = caller.lease("s");
    service.advance(Duration::from_secs(5));
    assert_eq!(caller.complete("s", &lease, "rt1"), gone("expired"));
    assert_eq!(caller.begin("s", "jti-s", 0), gone("expired"));
}

fn a_session_without_a_refresh_token_ends_with_its_first_jwt(service: Service) {
    let mut login = service.login("s", "u");
    login.as_object_mut().unwrap().remove("refresh_token");
    service.caller().gateway("/v1/sessions", &login);
    assert_eq!(
        service.caller().begin("s", "jti-s", 0),
        gone("no_refresh_token")
    );
    assert_eq!(service.caller().begin("nobody", "j", 0), gone("unknown"));
}
