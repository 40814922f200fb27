//! Bytes that are no text, in every place where a client can put them.

use super::*;

const RAW: [&[u8]; 6] = [
    b"\xff",
    b"\xfe\xff\x80",
    b"a\xc3",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"caf\xe9",
];

const FIELDS: [&str; 18] = [
    ":authority",
    ":scheme",
    "accept",
    "authorization",
    "content-type",
    "cookie",
    "origin",
    "purpose",
    "referer",
    "sec-fetch-dest",
    "sec-fetch-mode",
    "sec-fetch-site",
    "upgrade",
    "user-agent",
    "x-auth-request-user",
    "x-forwarded-for",
    "x-requested-with",
    "x-unheard-of",
];

#[test]
fn any_header_may_be_no_text_on_any_path() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    for path in [
        "/",
        "/public/a",
        "/optional/a",
        "/_gatelatch/login",
        "/_gatelatch/callback?state=a&code=b",
    ] {
        for field in FIELDS {
            for raw in RAW {
                for value in [
                    raw.to_vec(),
                    [raw, b"; ", ada.cookies_for("/").as_bytes()].concat(),
                ] {
                    let mut headers = ada.navigation(path);
                    headers.replace(field, &value);
                    assert!(!ada.send(&mut gateway, headers, "").is_paused());
                }
            }
        }
    }
    assert!(gateway.vm(0).trap().is_none());
    assert_eq!(
        ada.fetch(&mut gateway, "GET", "/")
            .forwarded()
            .headers
            .text("x-auth-request-user"),
        Some("ada")
    );
}

#[test]
fn what_is_no_text_arrives_at_the_application_as_it_was_sent() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    for raw in RAW {
        let headers = ada
            .script("GET", "/")
            .with("user-agent", raw)
            .with("x-name", raw);
        let seen = ada.send(&mut gateway, headers, "").forwarded().headers;
        assert_eq!(
            (seen.first("user-agent"), seen.first("x-name")),
            (Some(raw), Some(raw))
        );
    }
}

#[test]
fn a_path_or_method_that_is_no_text_is_not_public_and_not_ours() {
    let mut gateway = Gateway::new();
    let nobody = Browser::new();
    for raw in RAW {
        for path in [
            [b"/public/".as_slice(), raw].concat(),
            [b"/_gatelatch/".as_slice(), raw].concat(),
            raw.to_vec(),
        ] {
            let mut headers = nobody.script("GET", "/");
            headers.replace(":path", &path);
            assert_eq!(
                nobody.send(&mut gateway, headers, "").reply().status,
                401,
                "{}",
                path.escape_ascii()
            );
        }
        let mut headers = nobody.navigation("/");
        headers.replace(":method", raw);
        assert_eq!(nobody.send(&mut gateway, headers, "").reply().status, 401);
    }
}

#[test]
fn a_request_without_the_headers_that_every_request_has_is_answered() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    for missing in [":method", ":path", ":authority", ":scheme"] {
        let mut headers = ada.navigation("/");
        headers.remove(missing);
        assert!(
            !ada.send(&mut gateway, headers, "").is_paused(),
            "{missing}"
        );
    }
    assert_eq!(
        gateway.vm(0).request(Headers::new(), "").reply().status,
        401
    );
}

#[test]
fn a_connect_request_has_no_public_path() {
    let mut gateway = Gateway::new();
    let headers = Headers::new()
        .with(":method", "CONNECT")
        .with(":authority", "evil.example:443");
    assert_eq!(gateway.vm(0).request(headers, "").reply().status, 401);
    gateway.settle();
}

#[test]
fn a_response_of_any_bytes_passes() {
    let mut gateway = Gateway::new();
    let ada = Browser::logged_in(&mut gateway);
    for raw in RAW {
        let headers = Headers::new()
            .with("set-cookie", raw)
            .with("server", raw)
            .with("cache-control", raw);
        let reply = ada
            .fetch(&mut gateway, "GET", "/")
            .respond(200, headers.clone(), raw);
        assert_eq!((reply.headers, reply.body.as_slice()), (headers, raw));
    }
    gateway.expire();
    let headers = Headers::new()
        .with("set-cookie", b"a=\xff")
        .with("cache-control", b"\xff");
    let reply = ada
        .fetch(&mut gateway, "GET", "/")
        .respond(200, headers, b"");
    assert_eq!(reply.headers.all("set-cookie")[0], b"a=\xff");
    assert_eq!(reply.headers.all("set-cookie").len(), 2);
}
