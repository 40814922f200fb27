//! Logout, and what a page may know of its session.

use std::time::Duration;

use gatelatch_filter_tests::{
    Answer, Browser, Gateway, ISSUER, PUBLIC_URL, Reply, SESSION_COOKIE, Setup,
};
use gatelatch_wire::session::GoneReason;
use serde_json::json;

fn log_out(gateway: &mut Gateway, browser: &Browser) -> Reply {
    let headers = browser
        .request("POST", "/_gatelatch/logout")
        .with("origin", PUBLIC_URL)
        .with("accept", "text/html");
    browser.send(gateway, headers, "").reply()
}

fn is_cleared(reply: &Reply) -> bool {
    reply.set_cookies().iter().any(|line| {
        line.starts_with(&format!("{SESSION_COOKIE}=; "))
            && ["Path=/", "Max-Age=0", "Secure"]
                .iter()
                .all(|attribute| line.contains(attribute))
    })
}

#[test]
fn a_logout_ends_the_session_here_and_then_at_the_provider() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let hint = gateway
        .control
        .only_session()
        .id_token
        .clone()
        .expect("an ID token");
    let reply = log_out(&mut gateway, &browser);
    assert_eq!((reply.status, is_cleared(&reply)), (303, true));
    let (end, query) = reply.location().split_once('?').expect("a query");
    assert_eq!(end, format!("{ISSUER}/end"));
    let parameters: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    assert!(parameters.contains(&("id_token_hint".into(), hint.reveal().into())));
    assert!(parameters.contains(&("post_logout_redirect_uri".into(), format!("{PUBLIC_URL}/"))));
    assert!(parameters.contains(&("client_id".into(), "gatelatch".into())));
    assert_eq!(
        gateway.control.only_session().gone,
        Some(GoneReason::Logout)
    );
}

#[test]
fn an_expired_session_can_be_logged_out_without_renewing_it() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    gateway.expire();
    assert_eq!(log_out(&mut gateway, &browser).status, 303);
    assert_eq!(
        gateway.control.only_session().gone,
        Some(GoneReason::Logout)
    );
    assert_eq!(gateway.control.calls("/refresh/begin").len(), 0);
}

#[test]
fn a_logout_without_a_session_goes_home() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::new();
    for _ in 0..2 {
        let reply = log_out(&mut gateway, &browser);
        assert_eq!(
            (reply.status, reply.location()),
            (303, format!("{PUBLIC_URL}/").as_str())
        );
        browser.set_cookie(SESSION_COOKIE, "garbage");
    }
    assert_eq!(gateway.control.calls("/end").len(), 0);
}

#[test]
fn another_site_cannot_log_anybody_out() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let attempts = [
        browser
            .request("POST", "/_gatelatch/logout")
            .with("origin", "https://evil.example"),
        browser
            .request("POST", "/_gatelatch/logout")
            .with("origin", "null"),
        browser
            .request("POST", "/_gatelatch/logout")
            .with("sec-fetch-site", "cross-site"),
        browser
            .request("POST", "/_gatelatch/logout")
            .with("sec-fetch-site", "same-site"),
        browser
            .request("POST", "/_gatelatch/logout")
            .with("referer", "http://localhost:8000.evil.example/"),
    ];
    for headers in attempts {
        let reply = browser.send(&mut gateway, headers.clone(), "").reply();
        assert_eq!(
            (reply.status, is_cleared(&reply)),
            (403, false),
            "{headers:?}"
        );
    }
    let reply = browser
        .fetch(&mut gateway, "GET", "/_gatelatch/logout")
        .reply();
    assert_eq!(reply.status, 405);
    assert_eq!(gateway.control.only_session().gone, None);
}

#[test]
fn a_logout_that_is_not_durable_keeps_the_cookie_so_that_it_can_be_tried_again() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    for outage in [
        Answer::Reset,
        Answer::TimedOut,
        Answer::text(500, ""),
        Answer::text(200, "<html>"),
    ] {
        gateway.control.next("/end", outage.clone());
        let reply = log_out(&mut gateway, &browser);
        assert_eq!(
            (reply.status, is_cleared(&reply)),
            (503, false),
            "{outage:?}"
        );
    }
    assert_eq!(log_out(&mut gateway, &browser).status, 303);
}

#[test]
fn a_page_learns_of_its_session_and_nothing_secret() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    gateway.advance(Duration::from_secs(20));
    let reply = browser
        .fetch(&mut gateway, "GET", "/_gatelatch/session")
        .reply();
    assert_eq!(
        (reply.status, reply.headers.text("cache-control")),
        (200, Some("no-store"))
    );
    let body = reply.json();
    assert_eq!(
        (&body["sub"], &body["seconds_left"]),
        (&json!("ada"), &json!(40))
    );
    assert_eq!(body["claims"]["email"], json!("ada@example.test"));
    let text = String::from_utf8_lossy(&reply.body).into_owned();
    assert!(
        !text.contains("refresh-") && !text.contains("eyJ"),
        "{text}"
    );
}

#[test]
fn a_page_without_a_session_is_told_so_and_not_redirected() {
    let mut gateway = Gateway::new();
    let nobody = Browser::new();
    for stream in [
        nobody.fetch(&mut gateway, "GET", "/_gatelatch/session"),
        nobody.navigate(&mut gateway, "/_gatelatch/session"),
    ] {
        assert_eq!(
            (stream.reply().status, stream.reply().reason().as_str()),
            (401, "no_session")
        );
    }
}

#[test]
fn a_logout_token_of_the_provider_is_forwarded_without_identity() {
    let mut gateway = Setup::new().start();
    let headers = Browser::new()
        .request("POST", "/_gatelatch/backchannel-logout")
        .with("content-type", "application/x-www-form-urlencoded")
        .with("x-auth-request-user", "mallory");
    let stream = Browser::new().send(&mut gateway, headers, "logout_token=x");
    assert_eq!(stream.forwarded().body, b"logout_token=x");
    assert_eq!(
        stream.forwarded().headers.first("x-auth-request-user"),
        None
    );
}
