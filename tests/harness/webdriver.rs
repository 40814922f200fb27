//! chromedriver as a process of its own, on a port that it takes itself.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

/// A running chromedriver and an empty browser profile. Both end with it.
#[derive(Debug)]
pub struct WebDriver {
    /// Where clients of the WebDriver protocol connect.
    pub url: String,
    process: Child,
    _output: BufReader<ChildStdout>,
    profile: TempDir,
}

impl WebDriver {
    /// Starts it; panics with what to install when it is not there.
    pub fn start() -> Self {
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command.process_group(0);
        #[cfg(target_os = "linux")]
        // SAFETY: prctl is async-signal-safe and touches no memory of ours.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let mut process = command.spawn().unwrap_or_else(|error| {
            panic!("chromedriver cannot be started ({error}): install it and chromium, or run scripts/setup")
        });
        let mut output = BufReader::new(process.stdout.take().expect("stdout is a pipe"));
        let port = read_port(&mut output);
        Self {
            url: format!("http://127.0.0.1:{port}"),
            process,
            _output: output,
            profile: TempDir::with_prefix("gatelatch-profile-").expect("a temporary directory"),
        }
    }

    /// A headless Chromium that makes no calls of its own.
    pub fn capabilities(&self) -> Map<String, Value> {
        let profile = format!("--user-data-dir={}", self.profile.path().display());
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1000,700",
            // Through a pipe it ends with its driver.
            "--remote-debugging-pipe",
            &profile,
        ];
        let options = json!({"goog:chromeOptions": {"args": arguments}});
        options.as_object().cloned().expect("an object")
    }
}

impl Drop for WebDriver {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// "ChromeDriver was started successfully on port 12345."
fn read_port(output: &mut impl std::io::BufRead) -> u16 {
    let mut said = String::new();
    for line in output.lines().map_while(Result::ok) {
        let port = line
            .split("on port ")
            .nth(1)
            .and_then(|rest| rest.trim_end_matches('.').parse().ok());
        if let Some(port) = port.filter(|_| line.contains("successfully")) {
            return port;
        }
        said.push_str(&line);
        said.push('\n');
    }
    panic!("chromedriver did not start:\n{said}");
}
