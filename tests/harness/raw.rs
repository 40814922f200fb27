//! HTTP/1.1 by hand: any bytes out, one response in.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answer::Answer;
use bytes::Bytes;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Version};

const PATIENCE: Duration = Duration::from_secs(60);
const MOST_HEADERS: usize = 100;

/// One connection.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub async fn open(address: (&str, u16)) -> Self {
        let socket = TcpStream::connect(address)
            .await
            .expect("the gateway listens");
        Self {
            socket,
            read: Vec::new(),
        }
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) {
        self.socket
            .write_all(bytes)
            .await
            .expect("the gateway reads");
    }

    /// Reads one response head (an interim one too) and returns its status and header lines.
    pub async fn head(&mut self) -> (u16, HeaderMap) {
        loop {
            if let Some((length, status, headers)) = parse_head(&self.read) {
                self.read.drain(..length);
                return (status, headers);
            }
            assert!(
                self.more().await,
                "the connection ended before a whole response head"
            );
        }
    }

    /// Reads one response with its body. Interim responses are passed over.
    pub async fn answer(&mut self) -> Answer {
        let (status, headers) = loop {
            let (status, headers) = self.head().await;
            if status >= 200 || status == 101 {
                break (status, headers);
            }
        };
        let length = headers.get("content-length").and_then(|v| v.to_str().ok());
        let body = if status == 101 || status == 204 || status == 304 {
            Vec::new()
        } else if let Some(length) = length {
            let length = length.parse().expect("a Content-Length");
            self.bytes(length).await
        } else if headers.get("transfer-encoding").is_some() {
            self.chunks().await
        } else {
            while self.more().await {}
            std::mem::take(&mut self.read)
        };
        Answer {
            asked: "a request by hand".to_owned(),
            status,
            headers,
            body: Bytes::from(body),
            version: Version::HTTP_11,
        }
    }

    /// Reads exactly so many bytes.
    pub async fn bytes(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length {
            assert!(self.more().await, "the connection ended within a body");
        }
        self.read.drain(..length).collect()
    }

    async fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let line = self.line().await;
            let length = usize::from_str_radix(line.trim(), 16).expect("the size of a chunk");
            body.extend(self.bytes(length).await);
            let end = self.line().await;
            assert_eq!(end, "", "a chunk ends with its line");
            if length == 0 {
                return body;
            }
        }
    }

    async fn line(&mut self) -> String {
        loop {
            if let Some(at) = self.read.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.bytes(at + 2).await;
                return String::from_utf8_lossy(&line[..at]).into_owned();
            }
            assert!(self.more().await, "the connection ended within a line");
        }
    }

    async fn more(&mut self) -> bool {
        let mut piece = [0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.socket.read(&mut piece)).await;
        match read.unwrap_or_else(|_| panic!("nothing came for {PATIENCE:?}")) {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.read.extend_from_slice(&piece[..length]);
                true
            }
        }
    }
}

/// A connection for one exchange.
pub async fn exchange(address: (&str, u16), request: &[u8]) -> Answer {
    let mut connection = Connection::open(address).await;
    connection.send(request).await;
    connection.answer().await
}

/// A request head with `Host`; lines are sent in this order and spelling.
pub fn head(method: &str, target: &str, address: (&str, u16), lines: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = format!(
        "{method} {target} HTTP/1.1\r\nHost: localhost:{}\r\n",
        address.1
    )
    .into_bytes();
    for (name, value) in lines {
        bytes.extend_from_slice(name.as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes
}

fn parse_head(bytes: &[u8]) -> Option<(usize, u16, HeaderMap)> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut lines);
    let length = match response.parse(bytes).expect("a response in HTTP/1.1") {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return None,
    };
    let mut headers = HeaderMap::new();
    for line in response.headers.iter() {
        let name: HeaderName = line.name.parse().expect("a header name");
        headers.append(
            name,
            HeaderValue::from_bytes(line.value).expect("a header value"),
        );
    }
    Some((length, response.code?, headers))
}

/// A tally of answers by status, for floods.
pub fn tally(statuses: impl IntoIterator<Item = u16>) -> BTreeMap<u16, usize> {
    let mut counts = BTreeMap::new();
    for status in statuses {
        *counts.entry(status).or_insert(0) += 1;
    }
    counts
}
