//! The configuration of `gatelatch serve`, checked in whole before anything starts.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::auth::TokenSet;
use crate::cli::ServeArgs;
use crate::clock::{Clock, SystemClock};
use crate::idp::Idp;
use crate::keyring::KeyRing;

/// Everything that the service goes by.
pub struct Config {
    /// The database.
    pub store: StoreUrl,
    /// Who may call as a gateway.
    pub gateway_tokens: TokenSet,
    /// Who may call as an administrator.
    pub admin_tokens: TokenSet,
    /// The keys of the stored tokens.
    pub keyring: KeyRing,
    /// How long revocations and ended sessions are kept.
    pub retention: Duration,
    /// The time from one clean-up to the next.
    pub cleanup_interval: Duration,
    /// How long after a refresh its result is handed out.
    pub tail_window: Duration,
    /// How long a lease lasts unless renewed.
    pub lease: Duration,
    /// Whose logout tokens are accepted.
    pub idps: Vec<Idp>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Which database.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// One file, for one process.
    Sqlite(PathBuf),
    /// A server, for any number of replicas. The URL may hold a password.
    Postgres(String),
}

/// A setting that cannot be used. The text names the flag and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{flag}: {problem}")]
pub struct ConfigError {
    /// The flag, as in `--help`.
    pub flag: &'static str,
    /// What is wrong with its value, and what to do.
    pub problem: String,
}

const SHORTEST_TAIL: Duration = Duration::from_secs(30);
const LEASES: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(300);

impl Config {
    /// Reads the files that `args` name and checks that the settings fit together.
    ///
    /// # Errors
    /// The first setting that cannot be used.
    pub fn load(args: &ServeArgs) -> Result<Self, ConfigError> {
        let gateway_tokens = tokens(GATEWAY_TOKENS, &args.gateway_token_file)?;
        let admin_tokens = tokens(ADMIN_TOKENS, &args.admin_token_file)?;
        if gateway_tokens.overlaps(&admin_tokens) {
            return Err(ConfigError::new(
                ADMIN_TOKENS,
                "shares a token with --gateway-token-file; gateways and administrators need \
                 tokens of their own",
            ));
        }
        let text = read_secret(ENCRYPTION_KEYS, &args.encryption_key_file)?;
        let keyring = KeyRing::parse(&text).map_err(|error| {
            ConfigError::file(ENCRYPTION_KEYS, &args.encryption_key_file, error)
        })?;
        check_durations(args)?;
        Ok(Self {
            store: args.store.clone(),
            gateway_tokens,
            admin_tokens,
            keyring,
            retention: args.retention,
            cleanup_interval: args.cleanup_interval,
            tail_window: args.tail_window,
            lease: args.lease,
            idps: args.idps.clone(),
            clock: Arc::new(SystemClock),
        })
    }
}

const GATEWAY_TOKENS: &str = "--gateway-token-file";
const ADMIN_TOKENS: &str = "--admin-token-file";
const ENCRYPTION_KEYS: &str = "--encryption-key-file";

fn check_durations(args: &ServeArgs) -> Result<(), ConfigError> {
    if args.retention < args.max_session {
        return Err(ConfigError::new(
            "--retention",
            &format!(
                "{} is shorter than --max-session {}: a revoked session could come back; keep \
                 revocations at least as long as a session can last",
                humantime::format_duration(args.retention),
                humantime::format_duration(args.max_session)
            ),
        ));
    }
    if args.tail_window < SHORTEST_TAIL {
        return Err(ConfigError::new("--tail-window", "must be at least 30s"));
    }
    if !LEASES.contains(&args.lease) {
        return Err(ConfigError::new("--lease", "must be between 1s and 5m"));
    }
    if args.cleanup_interval < Duration::from_secs(1) {
        return Err(ConfigError::new(
            "--cleanup-interval",
            "must be at least 1s",
        ));
    }
    Ok(())
}

fn tokens(flag: &'static str, path: &Path) -> Result<TokenSet, ConfigError> {
    let text = read_secret(flag, path)?;
    TokenSet::parse(&text).map_err(|error| ConfigError::file(flag, path, error))
}

/// Reads a file of secrets, unless others can read it too.
pub(crate) fn read_secret(
    flag: &'static str,
    path: &Path,
) -> Result<Zeroizing<String>, ConfigError> {
    let failed = |error: std::io::Error| ConfigError::file(flag, path, error);
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(ConfigError::file(flag, path, "is not a file"));
    }
    if exposed(&metadata) {
        let mode = metadata.mode() & 0o777;
        let text = format!("can be read by others (mode {mode:04o}); chmod 600 it");
        return Err(ConfigError::file(flag, path, text));
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Whether others than this process's user can use the file. A file of another owner that is
/// readable through its group is what a mounted Kubernetes secret looks like.
fn exposed(metadata: &Metadata) -> bool {
    let own = std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == metadata.uid());
    let allowed = if own { 0o700 } else { 0o740 };
    metadata.mode() & 0o777 & !allowed != 0
}

impl ConfigError {
    fn new(flag: &'static str, problem: &str) -> Self {
        Self {
            flag,
            problem: problem.to_owned(),
        }
    }

    fn file(flag: &'static str, path: &Path, problem: impl std::fmt::Display) -> Self {
        Self {
            flag,
            problem: format!("{}: {problem}", path.display()),
        }
    }
}

impl std::str::FromStr for StoreUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Some(path) = text.strip_prefix("sqlite:").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(path.into()));
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        Err("must be sqlite:PATH or postgres://USER@HOST/DATABASE")
    }
}

impl std::fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(_) => f.write_str("postgres://…"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;
    use std::os::unix::fs::PermissionsExt;

    struct Files(tempfile::TempDir);

    impl Files {
        fn new() -> Self {
            let files = Self(tempfile::tempdir().unwrap());
            files.write("gateway", &"g".repeat(32));
            files.write("admin", &"a".repeat(32));
            files.write("keys", &crate::keyring::generate_line());
            files
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.0.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        }

        fn load(&self, more: &[&str]) -> Result<Config, ConfigError> {
            let path = |name| self.0.path().join(name).display().to_string();
            let mut args = vec!["gatelatch".to_owned(), "serve".to_owned()];
            for (flag, name) in [
                (GATEWAY_TOKENS, "gateway"),
                (ADMIN_TOKENS, "admin"),
                (ENCRYPTION_KEYS, "keys"),
            ] {
                args.extend([flag.to_owned(), path(name)]);
            }
            args.extend(more.iter().map(|arg| (*arg).to_owned()));
            let Command::Serve(args) = Cli::try_parse_from(args).unwrap().command else {
                panic!("not serve");
            };
            Config::load(&args)
        }

        fn refusal(&self, more: &[&str]) -> ConfigError {
            self.load(more).err().expect("a refusal")
        }
    }

    #[test]
    fn the_defaults_are_accepted() {
        assert!(Files::new().load(&[]).is_ok());
    }

    #[test]
    fn each_bad_file_is_refused_by_the_name_of_its_flag() {
        let files = Files::new();
        std::fs::remove_file(files.0.path().join("gateway")).unwrap();
        assert_eq!(files.refusal(&[]).flag, GATEWAY_TOKENS);
        files.write("gateway", "short");
        assert!(
            files
                .refusal(&[])
                .problem
                .contains("line 1 is shorter than 32 characters")
        );
        files.write("gateway", &"a".repeat(32));
        assert!(files.refusal(&[]).problem.contains("shares a token"));
        files.write("gateway", &"g".repeat(32));
        files.write("keys", "k1 short");
        assert_eq!(files.refusal(&[]).flag, ENCRYPTION_KEYS);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        let files = Files::new();
        let admin = files.0.path().join("admin");
        for mode in [0o604, 0o640, 0o620] {
            std::fs::set_permissions(&admin, PermissionsExt::from_mode(mode)).unwrap();
            let refusal = files.refusal(&[]);
            assert_eq!(refusal.flag, ADMIN_TOKENS);
            assert!(
                refusal.problem.contains(&format!("mode {mode:04o}")),
                "{refusal}"
            );
        }
    }

    #[test]
    fn durations_that_do_not_fit_together_are_refused() {
        let files = Files::new();
        assert_eq!(files.refusal(&["--retention", "11h"]).flag, "--retention");
        assert_eq!(
            files.refusal(&["--tail-window", "29s"]).flag,
            "--tail-window"
        );
        assert_eq!(files.refusal(&["--lease", "1h"]).flag, "--lease");
        assert!(
            files
                .load(&["--retention", "11h", "--max-session", "10h"])
                .is_ok()
        );
    }

    #[test]
    fn a_store_is_named_by_its_scheme_and_shows_no_password() {
        assert!("sqlite:".parse::<StoreUrl>().is_err());
        assert!("mysql://x".parse::<StoreUrl>().is_err());
        let url: StoreUrl = "postgres://u:secret@h/d".parse().unwrap();
        assert!(!format!("{url:?}").contains("secret"));
    }
}
