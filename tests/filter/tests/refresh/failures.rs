//! What fails, and whose failure it is.

use super::*;

#[test]
fn a_failure_that_is_not_the_sessions_keeps_it_and_the_next_request_renews_it() {
    let failures = [
        Answer::text(500, "oops"),
        Answer::text(502, ""),
        Answer::text(503, "<html>"),
        Answer::json(503, &json!({"error": "invalid_grant"})),
        Answer::json(429, &json!({"error": "invalid_grant"})),
        Answer::text(200, "<html>login</html>"),
        Answer::text(200, ""),
        Answer::text(200, "{}"),
        Answer::json(200, &json!({"access_token": "a"})),
        Answer::json(200, &json!({"access_token": 7, "token_type": "Bearer"})),
        Answer::json(
            200,
            &json!({"error": "invalid_grant", "access_token": "a", "token_type": "Bearer"}),
        ),
        Answer::text(400, "<html>invalid_grant</html>"),
        Answer::json(400, &json!({"error": "temporarily_unavailable"})),
        Answer::text(302, ""),
        Answer::TimedOut,
        Answer::Reset,
    ];
    for failure in failures {
        let (mut gateway, browser) = expired();
        gateway.idp.next("/token", failure.clone());
        went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
        assert_eq!(
            fail_report(&gateway)["class"],
            json!(FailClass::Transient),
            "{failure:?}"
        );
        assert_eq!(gateway.control.only_session().gone, None);
        let stream = browser.fetch(&mut gateway, "GET", "/");
        new_session(&stream.respond(200, Headers::new(), b""));
    }
}

#[test]
fn a_call_that_cannot_be_sent_is_a_failure_like_any_other() {
    let (mut gateway, browser) = expired();
    gateway.host.cluster("idp", Cluster::Refusing);
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    assert_eq!(fail_report(&gateway)["class"], json!(FailClass::Transient));
    gateway.host.cluster("idp", Cluster::Up);
    gateway.host.cluster("control", Cluster::Refusing);
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    gateway.host.cluster("control", Cluster::Up);
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
}

#[test]
fn a_throttled_provider_is_given_the_rest_that_it_asks_for() {
    let (mut gateway, browser) = expired();
    let headers = Headers::new().with("retry-after", "17");
    gateway.idp.next(
        "/token",
        Answer::Http {
            status: 429,
            headers,
            body: Vec::new(),
        },
    );
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    assert_eq!(fail_report(&gateway)["retry_after_s"], json!(17));
}

#[test]
fn past_the_grace_a_failing_provider_is_a_503_that_keeps_the_session() {
    let (mut gateway, browser) = expired();
    gateway.idp.always("/token", Answer::text(500, ""));
    gateway.advance(Duration::from_secs(61));
    for _ in 0..2 {
        let reply = refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            503,
            "refresh_unavailable",
        );
        assert_eq!(reply.set_cookies(), Vec::<String>::new());
        let page = browser.navigate(&mut gateway, "/").reply();
        assert_eq!(
            (page.status, page.location()),
            (503, ""),
            "no redirect loop"
        );
    }
    gateway.idp.behave();
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
}

#[test]
fn grace_can_be_for_safe_methods_only() {
    let policy = json!({"grace": "1m", "grace_safe_methods_only": true});
    let (mut gateway, browser) =
        expired_in(Setup::new().config(|config| config["refresh"] = policy));
    gateway.idp.always("/token", Answer::text(500, ""));
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    refused(
        &browser.fetch(&mut gateway, "POST", "/"),
        503,
        "refresh_unavailable",
    );
}

#[test]
fn a_client_that_the_provider_does_not_know_is_the_operators_matter() {
    for code in [
        "invalid_client",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    ] {
        let (mut gateway, browser) = expired();
        gateway
            .idp
            .next("/token", Answer::json(401, &json!({"error": code})));
        went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
        assert_eq!(
            fail_report(&gateway)["class"],
            json!(FailClass::Misconfigured),
            "{code}"
        );
        assert_eq!(gateway.control.only_session().gone, None);
    }
}

#[test]
fn another_oauth_error_is_tried_once_more_with_what_the_store_then_holds() {
    let (mut gateway, browser) = expired();
    gateway.idp.next(
        "/token",
        Answer::json(400, &json!({"error": "invalid_request"})),
    );
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(1));
    new_session(&stream.respond(200, Headers::new(), b""));
    assert_eq!(calls(&gateway), [2, 2, 1, 1]);

    let (mut gateway, browser) = expired();
    gateway.idp.always(
        "/token",
        Answer::json(400, &json!({"error": "invalid_request"})),
    );
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.advance(Duration::from_secs(2));
    went_on_in_grace(&stream);
    assert_eq!(calls(&gateway), [2, 2, 0, 2]);
}

#[test]
fn a_control_service_that_cannot_be_asked_keeps_the_session() {
    let outages = [
        Answer::text(500, ""),
        Answer::text(200, "<html>"),
        Answer::json(401, &json!({"error": "unauthorized", "message": "No."})),
        Answer::json(404, &json!({"error": "not_found", "message": "No."})),
        Answer::TimedOut,
        Answer::Reset,
    ];
    for outage in outages {
        let (mut gateway, browser) = expired();
        gateway.control.next("/refresh/begin", outage.clone());
        went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
        gateway.advance(Duration::from_secs(60));
        gateway.control.next("/refresh/begin", outage.clone());
        let reply = refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            503,
            "control_unavailable",
        );
        assert_eq!(reply.set_cookies(), Vec::<String>::new(), "{outage:?}");
        assert_eq!(calls(&gateway)[1], 0);
    }
}

#[test]
fn a_failure_report_that_does_not_arrive_changes_nothing_for_the_session() {
    let (mut gateway, browser) = expired();
    gateway.idp.next("/token", Answer::text(500, ""));
    gateway.control.next("/refresh/fail", Answer::Reset);
    went_on_in_grace(&browser.fetch(&mut gateway, "GET", "/"));
    let (mut gateway, browser) = expired();
    gateway.idp.next(
        "/token",
        Answer::json(400, &json!({"error": "invalid_grant"})),
    );
    gateway.control.next("/refresh/fail", Answer::Reset);
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_ended",
    );
}
