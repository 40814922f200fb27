//! Cookies as a browser keeps them for `localhost` (RFC 6265bis section 5).
//!
//! Cookies know no ports, so all services of a stack share one jar, as they do in a real browser.
//! `http://localhost` is a trustworthy origin: `Secure` cookies are kept and sent.

use std::time::{Duration, Instant};

/// One cookie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cookie {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: String,
    /// Paths to which it is sent.
    pub path: String,
    ends: Option<Instant>,
}

/// The cookies of one browser.
#[derive(Debug, Clone, Default)]
pub struct Jar {
    cookies: Vec<Cookie>,
    refused: Vec<String>,
    seen: Vec<String>,
}

impl Jar {
    /// Takes a `Set-Cookie` line that came with a response to `request_path`.
    pub fn take(&mut self, line: &str, request_path: &str) {
        let mut parts = line.split(';').map(str::trim);
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else {
            return self.refused.push(line.to_owned());
        };
        let attributes: Vec<(String, &str)> = parts
            .map(|part| part.split_once('=').unwrap_or((part, "")))
            .map(|(name, value)| (name.to_ascii_lowercase(), value))
            .collect();
        let attribute = |wanted: &str| {
            let mut found = attributes.iter().rev().filter(|(name, _)| name == wanted);
            found.next().map(|(_, value)| *value)
        };
        let path = match attribute("path") {
            Some(path) if path.starts_with('/') => path.to_owned(),
            _ => default_path(request_path),
        };
        let secure = attribute("secure").is_some();
        let host_only = attribute("domain").is_none_or(str::is_empty);
        let lower = name.to_ascii_lowercase();
        let allowed = (!lower.starts_with("__secure-") || secure)
            && (!lower.starts_with("__host-")
                || (secure && host_only && attribute("path") == Some("/")));
        if !allowed || name.len() + value.len() > 4096 {
            return self.refused.push(line.to_owned());
        }
        if !value.is_empty() {
            self.seen.push(value.to_owned());
        }
        let max_age = attribute("max-age").and_then(|text| text.parse::<i64>().ok());
        self.cookies
            .retain(|cookie| cookie.name != name || cookie.path != path);
        if max_age.is_some_and(|seconds| seconds <= 0) || is_past(attribute("expires"), max_age) {
            return;
        }
        let ends = max_age.and_then(|seconds| u64::try_from(seconds).ok());
        self.cookies.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path,
            ends: ends.map(|seconds| Instant::now() + Duration::from_secs(seconds)),
        });
    }

    /// The `Cookie` line for a request to `path`; none when there is nothing to send.
    pub fn line(&self, path: &str) -> Option<String> {
        let mut fitting: Vec<&Cookie> = self
            .live()
            .filter(|cookie| covers(&cookie.path, path))
            .collect();
        fitting.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> = fitting
            .iter()
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// The value of a cookie.
    pub fn value(&self, name: &str) -> Option<String> {
        self.live()
            .find(|cookie| cookie.name == name)
            .map(|cookie| cookie.value.clone())
    }

    /// The cookies whose name begins so.
    pub fn named(&self, start: &str) -> Vec<Cookie> {
        self.live()
            .filter(|cookie| cookie.name.starts_with(start))
            .cloned()
            .collect()
    }

    /// Puts a cookie for all paths.
    pub fn put(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.cookies.push(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path: "/".to_owned(),
            ends: None,
        });
    }

    /// Forgets a cookie.
    pub fn remove(&mut self, name: &str) {
        self.cookies.retain(|cookie| cookie.name != name);
    }

    /// Lines that a browser would not have kept.
    pub fn refused(&self) -> &[String] {
        &self.refused
    }

    /// Every value that was ever set.
    pub fn seen(&self) -> &[String] {
        &self.seen
    }

    fn live(&self) -> impl Iterator<Item = &Cookie> {
        let now = Instant::now();
        self.cookies
            .iter()
            .filter(move |cookie| cookie.ends.is_none_or(|ends| now < ends))
    }
}

/// Servers of the stack clear with `Expires` at the epoch where they give no `Max-Age`.
fn is_past(expires: Option<&str>, max_age: Option<i64>) -> bool {
    max_age.is_none() && expires.is_some_and(|date| date.contains("1970"))
}

fn default_path(request_path: &str) -> String {
    match request_path.rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(at) => request_path[..at].to_owned(),
    }
}

/// RFC 6265 section 5.1.4.
fn covers(cookie_path: &str, path: &str) -> bool {
    path.strip_prefix(cookie_path)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie_path.ends_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jar(lines: &[&str]) -> Jar {
        let mut jar = Jar::default();
        for line in lines {
            jar.take(line, "/a/b");
        }
        jar
    }

    #[test]
    fn a_cookie_goes_to_its_path_and_below() {
        let jar = jar(&["a=1; Path=/x", "b=2", "c=3; Path=/"]);
        assert_eq!(jar.line("/x/y").as_deref(), Some("a=1; c=3"));
        assert_eq!(jar.line("/xy").as_deref(), Some("c=3"));
        assert_eq!(jar.line("/a/z").as_deref(), Some("b=2; c=3"));
    }

    #[test]
    fn prefixes_are_enforced() {
        let jar = jar(&[
            "__Host-a=1; Path=/; Secure",
            "__Host-b=1; Path=/x; Secure",
            "__Host-c=1; Path=/",
            "__Host-d=1; Path=/; Secure; Domain=localhost",
            "__Secure-e=1; Path=/x",
        ]);
        assert_eq!(jar.line("/").as_deref(), Some("__Host-a=1"));
        assert_eq!(jar.refused().len(), 4);
    }

    #[test]
    fn a_max_age_of_zero_removes_and_another_path_is_another_cookie() {
        let jar = jar(&["a=1; Path=/", "a=2; Path=/x", "a=; Path=/; Max-Age=0"]);
        assert_eq!(
            (jar.line("/"), jar.line("/x")),
            (None, Some("a=2".to_owned()))
        );
        assert_eq!(jar.seen(), ["1", "2"]);
    }
}
