//! What is revoked is out, on every worker of every Envoy, within a second and for good.

mod durable;
mod everywhere;
mod logout;

use std::time::Duration;

use gatelatch_harness::{Browser, Shared, Stack, StackOptions, eventually, user};
use http::Method;
use serde_json::{Value, json};

/// Two Envoys of four workers; each test has users of its own.
static STACK: Shared = Shared::new(|| StackOptions::new().envoys(2, 4));

const LIMIT: Duration = Duration::from_secs(1);

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
    let ada = user("ada");
    let browser = Browser::logged_in(stack, &ada).await;
    stack
        .control()
        .revoke_sid(&browser.session().text("sid"))
        .await;
    eventually_refused(stack, &browser.copy()).await;
    let answer = browser.open(&stack.url("/page?x=1")).await.expect(302);
    assert!(answer.location().starts_with(&stack.ready.issuer));
    assert_eq!(browser.maybe_session(), None);
    // The provider still knows the user, and asks for the password all the same.
    let form = browser.follow(answer).await.expect(200);
    assert!(form.text().contains("name=\"password\""));
    let back = browser.type_name(form.url(), &ada).await;
    let page = browser.follow(back).await.expect(200);
    assert_eq!(page.echo().0["path"], "/page?x=1");
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

async fn eventually_refused(stack: &Stack, browser: &Browser) {
    eventually("the session is refused", 5, async || {
        (browser.fetch(&stack.url("/api")).await.status == 401).then_some(())
    })
    .await;
}
