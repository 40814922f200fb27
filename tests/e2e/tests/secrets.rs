//! After a run in which everything has happened, no secret is anywhere it does not belong.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::transport::Transport;
use gatelatch_harness::{Browser, Kind, Stack, StackOptions, eventually};
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use url::Url;

/// Secrets by what they are.
type Secrets = BTreeMap<&'static str, Vec<String>>;

#[tokio::test]
async fn no_secret_is_in_a_log_a_metric_an_event_a_response_or_the_database() {
    let stack = Stack::start(&StackOptions::new().session_ttl("2s"));
    let (mut secrets, answers) = everything_happens(&stack).await;
    let told = what_services_tell(&stack).await;
    let config_dumps = told
        .iter()
        .filter(|(name, _)| name.contains("config_dump"))
        .count();
    assert_eq!(config_dumps, 1);

    // Stopping in order makes the provider write down the tokens that it has issued.
    stack.order("stop", "idp");
    stack.order("stop", "control");
    stack.order("stop", "envoy-0");
    secrets.extend(issued_tokens(&stack));
    for name in [
        "refresh token",
        "authorization code",
        "session JWT",
        "login transaction",
        "client secret",
    ] {
        assert!(
            secrets.get(name).is_some_and(|values| !values.is_empty()),
            "no {name} was seen"
        );
    }
    assert_eq!(
        secrets["refresh token"].len(),
        4,
        "three logins and one rotation at least: {secrets:?}"
    );

    let mut places = told;
    places.extend(
        answers
            .into_iter()
            .map(|(name, text)| (name, text.into_bytes())),
    );
    places.extend(files(&stack));
    for part in [
        "control.log",
        "envoy-0.log",
        "idp.log",
        "app.log",
        "gatelatch.db",
        "idp-events.jsonl",
    ] {
        assert!(
            places
                .iter()
                .any(|(name, bytes)| name.contains(part) && !bytes.is_empty()),
            "{part} was not looked at"
        );
    }
    // The search itself works: it finds the secrets where they are kept.
    let kept = std::fs::read(stack.run_dir().join("envoy.env")).expect("the filter's variables");
    let kept = [("envoy.env".to_owned(), kept)];
    let expected = [
        "client secret in envoy.env",
        "gateway token in envoy.env",
        "session key in envoy.env",
    ];
    assert_eq!(leaks(&secrets, &kept), expected);
    assert_eq!(leaks(&secrets, &places), [] as [String; 0]);
}

#[tokio::test]
async fn files_that_hold_secrets_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let stack = Stack::start(&StackOptions::new().envoys(1, 1));
    Browser::logged_in(&stack, "ada").await;
    let directory = std::fs::read_dir(stack.run_dir()).expect("the run directory");
    let databases: Vec<PathBuf> = directory
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.display().to_string().contains("gatelatch.db"))
        .collect();
    assert!(!databases.is_empty());
    let keys = [
        &stack.ready.admin_token_file,
        &stack.ready.gateway_token_file,
        &stack.ready.session_key_file,
        &stack.ready.encryption_key_file,
        &stack.ready.client_secret_file,
    ];
    for path in keys.into_iter().chain(&databases) {
        let mode = std::fs::metadata(path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(
            mode & 0o077,
            0,
            "{} has mode {:o}",
            path.display(),
            mode & 0o777
        );
    }
}

/// Logins, a refresh, a replay, refusals of every kind, a revocation, a logout. What must not be
/// seen anywhere, and the bodies that were answered.
async fn everything_happens(stack: &Stack) -> (Secrets, Vec<(String, String)>) {
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
fn issued_tokens(stack: &Stack) -> Secrets {
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

async fn what_services_tell(stack: &Stack) -> Vec<(String, Vec<u8>)> {
    let admin = &stack.ready.gateways[0].admin_url;
    let mut told = Vec::new();
    for url in [
        format!("{}/metrics", stack.ready.control_url),
        format!("{}/openapi.json", stack.ready.control_url),
        format!("{admin}/stats/prometheus"),
        format!("{admin}/config_dump?include_eds"),
        format!("{admin}/clusters"),
        format!("{admin}/server_info"),
    ] {
        let answer = Transport::http1()
            .try_send(Method::GET, &url, HeaderMap::new(), Bytes::new())
            .await;
        told.push((url, answer.expect("an answer").expect(200).body.to_vec()));
    }
    told
}

/// Every file of the run directory but those that are made to hold secrets.
fn files(stack: &Stack) -> Vec<(String, Vec<u8>)> {
    let meant = [
        "admin-token",
        "gateway-token",
        "session-key",
        "encryption-keys",
        "client-secret",
        "envoy.env",
        "idp-state.json",
        "idp-keys.json",
    ];
    let mut found = Vec::new();
    let mut open = vec![stack.run_dir().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if !meant.contains(&name_of(&path).as_str()) {
                found.push((
                    path.display().to_string(),
                    std::fs::read(&path).expect("a file"),
                ));
            }
        }
    }
    found
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Which secret is where.
fn leaks(secrets: &Secrets, places: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in places {
        let text = String::from_utf8_lossy(bytes);
        for (kind, values) in secrets {
            for value in values {
                assert!(value.len() >= 16, "a {kind} is too short to look for");
                if text.contains(value) {
                    found.push(format!("{kind} in {name}"));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
