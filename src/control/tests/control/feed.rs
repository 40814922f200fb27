//! How gateways follow the revocations.

use std::thread;
use std::time::Duration;

use gatelatch_wire::feed::{Entry, Epoch, Page};
use gatelatch_wire::revocation::Digest;
use serde_json::json;

use crate::on_every_store;
use crate::service::{Caller, GATEWAY, ISS, Service, eventually};

on_every_store!(
    a_snapshot_comes_in_pages_and_then_what_changed,
    a_foreign_history_or_a_cursor_from_the_future_starts_anew,
    the_history_outlives_a_restart,
    a_poll_waits_for_news_and_gets_them_at_once,
    a_poll_without_news_ends_empty_when_its_time_is_up,
    a_poll_is_answered_when_the_service_ends,
    an_entry_that_changes_moves_to_the_end,
    what_has_expired_is_left_out,
    a_bad_query_is_refused,
);

fn follow(caller: &Caller, page: &Page, more: &str) -> Page {
    let (epoch, to) = (page.epoch.to_hex(), page.to);
    caller.feed(&format!("gateway=e&epoch={epoch}&cursor={to}{more}"))
}

fn revoke_sids(caller: &Caller, sids: &[&str]) {
    let items: Vec<_> = sids
        .iter()
        .map(|sid| json!({"kind": "sid", "id": sid}))
        .collect();
    caller.revoke(&json!(items));
}

fn digests(page: &Page) -> Vec<Digest> {
    page.entries.iter().map(|entry| entry.digest).collect()
}

fn a_snapshot_comes_in_pages_and_then_what_changed(service: Service) {
    let caller = service.caller();
    let empty = caller.feed("gateway=e");
    assert_eq!(
        (empty.from, empty.to, empty.head, empty.entries.len()),
        (0, 0, 0, 0)
    );
    revoke_sids(&caller, &["a", "b", "c"]);
    let first = caller.feed("gateway=e&limit=2");
    assert_eq!((first.from, first.to, first.head), (0, 2, 3));
    assert_eq!(digests(&first), [Digest::sid("a"), Digest::sid("b")]);
    let expires_at = (service.now() + 30 * 86_400) as u32;
    let entry = Entry {
        digest: Digest::sid("a"),
        expires_at,
        issued_before: u32::MAX,
    };
    assert_eq!(first.entries[0], entry);
    let second = follow(&caller, &first, "&limit=2");
    assert_eq!((second.from, second.to, second.head), (2, 3, 3));
    caller.revoke(&json!({"kind": "sub", "iss": ISS, "sub": "u", "issued_before": 7}));
    let third = follow(&caller, &second, "");
    assert_eq!((third.from, third.to), (3, 4));
    let entry = Entry {
        digest: Digest::sub(ISS, "u"),
        expires_at,
        issued_before: 7,
    };
    assert_eq!(third.entries, [entry]);
    assert_eq!(follow(&caller, &third, "").entries, []);
}

fn a_foreign_history_or_a_cursor_from_the_future_starts_anew(service: Service) {
    let caller = service.caller();
    revoke_sids(&caller, &["a", "b"]);
    let whole = caller.feed("gateway=e");
    let foreign = Page {
        epoch: Epoch([9; 16]),
        ..whole.clone()
    };
    assert_eq!(follow(&caller, &foreign, "&wait_ms=50000"), whole);
    let ahead = Page {
        to: 3,
        ..whole.clone()
    };
    assert_eq!(follow(&caller, &ahead, "&wait_ms=50000"), whole);
}

fn the_history_outlives_a_restart(mut service: Service) {
    revoke_sids(&service.caller(), &["a"]);
    let before = service.caller().feed("gateway=e");
    service.restart();
    assert_eq!(service.caller().feed("gateway=e"), before);
    revoke_sids(&service.caller(), &["b"]);
    assert_eq!(
        digests(&follow(&service.caller(), &before, "")),
        [Digest::sid("b")]
    );
}

fn a_poll_waits_for_news_and_gets_them_at_once(service: Service) {
    let caller = service.caller();
    let empty = caller.feed("gateway=e");
    service.create("s", "u");
    let news = thread::scope(|scope| {
        let polling = scope.spawn(|| follow(&service.caller(), &empty, "&wait_ms=50000"));
        eventually("it polls", || {
            caller.metric("gatelatch_feed_polls_total") == 2.0
        });
        caller.gateway("/v1/sessions/s/end", &json!({"reason": "logout"}));
        polling.join().unwrap()
    });
    assert_eq!(digests(&news), [Digest::sid("s")]);
}

fn a_poll_without_news_ends_empty_when_its_time_is_up(service: Service) {
    let caller = service.caller();
    let empty = caller.feed("gateway=e");
    let page = thread::scope(|scope| {
        let polling = scope.spawn(|| follow(&service.caller(), &empty, "&wait_ms=50000"));
        eventually("it polls", || {
            caller.metric("gatelatch_feed_polls_total") == 2.0
        });
        eventually("its time is up", || {
            service.advance(Duration::from_secs(10));
            polling.is_finished()
        });
        polling.join().unwrap()
    });
    assert_eq!(page, empty);
}

fn a_poll_is_answered_when_the_service_ends(mut service: Service) {
    let caller = service.caller();
    let empty = caller.feed("gateway=e");
    let polling = thread::spawn({
        let (caller, empty) = (caller.clone(), empty.clone());
        move || follow(&caller, &empty, "&wait_ms=50000")
    });
    eventually("it polls", || {
        caller.metric("gatelatch_feed_polls_total") == 2.0
    });
    service.stop();
    assert_eq!(polling.join().unwrap(), empty);
}

fn an_entry_that_changes_moves_to_the_end(service: Service) {
    let caller = service.caller();
    revoke_sids(&caller, &["a", "b"]);
    let before = caller.feed("gateway=e");
    service.advance(Duration::from_secs(5));
    revoke_sids(&caller, &["a"]);
    let change = follow(&caller, &before, "");
    assert_eq!(digests(&change), [Digest::sid("a")]);
    assert_eq!(
        change.entries[0].expires_at,
        before.entries[0].expires_at + 5
    );
    assert_eq!(
        digests(&caller.feed("gateway=e")),
        [Digest::sid("b"), Digest::sid("a")]
    );
}

fn what_has_expired_is_left_out(service: Service) {
    let caller = service.caller();
    revoke_sids(&caller, &["a"]);
    service.advance(Duration::from_secs(86_400));
    revoke_sids(&caller, &["b"]);
    service.advance(Duration::from_secs(29 * 86_400));
    let page = caller.feed("gateway=e");
    assert_eq!((digests(&page), page.to), (vec![Digest::sid("b")], 2));
}

fn a_bad_query_is_refused(service: Service) {
    let caller = service.caller();
    for query in [
        "",
        "gateway=",
        "gateway=e&epoch=zz",
        "gateway=e&limit=0",
        "gateway=e&limit=100001",
        "gateway=e&cursor=-1",
        "gateway=e&typo=1",
    ] {
        let (status, answer) = caller.get(GATEWAY, &format!("/v1/feed?{query}"));
        assert_eq!(
            (status, &answer["error"]),
            (400, &json!("invalid_request")),
            "{query}"
        );
    }
}
