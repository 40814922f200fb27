//! The whole product, started by `scripts/run --driven` and ended with its handle.
//!
//! If this process is killed, the stack ends too: its supervisor's standard input closes.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use crate::control::Control;
use crate::events::Events;
use crate::options::{StackOptions, repository};

/// Running processes: OpenID provider, control service, demo application, Envoys.
#[derive(Debug)]
pub struct Stack {
    /// What the supervisor said when everything was ready.
    pub ready: Ready,
    supervisor: Mutex<Supervisor>,
    run_dir: TempDir,
}

/// The supervisor's ready document.
#[derive(Debug, Clone, Deserialize)]
pub struct Ready {
    /// The URL that the filter knows as its own: that of the first Envoy.
    pub public_url: String,
    /// Each Envoy.
    pub gateways: Vec<Gateway>,
    /// The provider.
    pub issuer: String,
    /// The control service.
    pub control_url: String,
    /// The demo application.
    pub app_url: String,
    /// Port by process name.
    pub ports: BTreeMap<String, u16>,
    /// The provider's events.
    pub idp_events_file: PathBuf,
    /// Secrets, each in its file.
    pub admin_token_file: PathBuf,
    /// As above.
    pub gateway_token_file: PathBuf,
    /// As above.
    pub session_key_file: PathBuf,
    /// As above.
    pub encryption_key_file: PathBuf,
    /// As above.
    pub client_secret_file: PathBuf,
    /// The process that holds all others.
    pub supervisor_pid: i32,
    /// Process id by name.
    pub pids: BTreeMap<String, Option<i32>>,
    /// Log and command line by name.
    pub children: BTreeMap<String, ChildInfo>,
}

/// One Envoy.
#[derive(Debug, Clone, Deserialize)]
pub struct Gateway {
    /// `envoy-0`, `envoy-1`, …
    pub name: String,
    /// Where browsers go.
    pub url: String,
    /// Where operators go.
    pub admin_url: String,
}

/// How a process was started.
#[derive(Debug, Clone, Deserialize)]
pub struct ChildInfo {
    /// Its command line.
    pub argv: Vec<String>,
    /// Its log.
    pub log: PathBuf,
}

#[derive(Debug)]
struct Supervisor {
    process: Child,
    commands: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

const STOP_TIME: Duration = Duration::from_secs(20);

impl Stack {
    /// Starts everything and waits until it is ready. Panics with the supervisor's own words when
    /// it is not.
    pub fn start(options: &StackOptions) -> Self {
        Self::try_start(options).unwrap_or_else(|why| panic!("the stack did not start: {why}"))
    }

    /// As [`Stack::start`]; the error is what the supervisor printed.
    pub fn try_start(options: &StackOptions) -> Result<Self, String> {
        let run_dir = TempDir::with_prefix("gatelatch-").expect("a temporary directory");
        let log = run_dir.path().join("supervisor.log");
        let process = Command::new(repository().join("scripts/run"))
            .args(options.command_line(run_dir.path()))
            .env_remove("CARGO_TARGET_DIR")
            .envs(
                options
                    .environment
                    .iter()
                    .map(|(name, value)| (name, value)),
            )
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&log).expect("the supervisor's log"))
            .process_group(0)
            .spawn()
            .expect("scripts/run can be started");
        let mut supervisor = Supervisor::new(process);
        let line = supervisor.read_line();
        match serde_json::from_str(&line) {
            Ok(ready) => Ok(Self {
                ready,
                supervisor: Mutex::new(supervisor),
                run_dir,
            }),
            Err(_) => {
                let mut rest = String::new();
                let _ = supervisor.answers.read_to_string(&mut rest);
                let log = std::fs::read_to_string(&log).unwrap_or_default();
                Err(format!("{line}{rest}{log}"))
            }
        }
    }

    /// `http://localhost:PORT` of the first Envoy, with `path`.
    pub fn url(&self, path: &str) -> String {
        self.url_at(0, path)
    }

    /// The same of the nth Envoy.
    pub fn url_at(&self, nth: usize, path: &str) -> String {
        format!("{}{path}", self.ready.gateways[nth].url)
    }

    /// How many Envoys there are.
    pub fn envoys(&self) -> usize {
        self.ready.gateways.len()
    }

    /// `127.0.0.1:PORT` of the nth Envoy, for [`crate::raw`].
    pub fn address(&self, nth: usize) -> (&'static str, u16) {
        ("127.0.0.1", self.ready.ports[&format!("envoy-{nth}")])
    }

    /// Directory of logs, database and keys. It goes with the stack.
    pub fn run_dir(&self) -> &Path {
        self.run_dir.path()
    }

    /// The administrator.
    pub fn control(&self) -> Control {
        Control::new(
            &self.ready.control_url,
            &self.secret(&self.ready.admin_token_file),
        )
    }

    /// What the provider saw.
    pub fn events(&self) -> Events {
        Events::new(self.ready.idp_events_file.clone())
    }

    /// The one secret in a file of the run directory.
    pub fn secret(&self, file: &Path) -> String {
        let text = std::fs::read_to_string(file).expect("a file of the run directory");
        text.trim_end().to_owned()
    }

    /// The log of a process so far.
    pub fn log(&self, process: &str) -> String {
        let bytes = std::fs::read(&self.ready.children[process].log).expect("a log");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Commands the supervisor: `stop`, `kill`, `pause`, `resume`, `start` or `restart` a process.
    pub fn order(&self, verb: &str, process: &str) {
        let answer = self.ask(&format!("{verb} {process}"));
        assert!(answer.get("ok").is_some(), "{verb} {process}: {answer}");
    }

    /// Asks the supervisor to stop everything; does not wait.
    pub(crate) fn begin_end(&self) {
        let mut supervisor = self
            .supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        drop(supervisor.commands.take());
    }

    /// Stops everything and removes the run directory.
    pub(crate) fn end(&self) {
        let mut supervisor = self
            .supervisor
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        supervisor.end();
        let _ = std::fs::remove_dir_all(self.run_dir.path());
    }

    /// Starts what does not run and resumes what is paused, as a failed test may have left it.
    pub fn mend(&self) {
        let status = self.ask("status");
        let children = status["children"].as_object().expect("processes by name");
        for (name, pid) in children {
            self.order(if pid.is_null() { "start" } else { "resume" }, name);
        }
    }

    fn ask(&self, command: &str) -> Value {
        let mut supervisor = self.supervisor.lock().expect("no test panicked in here");
        let commands = supervisor
            .commands
            .as_mut()
            .expect("open until it is dropped");
        writeln!(commands, "{command}").expect("the supervisor runs");
        let line = supervisor.read_line();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{command}: {line:?} is not JSON"))
    }
}

/// A user name that no other test of this process has.
pub fn user(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Supervisor {
    fn new(mut process: Child) -> Self {
        let commands = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        Self {
            process,
            commands,
            answers,
        }
    }

    fn read_line(&mut self) -> String {
        let mut line = String::new();
        let _ = self.answers.read_line(&mut line);
        line
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.end();
    }
}

impl Supervisor {
    /// The end of its input makes the supervisor stop all others and itself. If it does not, the
    /// kernel ends the others with it.
    fn end(&mut self) {
        drop(self.commands.take());
        let deadline = Instant::now() + STOP_TIME;
        while Instant::now() < deadline {
            if matches!(self.process.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        kill_group(self.process.id());
        let _ = self.process.wait();
    }
}

fn kill_group(leader: u32) {
    if let Ok(leader) = i32::try_from(leader) {
        // SAFETY: a call without memory; the group is the one made for this child.
        unsafe { libc::killpg(leader, libc::SIGKILL) };
    }
}
