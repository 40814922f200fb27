//! A browser as far as a gateway can tell: a cookie jar, and the headers of each kind of request.

use crate::exchange::Reply;
use crate::gateway::{Gateway, PUBLIC_URL};
use crate::headers::Headers;
use crate::stream::Stream;

/// The session cookie.
pub const SESSION_COOKIE: &str = "__Host-gatelatch";

/// A browser of one user.
#[derive(Debug, Default, Clone)]
pub struct Browser {
    jar: Vec<Cookie>,
    /// The worker that its connections lead to.
    pub worker: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Cookie {
    name: String,
    value: String,
    path: String,
}

impl Browser {
    /// With an empty jar.
    pub fn new() -> Self {
        Self::default()
    }

    /// One that has logged in.
    pub fn logged_in(gateway: &mut Gateway) -> Self {
        let mut browser = Self::new();
        browser.log_in(gateway, "/");
        browser
    }

    /// The same browser with its connections to another worker.
    pub fn at_worker(&self, worker: usize) -> Self {
        Self {
            worker,
            jar: self.jar.clone(),
        }
    }

    /// Goes to `path`, through the provider and back.
    ///
    /// # Panics
    /// When the round trip does not end with a redirect to `path`.
    pub fn log_in(&mut self, gateway: &mut Gateway, path: &str) -> Reply {
        let away = self.navigate(gateway, path).reply();
        assert_eq!(away.status, 302, "{away:#?}");
        self.keep(&away);
        let back = gateway.idp.log_in(away.location());
        let arrived = self.follow(gateway, &back);
        assert_eq!(
            (arrived.status, arrived.location()),
            (302, format!("{PUBLIC_URL}{path}").as_str()),
            "{arrived:#?}"
        );
        arrived
    }

    /// Follows a redirect to the gateway and keeps the cookies of the answer.
    pub fn follow(&mut self, gateway: &mut Gateway, location: &str) -> Reply {
        let path = location
            .strip_prefix(PUBLIC_URL)
            .expect("a redirect to the gateway");
        let reply = self.navigate(gateway, path).reply();
        self.keep(&reply);
        reply
    }

    /// A top-level navigation.
    pub fn navigate(&self, gateway: &mut Gateway, path: &str) -> Stream {
        self.send(gateway, self.navigation(path), "")
    }

    /// `fetch()` from a page of the gateway's own origin.
    pub fn fetch(&self, gateway: &mut Gateway, method: &str, path: &str) -> Stream {
        self.send(gateway, self.script(method, path), "")
    }

    /// Sends a request to this browser's worker, and lets peers answer.
    pub fn send(&self, gateway: &mut Gateway, headers: Headers, body: impl AsRef<[u8]>) -> Stream {
        let stream = gateway.vm(self.worker).request(headers, body);
        gateway.settle();
        stream
    }

    /// The headers of a top-level navigation.
    pub fn navigation(&self, path: &str) -> Headers {
        self.request("GET", path)
            .with("accept", "text/html,application/xhtml+xml")
            .with("sec-fetch-site", "none")
            .with("sec-fetch-mode", "navigate")
            .with("sec-fetch-dest", "document")
    }

    /// The headers of a `fetch()`.
    pub fn script(&self, method: &str, path: &str) -> Headers {
        self.request(method, path)
            .with("accept", "*/*")
            .with("sec-fetch-site", "same-origin")
            .with("sec-fetch-mode", "cors")
            .with("sec-fetch-dest", "empty")
    }

    /// Pseudo headers and cookies.
    pub fn request(&self, method: &str, path: &str) -> Headers {
        let headers = Headers::new()
            .with(":method", method)
            .with(":scheme", "http")
            .with(":authority", "localhost:8000")
            .with(":path", path);
        let cookies = self.cookies_for(path);
        if cookies.is_empty() {
            headers
        } else {
            headers.with("cookie", cookies)
        }
    }

    /// The `Cookie` header for a path.
    pub fn cookies_for(&self, path: &str) -> String {
        let sent = self
            .jar
            .iter()
            .filter(|cookie| path_matches(path, &cookie.path));
        sent.map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// The value of a cookie.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        self.jar
            .iter()
            .find(|cookie| cookie.name == name)
            .map(|cookie| cookie.value.as_str())
    }

    /// The session JWT.
    ///
    /// # Panics
    /// When there is none.
    pub fn session(&self) -> &str {
        self.cookie(SESSION_COOKIE).expect("a session cookie")
    }

    /// The names of all cookies.
    pub fn cookie_names(&self) -> Vec<&str> {
        self.jar.iter().map(|cookie| cookie.name.as_str()).collect()
    }

    /// Sets a cookie as a page or an attacker would.
    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.store(Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            path: "/".to_owned(),
        });
    }

    /// Takes over the cookies of a response.
    ///
    /// # Panics
    /// When a browser would refuse one of them for its prefix (RFC 6265bis section 4.1.3) or its
    /// size.
    pub fn keep(&mut self, reply: &Reply) {
        for line in reply.set_cookies() {
            let mut parts = line.split(';').map(str::trim);
            let (name, value) = parts
                .next()
                .and_then(|pair| pair.split_once('='))
                .expect("name=value");
            let attribute = |wanted: &str| {
                line.split(';').skip(1).map(str::trim).find_map(|part| {
                    let (name, value) = part.split_once('=').unwrap_or((part, ""));
                    name.eq_ignore_ascii_case(wanted).then_some(value)
                })
            };
            assert!(line.len() <= 4096, "{name} is too large for a browser");
            if name.starts_with("__Host-") || name.starts_with("__Secure-") {
                assert!(attribute("secure").is_some(), "{line}");
            }
            if name.starts_with("__Host-") {
                assert_eq!(
                    (attribute("path"), attribute("domain")),
                    (Some("/"), None),
                    "{line}"
                );
            }
            let cookie = Cookie {
                name: name.to_owned(),
                value: value.to_owned(),
                path: attribute("path").unwrap_or("/").to_owned(),
            };
            self.jar
                .retain(|held| (&held.name, &held.path) != (&cookie.name, &cookie.path));
            if attribute("max-age") != Some("0") {
                self.store(cookie);
            }
        }
    }

    fn store(&mut self, cookie: Cookie) {
        self.jar
            .retain(|held| (&held.name, &held.path) != (&cookie.name, &cookie.path));
        self.jar.push(cookie);
    }
}

/// RFC 6265 section 5.1.4.
fn path_matches(path: &str, cookie_path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    match path.strip_prefix(cookie_path) {
        Some(rest) => cookie_path.ends_with('/') || rest.is_empty() || rest.starts_with('/'),
        None => false,
    }
}
