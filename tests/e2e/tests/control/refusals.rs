//! A wrong configuration starts nothing.

use std::path::Path;
use std::process::{Command, Stdio};

use gatelatch_harness::options::binary;
use gatelatch_harness::{Stack, StackOptions};
use serde_json::json;

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
        let Err(why) = Stack::try_start(&options) else {
            panic!("Envoy started with a wrong {field}")
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
    let Err(why) = Stack::try_start(&options) else {
        panic!("Envoy started with a short key")
    };
    assert!(why.contains("session_keys[0].env"), "{why}");
    assert!(!why.contains("tooshort"), "the key is in the log");
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
