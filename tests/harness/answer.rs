//! What a server answered, whole.

use bytes::Bytes;
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, StatusCode, Version};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// A response and its body.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, for messages.
    pub asked: String,
    /// Status code.
    pub status: u16,
    /// Header lines.
    pub headers: HeaderMap,
    /// The body, undone of its transfer coding.
    pub body: Bytes,
    /// HTTP/1.1 or HTTP/2.
    pub version: Version,
}

impl Answer {
    /// The single value of a header. Panics when it has several.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let value = values
            .next()
            .map(|value| value.to_str().expect("a header in ASCII"));
        assert!(values.next().is_none(), "{}: several {name}", self.asked);
        value
    }

    /// All `Set-Cookie` lines.
    pub fn set_cookies(&self) -> Vec<&str> {
        let lines = self.headers.get_all(SET_COOKIE).iter();
        lines
            .map(|line| line.to_str().expect("a cookie in ASCII"))
            .collect()
    }

    /// The `Set-Cookie` lines of one cookie.
    pub fn set_cookie(&self, name: &str) -> Vec<&str> {
        let start = format!("{name}=");
        let lines = self.set_cookies().into_iter();
        lines.filter(|line| line.starts_with(&start)).collect()
    }

    /// `Location`.
    pub fn location(&self) -> &str {
        self.header(LOCATION.as_str())
            .unwrap_or_else(|| panic!("{} has no Location: {}", self.asked, self.brief()))
    }

    /// The URL that was asked for.
    pub fn url(&self) -> &str {
        self.asked.split_once(' ').map_or("", |(_, url)| url)
    }

    /// Whether it leads elsewhere.
    pub fn is_redirect(&self) -> bool {
        StatusCode::from_u16(self.status).is_ok_and(|status| status.is_redirection())
            && self.headers.contains_key(LOCATION)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|_| panic!("{} is not JSON: {}", self.asked, self.brief()))
    }

    /// The reason of a refusal.
    pub fn reason(&self) -> String {
        self.json()["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// Panics unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.brief());
        self
    }

    /// What the demo application received.
    pub fn echo(&self) -> Echo {
        Echo(self.json())
    }

    /// Status and the beginning of the body, for messages.
    pub fn brief(&self) -> String {
        let text: String = self.text().chars().take(400).collect();
        format!("{} {text}", self.status)
    }
}

/// What the demo application received, as it tells in JSON.
#[derive(Debug, Clone)]
pub struct Echo(pub Value);

impl Echo {
    /// All values of a header, in order.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let pairs = self.0["headers"]
            .as_array()
            .expect("the application's echo")
            .iter();
        pairs
            .filter(|pair| pair[0] == name)
            .map(|pair| pair[1].as_str().expect("text"))
            .collect()
    }

    /// Header names that contain a text, in order.
    pub fn names_with(&self, part: &str) -> Vec<&str> {
        let pairs = self.0["headers"]
            .as_array()
            .expect("the application's echo")
            .iter();
        let names = pairs.map(|pair| pair[0].as_str().expect("text"));
        names.filter(|name| name.contains(part)).collect()
    }

    /// Digest of the body that the application read, in hex.
    pub fn body_sha256(&self) -> &str {
        self.0["body_sha256"]
            .as_str()
            .expect("the application's echo")
    }
}

/// SHA-256 in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
