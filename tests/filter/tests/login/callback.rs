//! What comes back from the provider through the browser.

use super::*;

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
