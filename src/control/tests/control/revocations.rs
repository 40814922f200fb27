//! What administrators revoke.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::on_every_store;
use crate::service::{ADMIN, ISS, PUBLIC, Service, eventually};

on_every_store!(
    a_batch_is_written_whole_or_not_at_all,
    a_repeated_revocation_is_accepted_and_stands_once,
    a_users_sessions_end_up_to_the_cut_and_no_further,
    an_older_cut_does_not_take_back_a_newer_one,
    enforced_counts_the_envoys_that_have_come_so_far,
    enforced_gives_up_when_the_time_is_up,
    a_listing_shows_what_is_in_force,
);

fn a_batch_is_written_whole_or_not_at_all(service: Service) {
    let caller = service.caller();
    let mut batch: Vec<_> = (0..10_000)
        .map(|n| json!({"kind": "sid", "id": format!("s{n}")}))
        .collect();
    let revoked = caller.revoke(&json!(batch));
    assert_eq!(
        (&revoked["accepted"], &revoked["cursor"]),
        (&json!(10_000), &json!(10_000))
    );
    batch[9_999] = json!({"kind": "sid"});
    let (status, answer) = caller.post(ADMIN, "/v1/revocations", &json!(batch));
    assert_eq!(status, 400);
    assert_eq!(
        answer["message"],
        "item 9999: field id must be 1 to 2048 bytes without NUL"
    );
    assert_eq!(caller.feed("gateway=e").head, 10_000);
    batch.push(json!({"kind": "all"}));
    assert_eq!(caller.post(ADMIN, "/v1/revocations", &json!(batch)).0, 400);
}

fn a_repeated_revocation_is_accepted_and_stands_once(service: Service) {
    let caller = service.caller();
    let twice = json!([{"kind": "jti", "id": "j"}, {"kind": "jti", "id": "j"}]);
    assert_eq!(caller.revoke(&twice)["accepted"], 2);
    assert_eq!(
        caller.revoke(&json!({"kind": "jti", "id": "j"}))["cursor"],
        3
    );
    assert_eq!(caller.feed("gateway=e").entries.len(), 1);
}

fn a_users_sessions_end_up_to_the_cut_and_no_further(service: Service) {
    let caller = service.caller();
    let cut = service.now() + 1;
    service.create("before", "u");
    service.advance(Duration::from_secs(1));
    service.create("at", "u");
    service.advance(Duration::from_secs(1));
    service.create("after", "u");
    service.create("other", "v");
    let revocation = json!({"kind": "sub", "iss": PUBLIC, "sub": "u", "issued_before": cut});
    assert_eq!(caller.revoke(&revocation)["sessions_ended"], 2);
    assert_eq!(caller.begin("at", "j", 0)["reason"], "revoked");
    assert_eq!(caller.begin("after", "j", 0)["outcome"], "lease");
    assert_eq!(caller.begin("other", "j", 0)["outcome"], "lease");
}

fn an_older_cut_does_not_take_back_a_newer_one(service: Service) {
    let caller = service.caller();
    let now = service.now();
    for cut in [now, now - 100] {
        caller.revoke(&json!({"kind": "sub", "iss": ISS, "sub": "u", "issued_before": cut}));
    }
    let page = caller.feed("gateway=e");
    assert_eq!(u64::from(page.entries[0].issued_before), now);
}

fn enforced_counts_the_envoys_that_have_come_so_far(service: Service) {
    let caller = service.caller();
    let page = caller.feed("gateway=one");
    caller.feed("gateway=two");
    let revoked = thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            let body = json!({"kind": "all"});
            service
                .caller()
                .post(
                    ADMIN,
                    "/v1/revocations?wait=enforced&timeout_ms=50000",
                    &body,
                )
                .1
        });
        eventually("it is written", || caller.feed("gateway=one").head == 1);
        for gateway in ["one", "two"] {
            let epoch = page.epoch.to_hex();
            caller.feed(&format!(
                "gateway={gateway}&epoch={epoch}&cursor=1&version=0.1.0"
            ));
        }
        revoking.join().unwrap()
    });
    assert_eq!(revoked["enforced"], json!({"on": 2, "of": 2}));
    let gateways = caller.admin("/v1/gateways");
    assert_eq!(
        gateways["gateways"][1],
        json!({
            "gateway": "two", "version": "0.1.0", "cursor": 1, "behind": 0,
            "last_seen": service.now()
        })
    );
}

fn enforced_gives_up_when_the_time_is_up(service: Service) {
    let caller = service.caller();
    caller.feed("gateway=one");
    let revoked = thread::scope(|scope| {
        let revoking = scope.spawn(|| {
            let body = json!({"kind": "all"});
            service
                .caller()
                .post(
                    ADMIN,
                    "/v1/revocations?wait=enforced&timeout_ms=2000",
                    &body,
                )
                .1
        });
        eventually("it is written", || {
            caller.admin("/v1/gateways")["head"] == 1
        });
        // The call reads the clock once more after it has written, so the time is moved until it
        // notices.
        eventually("it gives up", || {
            service.advance(Duration::from_millis(500));
            revoking.is_finished()
        });
        revoking.join().unwrap()
    });
    assert_eq!(revoked["enforced"]["on"], 0);
}

fn a_listing_shows_what_is_in_force(service: Service) {
    let caller = service.caller();
    let now = service.now();
    caller.revoke(&json!([
        {"kind": "sid", "id": "s"},
        {"kind": "sub", "iss": ISS, "sub": "u"},
        {"kind": "all", "issued_before": now - 5},
    ]));
    let list = caller.admin("/v1/revocations?limit=2");
    let expires_at = now + 30 * 86_400;
    assert_eq!(
        list,
        json!({"next": 2, "revocations": [
            {"kind": "sid", "id": "s", "created_at": now, "expires_at": expires_at, "cursor": 1},
            {"kind": "sub", "iss": ISS, "id": "u", "issued_before": now, "created_at": now,
             "expires_at": expires_at, "cursor": 2},
        ]})
    );
    let rest = caller.admin("/v1/revocations?limit=2&after=2");
    assert_eq!(rest["revocations"][0]["issued_before"], now - 5);
    service.advance(Duration::from_secs(30 * 86_400));
    assert_eq!(caller.admin("/v1/revocations"), json!({"revocations": []}));
}
