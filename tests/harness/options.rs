//! What a stack is started with.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// How a stack differs from the local one of `make run`. The default: one Envoy with two workers,
/// free ports, a run directory of its own.
#[derive(Debug, Clone, Default)]
pub struct StackOptions {
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    filter_config: Option<Value>,
}

impl StackOptions {
    /// As `make run`, on free ports.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lifetime of a session token, such as `2s`.
    #[must_use]
    pub fn session_ttl(self, ttl: &str) -> Self {
        self.argument("--session-ttl", ttl)
    }

    /// Envoys, and workers of each.
    #[must_use]
    pub fn envoys(self, envoys: usize, workers: usize) -> Self {
        self.argument("--envoys", &envoys.to_string())
            .argument("--concurrency", &workers.to_string())
    }

    /// Merged into the filter's configuration as a JSON merge patch (RFC 7396).
    #[must_use]
    pub fn filter_config(mut self, config: Value) -> Self {
        self.filter_config = Some(config);
        self
    }

    /// One more variable of the filter's VM.
    #[must_use]
    pub fn vm_env(self, name: &str, value: &str) -> Self {
        self.argument("--vm-env", &format!("{name}={value}"))
    }

    /// A variable of the stack's environment, such as `GATELATCH_TAIL_WINDOW`.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Leaves a process out at first: `idp`, `control` or `app`.
    #[must_use]
    pub fn without(self, process: &str) -> Self {
        self.argument("--without", process)
    }

    fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub(crate) fn command_line(&self, run_dir: &Path) -> Vec<String> {
        let mut line: Vec<String> = ["--driven", "--no-build", "--ports", "auto", "--run-dir"]
            .map(str::to_owned)
            .into();
        line.push(run_dir.display().to_string());
        line.extend(["--wasm".to_owned(), wasm().display().to_string()]);
        line.extend(["--binary".to_owned(), binary().display().to_string()]);
        if let Some(config) = &self.filter_config {
            line.extend(["--extra-filter-config".to_owned(), config.to_string()]);
        }
        line.extend(self.arguments.iter().cloned());
        line
    }
}

/// The repository's root.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The filter under test: `GATELATCH_TEST_WASM`, or what `scripts/run --build-only` has built.
pub fn wasm() -> PathBuf {
    built("GATELATCH_TEST_WASM", "gatelatch.wasm")
}

/// The control service under test: `GATELATCH_TEST_BINARY`, or what `scripts/run --build-only`
/// has built.
pub fn binary() -> PathBuf {
    built("GATELATCH_TEST_BINARY", "native/gatelatch")
}

fn built(variable: &str, name: &str) -> PathBuf {
    // A test runs in its package's folder; relative paths are meant from the root.
    let path = match std::env::var_os(variable) {
        Some(path) => repository().join(path),
        None => {
            let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
            repository().join(target).join(name)
        }
    };
    path.canonicalize().unwrap_or_else(|_| {
        panic!(
            "{} is not there: run `scripts/run --build-only` first, or set {variable}",
            path.display()
        )
    })
}
