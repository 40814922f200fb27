//! A PostgreSQL server of our own, and what only several replicas can show.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use gatelatch_wire::revocation::Digest;
use serde_json::json;

use crate::service::{Service, eventually};

/// Makes a server, prints its folder, and takes it away when its standard input ends, which it does
/// however this process ends.
const SCRIPT: &str = r#"
set -e
folder=$(mktemp -d "${TMPDIR:-/tmp}/gatelatch-postgres.XXXXXX")
trap 'exit 1' INT TERM HUP
trap 'kill -INT $pid 2>/dev/null || :; wait $pid 2>/dev/null || :; rm -rf "$folder"' EXIT
"$1/initdb" -D "$folder/data" -U postgres --auth=trust --no-sync -E UTF8 > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
printf %s "$TEST_KEY" > "$folder/data/server.key"
printf %s "$TEST_CERTIFICATE" > "$folder/data/server.crt"
chmod 600 "$folder/data/server.key"
"$1/postgres" -D "$folder/data" -k "$folder" -p "$2" -c listen_addresses=127.0.0.1 -c ssl=on -c max_connections=500 >> "$folder/log" 2>&1 &
pid=$!
until "$1/pg_isready" -q -h "$folder" -p "$2"; do [ $? -le 2 ] && kill -0 $pid || { cat "$folder/log" >&2; exit 1; }; done
echo "$folder"
read -r _ || :
"#;

struct Server {
    folder: String,
    port: String,
    /// Of the server itself: nobody else has signed it.
    certificate: String,
    programs: PathBuf,
    _script: Child,
    _stdin: ChildStdin,
}

/// A new, empty database.
pub(crate) fn database() -> String {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let name = format!("test{}", NEXT.fetch_add(1, Ordering::Relaxed));
    query("postgres", &format!("CREATE DATABASE {name}"));
    let server = server();
    let folder = server.folder.replace('/', "%2F");
    format!("postgres://postgres@{folder}:{}/{name}", server.port)
}

fn query(database: &str, sql: &str) -> String {
    let server = server();
    let output = Command::new(server.programs.join("psql"))
        .args([
            "-h",
            &server.folder,
            "-p",
            &server.port,
            "-U",
            "postgres",
            "-d",
            database,
            "-Atqc",
            sql,
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| {
        let programs = programs();
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().port().to_string()
        };
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let certificate = signed.cert.pem();
        // PostgreSQL refuses to run as root.
        let mut command = Command::new(if is_root() { "setpriv" } else { "env" });
        if is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        }
        let mut script = command
            .args(["sh", "-c", SCRIPT, "sh"])
            .arg(&programs)
            .arg(&port)
            .env("TEST_CERTIFICATE", &certificate)
            .env("TEST_KEY", signed.signing_key.serialize_pem())
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = script.stdin.take().unwrap();
        let mut folder = String::new();
        BufReader::new(script.stdout.take().unwrap())
            .read_line(&mut folder)
            .unwrap();
        assert!(!folder.is_empty(), "PostgreSQL did not start");
        let folder = folder.trim().to_owned();
        Server {
            folder,
            port,
            certificate,
            programs,
            _script: script,
            _stdin: stdin,
        }
    })
}

/// A database's URL over TLS, and the certificate to trust.
pub(crate) fn database_over_tls() -> (String, &'static str) {
    let name = database().rsplit('/').next().unwrap().to_owned();
    let server = server();
    let url = format!(
        "postgres://postgres@localhost:{}/{name}?sslmode=require",
        server.port
    );
    (url, &server.certificate)
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}

fn programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let versions = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut installed: Vec<_> = versions
        .map(|version| version.unwrap().path().join("bin"))
        .collect();
    installed.sort();
    let mut folders = std::env::split_paths(&path).chain(installed.into_iter().rev());
    let needed = ["initdb", "postgres", "pg_isready", "psql"];
    let complete = |folder: &PathBuf| needed.iter().all(|program| folder.join(program).exists());
    folders.find(complete).expect(
        "these tests need the programs of a PostgreSQL server (the package `postgresql`) in PATH \
         or under /usr/lib/postgresql",
    )
}

#[test]
fn a_refresh_is_arbitrated_across_replicas() {
    let one = Service::on_postgres();
    let two = one.replica();
    one.create("s", "u");
    let lease = one.caller().lease("s");
    let answer = thread::scope(|scope| {
        let waiting = scope.spawn(|| two.caller().begin("s", "jti-2", 30_000));
        eventually("it waits", || {
            two.caller().metric("gatelatch_refresh_waiters") == 1.0
        });
        one.caller().complete("s", &lease, "rt1");
        waiting.join().unwrap()
    });
    assert_eq!(answer["outcome"], "renewed");
    one.advance(Duration::from_secs(30));
    let lease = two.caller().lease("s");
    assert_eq!(one.caller().begin("s", "jti-s", 0)["outcome"], "busy");
    assert_eq!(
        one.caller().complete("s", &lease, "rt2")["outcome"],
        "stored"
    );
}

#[test]
fn a_revocation_reaches_the_gateways_of_every_replica() {
    let one = Service::on_postgres();
    let two = one.replica();
    let empty = two.caller().feed("gateway=e");
    let epoch = empty.epoch.to_hex();
    let follow = |service: &Service, cursor: u64| {
        let query = format!("gateway=e&epoch={epoch}&cursor={cursor}&wait_ms=50000");
        service.caller().feed(&query)
    };
    eventually("the other replica knows the gateway", || {
        one.caller().admin("/v1/gateways")["gateways"]
            .as_array()
            .unwrap()
            .len()
            == 1
    });
    let page = thread::scope(|scope| {
        let polling = scope.spawn(|| follow(&two, 0));
        eventually("it polls", || {
            two.caller().metric("gatelatch_feed_polls_total") == 2.0
        });
        one.caller().revoke(&json!({"kind": "sid", "id": "s"}));
        polling.join().unwrap()
    });
    assert_eq!(page.entries[0].digest, Digest::sid("s"));
    thread::scope(|scope| {
        scope.spawn(|| follow(&two, 1));
        eventually(
            "the other replica knows how far the gateway has come",
            || one.caller().admin("/v1/gateways")["gateways"][0]["cursor"] == 1,
        );
        one.caller().revoke(&json!({"kind": "sid", "id": "t"}));
    });
}

#[test]
fn cursors_of_concurrent_replicas_leave_no_revocation_behind() {
    const EACH: usize = 100;
    let replicas = {
        let one = Service::on_postgres();
        let two = one.replica();
        [one, two]
    };
    let seen = thread::scope(|scope| {
        for (n, replica) in replicas.iter().enumerate() {
            scope.spawn(move || {
                for id in 0..EACH {
                    replica
                        .caller()
                        .revoke(&json!({"kind": "jti", "id": format!("{n}-{id}")}));
                }
            });
        }
        // Followed while it is written: a cursor that was committed out of order would be missed.
        let caller = replicas[0].caller();
        let mut page = caller.feed("gateway=e&limit=7");
        let mut seen = page.entries.len();
        while seen < 2 * EACH {
            let (epoch, to) = (page.epoch.to_hex(), page.to);
            page = caller.feed(&format!(
                "gateway=e&epoch={epoch}&cursor={to}&limit=7&wait_ms=1000"
            ));
            assert!(page.to > to || page.head == page.to);
            seen += page.entries.len();
        }
        seen
    });
    assert_eq!(seen, 2 * EACH);
}

#[test]
fn a_server_that_drops_all_connections_is_connected_to_again() {
    let service = Service::on_postgres();
    let caller = service.caller();
    let lease = {
        service.create("s", "u");
        caller.lease("s")
    };
    let name = service.database_name();
    let terminate = "SELECT count(pg_terminate_backend(pid, 30000)) FROM pg_stat_activity";
    query("postgres", &format!("{terminate} WHERE datname = '{name}'"));
    assert_eq!(caller.complete("s", &lease, "rt1")["outcome"], "stored");
    assert_eq!(caller.begin("s", "j", 0)["outcome"], "renewed");
    let listening = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT head%'";
    eventually("it listens again", || {
        query("postgres", &format!("{listening} AND datname = '{name}'")) == "1"
    });
}

#[test]
fn a_server_that_would_lose_what_was_acknowledged_is_refused() {
    let url = database();
    let name = url.rsplit('/').next().unwrap();
    query(
        "postgres",
        &format!("ALTER DATABASE {name} SET synchronous_commit = off"),
    );
    let error = Service::refusal(&url);
    assert!(error.contains("synchronous_commit"), "{error}");
    let error = Service::refusal("postgres://u:a-password@127.0.0.1:1/x");
    assert!(
        error.contains("Connection refused") && !error.contains("a-password"),
        "{error}"
    );
}
