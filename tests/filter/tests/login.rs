//! The way to the provider and back.

use std::time::Duration;

use gatelatch_filter_tests::{
    Answer, Browser, Gateway, ISSUER, PUBLIC_URL, Reply, SESSION_COOKIE, Setup, sign,
};
use gatelatch_wire::session::{ClaimOutcome, CreateOutcome, GoneReason};
use serde_json::{Value, json};

/// Goes to a page; the browser as it waits at the provider, and where it was sent.
fn away(gateway: &mut Gateway, path: &str) -> (Browser, String) {
    let mut browser = Browser::new();
    let reply = browser.navigate(gateway, path).reply();
    browser.keep(&reply);
    (browser, reply.location().to_owned())
}

/// A browser at the provider, and the callback to which the provider would send it.
fn back(gateway: &mut Gateway) -> (Browser, String) {
    let (browser, location) = away(gateway, "/start");
    let callback = gateway.idp.log_in(&location);
    (browser, callback)
}

fn parameter(url: &str, name: &str) -> String {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs
        .find(|(held, _)| held == name)
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// The stable code that a page or a JSON refusal shows.
fn code(reply: &Reply) -> String {
    let page = String::from_utf8_lossy(&reply.body).into_owned();
    match page.split_once("<code>") {
        Some((_, rest)) => rest.split('<').next().unwrap_or_default().to_owned(),
        None => reply.reason(),
    }
}

#[track_caller]
fn refused(reply: &Reply, status: u16, reason: &str) {
    assert_eq!(
        (reply.status, code(reply).as_str()),
        (status, reason),
        "{reply:#?}"
    );
    let session = reply.set_cookies().into_iter().find(|line| {
        line.starts_with(&format!("{SESSION_COOKIE}="))
            && !line.starts_with(&format!("{SESSION_COOKIE}=;"))
    });
    assert_eq!(session, None);
}

fn token_calls(gateway: &Gateway) -> usize {
    gateway.idp.calls("/token").len()
}

#[test]
fn a_login_leads_back_to_where_it_began_with_a_session() {
    let mut gateway = Gateway::new();
    let (mut browser, location) = away(&mut gateway, "/orders?id=7&x=%2F");
    assert_eq!(
        parameter(&location, "redirect_uri"),
        format!("{PUBLIC_URL}/_gatelatch/callback")
    );
    assert_eq!(
        parameter(&location, "scope"),
        "openid profile email offline_access"
    );
    assert!(parameter(&location, "state").len() >= 43 && parameter(&location, "nonce").len() >= 22);
    assert!(
        browser
            .cookie_names()
            .iter()
            .any(|name| name.starts_with("__Secure-gatelatch-login-"))
    );

    let callback = gateway.idp.log_in(&location);
    let reply = browser.follow(&mut gateway, &callback);
    assert_eq!(
        (reply.status, reply.location()),
        (302, format!("{PUBLIC_URL}/orders?id=7&x=%2F").as_str())
    );
    assert_eq!(
        browser.cookie_names(),
        [SESSION_COOKIE],
        "the login's cookies are gone"
    );

    let session = gateway.control.only_session();
    assert_eq!(
        (session.view.iss.as_str(), session.view.sub.as_str()),
        (ISSUER, "ada")
    );
    let claims: Vec<&str> = session.view.claims.keys().map(String::as_str).collect();
    assert_eq!(claims, ["email", "groups", "preferred_username"]);
    assert!(session.refresh_token.is_some() && session.id_token.is_some());
    let created = gateway.control.calls("/v1/sessions")[0].json();
    assert_eq!(
        (&created["idp_sid"], &created["gateway"]),
        (&json!("idp-session-1"), &json!(PUBLIC_URL))
    );
    assert_eq!(
        browser
            .navigate(&mut gateway, "/")
            .forwarded()
            .headers
            .text("x-auth-request-user"),
        Some("ada")
    );
}

#[test]
fn a_return_target_leads_nowhere_else() {
    let mut gateway = Gateway::new();
    for (target, lands) in [
        ("/a/b?c=d", "/a/b?c=d"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("/a\r\nset-cookie: x=y", "/"),
        ("/\t/evil.example", "/"),
        ("evil.example", "/"),
        ("/_gatelatch/login", "/"),
        ("", "/"),
    ] {
        let query = form_urlencoded::Serializer::new(String::new())
            .append_pair("return_to", target)
            .finish();
        let (mut browser, location) = away(&mut gateway, &format!("/_gatelatch/login?{query}"));
        let callback = gateway.idp.log_in(&location);
        let reply = browser.follow(&mut gateway, &callback);
        assert_eq!(
            (reply.status, reply.location()),
            (302, format!("{PUBLIC_URL}{lands}").as_str()),
            "{target:?}"
        );
    }
    let twice = Browser::new()
        .navigate(&mut gateway, "/_gatelatch/login?return_to=/a&return_to=/b")
        .reply();
    refused(&twice, 400, "bad_request");
}

#[test]
fn a_callback_with_missing_empty_or_repeated_parameters_is_refused_before_any_call() {
    let mut gateway = Gateway::new();
    let (browser, callback) = back(&mut gateway);
    let (state, code) = (parameter(&callback, "state"), parameter(&callback, "code"));
    let iss = "iss=http%3A%2F%2Flocalhost%3A9400";
    for query in [
        String::new(),
        format!("code={code}&{iss}"),
        format!("state={state}&{iss}"),
        format!("state={state}&code=&{iss}"),
        format!("state=&code={code}&{iss}"),
        format!("state={state}&code={code}&code={code}&{iss}"),
        format!("state={state}&state={state}&code={code}&{iss}"),
        format!("state={state}&code={code}&{iss}&{iss}"),
        format!("state={state}&code={code}&error=access_denied&{iss}"),
    ] {
        let reply = browser
            .navigate(&mut gateway, &format!("/_gatelatch/callback?{query}"))
            .reply();
        assert_eq!(reply.status, 400, "{query}: {reply:#?}");
        assert!(
            ["bad_request", "login_unknown"].contains(&self::code(&reply).as_str()),
            "{query}: {reply:#?}"
        );
    }
    assert_eq!(
        (gateway.control.calls("/claim").len(), token_calls(&gateway)),
        (0, 0)
    );
    let mut browser = browser;
    assert_eq!(
        browser.follow(&mut gateway, &callback).status,
        302,
        "the login itself is not hurt"
    );
}

#[test]
fn a_callback_for_another_browser_another_state_or_another_issuer_is_refused_before_any_call() {
    let mut gateway = Gateway::new();
    let (mut browser, callback) = back(&mut gateway);
    refused(
        &Browser::new().follow(&mut gateway, &callback),
        400,
        "login_unknown",
    );

    let state = parameter(&callback, "state");
    let last = if state.ends_with('A') { "B" } else { "A" };
    let other = callback.replace(&state, &format!("{}{last}", &state[..state.len() - 1]));
    refused(
        &browser.clone().follow(&mut gateway, &other),
        400,
        "login_unknown",
    );
    let (_, elsewhere) = back(&mut gateway);
    refused(
        &browser.clone().follow(&mut gateway, &elsewhere),
        400,
        "login_unknown",
    );

    let mixed_up = callback.replace("localhost%3A9400", "evil.example");
    refused(
        &browser.clone().follow(&mut gateway, &mixed_up),
        400,
        "login_invalid",
    );
    let unnamed = callback
        .split("&iss=")
        .next()
        .expect("a first part")
        .to_owned();
    refused(
        &browser.follow(&mut gateway, &unnamed),
        400,
        "login_invalid",
    );
    assert_eq!(
        (gateway.control.calls("/claim").len(), token_calls(&gateway)),
        (0, 0)
    );
}

#[test]
fn a_login_cookie_that_was_tampered_with_or_renamed_opens_nothing() {
    let mut gateway = Gateway::new();
    let (browser, callback) = back(&mut gateway);
    let names = browser.cookie_names();
    let name = names
        .iter()
        .find(|name| name.starts_with("__Secure-gatelatch-login-"))
        .expect("a login cookie");
    let sealed = browser.cookie(name).expect("its value").to_owned();
    let (head, tail) = sealed.split_at(sealed.len() - 2);
    for value in [
        format!("{head}{}", if tail == "AA" { "BB" } else { "AA" }),
        head.to_owned(),
        String::new(),
        "%".into(),
    ] {
        let mut thief = Browser::new();
        thief.set_cookie(name, &value);
        refused(&thief.follow(&mut gateway, &callback), 400, "login_unknown");
    }
    let (mut other, other_callback) = back(&mut gateway);
    let other_name = other
        .cookie_names()
        .into_iter()
        .find(|name| name.starts_with("__Secure-gatelatch-login-"));
    let other_name = other_name.expect("a login cookie").to_owned();
    other.keep(&Reply {
        status: 200,
        headers: gatelatch_filter_tests::Headers::new().with(
            "set-cookie",
            format!("{other_name}={sealed}; Path=/_gatelatch/callback; Secure"),
        ),
        body: Vec::new(),
        details: None,
    });
    refused(
        &other.follow(&mut gateway, &other_callback),
        400,
        "login_unknown",
    );
}

#[test]
fn an_error_from_the_provider_ends_this_login_and_is_not_repeated_as_text() {
    let mut gateway = Gateway::new();
    let (mut browser, callback) = back(&mut gateway);
    let state = parameter(&callback, "state");
    let refusal = format!(
        "{PUBLIC_URL}/_gatelatch/callback?error=access_denied&error_description=%3Cscript%3Ehi&state={state}&iss=http%3A%2F%2Flocalhost%3A9400"
    );
    let reply = browser.follow(&mut gateway, &refusal);
    refused(&reply, 400, "login_refused");
    assert!(!String::from_utf8_lossy(&reply.body).contains("script>hi"));
    assert_eq!(
        browser.cookie_names(),
        Vec::<&str>::new(),
        "the login's cookies are gone"
    );
    assert_eq!(token_calls(&gateway), 0);
}

#[test]
fn a_callback_counts_once_also_when_its_cookie_was_kept() {
    let mut gateway = Gateway::new();
    let (browser, callback) = back(&mut gateway);
    let mut first = browser.clone();
    assert_eq!(first.follow(&mut gateway, &callback).status, 302);
    let mut copy = browser.clone();
    refused(&copy.follow(&mut gateway, &callback), 400, "login_replayed");
    assert_eq!(token_calls(&gateway), 1);

    let again = first
        .navigate(
            &mut gateway,
            callback.strip_prefix(PUBLIC_URL).expect("our origin"),
        )
        .reply();
    assert_eq!(
        (again.status, again.location()),
        (302, format!("{PUBLIC_URL}/").as_str()),
        "back in a logged-in tab"
    );
}

#[test]
fn a_login_that_takes_too_long_is_over() {
    let mut gateway = Gateway::new();
    let (mut browser, callback) = back(&mut gateway);
    gateway.advance(Duration::from_secs(601));
    refused(
        &browser.follow(&mut gateway, &callback),
        400,
        "login_unknown",
    );
}

#[test]
fn an_id_token_with_any_fault_makes_no_session() {
    type Fault = (&'static str, fn(&mut Value));
    let faults: [Fault; 16] = [
        ("issuer", |claims| {
            claims["iss"] = json!("http://localhost:9400/")
        }),
        ("audience", |claims| claims["aud"] = json!("another")),
        ("no audience", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("aud")))
        }),
        ("second audience", |claims| {
            claims["aud"] = json!(["gatelatch", "another"])
        }),
        ("authorized party", |claims| {
            claims["azp"] = json!("another")
        }),
        ("nonce", |claims| claims["nonce"] = json!("another")),
        ("no nonce", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("nonce")))
        }),
        ("expired", |claims| {
            claims["exp"] = json!(claims["iat"].as_u64().unwrap_or(0) - 60)
        }),
        ("no expiry", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("exp")))
        }),
        ("text expiry", |claims| claims["exp"] = json!("4000000000")),
        ("issued in the future", |claims| {
            claims["iat"] = json!(claims["iat"].as_u64().unwrap_or(0) + 3_600)
        }),
        ("no issue", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("iat")))
        }),
        ("no subject", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("sub")))
        }),
        ("empty subject", |claims| claims["sub"] = json!("")),
        ("number as subject", |claims| claims["sub"] = json!(7)),
        ("access token hash", |claims| {
            claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA")
        }),
    ];
    let mut gateway = Gateway::new();
    for (fault, edit) in faults {
        gateway.idp.edit_id_tokens(edit);
        let (mut browser, callback) = back(&mut gateway);
        let reply = browser.follow(&mut gateway, &callback);
        assert_eq!(
            (reply.status, code(&reply).as_str()),
            (400, "login_invalid"),
            "{fault}"
        );
        assert_eq!(browser.cookie(SESSION_COOKIE), None, "{fault}");
    }
    assert_eq!(gateway.control.sessions().len(), 0);
}

#[test]
fn an_id_token_that_is_not_signed_by_the_provider_makes_no_session() {
    let mut gateway = Gateway::new();
    let good = sign(&json!({"iss": ISSUER}), 0);
    let parts: Vec<&str> = good.split('.').collect();
    for token in [
        format!("eyJhbGciOiJub25lIn0.{}.", parts[1]),
        format!("eyJhbGciOiJub25lIn0.{}.{}", parts[1], parts[2]),
        format!(
            "eyJhbGciOiJIUzI1NiIsImtpZCI6ImtleS0wIn0.{}.{}",
            parts[1], parts[2]
        ),
        format!("{}.{}.", parts[0], parts[1]),
        String::new(),
        "not a token".to_owned(),
    ] {
        let (mut browser, callback) = back(&mut gateway);
        let body = json!({"access_token": "a", "token_type": "Bearer", "id_token": token});
        gateway.idp.next("/token", Answer::json(200, &body));
        refused(
            &browser.follow(&mut gateway, &callback),
            400,
            "login_invalid",
        );
    }
    let (mut browser, callback) = back(&mut gateway);
    gateway.idp.next(
        "/token",
        Answer::json(200, &json!({"access_token": "a", "token_type": "Bearer"})),
    );
    refused(
        &browser.follow(&mut gateway, &callback),
        400,
        "login_invalid",
    );
}

#[test]
fn a_new_signing_key_is_fetched_once_and_an_invented_one_does_not_cause_a_storm() {
    let mut gateway = Gateway::new();
    (gateway.idp.signing_key, gateway.idp.published) = (1, 2);
    let before = gateway.idp.calls("/jwks").len();
    let browser = Browser::logged_in(&mut gateway);
    assert!(browser.cookie(SESSION_COOKIE).is_some());
    assert_eq!(gateway.idp.calls("/jwks").len(), before + 1);

    let mut gateway = Gateway::new();
    gateway.idp.signing_key = 1;
    let before = gateway.idp.calls("/jwks").len();
    for _ in 0..4 {
        let (mut browser, callback) = back(&mut gateway);
        refused(
            &browser.follow(&mut gateway, &callback),
            400,
            "login_invalid",
        );
    }
    assert_eq!(gateway.idp.calls("/jwks").len(), before + 1);
}

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
fn five_tabs_can_log_in_at_once() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::new();
    let mut callbacks = Vec::new();
    for tab in 0..5 {
        let reply = browser
            .navigate(&mut gateway, &format!("/tab/{tab}"))
            .reply();
        browser.keep(&reply);
        callbacks.push(gateway.idp.log_in(reply.location()));
    }
    for (tab, callback) in callbacks.iter().enumerate() {
        let reply = browser.follow(&mut gateway, callback);
        assert_eq!(
            (reply.status, reply.location()),
            (302, format!("{PUBLIC_URL}/tab/{tab}").as_str())
        );
    }
    assert_eq!(browser.cookie_names(), [SESSION_COOKIE]);
}

#[test]
fn abandoned_logins_do_not_pile_up_in_the_browser() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::new();
    for nth in 0..40 {
        let reply = browser.navigate(&mut gateway, &format!("/{nth}")).reply();
        browser.keep(&reply);
    }
    assert!(
        browser.cookie_names().len() <= 9,
        "{:?}",
        browser.cookie_names()
    );
    assert!(
        browser.cookies_for("/").len() < 200,
        "sent with every request: {}",
        browser.cookies_for("/")
    );
    browser.log_in(&mut gateway, "/latest");
}

#[test]
fn nothing_of_a_login_reaches_the_application() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::logged_in(&mut gateway);
    let away = browser.navigate(&mut gateway, "/_gatelatch/login").reply();
    browser.keep(&away);
    browser.set_cookie("__Secure-gatelatch-login-abcdefgh", "x");
    browser.set_cookie("theme", "dark");
    let seen = browser.navigate(&mut gateway, "/").forwarded().headers;
    assert_eq!(seen.text("cookie"), Some("theme=dark"));
}

#[test]
fn a_second_login_takes_the_place_of_the_first_session() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::logged_in(&mut gateway);
    let first = gateway.control.only_session().view.sid.clone();
    let away = browser.navigate(&mut gateway, "/_gatelatch/login").reply();
    browser.keep(&away);
    let callback = gateway.idp.log_in(away.location());
    assert_eq!(browser.follow(&mut gateway, &callback).status, 302);
    assert_eq!(
        gateway.control.sessions()[&first].gone,
        Some(GoneReason::Replaced)
    );
    assert_eq!(gateway.control.sessions().len(), 2);
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

#[test]
fn claims_that_no_cookie_can_hold_fail_loudly_and_not_in_a_loop() {
    let mut gateway = Gateway::new();
    gateway.idp.claims["groups"] = (0..400)
        .map(|nth| json!(format!("group-{nth:06}")))
        .collect();
    let (mut browser, callback) = back(&mut gateway);
    let reply = browser.follow(&mut gateway, &callback);
    refused(&reply, 500, "mint_failed");
}

#[test]
fn a_user_without_a_refresh_token_has_a_session_all_the_same() {
    let mut gateway = Gateway::new();
    let (mut browser, callback) = back(&mut gateway);
    gateway.idp.without_refresh_tokens = true;
    assert_eq!(browser.follow(&mut gateway, &callback).status, 302);
    assert!(gateway.control.only_session().refresh_token.is_none());
    assert!(browser.cookie(SESSION_COOKIE).is_some());
}

#[test]
fn own_paths_have_their_methods_and_nothing_else() {
    let mut gateway = Gateway::new();
    let nobody = Browser::new();
    for (method, path, status) in [
        ("POST", "/_gatelatch/callback", 405),
        ("POST", "/_gatelatch/login", 405),
        ("GET", "/_gatelatch/logout", 405),
        ("DELETE", "/_gatelatch/session", 405),
        ("GET", "/_gatelatch/backchannel-logout", 405),
        ("GET", "/_gatelatch/", 404),
        ("GET", "/_gatelatch/login/", 404),
        ("GET", "/_gatelatch/nothing", 404),
    ] {
        let reply = nobody
            .send(&mut gateway, nobody.script(method, path), "")
            .reply();
        assert_eq!(reply.status, status, "{method} {path}");
    }
}
