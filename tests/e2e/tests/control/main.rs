//! The control service from outside: who may call it, how it refuses a wrong configuration, and
//! that nothing it has acknowledged is lost.

mod crash;
mod refusals;

use std::collections::BTreeSet;
use std::process::Command;

use gatelatch_harness::options::binary;
use gatelatch_harness::{Browser, Control, Shared, StackOptions, user};
use http::Method;
use serde_json::{Value, json};

static STACK: Shared = Shared::new(|| StackOptions::new().envoys(1, 1));

#[tokio::test]
async fn each_credential_opens_its_own_paths_and_no_others() {
    let stack = STACK.get();
    let admin = stack.control();
    let gateway = admin.with_token(Some(&stack.secret(&stack.ready.gateway_token_file)));
    let stranger = admin.with_token(None);
    let wrong = admin.with_token(Some("wrong-wrong-wrong-wrong-wrong-wrong-wrong"));
    let nothing = json!({});
    for (method, path, body, is_admin) in [
        (Method::GET, "/v1/revocations", None, true),
        (Method::POST, "/v1/revocations", Some(&nothing), true),
        (Method::GET, "/v1/sessions", None, true),
        (Method::GET, "/v1/sessions/x", None, true),
        (Method::DELETE, "/v1/sessions/x", None, true),
        (Method::GET, "/v1/gateways", None, true),
        (Method::POST, "/v1/sessions", Some(&nothing), false),
        (
            Method::POST,
            "/v1/sessions/x/refresh/begin",
            Some(&nothing),
            false,
        ),
        (
            Method::POST,
            "/v1/sessions/x/refresh/renew",
            Some(&nothing),
            false,
        ),
        (
            Method::POST,
            "/v1/sessions/x/refresh/complete",
            Some(&nothing),
            false,
        ),
        (
            Method::POST,
            "/v1/sessions/x/refresh/fail",
            Some(&nothing),
            false,
        ),
        (Method::POST, "/v1/sessions/x/end", Some(&nothing), false),
        (Method::POST, "/v1/logins/x/claim", Some(&nothing), false),
        (
            Method::POST,
            "/v1/backchannel-logout",
            Some(&nothing),
            false,
        ),
        (Method::GET, "/v1/feed?gateway=x", None, false),
    ] {
        let status = async |client: &Control| {
            let answer = client.call(method.clone(), path, body).await;
            let said = answer.json();
            (
                answer.status,
                said["error"].as_str().unwrap_or_default().to_owned(),
            )
        };
        let unauthorized = (401, "unauthorized".to_owned());
        assert_eq!(
            status(&stranger).await,
            unauthorized,
            "{method} {path} without a credential"
        );
        assert_eq!(
            status(&wrong).await,
            unauthorized,
            "{method} {path} with a wrong credential"
        );
        let other = if is_admin { &gateway } else { &admin };
        assert_eq!(
            status(other).await,
            (403, "forbidden".to_owned()),
            "{method} {path}"
        );
    }
    for path in ["/healthz", "/readyz", "/metrics", "/openapi.json"] {
        stranger.get(path).await.expect(200);
    }
    assert_eq!(
        stranger.get("/v1/nothing").await.expect(404).json()["error"],
        "unknown_path"
    );
}

#[tokio::test]
async fn the_openapi_document_lists_every_path() {
    let stack = STACK.get();
    let document = stack
        .control()
        .with_token(None)
        .get("/openapi.json")
        .await
        .expect(200)
        .json();
    let paths: BTreeSet<&str> = document["paths"]
        .as_object()
        .expect("paths")
        .keys()
        .map(String::as_str)
        .collect();
    for path in [
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/readyz",
        "/v1/backchannel-logout",
        "/v1/feed",
        "/v1/gateways",
        "/v1/logins/{id}/claim",
        "/v1/revocations",
        "/v1/sessions",
        "/v1/sessions/{sid}",
        "/v1/sessions/{sid}/end",
        "/v1/sessions/{sid}/refresh/begin",
        "/v1/sessions/{sid}/refresh/complete",
        "/v1/sessions/{sid}/refresh/fail",
        "/v1/sessions/{sid}/refresh/renew",
    ] {
        assert!(paths.contains(path), "{path} is not in {paths:?}");
    }
    let printed = Command::new(binary())
        .arg("openapi")
        .output()
        .expect("the binary runs");
    let printed: Value = serde_json::from_slice(&printed.stdout).expect("JSON");
    assert_eq!(printed, document);
}

#[tokio::test]
async fn sessions_are_listed_by_user_without_any_token() {
    let stack = STACK.get();
    let ada = user("ada");
    let browsers = [
        Browser::logged_in(stack, &ada).await,
        Browser::logged_in(stack, &ada).await,
    ];
    let sids: BTreeSet<String> = browsers
        .iter()
        .map(|browser| browser.session().text("sid"))
        .collect();
    let answer = stack
        .control()
        .get(&format!("/v1/sessions?sub={ada}"))
        .await
        .expect(200);
    let listed = answer.json();
    let found: BTreeSet<String> = listed["sessions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|session| session["sid"].as_str().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(found, sids);
    assert!(
        !answer.text().contains("eyJ"),
        "no JWT in {}",
        answer.brief()
    );
    let one = stack.control().session(sids.first().expect("two")).await;
    assert_eq!(
        (&one["sub"], &one["refreshable"]),
        (&json!(ada), &json!(true))
    );
}
