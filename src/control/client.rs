//! The operator's commands, as calls of the control service.

use std::process::ExitCode;
use std::time::Duration;

use gatelatch_wire::Secret;
use gatelatch_wire::revocation::{Revocation, Revoked};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cli::{ControlArgs, RevokeArgs, RevokeCommon, RevokeWhat, SessionsArgs};
use crate::config::{ConfigError, read_secret};
use crate::error::ErrorBody;
use crate::routes::feed::GatewayList;
use crate::routes::sessions::{SessionDeleted, SessionList};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A setting.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No token in the file.
    #[error("--admin-token-file: holds no token")]
    NoToken,
    /// No answer.
    #[error("--control {url}: {problem}")]
    Unreachable {
        /// Where the service was looked for.
        url: String,
        /// What came instead of an answer.
        problem: String,
    },
    /// An answer that says no.
    #[error("the control service refused: {message} ({error})")]
    Refused {
        /// The stable code.
        error: String,
        /// Its explanation.
        message: String,
    },
}

/// Exit code of `revoke --wait` when not every Envoy enforced it in time.
const NOT_ENFORCED: u8 = 3;

struct Client {
    url: String,
    token: Secret,
    agent: ureq::Agent,
}

/// `gatelatch revoke`.
///
/// # Errors
/// See [`ClientError`].
pub fn revoke(args: RevokeArgs) -> Result<ExitCode, ClientError> {
    let (revocation, common) = revocation(args.what);
    let client = Client::new(&common.control, common.timeout)?;
    let mut path = "/v1/revocations".to_owned();
    if common.wait {
        path += &format!("?wait=enforced&timeout_ms={}", common.timeout.as_millis());
    }
    let revoked: Revoked = client.post(&path, &revocation)?;
    println!("revoked; {} live sessions ended", revoked.sessions_ended);
    let Some(enforced) = revoked.enforced else {
        return Ok(ExitCode::SUCCESS);
    };
    println!("enforced on {} of {}", enforced.on, enforced.of);
    Ok(if enforced.on == enforced.of {
        ExitCode::SUCCESS
    } else {
        NOT_ENFORCED.into()
    })
}

/// `gatelatch sessions`: one line each, tab-separated.
///
/// # Errors
/// See [`ClientError`].
pub fn sessions(args: &SessionsArgs) -> Result<ExitCode, ClientError> {
    let client = Client::new(&args.control, Duration::ZERO)?;
    println!("SID\tSUB\tISS\tSTARTED\tENDS\tREFRESHES\tSTATE");
    let mut after = String::new();
    loop {
        let ended = args.ended.to_string();
        let mut query = vec![
            ("limit", "1000"),
            ("ended", ended.as_str()),
            ("after", &after),
        ];
        query.extend(args.iss.as_deref().map(|iss| ("iss", iss)));
        query.extend(args.sub.as_deref().map(|sub| ("sub", sub)));
        let page: SessionList = client.list("/v1/sessions", &query)?;
        for session in page.sessions {
            let state = session.ended_reason.map_or("live", |reason| reason.code());
            println!(
                "{}\t{}\t{}\t{}\t{}\t{}\t{state}",
                session.sid,
                session.sub,
                session.iss,
                date(session.started_at),
                date(session.ends_at),
                session.refreshes
            );
        }
        match page.next {
            Some(next) => after = next,
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

/// `gatelatch end`.
///
/// # Errors
/// See [`ClientError`].
pub fn end(sid: &str, control: &ControlArgs) -> Result<ExitCode, ClientError> {
    let client = Client::new(control, Duration::ZERO)?;
    let deleted: SessionDeleted = client.delete(&format!("/v1/sessions/{sid}"))?;
    println!(
        "{}",
        if deleted.ended {
            "ended"
        } else {
            "was not live; its JWTs are revoked"
        }
    );
    Ok(ExitCode::SUCCESS)
}

/// `gatelatch gateways`: one line each, tab-separated.
///
/// # Errors
/// See [`ClientError`].
pub fn gateways(control: &ControlArgs) -> Result<ExitCode, ClientError> {
    let client = Client::new(control, Duration::ZERO)?;
    let list: GatewayList = client.list("/v1/gateways", &[])?;
    println!("GATEWAY\tVERSION\tCURSOR\tBEHIND\tLAST SEEN");
    for gateway in list.gateways {
        println!(
            "{}\t{}\t{}\t{}\t{}",
            gateway.gateway,
            gateway.version,
            gateway.cursor,
            gateway.behind,
            date(gateway.last_seen)
        );
    }
    Ok(ExitCode::SUCCESS)
}

fn revocation(what: RevokeWhat) -> (Revocation, RevokeCommon) {
    match what {
        RevokeWhat::Jti { id, common } => (Revocation::Jti { id }, common),
        RevokeWhat::Sid { id, common } => (Revocation::Sid { id }, common),
        RevokeWhat::Sub {
            sub,
            iss,
            issued_before,
            common,
        } => (
            Revocation::Sub {
                iss,
                sub,
                issued_before,
            },
            common,
        ),
        RevokeWhat::All {
            issued_before,
            common,
        } => (Revocation::All { issued_before }, common),
    }
}

fn date(seconds: u64) -> String {
    let time = std::time::UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    time.map_or_else(
        || seconds.to_string(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

impl Client {
    fn new(control: &ControlArgs, wait: Duration) -> Result<Self, ClientError> {
        let text = read_secret("--admin-token-file", &control.admin_token_file)?;
        let token = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty() && !line.starts_with('#'))
            .ok_or(ClientError::NoToken)?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(wait + Duration::from_secs(30)))
            .build()
            .new_agent();
        let url = control.control.trim_end_matches('/').to_owned();
        Ok(Self {
            url,
            token: Secret::new(token),
            agent,
        })
    }

    fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let request = self.agent.post(format!("{}{path}", self.url));
        self.read(
            request
                .header("authorization", self.bearer())
                .send_json(body),
        )
    }

    fn list<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<T, ClientError> {
        let request = self
            .agent
            .get(format!("{}{path}", self.url))
            .query_pairs(query.to_vec());
        self.read(request.header("authorization", self.bearer()).call())
    }

    fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let request = self.agent.delete(format!("{}{path}", self.url));
        self.read(request.header("authorization", self.bearer()).call())
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.reveal())
    }

    fn read<T: DeserializeOwned>(
        &self,
        result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<T, ClientError> {
        let unreachable = |problem: String| ClientError::Unreachable {
            url: self.url.clone(),
            problem,
        };
        let mut response = result.map_err(|error| unreachable(error.to_string()))?;
        let status = response.status();
        if status.is_success() {
            let body = response.body_mut().read_json();
            return body.map_err(|_| unreachable("answers, but not as a control service".into()));
        }
        match response.body_mut().read_json::<ErrorBody>() {
            Ok(body) => Err(ClientError::Refused {
                error: body.error,
                message: body.message,
            }),
            Err(_) => Err(unreachable(format!("answered with status {status}"))),
        }
    }
}
