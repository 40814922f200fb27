//! The control service from outside: who may call it, how it refuses a wrong configuration, and
//! that nothing it has acknowledged is lost.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use gatelatch_harness::options::binary;
use gatelatch_harness::{Browser, Control, Shared, Stack, StackOptions, eventually, user};
use http::Method;
use serde_json::{Value, json};

static STACK: Shared = Shared::new(|| StackOptions::new().envoys(1, 1));

const ROUNDS: usize = 10;
const WRITERS: usize = 4;

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

#[tokio::test]
async fn a_wrong_flag_is_one_line_that_names_it_and_nothing_starts() {
    let files = Files::new();
    let good = files.flags();
    for (flag, value) in [
        ("--gateway-token-file", "/nowhere/tokens"),
        ("--admin-token-file", files.path("short").as_str()),
        ("--admin-token-file", files.path("gateway").as_str()),
        ("--encryption-key-file", files.path("gateway").as_str()),
        ("--encryption-key-file", files.path("empty").as_str()),
        ("--tail-window", "5s"),
        ("--lease", "1h"),
        ("--retention", "1h"),
        ("--store", "mysql://localhost/x"),
        ("--store", "sqlite:/nowhere/at/all.db"),
        ("--listen", "localhost"),
        ("--cleanup-interval", "soon"),
    ] {
        let mut flags = good.clone();
        match flags.iter().position(|known| known == flag) {
            Some(at) => flags[at + 1] = value.to_owned(),
            None => flags.extend([flag.to_owned(), value.to_owned()]),
        }
        let (status, said) = serve(&flags);
        assert_ne!(status, Some(0), "{flag} {value}: {said}");
        let first = said.lines().next().unwrap_or_default();
        assert!(first.contains(flag), "{flag} {value}: {said}");
        assert!(!said.contains("panicked"), "{flag} {value}: {said}");
    }
}

#[tokio::test]
async fn an_envoy_with_a_wrong_filter_configuration_does_not_start_and_names_the_field() {
    let wrong = [
        (json!({"sesion": {}}), "sesion"),
        (json!({"session": {"ttl": "0s"}}), "session.ttl"),
        (json!({"public_url": "http://example.org"}), "public_url"),
        (
            json!({"session_keys": [{"kid": "k1", "env": "GATELATCH_CLIENT_SECRET_OF_NOBODY"}]}),
            "session_keys[0].env",
        ),
        (
            json!({"rules": [{"prefix": "/a/", "access": "sometimes"}]}),
            "rules[0].access",
        ),
    ];
    for (config, field) in wrong {
        let options = StackOptions::new().envoys(1, 1).filter_config(config);
        let why = match Stack::try_start(&options) {
            Ok(_) => panic!("Envoy started with a wrong {field}"),
            Err(why) => why,
        };
        assert!(why.contains("envoy-0 ended"), "{field}: {why}");
        let lines: Vec<&str> = why.lines().filter(|line| line.contains(field)).collect();
        assert_eq!(lines.len(), 1, "one line names {field}: {why}");
    }
}

#[tokio::test]
async fn a_session_key_that_is_too_short_is_refused_and_not_shown() {
    let options = StackOptions::new()
        .envoys(1, 1)
        .filter_config(json!({"session_keys": [{"kid": "k1", "env": "GATELATCH_SHORT_KEY"}]}))
        .vm_env("GATELATCH_SHORT_KEY", "tooshort-31-bytes-of-a-secret!!");
    let why = match Stack::try_start(&options) {
        Ok(_) => panic!("Envoy started with a short key"),
        Err(why) => why,
    };
    assert!(why.contains("session_keys[0].env"), "{why}");
    assert!(!why.contains("tooshort"), "the key is in the log");
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_service_is_killed_while_it_writes() {
    let stack = Stack::start(&StackOptions::new().envoys(1, 1));
    let mut acknowledged = BTreeSet::new();
    for round in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (control, stop) = (stack.control(), Arc::clone(&stop));
                tokio::spawn(async move {
                    write_until(&control, &format!("{round}-{writer}"), &stop).await
                })
            })
            .collect();
        // In the middle of writing: when some more than in the round before have been accepted.
        let control = stack.control();
        eventually("writes are under way", 10, async || {
            (control.metric("gatelatch_revocations_total").await > 20.0).then_some(())
        })
        .await;
        stack.order("kill", "control");
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            acknowledged.extend(writer.await.expect("no panic"));
        }
        stack.order("start", "control");
    }
    let kept = all_revoked(&stack.control()).await;
    let lost: Vec<&String> = acknowledged.difference(&kept).collect();
    println!(
        "{} acknowledged in {ROUNDS} rounds, {} lost",
        acknowledged.len(),
        lost.len()
    );
    assert!(acknowledged.len() > ROUNDS * 10, "{}", acknowledged.len());
    assert_eq!(lost, [] as [&String; 0]);
}

/// Revokes one id after the other; those that were acknowledged.
async fn write_until(control: &Control, name: &str, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let id = format!("{name}-{}", acknowledged.len());
        let body = json!({"kind": "sid", "id": id});
        match control
            .try_call(Method::POST, "/v1/revocations", Some(&body))
            .await
        {
            Some(answer) if answer.status == 201 => acknowledged.push(id),
            _ => break,
        }
    }
    acknowledged
}

async fn all_revoked(control: &Control) -> BTreeSet<String> {
    let (mut all, mut after) = (BTreeSet::new(), 0);
    loop {
        let page = control
            .get(&format!("/v1/revocations?limit=1000&after={after}"))
            .await
            .expect(200)
            .json();
        let items = page["revocations"].as_array().expect("a list");
        all.extend(
            items
                .iter()
                .filter_map(|item| item["id"].as_str())
                .map(str::to_owned),
        );
        match page["next"].as_u64() {
            Some(next) => after = next,
            None => return all,
        }
    }
}

/// Runs `gatelatch serve` until it ends by itself; its status and what it said.
fn serve(flags: &[String]) -> (Option<i32>, String) {
    let output = Command::new("timeout")
        .arg("10")
        .arg(binary())
        .arg("serve")
        .args(flags)
        .stdin(Stdio::null())
        .output()
        .expect("the binary runs");
    let said = [output.stderr, output.stdout].concat();
    (
        output.status.code().filter(|code| *code != 124),
        String::from_utf8_lossy(&said).into_owned(),
    )
}

struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a temporary directory"));
        files.write("gateway", &"g".repeat(43));
        files.write("admin", &"a".repeat(43));
        files.write("short", "short");
        files.write("empty", "");
        files.write("keys", "e1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=");
        files
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.0.path().join(name);
        std::fs::write(&path, format!("{text}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("private");
    }

    fn path(&self, name: &str) -> String {
        let path: &Path = &self.0.path().join(name);
        path.display().to_string()
    }

    fn flags(&self) -> Vec<String> {
        [
            "--listen",
            "127.0.0.1:0",
            "--store",
            &format!("sqlite:{}", self.path("db")),
            "--gateway-token-file",
            &self.path("gateway"),
            "--admin-token-file",
            &self.path("admin"),
            "--encryption-key-file",
            &self.path("keys"),
        ]
        .map(str::to_owned)
        .into()
    }
}
