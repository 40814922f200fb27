//! The feed: snapshots, deltas, garbage, silence.

use super::*;

fn feed_calls(gateway: &Gateway) -> usize {
    gateway.control.calls("/feed").len()
}

fn parameter(gateway: &Gateway, nth: usize, name: &str) -> String {
    let query = gateway.control.calls("/feed")[nth].query();
    query
        .into_iter()
        .find(|(held, _)| held == name)
        .map(|(_, value)| value)
        .unwrap_or_default()
}

fn entries(count: u32, now: Duration) -> impl Iterator<Item = Entry> {
    (0..count).map(move |nth| Entry {
        digest: Digest::sid(&format!("somebody-{nth}")),
        expires_at: now.as_secs() as u32 + 3_600,
        issued_before: u32::MAX,
    })
}

#[test]
fn until_the_first_sync_sessions_are_refused_and_the_rest_is_served() {
    let ada = Browser::logged_in(&mut Gateway::new());
    let mut gateway = Setup::new()
        .peers(|control, _| control.always("/feed", Answer::Reset))
        .start();
    let reply = refused(
        &ada.fetch(&mut gateway, "GET", "/"),
        503,
        "revocations_not_synced",
    );
    assert_eq!(reply.set_cookies(), Vec::<String>::new());
    assert!(reply.headers.text("retry-after").is_some());
    assert_eq!(
        ada.navigate(&mut gateway, "/").reply().status,
        503,
        "no login loop"
    );
    ada.fetch(&mut gateway, "GET", "/public/a").forwarded();
    assert_eq!(
        ada.fetch(&mut gateway, "GET", "/optional/a")
            .forwarded()
            .headers
            .first("x-auth-request-user"),
        None
    );
    gateway.control.behave();
    gateway.advance(Duration::from_secs(12));
    accepted(&ada.fetch(&mut gateway, "GET", "/"));
}

#[test]
fn an_operator_can_choose_to_allow_before_the_first_sync() {
    let ada = Browser::logged_in(&mut Gateway::new());
    let setup = Setup::new().config(|config| config["revocation"] = json!({"on_stale": "allow"}));
    let mut gateway = setup
        .peers(|control, _| control.always("/feed", Answer::Reset))
        .start();
    accepted(&ada.fetch(&mut gateway, "GET", "/"));
}

#[test]
fn a_feed_that_is_silent_for_too_long_is_stale_and_recovers_by_itself() {
    let mut gateway = Setup::new()
        .workers(2)
        .config(|config| config["session"] = json!({"ttl": "15m"}))
        .start();
    let ada = Browser::logged_in(&mut gateway);
    gateway.control.always("/feed", Answer::Reset);
    gateway.advance(Duration::from_secs(45));
    accepted(&ada.at_worker(1).fetch(&mut gateway, "GET", "/"));
    gateway.advance(Duration::from_secs(50));
    for worker in 0..2 {
        refused(
            &ada.at_worker(worker).fetch(&mut gateway, "GET", "/"),
            503,
            "revocations_stale",
        );
    }
    gateway.control.behave();
    gateway.advance(Duration::from_secs(12));
    for worker in 0..2 {
        accepted(&ada.at_worker(worker).fetch(&mut gateway, "GET", "/"));
    }
}

#[test]
fn a_feed_with_no_news_is_never_stale() {
    let mut gateway = Setup::new()
        .workers(2)
        .config(|config| config["session"] = json!({"ttl": "15m"}))
        .start();
    let ada = Browser::logged_in(&mut gateway);
    for _ in 0..20 {
        gateway.advance(Duration::from_secs(15));
        accepted(&ada.at_worker(1).fetch(&mut gateway, "GET", "/"));
    }
    assert!(
        feed_calls(&gateway) < 60,
        "{} polls in five minutes of silence",
        feed_calls(&gateway)
    );
}

#[test]
fn a_snapshot_of_many_pages_counts_when_it_is_whole() {
    let ada = Browser::logged_in(&mut Gateway::new());
    let digest = Digest::sid(&sid(&ada));
    let setup = Setup::new().peers(|control, _| {
        control.limit_pages(1_000);
        control.publish(entries(4_500, Duration::from_secs(1_800_000_000)));
        control.publish([Entry {
            digest,
            expires_at: 1_800_003_600,
            issued_before: u32::MAX,
        }]);
    });
    let mut gateway = setup.start();
    refused(&ada.fetch(&mut gateway, "GET", "/"), 401, "session_revoked");
    assert_eq!(gateway.host.metrics()["gatelatch.feed.entries"], 4_501);
}

#[test]
fn the_poller_asks_after_the_cursor_that_it_enforces() {
    let mut gateway = Setup::new().workers(2).start();
    let now = gateway.host.now();
    gateway.control.publish(entries(3, now));
    gateway.settle();
    let last = feed_calls(&gateway) - 1;
    assert_eq!(
        (
            parameter(&gateway, 0, "cursor"),
            parameter(&gateway, last, "cursor")
        ),
        ("0".into(), "3".into())
    );
    assert_eq!(parameter(&gateway, last, "epoch"), "01".repeat(16));
    assert!(
        !parameter(&gateway, last, "gateway").is_empty()
            && !parameter(&gateway, last, "version").is_empty()
    );
    assert_eq!(gateway.host.metrics()["gatelatch.feed.cursor"], 3);
}

#[test]
fn pages_that_cannot_be_right_change_nothing() {
    let mut gateway = Gateway::new();
    let (ada, other) = (
        Browser::logged_in(&mut gateway),
        Browser::logged_in(&mut gateway),
    );
    revoke_session(&mut gateway, &ada);
    let expires_at = gateway.host.now().as_secs() as u32 + 3_600;
    let innocent = Entry {
        digest: Digest::sid(&sid(&other)),
        expires_at,
        issued_before: u32::MAX,
    };
    let truncated = match page(1, 1, 2, 2, vec![innocent]) {
        Answer::Http {
            status,
            headers,
            mut body,
        } => {
            body.truncate(body.len() - 1);
            Answer::Http {
                status,
                headers,
                body,
            }
        }
        other => other,
    };
    for nonsense in [
        page(1, 2, 3, 3, vec![innocent]),
        page(2, 1, 2, 2, vec![innocent]),
        truncated,
        Answer::text(200, ""),
        Answer::text(200, "<html>"),
        Answer::text(204, ""),
        Answer::text(500, ""),
        Answer::text(200, "GLRF"),
    ] {
        gateway.control.always("/feed", nonsense);
        gateway.advance(Duration::from_secs(25));
        gateway.control.behave();
        gateway.advance(Duration::from_secs(12));
        refused(&ada.fetch(&mut gateway, "GET", "/"), 401, "session_revoked");
        accepted_or_expired(&mut gateway, &other);
    }
}

/// Long enough after its login the innocent session is renewed, which is as good.
#[track_caller]
fn accepted_or_expired(gateway: &mut Gateway, browser: &Browser) {
    accepted(&browser.fetch(gateway, "GET", "/"));
}

#[test]
fn a_new_history_is_taken_over_whole() {
    let mut gateway = Gateway::new();
    let (ada, other) = (
        Browser::logged_in(&mut gateway),
        Browser::logged_in(&mut gateway),
    );
    revoke_session(&mut gateway, &ada);
    gateway.control.new_epoch(9);
    revoke_session(&mut gateway, &other);
    gateway.advance(Duration::from_secs(1));
    refused(
        &other.fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
    refused(&ada.fetch(&mut gateway, "GET", "/"), 401, "session_revoked");
    let last = feed_calls(&gateway) - 1;
    assert_eq!(parameter(&gateway, last, "epoch"), "09".repeat(16));
}

#[test]
fn revocations_by_the_ten_thousand_take_a_bounded_number_of_keys() {
    let mut gateway = Setup::new().workers(2).start();
    let ada = Browser::logged_in(&mut gateway);
    let now = gateway.host.now();
    gateway.control.publish(entries(20_000, now));
    revoke_session(&mut gateway, &ada);
    refused(
        &ada.at_worker(1).fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
    assert!(
        gateway.host.shared_data().len() <= 1_024 + 8,
        "{} keys",
        gateway.host.shared_data().len()
    );
    let bytes: usize = gateway.host.shared_data().values().sum();
    assert!(bytes < 20_001 * 24 + 16_384, "{bytes} bytes");
}
