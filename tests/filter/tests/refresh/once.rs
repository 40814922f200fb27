//! The refresh itself: one token call, one forward, one cookie.

use super::*;

#[test]
fn an_expired_session_is_renewed_and_the_request_goes_on_once_with_its_body() {
    let (mut gateway, mut browser) = expired();
    gateway.idp.claims["email"] = json!("ada@new.test");
    let headers = browser
        .script("POST", "/orders?x=1")
        .with("content-type", "application/json");
    let body = vec![b'x'; 100_000];
    let stream = browser.send(&mut gateway, headers.clone(), &body);
    let forwarded = stream.forwarded();
    assert_eq!(forwarded.body, body);
    assert_eq!(forwarded.headers.text(":path"), Some("/orders?x=1"));
    assert_eq!(
        forwarded.headers.text("x-auth-request-email"),
        Some("ada@new.test")
    );
    assert_eq!(forwarded.headers.first("cookie"), None);
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);

    let reply = stream.respond(
        201,
        Headers::new()
            .with("set-cookie", "theme=dark")
            .with("x-app", "1"),
        b"made",
    );
    let renewed = new_session(&reply);
    assert_ne!(renewed, browser.session());
    assert_eq!(
        (
            reply.status,
            reply.headers.text("x-app"),
            reply.body.as_slice()
        ),
        (201, Some("1"), &b"made"[..])
    );
    assert!(reply.set_cookies().contains(&"theme=dark".to_owned()));
    assert_eq!(reply.headers.text("cache-control"), Some("no-store"));

    browser.keep(&reply);
    assert_eq!(
        went_on(&browser.fetch(&mut gateway, "GET", "/")).text("x-auth-request-user"),
        Some("ada")
    );
    assert_eq!(
        calls(&gateway),
        [1, 1, 1, 0],
        "the new session needs nobody"
    );
}

#[test]
fn what_is_spent_and_stored_is_what_the_store_and_the_provider_gave() {
    let (mut gateway, browser) = expired();
    let spent = gateway
        .control
        .only_session()
        .refresh_token
        .clone()
        .expect("a refresh token");
    browser.fetch(&mut gateway, "GET", "/");
    let call = gateway.idp.calls("/token")[1].form();
    assert!(
        call.contains(&("refresh_token".to_owned(), spent.reveal().to_owned())),
        "{call:?}"
    );
    let stored = gateway
        .control
        .only_session()
        .refresh_token
        .clone()
        .expect("a refresh token");
    assert_ne!(stored.reveal(), spent.reveal());
    assert_eq!(
        gateway.idp.live_refresh_tokens(),
        1,
        "and it is the live one"
    );
}

#[test]
fn the_new_cookie_is_on_every_kind_of_response() {
    for status in [101, 200, 204, 301, 304, 404, 500, 503] {
        let (mut gateway, browser) = expired();
        let stream = browser.fetch(&mut gateway, "GET", "/");
        new_session(&stream.respond(status, Headers::new(), b""));
    }
}

#[test]
fn a_websocket_handshake_is_renewed_too() {
    let (mut gateway, browser) = expired();
    let headers = browser
        .request("GET", "/ws")
        .with("upgrade", "websocket")
        .with("connection", "Upgrade");
    let stream = browser.send(&mut gateway, headers, "");
    assert_eq!(went_on(&stream).text("upgrade"), Some("websocket"));
    new_session(&stream.respond(101, Headers::new().with("upgrade", "websocket"), b""));
}

#[test]
fn public_requests_do_not_renew_anything() {
    let (mut gateway, browser) = expired();
    let stream = browser.fetch(&mut gateway, "GET", "/public/a.css");
    assert_eq!(went_on(&stream).first("cookie"), None);
    assert_eq!(calls(&gateway), [0, 0, 0, 0]);
}

#[test]
fn any_number_of_requests_on_any_worker_make_one_token_call() {
    let (mut gateway, browser) = expired_in(Setup::new().workers(3));
    let streams: Vec<Stream> = (0..30)
        .map(|nth| {
            gateway
                .vm(nth % 3)
                .request(browser.script("GET", &format!("/{nth}")), "")
        })
        .collect();
    assert!(streams.iter().all(Stream::is_paused));
    gateway.settle();
    gateway.advance(Duration::from_secs(1));
    for (nth, stream) in streams.iter().enumerate() {
        assert_eq!(
            went_on(stream).text(":path"),
            Some(format!("/{nth}").as_str())
        );
        new_session(&stream.respond(200, Headers::new(), b""));
    }
    let [_, tokens, completes, fails] = calls(&gateway);
    assert_eq!((tokens, completes, fails), (1, 1, 0));
}

#[test]
fn a_session_that_another_gateway_has_renewed_costs_no_token_call() {
    let (mut gateway, browser) = expired();
    let sid = gateway.control.only_session().view.sid.clone();
    gateway
        .control
        .refreshed_elsewhere(&sid, gateway.host.now());
    let stream = browser.fetch(&mut gateway, "GET", "/");
    new_session(&stream.respond(200, Headers::new(), b""));
    assert_eq!(calls(&gateway), [1, 0, 0, 0]);
}

#[test]
fn a_refresh_without_id_token_or_rotation_keeps_what_there_was() {
    let (mut gateway, browser) = expired();
    let before = gateway.control.only_session().clone();
    (gateway.idp.refreshes_id_token, gateway.idp.rotates) = (false, false);
    let stream = browser.fetch(&mut gateway, "GET", "/");
    assert_eq!(
        went_on(&stream).text("x-auth-request-email"),
        Some("ada@example.test")
    );
    new_session(&stream.respond(200, Headers::new(), b""));
    let after = gateway.control.only_session();
    assert_eq!(
        (&after.refresh_token, &after.id_token),
        (&before.refresh_token, &before.id_token)
    );
    assert_eq!(after.view.claims, before.view.claims);
}

#[test]
fn a_refreshed_id_token_under_a_new_key_is_verified_with_a_newer_key_set() {
    let (mut gateway, browser) = expired();
    (gateway.idp.signing_key, gateway.idp.published) = (1, 2);
    new_session(
        &browser
            .fetch(&mut gateway, "GET", "/")
            .respond(200, Headers::new(), b""),
    );
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);
}

#[test]
fn the_session_endpoint_renews_too_and_never_redirects() {
    let (mut gateway, mut browser) = expired();
    let reply = browser
        .navigate(&mut gateway, "/_gatelatch/session")
        .reply();
    assert_eq!((reply.status, &reply.json()["sub"]), (200, &json!("ada")));
    assert_eq!(reply.json()["seconds_left"], json!(60));
    new_session(&reply);
    browser.keep(&reply);
    let again = browser
        .navigate(&mut gateway, "/_gatelatch/session")
        .reply();
    assert_eq!(again.set_cookies(), Vec::<String>::new());
    assert_eq!(calls(&gateway), [1, 1, 1, 0]);
}

#[test]
fn an_application_that_wants_the_jwt_gets_the_new_one() {
    let (mut gateway, mut browser) =
        expired_in(Setup::new().config(|config| config["forward_jwt"] = json!(true)));
    browser.set_cookie("theme", "dark");
    let stream = browser.fetch(&mut gateway, "GET", "/");
    let seen = went_on(&stream)
        .text("cookie")
        .map(str::to_owned)
        .unwrap_or_default();
    let renewed = new_session(&stream.respond(200, Headers::new(), b""));
    let mut cookies: Vec<&str> = seen.split("; ").collect();
    cookies.sort_unstable();
    assert_eq!(
        cookies,
        [format!("{SESSION_COOKIE}={renewed}").as_str(), "theme=dark"]
    );
}
