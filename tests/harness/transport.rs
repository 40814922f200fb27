//! HTTP without TLS, over HTTP/1.1 or HTTP/2 with prior knowledge. URLs are sent as they are
//! written: nothing normalises `..` or `%2e`.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::answer::Answer;

/// Longer than the gateway's own limits, so that they are seen first.
const PATIENCE: Duration = Duration::from_secs(90);

/// A pool of connections. Connections are not shared between transports.
#[derive(Debug, Clone)]
pub struct Transport(Client<HttpConnector, Full<Bytes>>);

impl Transport {
    /// HTTP/1.1.
    pub fn http1() -> Self {
        Self(builder().build(HttpConnector::new()))
    }

    /// HTTP/2 with prior knowledge (RFC 9113 section 3.3): one connection to each server.
    pub fn http2() -> Self {
        Self(builder().http2_only(true).build(HttpConnector::new()))
    }

    /// One exchange; None: the connection broke.
    pub async fn try_send(
        &self,
        method: Method,
        url: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Option<Answer> {
        let asked = format!("{method} {url}");
        let uri: Uri = url.parse().unwrap_or_else(|_| panic!("{url} is not a URL"));
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        let whole = async {
            let (head, body) = self.0.request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some((head, body))
        };
        let whole = tokio::time::timeout(PATIENCE, whole).await;
        let (head, body) =
            whole.unwrap_or_else(|_| panic!("{asked}: no answer in {PATIENCE:?}"))?;
        Some(Answer {
            asked,
            status: head.status.as_u16(),
            headers: head.headers,
            body,
            version: head.version,
        })
    }
}

fn builder() -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_timer(TokioTimer::new()).set_host(true);
    builder
}
