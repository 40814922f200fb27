//! What is revoked is out, on every worker of every Envoy, within a second and for good.

use std::time::{Duration, Instant};

use bytes::Bytes;
use gatelatch_harness::control::envoy_stats;
use gatelatch_harness::raw::{self, Connection};
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Browser, Kind, Shared, Stack, StackOptions, eventually, user};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard};
use url::Url;

/// Two Envoys of four workers; each test has users of its own.
static STACK: Shared = Shared::new(|| StackOptions::new().envoys(2, 4));

/// Short tokens; tests that restart parts of it or revoke everybody take turns.
static OWN: Shared = Shared::new(|| StackOptions::new().session_ttl("2s").envoys(2, 1));
static TURN: Mutex<()> = Mutex::const_new(());

const WORKERS: usize = 4;
const CONNECTIONS: usize = 32;
const LIMIT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn a_revoked_session_is_out_on_every_worker_of_every_envoy_within_a_second() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let bystander = Browser::logged_in(stack, &user("ada")).await;
    let sid = browser.session().text("sid");
    let worst = until_refused_everywhere(stack, &browser, &json!({"kind": "sid", "id": sid})).await;
    println!(
        "sid: the last of {} connections refused after {} ms",
        2 * CONNECTIONS,
        worst.as_millis()
    );
    assert!(worst < LIMIT, "{worst:?}");
    bystander.fetch(&stack.url("/api")).await.expect(200);
}

#[tokio::test]
async fn a_revoked_token_is_out_on_every_worker_of_every_envoy_within_a_second() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let jti = browser.session().text("jti");
    let worst = until_refused_everywhere(stack, &browser, &json!({"kind": "jti", "id": jti})).await;
    println!(
        "jti: the last of {} connections refused after {} ms",
        2 * CONNECTIONS,
        worst.as_millis()
    );
    assert!(worst < LIMIT, "{worst:?}");
}

#[tokio::test]
async fn a_cut_for_a_user_ends_all_sessions_that_began_before_and_none_after() {
    let stack = STACK.get();
    let (ada, other) = (user("ada"), Browser::logged_in(stack, &user("bob")).await);
    let first = Browser::logged_in(stack, &ada).await;
    let second = Browser::logged_in(stack, &ada).await;
    let cut = json!({"kind": "sub", "iss": stack.ready.issuer, "sub": ada});
    let worst = until_refused_everywhere(stack, &first, &cut).await;
    println!(
        "sub: the last of {} connections refused after {} ms",
        2 * CONNECTIONS,
        worst.as_millis()
    );
    assert!(worst < LIMIT, "{worst:?}");
    assert_eq!(
        second.fetch(&stack.url("/api")).await.expect(401).reason(),
        "session_revoked"
    );
    other.fetch(&stack.url("/api")).await.expect(200);

    // In the very second of the cut, most likely.
    let third = Browser::logged_in(stack, &ada).await;
    for nth in 0..stack.envoys() {
        third.fetch(&stack.url_at(nth, "/api")).await.expect(200);
    }
}

#[tokio::test]
async fn a_cut_in_the_past_spares_what_began_after_it() {
    let stack = STACK.get();
    let ada = user("ada");
    let browser = Browser::logged_in(stack, &ada).await;
    let before = browser.session().seconds("session_iat") - 1;
    let cut =
        json!({"kind": "sub", "iss": stack.ready.issuer, "sub": ada, "issued_before": before});
    let answer = stack
        .control()
        .post("/v1/revocations?wait=enforced&timeout_ms=5000", &cut)
        .await;
    assert_eq!(
        answer.expect(201).json()["enforced"],
        json!({"on": 2, "of": 2})
    );
    browser.fetch(&stack.url("/api")).await.expect(200);
}

#[tokio::test]
async fn a_batch_is_enforced_as_one_and_the_answer_says_on_how_many_envoys() {
    let stack = STACK.get();
    let ada = user("ada");
    let one = Browser::logged_in(stack, &user("bob")).await;
    let two = Browser::logged_in(stack, &user("cleo")).await;
    let three = Browser::logged_in(stack, &ada).await;
    let batch = json!([
        {"kind": "sid", "id": one.session().text("sid")},
        {"kind": "jti", "id": two.session().text("jti")},
        {"kind": "sub", "iss": stack.ready.issuer, "sub": ada},
        {"kind": "sid", "id": "nobodys"},
    ]);
    let control = stack.control();
    let call = control.post("/v1/revocations?wait=enforced&timeout_ms=5000", &batch);
    let answer = call.await.expect(201).json();
    assert_eq!(answer["accepted"], 4);
    assert_eq!(
        answer["sessions_ended"], 2,
        "a jti ends a token, not its session"
    );
    assert_eq!(answer["enforced"], json!({"on": 2, "of": 2}));
    // Enforced is enforced: nothing to wait for.
    for browser in [one, two, three] {
        for nth in 0..stack.envoys() {
            let answer = browser
                .copy()
                .fetch(&stack.url_at(nth, "/api"))
                .await
                .expect(401);
            assert_eq!(answer.reason(), "session_revoked");
        }
    }
}

#[tokio::test]
async fn a_batch_with_one_bad_item_revokes_nothing() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let batch = json!([{"kind": "sid", "id": browser.session().text("sid")}, {"kind": "sid"}]);
    let answer = stack
        .control()
        .post("/v1/revocations", &batch)
        .await
        .expect(400)
        .json();
    assert!(
        answer["message"]
            .as_str()
            .is_some_and(|text| text.contains("item 1")),
        "{answer}"
    );
    browser.fetch(&stack.url("/api")).await.expect(200);
}

#[tokio::test]
async fn an_administrator_ends_one_session_by_its_id() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let path = format!("/v1/sessions/{}", browser.session().text("sid"));
    let deleted = stack
        .control()
        .call(Method::DELETE, &path, None)
        .await
        .expect(200);
    assert_eq!(deleted.json()["ended"], true);
    eventually_refused(stack, &browser).await;
    let deleted = stack
        .control()
        .call(Method::DELETE, &path, None)
        .await
        .expect(200);
    assert_eq!(deleted.json()["ended"], false);
}

#[tokio::test]
async fn a_navigation_with_a_revoked_session_leads_to_the_login_and_loses_the_cookie() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    stack
        .control()
        .revoke_sid(&browser.session().text("sid"))
        .await;
    eventually_refused(stack, &browser.copy()).await;
    let answer = browser.open(&stack.url("/page?x=1")).await.expect(302);
    assert!(answer.location().starts_with(&stack.ready.issuer));
    assert_eq!(browser.maybe_session(), None);
    // The provider still knows the user: a new session, at the page first asked for.
    let page = browser.follow(answer).await.expect(200);
    assert_eq!(page.echo().0["path"], "/page?x=1");
}

#[tokio::test]
async fn a_revoked_session_cannot_be_refreshed() {
    let stack = OWN.get();
    let _turn = turn(stack).await;
    let ada = user("ada");
    let revoked = logged_in_briefly(stack, &ada).await;
    let by_token = logged_in_briefly(stack, &ada).await;
    let bystander = logged_in_briefly(stack, &ada).await;
    let batch = json!([
        {"kind": "sid", "id": revoked.session().text("sid")},
        {"kind": "jti", "id": by_token.session().text("jti")},
    ]);
    stack.control().revoke(&batch).await;
    for browser in [&revoked, &by_token, &bystander] {
        browser.expired().await;
    }
    for browser in [&revoked, &by_token] {
        assert_eq!(
            browser.fetch(&stack.url("/api")).await.expect(401).reason(),
            "session_revoked"
        );
    }
    bystander.fetch(&stack.url("/api")).await.expect(200);
    assert_eq!(stack.events().refreshes(&ada), 1, "the bystander's");
}

#[tokio::test]
async fn a_cut_for_all_ends_every_session_and_lets_everybody_log_in_again() {
    let stack = OWN.get();
    let _turn = turn(stack).await;
    let browsers = [
        logged_in_briefly(stack, &user("ada")).await,
        logged_in_briefly(stack, &user("bob")).await,
    ];
    let (control, everybody) = (stack.control(), json!({"kind": "all"}));
    let call = control.post("/v1/revocations?wait=enforced", &everybody);
    let answer = call.await.expect(201).json();
    assert!(
        answer["sessions_ended"]
            .as_u64()
            .is_some_and(|count| count >= 2),
        "{answer}"
    );
    for browser in &browsers {
        assert_eq!(
            browser
                .copy()
                .fetch(&stack.url("/api"))
                .await
                .expect(401)
                .reason(),
            "session_revoked"
        );
        browser.expired().await;
        assert_eq!(
            browser.copy().fetch(&stack.url_at(1, "/api")).await.status,
            401
        );
        let page = browser.open(&stack.url("/again")).await;
        assert_eq!(
            browser.follow(page).await.expect(200).echo().0["path"],
            "/again"
        );
    }
}

#[tokio::test]
async fn a_restart_of_any_part_brings_nothing_revoked_back() {
    let stack = OWN.get();
    let _turn = turn(stack).await;
    let ada = user("ada");
    let browser = logged_in_briefly(stack, &ada).await;
    let alive = logged_in_briefly(stack, &ada).await;
    stack
        .control()
        .revoke_sid(&browser.session().text("sid"))
        .await;
    eventually_refused(stack, &browser.copy()).await;
    for (verb, parts) in [
        ("kill", &["control"] as &[&str]),
        ("stop", &["envoy-0"]),
        ("kill", &["envoy-0", "control"]),
    ] {
        for part in parts {
            stack.order(verb, part);
        }
        for part in parts.iter().rev() {
            stack.order("start", part);
        }
        // From the first answer on: not one request may pass.
        let refused = eventually("the filter decides again", 30, async || {
            let answer = browser.copy().fetch(&stack.url("/api")).await;
            assert_ne!(answer.status, 200, "after {verb} {parts:?}");
            (answer.status == 401).then_some(answer)
        })
        .await;
        assert_eq!(
            refused.reason(),
            "session_revoked",
            "after {verb} {parts:?}"
        );
        eventually("the other session lives", 30, async || {
            (alive.fetch(&stack.url("/api")).await.status == 200).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn a_revocation_while_an_envoy_is_down_holds_from_its_first_answer() {
    let stack = OWN.get();
    let _turn = turn(stack).await;
    let browser = logged_in_briefly(stack, &user("ada")).await;
    stack.order("kill", "envoy-1");
    stack
        .control()
        .revoke_sid(&browser.session().text("sid"))
        .await;
    stack.order("start", "envoy-1");
    let refused = eventually("the filter decides", 30, async || {
        let answer = browser.copy().fetch(&stack.url_at(1, "/api")).await;
        assert_ne!(answer.status, 200);
        (answer.status == 401).then_some(answer)
    })
    .await;
    assert_eq!(refused.reason(), "session_revoked");
}

#[tokio::test]
async fn a_logout_ends_the_session_here_and_leads_to_the_providers() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let (sid, thief) = (browser.session().text("sid"), browser.copy());
    let url = stack.url("/_gatelatch/logout");
    let button = browser.send(Method::POST, &url, Kind::Navigation, &[], Bytes::new());
    let answer = button.await.expect(303);
    let location = Url::parse(answer.location()).expect("a URL");
    assert!(
        location
            .as_str()
            .starts_with(&format!("{}/session/end?", stack.ready.issuer)),
        "{location}"
    );
    let names: Vec<String> = location
        .query_pairs()
        .map(|(name, _)| name.into_owned())
        .collect();
    for name in ["client_id", "post_logout_redirect_uri", "id_token_hint"] {
        assert!(names.iter().any(|seen| seen == name), "{name} in {names:?}");
    }
    assert_eq!(browser.maybe_session(), None, "the cookie is cleared");
    // Durable before it is answered.
    assert_eq!(
        stack.control().session(&sid).await["ended_reason"],
        "logout"
    );
    let started = Instant::now();
    eventually_refused(stack, &thief).await;
    assert!(started.elapsed() < LIMIT, "{:?}", started.elapsed());

    // Without a session the button still leads home, and says nothing.
    let again = Browser::new()
        .post(&stack.url("/_gatelatch/logout"), "")
        .await
        .expect(303);
    assert_eq!(again.location(), stack.url("/"));
}

#[tokio::test]
async fn a_logout_that_another_site_or_a_link_asks_for_is_refused() {
    let stack = STACK.get();
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let url = stack.url("/_gatelatch/logout");
    let own = stack.ready.public_url.clone().into_bytes();
    for headers in [
        [("sec-fetch-site", b"cross-site".as_slice()), ("x-a", b"")],
        [("sec-fetch-site", b"same-site"), ("x-a", b"")],
        [("sec-fetch-site", b"cross-site"), ("origin", &own)],
        [("origin", b"https://evil.example"), ("x-a", b"")],
    ] {
        let answer = browser
            .send(Method::POST, &url, Kind::Plain, &headers, Bytes::new())
            .await;
        assert_eq!(answer.expect(403).reason(), "cross_site");
    }
    let link = browser
        .send(Method::GET, &url, Kind::Plain, &[], Bytes::new())
        .await;
    assert_eq!(link.expect(405).reason(), "method_not_allowed");
    browser.fetch(&stack.url("/api")).await.expect(200);
}

#[tokio::test]
async fn a_logout_at_the_provider_ends_the_session_at_the_gateway() {
    let stack = STACK.get();
    let ada = user("ada");
    let browser = Browser::logged_in(stack, &ada).await;
    let sid = browser.session().text("sid");
    // As another application of the same provider would.
    let form = browser
        .open(&format!("{}/session/end", stack.ready.issuer))
        .await
        .expect(200)
        .text();
    let xsrf = form
        .split("name=\"xsrf\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let body = format!("xsrf={}&logout=yes", xsrf.expect("the provider's form"));
    let confirm = format!("{}/session/end/confirm", stack.ready.issuer);
    let kind: &[(&str, &[u8])] = &[("content-type", b"application/x-www-form-urlencoded")];
    browser
        .send(Method::POST, &confirm, Kind::Navigation, kind, body.into())
        .await;
    eventually("the provider has told the gateway", 10, async || {
        let told = |event| stack.events().count(event, &[("sub", &ada)]);
        assert_eq!(
            told("backchannel.error"),
            0,
            "{:?}",
            stack.events().all().last()
        );
        (told("backchannel.success") == 1).then_some(())
    })
    .await;
    assert_eq!(
        stack.control().session(&sid).await["ended_reason"],
        "backchannel_logout"
    );
    eventually_refused(stack, &browser).await;
}

#[tokio::test]
async fn the_service_lists_what_is_revoked_and_who_enforces_it() {
    let stack = STACK.get();
    let id = user("listed");
    let cursor = stack
        .control()
        .revoke(&json!({"kind": "sid", "id": id}))
        .await["cursor"]
        .clone();
    let after = cursor.as_u64().expect("a cursor") - 1;
    let listed = stack
        .control()
        .get(&format!("/v1/revocations?after={after}"))
        .await
        .expect(200)
        .json();
    let found: Vec<&Value> = listed["revocations"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|item| item["id"] == id)
        .collect();
    assert_eq!(found.len(), 1, "{listed}");
    assert_eq!(found[0]["kind"], "sid");
    let gateways = stack.control().get("/v1/gateways").await.expect(200).json();
    assert_eq!(
        gateways["gateways"].as_array().map(Vec::len),
        Some(2),
        "{gateways}"
    );
}

/// Opens connections to every worker of every Envoy, revokes, and asks on all of them until each
/// has refused. How long the last one took, from the moment the service had answered.
async fn until_refused_everywhere(stack: &Stack, browser: &Browser, what: &Value) -> Duration {
    let cookie = format!("{SESSION_COOKIE}={}", browser.session().0);
    let mut connections = Vec::new();
    for envoy in 0..stack.envoys() {
        let before = open_by_worker(stack, envoy).await;
        for _ in 0..CONNECTIONS {
            let mut connection = Connection::open(stack.address(envoy)).await;
            assert_eq!(ask(&mut connection, stack, envoy, &cookie).await, 200);
            connections.push((envoy, connection));
        }
        let after = open_by_worker(stack, envoy).await;
        let reached = after
            .iter()
            .zip(&before)
            .filter(|(after, before)| after > before)
            .count();
        assert_eq!(
            reached, WORKERS,
            "connections by worker: {before:?}, {after:?}"
        );
    }
    stack.control().revoke(what).await;
    let answered = Instant::now();
    let mut open: Vec<usize> = (0..connections.len()).collect();
    while !open.is_empty() {
        let mut rest = Vec::new();
        for nth in open {
            let (envoy, connection) = &mut connections[nth];
            match ask(connection, stack, *envoy, &cookie).await {
                401 => {}
                200 => rest.push(nth),
                other => panic!("{other} on a revoked session"),
            }
        }
        open = rest;
        assert!(
            answered.elapsed() < 10 * LIMIT,
            "{} connections still pass",
            open.len()
        );
    }
    answered.elapsed()
}

async fn ask(connection: &mut Connection, stack: &Stack, envoy: usize, cookie: &str) -> u16 {
    let lines = [("Cookie", cookie.as_bytes())];
    connection
        .send(&raw::head(
            "GET",
            "/status/204",
            stack.address(envoy),
            &lines,
        ))
        .await;
    match connection.answer().await.status {
        204 => 200,
        other => other,
    }
}

/// Connections that each worker of an Envoy has taken so far.
async fn open_by_worker(stack: &Stack, envoy: usize) -> Vec<u64> {
    let stats = envoy_stats(&stack.ready.gateways[envoy].admin_url).await;
    let count = |worker: usize| -> u64 {
        let end = format!(".worker_{worker}.downstream_cx_total");
        let lines = stats
            .iter()
            .filter(|(name, _)| name.ends_with(&end) && !name.contains("admin"));
        lines.map(|(_, count)| count).sum()
    };
    (0..WORKERS).map(count).collect()
}

async fn eventually_refused(stack: &Stack, browser: &Browser) {
    eventually("the session is refused", 5, async || {
        (browser.fetch(&stack.url("/api")).await.status == 401).then_some(())
    })
    .await;
}

async fn turn(stack: &Stack) -> MutexGuard<'static, ()> {
    let turn = TURN.lock().await;
    stack.mend();
    eventually("logins are possible", 40, async || {
        let login = stack.url("/_gatelatch/login");
        (Browser::new().open(&login).await.status == 302).then_some(())
    })
    .await;
    turn
}

/// A session whose first page needs no live token, however short that lives.
async fn logged_in_briefly(stack: &Stack, name: &str) -> Browser {
    let browser = Browser::new();
    let page = browser
        .login(stack, name, "/_gatelatch/login?return_to=/public/start")
        .await;
    page.expect(200);
    browser
}
