//! From a page to the provider and back to the page.

use super::*;

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
