//! Much of everything: sizes, numbers, repetitions.

use super::*;

#[test]
fn long_and_many_headers_are_handled() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    let long = "a".repeat(60_000);
    let path = format!("/{long}?{long}");
    assert_eq!(
        ada.fetch(&mut gateway, "GET", &path)
            .forwarded()
            .headers
            .first(":path")
            .map(<[u8]>::len),
        Some(120_002)
    );
    let nobody = Browser::new();
    let away = nobody.navigate(&mut gateway, &path).reply();
    assert!(away.status == 302 && away.set_cookies().concat().len() < 8_192);

    let mut headers = ada.script("GET", "/");
    for nth in 0..1_000 {
        headers.add(format!("x-{nth}"), "1");
    }
    assert_eq!(
        ada.send(&mut gateway, headers, "")
            .forwarded()
            .headers
            .text("x-999"),
        Some("1")
    );
    let many = (0..3_000)
        .map(|nth| format!("c{nth}=1"))
        .collect::<Vec<_>>()
        .join("; ");
    let mut headers = ada.script("GET", "/");
    headers.replace("cookie", format!("{many}; {}", ada.cookies_for("/")));
    assert_eq!(
        ada.send(&mut gateway, headers, "")
            .forwarded()
            .headers
            .text("cookie"),
        Some(many.as_str())
    );
}

#[test]
fn a_forged_list_of_open_logins_is_bounded() {
    let mut gateway = Gateway::new();
    let mut browser = Browser::new();
    let away = browser.navigate(&mut gateway, "/").reply();
    browser.keep(&away);
    let list = browser
        .cookie_names()
        .into_iter()
        .find(|name| !name.contains("-login-"))
        .map(str::to_owned);
    let list = list.expect("a list of open logins");
    for value in [
        vec!["abcdefgh"; 500].join("."),
        "x".repeat(4_000),
        "....".repeat(1_000),
        "abc=def;Path=/".into(),
    ] {
        let mut forger = Browser::new();
        forger.set_cookie(&list, &value);
        let reply = forger.navigate(&mut gateway, "/").reply();
        assert_eq!(reply.status, 302);
        assert!(
            reply.set_cookies().len() <= 24,
            "{} cookies",
            reply.set_cookies().len()
        );
    }
}

/// A session JWT of the filter's own making with another `jti`, signed as it signs.
fn sibling(token: &str, nth: usize) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let mut parts = token.split('.');
    let (header, payload) = (
        parts.next().expect("a header"),
        parts.next().expect("a payload"),
    );
    let mut claims: Value =
        serde_json::from_slice(&engine.decode(payload).expect("base64url")).expect("JSON");
    claims["jti"] = json!(format!("sibling-{nth}"));
    let message = format!("{header}.{}", engine.encode(claims.to_string()));
    let key = jsonwebtoken::EncodingKey::from_secret(SESSION_KEY.as_bytes());
    let signature =
        jsonwebtoken::crypto::sign(message.as_bytes(), &key, jsonwebtoken::Algorithm::HS256);
    format!("{message}.{}", signature.expect("HS256 signs"))
}

/// One of each common kind of request.
fn round(gateway: &mut Gateway, ada: &Browser, nth: usize) {
    let nobody = Browser::new();
    ada.fetch(gateway, "GET", "/a")
        .respond(200, Headers::new(), b"");
    nobody
        .fetch(gateway, "GET", "/public/a")
        .respond(200, Headers::new(), b"");
    nobody.navigate(gateway, &format!("/{nth}")).reply();
    nobody.fetch(gateway, "POST", "/a").reply();
    let mut forged = ada.script("GET", "/");
    forged.replace("cookie", format!("{SESSION_COOKIE}=forged-{nth}"));
    ada.send(gateway, forged, "").reply();
    ada.fetch(gateway, "GET", "/left").reset();
    nobody
        .navigate(
            gateway,
            &format!("/_gatelatch/callback?state=unknown-{nth}&code=c"),
        )
        .reply();
}

#[test]
fn two_thousand_requests_leave_the_memory_as_it_was() {
    let mut gateway = Setup::new()
        .config(|config| config["session"] = json!({"ttl": "15m"}))
        .start();
    let ada = Browser::logged_in(&mut gateway);
    for nth in 0..100 {
        round(&mut gateway, &ada, nth);
    }
    let before = (gateway.vm(0).memory_bytes(), gateway.host.shared_data());
    for nth in 100..400 {
        round(&mut gateway, &ada, nth);
    }
    assert_eq!(
        (gateway.vm(0).memory_bytes(), gateway.host.shared_data()),
        before
    );
}

/// A request with a session that this worker has not seen before.
fn visit(gateway: &mut Gateway, ada: &Browser, nth: usize) {
    let mut headers = ada.script("GET", "/");
    headers.replace(
        "cookie",
        format!("{SESSION_COOKIE}={}", sibling(ada.session(), nth)),
    );
    let stream = ada.send(gateway, headers, "");
    assert_eq!(
        stream.forwarded().headers.text("x-auth-request-user"),
        Some("ada")
    );
    stream.respond(200, Headers::new(), b"");
}

#[test]
fn any_number_of_sessions_is_remembered_in_bounded_memory() {
    let mut gateway = Setup::new()
        .config(|config| config["session"] = json!({"ttl": "15m"}))
        .start();
    let ada = Browser::logged_in(&mut gateway);
    // The cache has turned over twice by then, and the allocator has settled.
    for nth in 0..8_400 {
        visit(&mut gateway, &ada, nth);
    }
    let before = gateway.vm(0).memory_bytes();
    for nth in 8_400..12_600 {
        visit(&mut gateway, &ada, nth);
    }
    let after = gateway.vm(0).memory_bytes();
    assert!(
        after <= before + 512 * 1024,
        "from {before} to {after} bytes"
    );
    assert!(after < 32 * 1024 * 1024, "{after} bytes");
}

#[test]
fn refreshes_and_clients_that_leave_leave_the_memory_as_it_was() {
    let mut gateway = Setup::new().start();
    let mut ada = Browser::logged_in(&mut gateway);
    for nth in 0..4_200 {
        visit(&mut gateway, &ada, nth);
    }
    let mut refresh = |gateway: &mut Gateway, nth: usize| {
        gateway.host.skip(Duration::from_secs(61));
        gateway.advance(Duration::from_millis(2_100));
        if nth.is_multiple_of(3) {
            ada.fetch(gateway, "GET", "/").reset();
        }
        let reply = ada
            .fetch(gateway, "GET", "/")
            .respond(200, Headers::new(), b"");
        ada.keep(&reply);
    };
    for nth in 0..30 {
        refresh(&mut gateway, nth);
    }
    let before = gateway.vm(0).memory_bytes();
    for nth in 30..230 {
        refresh(&mut gateway, nth);
    }
    let after = gateway.vm(0).memory_bytes();
    assert!(after <= before + 65_536, "from {before} to {after} bytes");
    assert!(
        gateway.idp.calls("/token").len() > 200,
        "the rounds did refresh"
    );
}
