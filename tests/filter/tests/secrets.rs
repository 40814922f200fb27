//! Nothing secret is in a log, a metric, shared data, a property, or before the application.

use std::time::Duration;

use gatelatch_filter_tests::{
    Answer, Browser, CLIENT_SECRET, GATEWAY_TOKEN, Gateway, Headers, SESSION_COOKIE, SESSION_KEY,
    Setup,
};
use gatelatch_wire::revocation::Revocation;
use serde_json::json;

/// Everything that the filter has shown to operators so far.
fn shown(gateway: &Gateway) -> Vec<u8> {
    let mut shown = gateway.host.shared_bytes();
    for line in gateway.host.logs() {
        shown.extend_from_slice(line.text.as_bytes());
        shown.push(b'\n');
    }
    for name in gateway.host.metrics().keys() {
        shown.extend_from_slice(name.as_bytes());
    }
    for (path, value) in gateway.host.properties() {
        shown.extend([path, value].concat());
    }
    shown
}

fn contains(haystack: &[u8], needle: &str) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle.as_bytes())
}

#[test]
fn a_day_in_the_life_of_a_gateway_shows_no_secret() {
    let mut gateway = Setup::new().workers(2).start();
    let mut secrets: Vec<String> = [CLIENT_SECRET, SESSION_KEY, GATEWAY_TOKEN]
        .map(str::to_owned)
        .into();

    let mut ada = Browser::logged_in(&mut gateway);
    secrets.push(ada.session().to_owned());
    gateway.expire();
    let reply = ada
        .fetch(&mut gateway, "GET", "/")
        .respond(200, Headers::new(), b"");
    ada.keep(&reply);
    secrets.push(ada.session().to_owned());
    gateway.expire();
    gateway.advance(Duration::from_secs(31));
    for failure in [
        Answer::text(500, "secret-of-a-peer"),
        Answer::Reset,
        Answer::text(200, "secret-of-a-peer"),
    ] {
        gateway.idp.next("/token", failure.clone());
        ada.fetch(&mut gateway, "GET", "/");
        gateway.control.next("/refresh/begin", failure);
        ada.fetch(&mut gateway, "GET", "/");
    }
    for (path, fault) in [("/token", true), ("/claim", false), ("/v1/sessions", false)] {
        let mut browser = Browser::new();
        let away = browser
            .navigate(&mut gateway, "/private?token=secret-of-a-user")
            .reply();
        browser.keep(&away);
        secrets.extend(
            browser
                .cookie_names()
                .into_iter()
                .filter_map(|name| browser.cookie(name).map(str::to_owned)),
        );
        let callback = gateway.idp.log_in(away.location());
        let answer = Answer::text(500, "secret-of-a-peer");
        if fault {
            gateway.idp.next(path, answer)
        } else {
            gateway.control.next(path, answer)
        }
        browser.follow(&mut gateway, &callback);
    }
    let now = gateway.host.now();
    gateway.control.revoke(
        &Revocation::All {
            issued_before: None,
        },
        now,
    );
    gateway.settle();
    ada.fetch(&mut gateway, "GET", "/");
    gateway
        .control
        .always("/feed", Answer::text(500, "secret-of-a-peer"));
    gateway
        .idp
        .always("/jwks", Answer::text(200, "secret-of-a-peer"));
    gateway.advance(Duration::from_secs(90));

    secrets.extend(["secret-of-a-peer", "secret-of-a-user"].map(str::to_owned));
    for call in gateway.idp.calls("/token") {
        let kept = ["refresh_token", "code", "code_verifier"];
        secrets.extend(
            call.form()
                .into_iter()
                .filter(|(name, _)| kept.contains(&name.as_str()))
                .map(|(_, value)| value),
        );
        secrets.extend(
            call.headers
                .text("authorization")
                .and_then(|value| value.strip_prefix("Basic "))
                .map(str::to_owned),
        );
    }
    let session = gateway
        .control
        .sessions()
        .values()
        .next()
        .expect("a session");
    secrets.extend(
        session
            .refresh_token
            .iter()
            .chain(&session.id_token)
            .map(|secret| secret.reveal().to_owned()),
    );

    let shown = shown(&gateway);
    assert!(
        !gateway.host.logs().is_empty() && secrets.len() > 12,
        "there is something to look at and for"
    );
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        assert!(!contains(&shown, secret), "{secret} is shown");
    }
}

#[test]
fn the_application_sees_no_token_at_all() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    for _ in 0..2 {
        let seen = format!("{:?}", ada.navigate(&mut gateway, "/").forwarded());
        for secret in [
            ada.session(),
            "refresh-",
            "access-",
            SESSION_COOKIE,
            GATEWAY_TOKEN,
            "eyJ",
        ] {
            assert!(!seen.contains(secret), "{secret} in {seen}");
        }
        gateway.expire();
    }
}

#[test]
fn the_browser_sees_no_token_of_the_provider() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::new();
    let away = browser.navigate(&mut gateway, "/").reply();
    browser.keep(&away);
    let callback = gateway.idp.log_in(away.location());
    let arrived = browser.follow(&mut gateway, &callback);
    let session = gateway.control.only_session();
    let id_token = session.id_token.as_ref().expect("an ID token").reveal();
    let refresh_token = session
        .refresh_token
        .as_ref()
        .expect("a refresh token")
        .reveal();
    for shown in [format!("{away:?}"), format!("{arrived:?}")] {
        for secret in [
            id_token,
            refresh_token,
            "access-",
            CLIENT_SECRET,
            GATEWAY_TOKEN,
        ] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
}

#[test]
fn a_refused_configuration_shows_no_secret() {
    let setup = Setup::new().config(|config| config["session"] = json!({"ttl": "never"}));
    let line = setup.refusal();
    for secret in [CLIENT_SECRET, SESSION_KEY, GATEWAY_TOKEN] {
        assert!(!line.contains(secret), "{line}");
    }
}
