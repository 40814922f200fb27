//! A peer that fails while somebody logs in.

use super::*;

#[test]
fn a_provider_that_fails_at_the_token_endpoint_is_unavailable_and_no_verdict_on_the_user() {
    let mut gateway = Gateway::new();
    for answer in [
        Answer::text(500, "oops"),
        Answer::text(503, ""),
        Answer::text(200, "<html>"),
        Answer::text(200, "{}"),
        Answer::json(429, &json!({"error": "invalid_grant"})),
        Answer::json(401, &json!({"error": "invalid_client"})),
        Answer::text(404, ""),
        Answer::TimedOut,
        Answer::Reset,
    ] {
        let (mut browser, callback) = back(&mut gateway);
        gateway.idp.next("/token", answer.clone());
        let reply = browser.follow(&mut gateway, &callback);
        assert_eq!(
            (reply.status, code(&reply).as_str()),
            (503, "idp_unavailable"),
            "{answer:?}"
        );
    }
    let (mut browser, callback) = back(&mut gateway);
    gateway.idp.next(
        "/token",
        Answer::json(400, &json!({"error": "invalid_grant"})),
    );
    refused(
        &browser.follow(&mut gateway, &callback),
        400,
        "login_refused",
    );
    Browser::logged_in(&mut gateway);
}

#[test]
fn a_session_that_cannot_be_made_durable_is_not_handed_out() {
    let failures = [
        Answer::text(500, "oops"),
        Answer::text(200, "{}"),
        Answer::json(401, &json!({"error": "unauthorized", "message": "No."})),
        Answer::TimedOut,
        Answer::Reset,
    ];
    let mut gateway = Gateway::new();
    for path in ["/claim", "/v1/sessions"] {
        for answer in &failures {
            let (mut browser, callback) = back(&mut gateway);
            gateway.control.next(path, answer.clone());
            let reply = browser.follow(&mut gateway, &callback);
            assert_eq!(
                (reply.status, code(&reply).as_str()),
                (503, "control_unavailable"),
                "{path} {answer:?}"
            );
            assert_eq!(browser.cookie(SESSION_COOKIE), None);
        }
    }
    let (mut browser, callback) = back(&mut gateway);
    gateway.control.next(
        "/v1/sessions",
        Answer::json(
            200,
            &CreateOutcome::Gone {
                reason: GoneReason::Revoked,
            },
        ),
    );
    refused(
        &browser.follow(&mut gateway, &callback),
        400,
        "login_refused",
    );
    let (mut browser, callback) = back(&mut gateway);
    gateway
        .control
        .next("/claim", Answer::json(200, &ClaimOutcome::Used));
    refused(
        &browser.follow(&mut gateway, &callback),
        400,
        "login_replayed",
    );
}

#[test]
fn before_the_provider_is_known_nobody_is_sent_anywhere() {
    let setup = Setup::new().peers(|_, idp| idp.always("/openid-configuration", Answer::Reset));
    let mut gateway = setup.start();
    let reply = Browser::new().navigate(&mut gateway, "/").reply();
    refused(&reply, 503, "idp_unavailable");
    assert!(reply.headers.text("retry-after").is_some());
    gateway.idp.behave();
    gateway.advance(Duration::from_secs(40));
    Browser::logged_in(&mut gateway);
}

#[test]
fn metadata_of_another_issuer_is_not_used() {
    let metadata = json!({
        "issuer": "http://localhost:9400/", "authorization_endpoint": "http://localhost:9400/auth",
        "token_endpoint": "http://localhost:9400/token", "jwks_uri": "http://localhost:9400/jwks",
    });
    let setup = Setup::new()
        .peers(|_, idp| idp.always("/openid-configuration", Answer::json(200, &metadata)));
    let mut gateway = setup.start();
    refused(
        &Browser::new().navigate(&mut gateway, "/").reply(),
        503,
        "idp_unavailable",
    );
    assert!(
        gateway
            .host
            .logs()
            .iter()
            .any(|line| line.text.contains("another issuer"))
    );
}
