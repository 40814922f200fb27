//! `gatelatch`: the control service and the operator's tool.

#![forbid(unsafe_code)]

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use gatelatch_control::cli::{Cli, Command, KeyKind, LogFormat, ServeArgs};
use gatelatch_control::{Config, ServeError, client, document, keyring};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// Exit code of a wrong configuration, as of a wrong command line.
const MISCONFIGURED: u8 = 2;

fn main() -> ExitCode {
    // Before the command line is read, because the file may hold its settings, and before any
    // thread is started, because the environment may be changed only then.
    if std::env::args().any(|arg| arg == "--dev") {
        let _ = dotenvy::dotenv();
    }
    match Cli::parse().command {
        Command::Serve(args) => serve(&args),
        Command::Keygen { kind } => {
            println!("{}", keygen(kind));
            ExitCode::SUCCESS
        }
        Command::Openapi => match document().to_pretty_json() {
            Ok(text) => {
                println!("{text}");
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error, ExitCode::FAILURE),
        },
        Command::Revoke(args) => finish(client::revoke(args)),
        Command::Sessions(args) => finish(client::sessions(&args)),
        Command::End { sid, control } => finish(client::end(&sid, &control)),
        Command::Gateways { control } => finish(client::gateways(&control)),
    }
}

fn serve(args: &ServeArgs) -> ExitCode {
    let filter = match EnvFilter::try_new(&args.log) {
        Ok(filter) => filter,
        Err(error) => return fail(&format!("--log: {error}"), MISCONFIGURED.into()),
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match args.log_format {
        LogFormat::Json => log.json().flatten_event(true).init(),
        LogFormat::Text => log.init(),
    }
    let config = match Config::load(args) {
        Ok(config) => config,
        Err(error) => return fail(&error, MISCONFIGURED.into()),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error, ExitCode::FAILURE),
    };
    match runtime.block_on(run(args, config)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, ExitCode::FAILURE),
    }
}

async fn run(args: &ServeArgs, config: Config) -> Result<(), ServeError> {
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", args.listen)))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    gatelatch_control::serve(config, listener, async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
    .await
}

fn keygen(kind: KeyKind) -> String {
    match kind {
        KeyKind::EncryptionKey => keyring::generate_line(),
        KeyKind::Token | KeyKind::SessionKey => keyring::generate_token(),
    }
}

fn finish(result: Result<ExitCode, client::ClientError>) -> ExitCode {
    result.unwrap_or_else(|error| fail(&error, ExitCode::FAILURE))
}

fn fail(error: &impl std::fmt::Display, code: ExitCode) -> ExitCode {
    eprintln!("gatelatch: {error}");
    code
}
