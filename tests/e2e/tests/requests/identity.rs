//! Identity headers and cookies, as the application receives them.

use gatelatch_harness::{Browser, raw, user};

use crate::{STACK, cookie_of};

/// Identity headers as an attacker may spell them.
const SPOOFED: [&str; 12] = [
    "X-Auth-Request-User",
    "x-auth-request-user",
    "X-AUTH-REQUEST-USER",
    "x_auth_request_user",
    "X-Auth_Request-User",
    "x-auth-request_user",
    "X-Auth-Request-Email",
    "x-auth-request-preferred-username",
    "X_Auth_Request_Groups",
    "X-Auth-Request-Groups",
    "x-auth-request-groups",
    "X-Auth-Request-Session",
];

#[tokio::test]
async fn an_application_receives_the_identity_in_headers() {
    let stack = STACK.get();
    let browser = Browser::new();
    let name = user("ada@example.org");
    browser.login(stack, &name, "/").await.expect(200);
    let echo = browser.fetch(&stack.url("/api")).await.expect(200).echo();
    assert_eq!(echo.values("x-auth-request-user"), [name.as_str()]);
    assert_eq!(echo.values("x-auth-request-email"), [name.as_str()]);
    assert_eq!(
        echo.values("x-auth-request-preferred-username"),
        [name.as_str()]
    );
    assert_eq!(echo.values("x-auth-request-groups"), ["staff"]);
    assert_eq!(
        echo.values("x-auth-request-session"),
        [browser.session().text("sid")]
    );

    let admin = Browser::logged_in(stack, "admin").await;
    let echo = admin.fetch(&stack.url("/api")).await.expect(200).echo();
    assert_eq!(echo.values("x-auth-request-groups"), ["staff,admins"]);
}

#[tokio::test]
async fn claimed_identity_vanishes_in_every_spelling_on_every_kind_of_path() {
    let stack = STACK.get();
    let address = stack.address(0);
    let (browser, ada) = (Browser::new(), user("ada"));
    browser.login(stack, &ada, "/").await.expect(200);
    let sid = browser.session().text("sid");
    let own = [
        ada.as_str(),
        &format!("{ada}@example.test"),
        &ada,
        "staff",
        &sid,
    ];
    let cookie = cookie_of(&browser);
    for (path, cookie, expected) in [
        ("/public/x", "", &[] as &[&str]),
        ("/public/x", &cookie, &[]),
        ("/optional/x", "", &[]),
        ("/optional/x", "__Host-gatelatch=forged", &[]),
        ("/optional/x", &cookie, &own),
        ("/required/x", &cookie, &own),
        ("/assets/x", &cookie, &[]),
    ] {
        let mut lines: Vec<(&str, &[u8])> =
            vec![("Cookie", cookie.as_bytes()), ("Connection", b"close")];
        lines.retain(|(name, value)| *name != "Cookie" || !value.is_empty());
        for name in SPOOFED {
            lines.extend([(name, b"evil".as_slice()), (name, b"evil2")]);
        }
        let answer = raw::exchange(address, &raw::head("GET", path, address, &lines))
            .await
            .expect(200);
        let echo = answer.echo();
        let mut received: Vec<&str> = Vec::new();
        for name in [
            "x-auth-request-user",
            "x-auth-request-email",
            "x-auth-request-preferred-username",
            "x-auth-request-groups",
            "x-auth-request-session",
        ] {
            received.extend(echo.values(name));
        }
        assert_eq!(received, expected, "{path} with {cookie:?}");
        assert_eq!(
            echo.names_with("auth").len(),
            expected.len(),
            "{path}: {:?}",
            echo.names_with("auth")
        );
        assert!(!answer.text().contains("evil"), "{path}: {}", answer.text());
    }
}

#[tokio::test]
async fn an_identity_header_that_the_client_names_in_connection_still_arrives() {
    let stack = STACK.get();
    let address = stack.address(0);
    let (browser, ada) = (Browser::new(), user("ada"));
    browser.login(stack, &ada, "/").await.expect(200);
    let cookie = cookie_of(&browser);
    let lines: [(&str, &[u8]); 2] = [
        ("Connection", b"close, x-auth-request-user, cookie"),
        ("Cookie", cookie.as_bytes()),
    ];
    let answer = raw::exchange(address, &raw::head("GET", "/x", address, &lines)).await;
    match answer.status {
        200 => assert_eq!(answer.echo().values("x-auth-request-user"), [ada.as_str()]),
        status => assert!(status == 400 || status == 401, "{}", answer.brief()),
    }
}

#[tokio::test]
async fn cookies_of_the_application_arrive_byte_for_byte_and_ours_do_not() {
    let stack = STACK.get();
    let address = stack.address(0);
    let browser = Browser::logged_in(stack, &user("ada")).await;
    let own = cookie_of(&browser);
    let (before, after) = ("a=1;b=\"x y\" ;c", "d=\u{fc};; e=%20");
    let mut line = format!("{before}; {own}; __Secure-gatelatch-login-abcdefgh=x; ").into_bytes();
    // A byte that is no UTF-8, as some applications set.
    line.extend_from_slice(b"l=\xff\xfe; ");
    line.extend_from_slice(after.as_bytes());
    let lines: [(&str, &[u8]); 2] = [("Connection", b"close"), ("Cookie", &line)];
    let echo = raw::exchange(address, &raw::head("GET", "/x", address, &lines))
        .await
        .expect(200)
        .echo();
    let expected = [before.as_bytes(), b"; l=\xff\xfe; ", after.as_bytes()].concat();
    let latin1: String = expected.into_iter().map(char::from).collect();
    assert_eq!(echo.values("cookie"), [latin1]);

    let only_ours: [(&str, &[u8]); 2] = [("Connection", b"close"), ("Cookie", own.as_bytes())];
    let echo = raw::exchange(address, &raw::head("GET", "/x", address, &only_ours))
        .await
        .expect(200)
        .echo();
    assert_eq!(echo.values("cookie"), [] as [&str; 0]);
}
