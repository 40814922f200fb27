//! The binary itself: its refusals, its commands, and what is left after a crash.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use serde_json::json;

use crate::service::{ADMIN, Caller, GATEWAY, eventually};

const BINARY: &str = env!("CARGO_BIN_EXE_gatelatch");

struct Install(tempfile::TempDir);

/// A running process, which does not outlive its test.
struct Process {
    child: Child,
    url: String,
}

impl Install {
    fn new() -> Self {
        let install = Self(tempfile::tempdir().unwrap());
        install.write("gateway", GATEWAY);
        install.write("admin", ADMIN);
        let key = Command::new(BINARY)
            .args(["keygen", "encryption-key"])
            .output()
            .unwrap();
        install.write("keys", std::str::from_utf8(&key.stdout).unwrap());
        install
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }

    fn serve(&self) -> Command {
        let mut command = Command::new(BINARY);
        command
            .current_dir(self.path())
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args([
                "--gateway-token-file",
                "gateway",
                "--admin-token-file",
                "admin",
                "--encryption-key-file",
                "keys",
                "--log-format",
                "json",
            ]);
        command
    }

    fn start(&self) -> Process {
        self.start_with(&[])
    }

    fn start_with(&self, env: &[(&str, &str)]) -> Process {
        let child = self
            .serve()
            .envs(env.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut process = Process {
            child,
            url: String::new(),
        };
        let mut log = BufReader::new(process.child.stderr.take().unwrap());
        let mut line = String::new();
        while log.read_line(&mut line).unwrap() > 0 {
            let event: serde_json::Value = serde_json::from_str(&line).unwrap();
            if event["message"] == "ready" {
                process.url = format!("http://{}", event["address"].as_str().unwrap());
                thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
                return process;
            }
            line.clear();
        }
        panic!("it ended before it was ready");
    }

    fn admin(&self, process: &Process, args: &[&str]) -> Output {
        Command::new(BINARY)
            .current_dir(self.path())
            .args(args)
            .args(["--admin-token-file", "admin", "--control", &process.url])
            .output()
            .unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn a_wrong_configuration_ends_with_one_line_that_names_the_flag() {
    let install = Install::new();
    std::fs::remove_file(install.path().join("admin")).unwrap();
    let output = install.serve().output().unwrap();
    let text = std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text,
        "gatelatch: --admin-token-file: admin: No such file or directory (os error 2)\n"
    );
}

#[test]
fn a_second_process_on_the_same_file_is_refused() {
    let install = Install::new();
    let _running = install.start();
    let output = install.serve().output().unwrap();
    let text = std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("--store: gatelatch.db: is in use by another gatelatch"),
        "{text}"
    );
}

#[test]
fn what_was_acknowledged_outlives_a_kill() {
    let install = Install::new();
    let mut process = install.start();
    let acknowledged = Mutex::new(Vec::new());
    let killed = AtomicBool::new(false);
    thread::scope(|scope| {
        for writer in 0..8 {
            let (caller, acknowledged, killed) = (Caller::of(&process.url), &acknowledged, &killed);
            scope.spawn(move || {
                for n in 0.. {
                    let id = format!("{writer}-{n}");
                    let body = json!({"kind": "sid", "id": id}).to_string();
                    if !caller.try_revoke(&body) {
                        assert!(killed.load(Ordering::SeqCst));
                        return;
                    }
                    acknowledged.lock().unwrap().push(id);
                }
            });
        }
        eventually("some are written", || {
            acknowledged.lock().unwrap().len() > 300
        });
        killed.store(true, Ordering::SeqCst);
        process.child.kill().unwrap();
    });
    process.child.wait().unwrap();
    let process = install.start();
    let page = Caller::of(&process.url).feed("gateway=e&limit=100000");
    let kept: std::collections::HashSet<_> = page.entries.iter().map(|e| e.digest).collect();
    for id in acknowledged.into_inner().unwrap() {
        assert!(
            kept.contains(&gatelatch_wire::revocation::Digest::sid(&id)),
            "{id} is lost"
        );
    }
}

#[test]
fn the_commands_do_what_they_say() {
    let install = Install::new();
    let process = install.start();
    let caller = Caller::of(&process.url);
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    for sid in ["s1", "s2", "s3"] {
        let login = json!({
            "sid": sid, "iss": "https://idp.example", "sub": "alice", "gateway": "https://app.example",
            "jti": sid, "claims": {}, "refresh_token": "rt", "auth_time": now,
            "id_token_iat": now, "ends_at": now + 3600,
        });
        caller.gateway("/v1/sessions", &login);
    }
    let listed = install.admin(&process, &["sessions", "--sub", "alice"]);
    assert_eq!(stdout(&listed).lines().count(), 4);
    assert_eq!(stdout(&install.admin(&process, &["end", "s1"])), "ended\n");
    let revoked = install.admin(&process, &["revoke", "sid", "s2"]);
    assert_eq!(stdout(&revoked), "revoked; 1 live sessions ended\n");
    let epoch = caller.feed("gateway=envoy-1").epoch.to_hex();
    let behind = install.admin(
        &process,
        &[
            "revoke",
            "sub",
            "--iss",
            "https://idp.example",
            "--wait",
            "--timeout",
            "1ms",
            "alice",
        ],
    );
    assert_eq!(behind.status.code(), Some(3));
    assert_eq!(
        stdout(&behind),
        "revoked; 1 live sessions ended\nenforced on 0 of 1\n"
    );
    caller.feed(&format!("gateway=envoy-1&epoch={epoch}&cursor=3"));
    let gateways = install.admin(&process, &["gateways"]);
    assert!(
        stdout(&gateways)
            .lines()
            .nth(1)
            .unwrap()
            .starts_with("envoy-1\t\t3\t0\t")
    );
    let wrong = install.admin(&process, &["revoke", "sid", ""]);
    assert_eq!(wrong.status.code(), Some(1));
    let text = std::str::from_utf8(&wrong.stderr).unwrap();
    assert_eq!(
        text,
        "gatelatch: the control service refused: item 0: field id must be 1 to 2048 bytes without \
         NUL (invalid_request)\n"
    );
}

#[test]
fn a_termination_answers_those_who_wait_and_ends_well() {
    let install = Install::new();
    let mut process = install.start();
    let caller = Caller::of(&process.url);
    let empty = caller.feed("gateway=e");
    let polling = thread::spawn({
        let (caller, epoch) = (caller.clone(), empty.epoch.to_hex());
        move || caller.feed(&format!("gateway=e&epoch={epoch}&wait_ms=50000"))
    });
    eventually("it polls", || {
        caller.metric("gatelatch_feed_polls_total") == 2.0
    });
    let id = process.child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-TERM", &id])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(polling.join().unwrap(), empty);
    assert_eq!(process.child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_database_server_is_spoken_to_over_tls_when_its_certificate_is_trusted() {
    let install = Install::new();
    let (url, certificate) = crate::postgres::database_over_tls();
    install.write("ca.pem", certificate);
    let store = ("GATELATCH_STORE", url.as_str());
    let process = install.start_with(&[store, ("SSL_CERT_FILE", "ca.pem")]);
    assert_eq!(Caller::of(&process.url).status("GET", "/readyz", None), 200);
    let output = install.serve().envs([store]).output().unwrap();
    let text = std::str::from_utf8(&output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text.contains("invalid peer certificate") && text.contains("SSL_CERT_FILE"),
        "{text}"
    );
}
