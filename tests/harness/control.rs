//! The administrator: calls to the control service, and to Envoy's admin.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::answer::Answer;
use crate::transport::Transport;

/// A client of the control service with one credential.
#[derive(Debug, Clone)]
pub struct Control {
    base: String,
    token: Option<String>,
    transport: Transport,
}

impl Control {
    /// A client at `base` with a bearer token.
    pub fn new(base: &str, token: &str) -> Self {
        Self {
            base: base.to_owned(),
            token: Some(token.to_owned()),
            transport: Transport::http1(),
        }
    }

    /// The same with another token, or none.
    #[must_use]
    pub fn with_token(&self, token: Option<&str>) -> Self {
        Self {
            token: token.map(str::to_owned),
            ..self.clone()
        }
    }

    /// `GET path`.
    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, None).await
    }

    /// `POST path` with JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Any call.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let answer = self.try_call(method, path, body).await;
        answer.unwrap_or_else(|| panic!("{path}: the control service does not answer"))
    }

    /// Any call; None: the connection broke.
    pub async fn try_call(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let mut headers = HeaderMap::new();
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a token");
            headers.insert(AUTHORIZATION, value);
        }
        let bytes = match body {
            Some(json) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Bytes::from(json.to_string())
            }
            None => Bytes::new(),
        };
        let url = format!("{}{path}", self.base);
        self.transport.try_send(method, &url, headers, bytes).await
    }

    /// Revokes, and returns what the service says; panics when it refuses.
    pub async fn revoke(&self, what: &Value) -> Value {
        self.post("/v1/revocations", what).await.expect(201).json()
    }

    /// Revokes a session.
    pub async fn revoke_sid(&self, sid: &str) -> Value {
        self.revoke(&json!({"kind": "sid", "id": sid})).await
    }

    /// One session, live or ended.
    pub async fn session(&self, sid: &str) -> Value {
        self.get(&format!("/v1/sessions/{sid}"))
            .await
            .expect(200)
            .json()
    }

    /// A metric of the service, all series of that name added up.
    pub async fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics").await.expect(200).text();
        let fitting = text.lines().filter(|line| {
            line.strip_prefix(series)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        fitting
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(_, value)| value.parse::<f64>().ok())
            .sum()
    }
}

/// Envoy's own counters and gauges by name.
pub async fn envoy_stats(admin_url: &str) -> BTreeMap<String, u64> {
    let url = format!("{admin_url}/stats?type=All&usedonly");
    let answer = Transport::http1()
        .try_send(Method::GET, &url, HeaderMap::new(), Bytes::new())
        .await;
    let text = answer.expect("Envoy's admin answers").expect(200).text();
    text.lines()
        .filter_map(|line| line.split_once(": "))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}
