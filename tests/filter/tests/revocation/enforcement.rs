//! What a revocation does to requests.

use super::*;

#[test]
fn a_revocation_of_each_kind_is_enforced_on_every_worker_without_a_tick() {
    type Kind = (&'static str, fn(&Value) -> Revocation);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let _ = text;
    let kinds: [Kind; 5] = [
        ("jti", |claims| Revocation::Jti {
            id: claims["jti"].as_str().unwrap_or_default().into(),
        }),
        ("sid", |claims| Revocation::Sid {
            id: claims["sid"].as_str().unwrap_or_default().into(),
        }),
        ("sub at the provider", |claims| Revocation::Sub {
            iss: gatelatch_filter_tests::ISSUER.into(),
            sub: claims["sub"].as_str().unwrap_or_default().into(),
            issued_before: None,
        }),
        ("sub at the gateway", |claims| Revocation::Sub {
            iss: gatelatch_filter_tests::PUBLIC_URL.into(),
            sub: claims["sub"].as_str().unwrap_or_default().into(),
            issued_before: None,
        }),
        ("all", |_| Revocation::All {
            issued_before: None,
        }),
    ];
    for (kind, revocation) in kinds {
        let mut gateway = Setup::new().workers(3).start();
        let browser = Browser::logged_in(&mut gateway);
        for worker in 0..3 {
            accepted(&browser.at_worker(worker).fetch(&mut gateway, "GET", "/"));
        }
        revoke(&mut gateway, &revocation(&claims(browser.session())));
        for worker in 0..3 {
            let reply = refused(
                &browser.at_worker(worker).fetch(&mut gateway, "GET", "/"),
                401,
                "session_revoked",
            );
            assert!(
                reply
                    .set_cookies()
                    .concat()
                    .starts_with(&format!("{SESSION_COOKIE}=; ")),
                "{kind}"
            );
        }
    }
}

#[test]
fn a_revocation_spares_everybody_else() {
    let mut gateway = Gateway::new();
    let (ada, other) = (
        Browser::logged_in(&mut gateway),
        Browser::logged_in(&mut gateway),
    );
    revoke_session(&mut gateway, &ada);
    refused(&ada.fetch(&mut gateway, "GET", "/"), 401, "session_revoked");
    accepted(&other.fetch(&mut gateway, "GET", "/"));
}

#[test]
fn who_is_revoked_can_log_in_again() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::logged_in(&mut gateway);
    revoke(
        &mut gateway,
        &Revocation::All {
            issued_before: None,
        },
    );
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
    gateway.advance(Duration::from_secs(1));
    browser.log_in(&mut gateway, "/");
    accepted(&browser.fetch(&mut gateway, "GET", "/"));
}

#[test]
fn a_revoked_session_is_not_renewed() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    gateway.expire();
    revoke_session(&mut gateway, &browser);
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
    assert_eq!(gateway.control.calls("/refresh/begin").len(), 0);
}

#[test]
fn a_revocation_that_arrives_while_the_provider_fails_leaves_no_grace() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    gateway.expire();
    gateway.idp.next("/token", Answer::Later);
    let stream = browser.fetch(&mut gateway, "GET", "/");
    revoke_session(&mut gateway, &browser);
    gateway.take_unanswered("/token").reset();
    gateway.settle();
    let reply = stream.reply();
    assert!(matches!(reply.status, 401 | 503), "{reply:#?}");
}

#[test]
fn a_revoked_session_is_nobody_on_public_and_optional_paths() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    revoke_session(&mut gateway, &browser);
    for path in ["/public/a", "/optional/a"] {
        let seen = browser.fetch(&mut gateway, "GET", path).forwarded().headers;
        assert_eq!(
            (seen.first("x-auth-request-user"), seen.first("cookie")),
            (None, None),
            "{path}"
        );
    }
}

#[test]
fn an_entry_that_is_taken_back_or_has_expired_forbids_no_more() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let digest = Digest::sid(&sid(&browser));
    let entry = |expires_at| Entry {
        digest,
        expires_at,
        issued_before: u32::MAX,
    };
    let now = gateway.host.now().as_secs() as u32;
    gateway.control.publish([entry(now + 3_600)]);
    gateway.settle();
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
    gateway.control.publish([entry(0)]);
    gateway.settle();
    accepted(&browser.fetch(&mut gateway, "GET", "/"));
    gateway.control.publish([entry(now + 5)]);
    gateway.settle();
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
    gateway.advance(Duration::from_secs(6));
    accepted(&browser.fetch(&mut gateway, "GET", "/"));
}

#[test]
fn an_accident_of_hashing_shuts_nobody_out() {
    let mut gateway = Gateway::new();
    let browser = Browser::logged_in(&mut gateway);
    let mut digest = Digest::sid(&sid(&browser));
    digest.0[15] ^= 1;
    let expires_at = gateway.host.now().as_secs() as u32 + 3_600;
    gateway.control.publish([Entry {
        digest,
        expires_at,
        issued_before: u32::MAX,
    }]);
    gateway.settle();
    accepted(&browser.fetch(&mut gateway, "GET", "/"));
}

#[test]
fn a_cut_spares_sessions_that_began_after_it() {
    let mut gateway = Gateway::new();
    let early = Browser::logged_in(&mut gateway);
    gateway.advance(Duration::from_secs(2));
    let cut = gateway.host.now().as_secs();
    gateway.advance(Duration::from_secs(2));
    let late = Browser::logged_in(&mut gateway);
    let revocation = Revocation::Sub {
        iss: gatelatch_filter_tests::ISSUER.into(),
        sub: "ada".into(),
        issued_before: Some(cut),
    };
    revoke(&mut gateway, &revocation);
    refused(
        &early.fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
    accepted(&late.fetch(&mut gateway, "GET", "/"));
}

#[test]
fn a_renewed_session_keeps_its_start_for_cuts() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::logged_in(&mut gateway);
    gateway.expire();
    let reply = browser
        .fetch(&mut gateway, "GET", "/")
        .respond(200, Headers::new(), b"");
    browser.keep(&reply);
    accepted(&browser.fetch(&mut gateway, "GET", "/"));
    let cut = gateway.host.now().as_secs() - 30;
    revoke(
        &mut gateway,
        &Revocation::All {
            issued_before: Some(cut),
        },
    );
    refused(
        &browser.fetch(&mut gateway, "GET", "/"),
        401,
        "session_revoked",
    );
}
