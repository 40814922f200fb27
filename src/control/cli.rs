//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::StoreUrl;
use crate::idp::Idp;

/// The session layer of Envoy: its control service and the operator's tool.
#[derive(Debug, Parser)]
#[command(name = "gatelatch", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  Make the secrets, then start the service:
    umask 077
    gatelatch keygen token > gateway-token
    gatelatch keygen token > admin-token
    gatelatch keygen encryption-key > encryption-keys
    gatelatch serve --gateway-token-file gateway-token --admin-token-file admin-token \\
      --encryption-key-file encryption-keys --store sqlite:gatelatch.db

  Log a user out everywhere, and see that every Envoy enforces it:
    gatelatch revoke sub --iss https://idp.example --wait alice --admin-token-file admin-token

  See which Envoys follow, and how far each has come:
    gatelatch gateways --admin-token-file admin-token";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the control service
    Serve(ServeArgs),
    /// Print a fresh secret
    Keygen {
        /// What it is for
        kind: KeyKind,
    },
    /// Print the OpenAPI document of the control service
    Openapi,
    /// Revoke JWTs, sessions, users, or everything
    Revoke(RevokeArgs),
    /// List sessions
    Sessions(SessionsArgs),
    /// End one session
    End {
        /// The session's `sid`
        sid: String,
        /// Which service
        #[command(flatten)]
        control: ControlArgs,
    },
    /// List the Envoys that follow the revocations
    Gateways {
        /// Which service
        #[command(flatten)]
        control: ControlArgs,
    },
}

/// `gatelatch serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Address and port to listen on
    #[arg(
        long,
        env = "GATELATCH_LISTEN",
        default_value = "127.0.0.1:9100",
        value_name = "ADDR"
    )]
    pub listen: SocketAddr,

    /// Where sessions and revocations live: sqlite:PATH for one process, postgres://USER@HOST/DB
    /// for several replicas
    #[arg(
        long,
        env = "GATELATCH_STORE",
        default_value = "sqlite:gatelatch.db",
        value_name = "URL",
        hide_env_values = true
    )]
    pub store: StoreUrl,

    /// File of the gateways' bearer tokens, one a line, each of at least 32 characters; all are
    /// accepted, so that they can be rotated
    #[arg(long, env = "GATELATCH_GATEWAY_TOKEN_FILE", value_name = "FILE")]
    pub gateway_token_file: PathBuf,

    /// File of the administrators' bearer tokens, likewise
    #[arg(long, env = "GATELATCH_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: PathBuf,

    /// File of the keys that encrypt stored tokens, `KID BASE64-OF-32-BYTES` a line; the first
    /// encrypts, all decrypt
    #[arg(long, env = "GATELATCH_ENCRYPTION_KEY_FILE", value_name = "FILE")]
    pub encryption_key_file: PathBuf,

    /// OpenID provider whose logout tokens are accepted, and our client id there; repeat the flag
    /// for several (in the variable they are separated by blanks)
    #[arg(
        long = "idp",
        env = "GATELATCH_IDPS",
        value_name = "ISSUER,CLIENT_ID",
        value_delimiter = ' '
    )]
    pub idps: Vec<Idp>,

    /// How long revocations and ended sessions are kept
    #[arg(long, env = "GATELATCH_RETENTION", default_value = "30d", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub retention: Duration,

    /// Time from one clean-up to the next
    #[arg(long, env = "GATELATCH_CLEANUP_INTERVAL", default_value = "24h", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub cleanup_interval: Duration,

    /// The longest that a session can last at any gateway (session.max_age there); the retention
    /// must not be shorter
    #[arg(long, env = "GATELATCH_MAX_SESSION", default_value = "12h", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub max_session: Duration,

    /// How long after a refresh its result is handed out to latecomers; at least 30s
    #[arg(long, env = "GATELATCH_TAIL_WINDOW", default_value = "30s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub tail_window: Duration,

    /// How long the right to refresh lasts unless its holder renews it
    #[arg(long, env = "GATELATCH_LEASE", default_value = "10s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub lease: Duration,

    /// How the log looks
    #[arg(
        long,
        env = "GATELATCH_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,

    /// What the log shows: a level, or `target=level` pairs
    #[arg(
        long,
        env = "GATELATCH_LOG",
        default_value = "info",
        value_name = "FILTER"
    )]
    pub log: String,

    /// Read a `.env` file first; for development only
    #[arg(long)]
    pub dev: bool,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line
    Json,
    /// For people
    Text,
}

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum KeyKind {
    /// A bearer token: a line of --gateway-token-file or --admin-token-file
    Token,
    /// A line of --encryption-key-file
    EncryptionKey,
    /// A key for the filter's session_keys
    SessionKey,
}

/// Which control service, and as whom.
#[derive(Debug, Args)]
pub struct ControlArgs {
    /// URL of the control service
    #[arg(
        long,
        env = "GATELATCH_CONTROL",
        default_value = "http://127.0.0.1:9100",
        value_name = "URL"
    )]
    pub control: String,

    /// File whose first token is used
    #[arg(long, env = "GATELATCH_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub admin_token_file: PathBuf,
}

/// `gatelatch revoke`.
#[derive(Debug, Args)]
pub struct RevokeArgs {
    /// What to revoke
    #[command(subcommand)]
    pub what: RevokeWhat,
}

/// What to revoke.
#[derive(Debug, Subcommand)]
pub enum RevokeWhat {
    /// One session JWT
    Jti {
        /// Its `jti`
        id: String,
        /// How
        #[command(flatten)]
        common: RevokeCommon,
    },
    /// One session
    Sid {
        /// Its `sid`
        id: String,
        /// How
        #[command(flatten)]
        common: RevokeCommon,
    },
    /// All sessions of a user
    Sub {
        /// The user's `sub`
        sub: String,
        /// The issuer, or the public URL of the gateway
        #[arg(long, value_name = "ISS")]
        iss: String,
        /// Only sessions that started at or before this: Unix seconds or RFC 3339; now by default
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        issued_before: Option<u64>,
        /// How
        #[command(flatten)]
        common: RevokeCommon,
    },
    /// All sessions of everybody
    All {
        /// Only sessions that started at or before this: Unix seconds or RFC 3339; now by default
        #[arg(long, value_name = "TIME", value_parser = parse_time)]
        issued_before: Option<u64>,
        /// How
        #[command(flatten)]
        common: RevokeCommon,
    },
}

/// How to revoke.
#[derive(Debug, Args)]
pub struct RevokeCommon {
    /// Wait until every Envoy enforces it; exits with 3 when one does not in time
    #[arg(long)]
    pub wait: bool,
    /// How long to wait, at most 55s
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Which service
    #[command(flatten)]
    pub control: ControlArgs,
}

/// `gatelatch sessions`.
#[derive(Debug, Args)]
pub struct SessionsArgs {
    /// Only of this issuer, or of this gateway (its public URL)
    #[arg(long)]
    pub iss: Option<String>,
    /// Only of this user
    #[arg(long)]
    pub sub: Option<String>,
    /// Ended and expired ones too
    #[arg(long)]
    pub ended: bool,
    /// Which service
    #[command(flatten)]
    pub control: ControlArgs,
}

fn parse_time(text: &str) -> Result<u64, String> {
    if let Ok(seconds) = text.parse() {
        return Ok(seconds);
    }
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|_| "must be Unix seconds or like 2026-01-31T12:00:00Z".to_owned())?;
    let since = time.duration_since(std::time::UNIX_EPOCH);
    since
        .map(|since| since.as_secs())
        .map_err(|_| "must not be before 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_time_is_seconds_or_a_date() {
        assert_eq!(parse_time("17"), Ok(17));
        assert_eq!(parse_time("1970-01-02T00:00:00Z"), Ok(86_400));
        assert!(parse_time("tomorrow").is_err());
    }
}
