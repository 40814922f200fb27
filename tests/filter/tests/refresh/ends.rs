//! When a session is over, and who may say so.

use super::*;

#[test]
fn a_session_that_is_over_is_a_login_for_pages_and_a_401_for_scripts() {
    for (reason, code) in [
        (GoneReason::Unknown, "session_ended"),
        (GoneReason::Logout, "session_ended"),
        (GoneReason::Replaced, "session_ended"),
        (GoneReason::InvalidGrant, "session_ended"),
        (GoneReason::Revoked, "session_revoked"),
        (GoneReason::BackchannelLogout, "session_revoked"),
        (GoneReason::Expired, "session_expired"),
        (GoneReason::NoRefreshToken, "session_expired"),
    ] {
        let (mut gateway, browser) = expired();
        let sid = gateway.control.only_session().view.sid.clone();
        gateway.control.end(&sid, reason);
        let reply = refused(&browser.fetch(&mut gateway, "POST", "/"), 401, code);
        assert!(
            reply
                .set_cookies()
                .concat()
                .starts_with(&format!("{SESSION_COOKIE}=; ")),
            "{reply:#?}"
        );
        let page = browser.navigate(&mut gateway, "/page").reply();
        assert_eq!(page.status, 302);
        assert!(page.location().starts_with("http://localhost:9400/auth?"));
        assert!(
            page.set_cookies()
                .iter()
                .any(|line| line.starts_with(&format!("{SESSION_COOKIE}=; ")))
        );
        let optional = browser.fetch(&mut gateway, "GET", "/optional/a");
        assert_eq!(went_on(&optional).first("x-auth-request-user"), None);
        let cleared = optional
            .respond(200, Headers::new(), b"")
            .set_cookies()
            .concat();
        assert!(
            cleared.starts_with(&format!("{SESSION_COOKIE}=; ")),
            "{cleared}"
        );
        assert_eq!(calls(&gateway)[1], 0, "{reason:?}");
    }
}

#[test]
fn only_an_invalid_grant_ends_the_session() {
    for status in [400, 401, 403] {
        let (mut gateway, browser) = expired();
        gateway.idp.next(
            "/token",
            Answer::json(status, &json!({"error": "invalid_grant"})),
        );
        refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            401,
            "session_ended",
        );
        assert_eq!(
            fail_report(&gateway)["class"],
            json!(FailClass::InvalidGrant)
        );
        refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            401,
            "session_ended",
        );
        assert_eq!(
            calls(&gateway)[1],
            1,
            "nothing is spent on a session that is over"
        );
    }
}

#[test]
fn a_refreshed_id_token_of_another_user_ends_the_session() {
    type Fault = (&'static str, fn(&mut Value));
    let faults: [Fault; 4] = [
        ("user", |claims| claims["sub"] = json!("mallory")),
        ("issuer", |claims| {
            claims["iss"] = json!("http://localhost:9400/other")
        }),
        ("audience", |claims| claims["aud"] = json!("another")),
        ("expired", |claims| claims["exp"] = json!(1_000)),
    ];
    for (fault, edit) in faults {
        let (mut gateway, browser) = expired();
        gateway.idp.edit_id_tokens(edit);
        refused(
            &browser.fetch(&mut gateway, "GET", "/"),
            401,
            "session_ended",
        );
        assert_eq!(
            fail_report(&gateway)["class"],
            json!(FailClass::Mismatch),
            "{fault}"
        );
        assert_eq!(calls(&gateway)[2], 0, "{fault}");
    }
}

#[test]
fn a_revocation_during_a_refresh_wins() {
    let (mut gateway, browser) = expired();
    let sid = gateway.control.only_session().view.sid.clone();
    gateway.idp.next("/token", Answer::Later);
    let stream = browser.fetch(&mut gateway, "GET", "/");
    gateway.control.end(&sid, GoneReason::Revoked);
    gateway.release("/token");
    let reply = refused(&stream, 401, "session_revoked");
    assert!(
        reply
            .set_cookies()
            .concat()
            .starts_with(&format!("{SESSION_COOKIE}=; "))
    );
    assert_eq!(
        calls(&gateway),
        [1, 1, 1, 0],
        "the rotated token was still handed over"
    );
}

#[test]
fn past_its_absolute_end_a_session_is_not_renewed() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    gateway.host.skip(Duration::from_secs(12 * 3600 + 1));
    gateway.advance(Duration::from_secs(40));
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_expired",
    );
    assert_eq!(calls(&gateway), [0, 0, 0, 0]);
}

#[test]
fn past_the_refresh_window_a_session_is_not_renewed() {
    let session = json!({"ttl": "1m", "refresh_window": "5m"});
    let mut gateway = Setup::new()
        .config(|config| config["session"] = session)
        .start();
    let browser = Browser::logged_in(&mut gateway);
    gateway.advance(Duration::from_secs(359));
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
    gateway.advance(Duration::from_secs(2));
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_expired",
    );
}
