//! The way back from the provider, and what must not come back that way.

use gatelatch_harness::{Browser, user};
use url::Url;

use crate::{LOGIN_COOKIE, STACK};

#[tokio::test]
async fn a_callback_used_twice_makes_no_second_session() {
    let stack = STACK.get();
    let (browser, ada) = (Browser::new(), user("ada"));
    let form = browser.login_form(&stack.url("/first")).await;
    let resumed = browser.type_name(&form, &ada).await;
    let callback = browser.follow_to(resumed, "/_gatelatch/callback").await;
    let before = browser.copy();
    browser.open(&callback).await.expect(302);

    // With the session, as after "back": nothing is wrong.
    let again = browser.open(&callback).await.expect(302);
    assert_eq!(again.location(), stack.url("/"));
    assert_eq!(again.set_cookies(), [] as [&str; 0]);
    // With the transaction cookie kept, as by a thief: refused.
    let replay = before.open(&callback).await.expect(400);
    assert!(
        replay.text().contains("login_replayed"),
        "{}",
        replay.brief()
    );
    assert_eq!(before.maybe_session(), None);
    let listed = stack
        .control()
        .get(&format!("/v1/sessions?sub={ada}"))
        .await
        .expect(200)
        .json();
    assert_eq!(listed["sessions"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_callback_in_a_browser_that_did_not_begin_it_is_refused() {
    let stack = STACK.get();
    let attacker = Browser::new();
    let form = attacker.login_form(&stack.url("/")).await;
    let resumed = attacker.type_name(&form, &user("mallory")).await;
    let callback = attacker.follow_to(resumed, "/_gatelatch/callback").await;

    let victim = Browser::new();
    let answer = victim.open(&callback).await.expect(400);
    assert!(
        answer.text().contains("login_unknown"),
        "{}",
        answer.brief()
    );
    assert!(!answer.is_redirect());
    assert_eq!(victim.maybe_session(), None);
}

#[tokio::test]
async fn a_callback_with_a_parameter_twice_is_refused() {
    let stack = STACK.get();
    let browser = Browser::new();
    let form = browser.login_form(&stack.url("/")).await;
    let resumed = browser.type_name(&form, &user("ada")).await;
    let callback = browser.follow_to(resumed, "/_gatelatch/callback").await;
    for name in ["code", "state", "iss"] {
        let url = Url::parse(&callback).expect("a URL");
        let mut twice = url.clone();
        let (_, value) = url
            .query_pairs()
            .find(|(key, _)| key == name)
            .expect("the parameter");
        twice.query_pairs_mut().append_pair(name, &value);
        let answer = browser.open(twice.as_str()).await.expect(400);
        assert!(
            answer.text().contains("bad_request"),
            "{name}: {}",
            answer.brief()
        );
    }
    // The login itself is not harmed by it.
    browser.open(&callback).await.expect(302);
    assert!(browser.maybe_session().is_some());
}

#[tokio::test]
async fn a_callback_that_names_another_issuer_or_none_is_refused() {
    let stack = STACK.get();
    for issuer in ["http://localhost:1", ""] {
        let browser = Browser::new();
        let form = browser.login_form(&stack.url("/")).await;
        let resumed = browser.type_name(&form, &user("ada")).await;
        let callback = browser.follow_to(resumed, "/_gatelatch/callback").await;
        let url = Url::parse(&callback).expect("a URL");
        let mut mixed = url.clone();
        mixed
            .query_pairs_mut()
            .clear()
            .extend_pairs(url.query_pairs().filter(|(key, _)| key != "iss"));
        if !issuer.is_empty() {
            mixed.query_pairs_mut().append_pair("iss", issuer);
        }
        let answer = browser.open(mixed.as_str()).await.expect(400);
        assert!(
            answer.text().contains("login_invalid"),
            "{issuer:?}: {}",
            answer.brief()
        );
        assert_eq!(browser.maybe_session(), None);
    }
}

#[tokio::test]
async fn a_refusal_of_the_provider_ends_with_a_page_and_not_with_another_login() {
    let stack = STACK.get();
    let browser = Browser::new();
    let first = browser.open(&stack.url("/")).await.expect(302);
    let state = Url::parse(first.location()).expect("a URL");
    let state = state
        .query_pairs()
        .find(|(key, _)| key == "state")
        .expect("state")
        .1
        .into_owned();
    let mut callback = Url::parse(&stack.url("/_gatelatch/callback")).expect("a URL");
    callback
        .query_pairs_mut()
        .append_pair("error", "access_denied")
        .append_pair("error_description", "<script>alert(1)</script>")
        .append_pair("state", &state)
        .append_pair("iss", &stack.ready.issuer);
    let answer = browser.open(callback.as_str()).await.expect(400);
    assert!(
        answer.text().contains("login_refused"),
        "{}",
        answer.brief()
    );
    assert!(
        !answer.text().contains("alert"),
        "nothing of the provider's text is shown"
    );
    assert!(!answer.is_redirect());
    assert_eq!(
        browser.jar().named(LOGIN_COOKIE).len(),
        0,
        "the transaction is closed"
    );
}
