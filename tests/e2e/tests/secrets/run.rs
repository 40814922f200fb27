//! A run in which everything happens.

use bytes::Bytes;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Browser, Kind, Stack, eventually};
use http::Method;
use serde_json::{Value, json};
use url::Url;

use crate::Secrets;

/// Logins, a refresh, a replay, refusals of every kind, a revocation, a logout. What must not be
/// seen anywhere, and the bodies that were answered.
pub(crate) async fn everything_happens(stack: &Stack) -> (Secrets, Vec<(String, String)>) {
    let mut secrets = fixed_secrets(stack);
    let mut answers = Vec::new();
    let mut note = |name: &str, text: String| answers.push((format!("answer to {name}"), text));

    let (ada, bob, cleo) = (Browser::new(), Browser::new(), Browser::new());
    for (name, browser) in [("ada", &ada), ("bob", &bob), ("cleo", &cleo)] {
        let form = browser
            .login_form(&stack.url("/_gatelatch/login?return_to=/public/x"))
            .await;
        let resumed = browser.type_name(&form, name).await;
        let callback = browser.follow_to(resumed, "/_gatelatch/callback").await;
        let before = browser.copy();
        note("callback", browser.open(&callback).await.expect(302).text());
        note("replay", before.open(&callback).await.expect(400).text());
        let url = Url::parse(&callback).expect("a URL");
        let code = url
            .query_pairs()
            .find(|(key, _)| key == "code")
            .expect("a code")
            .1
            .into_owned();
        secrets.entry("authorization code").or_default().push(code);
    }
    ada.expired().await;
    note(
        "refresh",
        ada.fetch(&stack.url("/api")).await.expect(200).text(),
    );
    note(
        "session",
        ada.fetch(&stack.url("/_gatelatch/session"))
            .await
            .expect(200)
            .text(),
    );
    let forged = Browser::new();
    forged.edit_jar(|jar| jar.put(SESSION_COOKIE, &format!("{}x", ada.session().0)));
    note(
        "a forged cookie",
        forged.fetch(&stack.url("/api")).await.expect(401).text(),
    );
    let headers: &[(&str, &[u8])] = &[("sec-fetch-site", b"cross-site")];
    let cross = ada
        .send(
            Method::POST,
            &stack.url("/x"),
            Kind::Plain,
            headers,
            Bytes::new(),
        )
        .await;
    note("a foreign POST", cross.expect(403).text());

    let control = stack.control();
    note(
        "revoke",
        control
            .revoke_sid(&bob.session().text("sid"))
            .await
            .to_string(),
    );
    eventually("bob is out", 5, async || {
        (bob.copy().fetch(&stack.url("/api")).await.status == 401).then_some(())
    })
    .await;
    cleo.post(&stack.url("/_gatelatch/logout"), "")
        .await
        .expect(303);
    note(
        "sessions",
        control
            .get("/v1/sessions?ended=true")
            .await
            .expect(200)
            .text(),
    );
    note(
        "an error",
        control
            .post("/v1/revocations", &json!({"kind": "x"}))
            .await
            .expect(400)
            .text(),
    );
    note(
        "no credential",
        control
            .with_token(None)
            .get("/v1/sessions")
            .await
            .expect(401)
            .text(),
    );

    for browser in [&ada, &bob, &cleo] {
        for value in browser.jar().seen() {
            // What came as a cookie of ours, and is neither a list of ids nor of the provider.
            if value.starts_with("eyJ") {
                secrets
                    .entry("session JWT")
                    .or_default()
                    .push(value.clone());
            } else if value.len() > 200 {
                secrets
                    .entry("login transaction")
                    .or_default()
                    .push(value.clone());
            }
        }
    }
    (secrets, answers)
}

fn fixed_secrets(stack: &Stack) -> Secrets {
    let ready = &stack.ready;
    let key = stack.secret(&ready.encryption_key_file);
    let (_, key) = key.split_once(' ').expect("key id and key");
    [
        ("client secret", stack.secret(&ready.client_secret_file)),
        ("session key", stack.secret(&ready.session_key_file)),
        ("gateway token", stack.secret(&ready.gateway_token_file)),
        ("admin token", stack.secret(&ready.admin_token_file)),
        ("encryption key", key.to_owned()),
    ]
    .map(|(name, value)| (name, vec![value]))
    .into()
}

/// Tokens in the state that the provider wrote when it was stopped.
pub(crate) fn issued_tokens(stack: &Stack) -> Secrets {
    let state =
        std::fs::read(stack.run_dir().join("idp-state.json")).expect("the provider's state");
    let rows: Vec<Value> = serde_json::from_slice(&state).expect("JSON");
    let mut tokens = Secrets::new();
    for row in &rows {
        let kind = match row[0].as_str() {
            Some("RefreshToken") => "refresh token",
            Some("AccessToken") => "access token",
            _ => continue,
        };
        let id = row[1].as_str().expect("a token").to_owned();
        tokens.entry(kind).or_default().push(id);
    }
    tokens
}
