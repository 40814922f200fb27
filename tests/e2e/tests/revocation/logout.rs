//! Logout, asked for here or at the provider.

use std::time::Instant;

use bytes::Bytes;
use gatelatch_harness::{Browser, Kind, eventually, user};
use http::Method;
use url::Url;

use crate::{LIMIT, STACK, eventually_refused};

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
