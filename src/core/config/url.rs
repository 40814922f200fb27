//! Absolute http(s) URLs as configuration and provider metadata hold them.

/// An absolute URL, taken apart. A base has neither query nor fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseUrl {
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Host and, where it is not the default, port.
    pub authority: String,
    /// Path without trailing slash; may be empty.
    pub path: String,
    /// Query without the question mark, for endpoints that have one.
    pub query: Option<String>,
}

impl BaseUrl {
    /// Reads an absolute URL. None: another scheme, user information, a fragment, no host, or a
    /// character that does not belong.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = match text.strip_prefix("https://") {
            Some(rest) => ("https", rest),
            None => ("http", text.strip_prefix("http://")?),
        };
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"#\\\"<>".contains(&byte))
        {
            return None;
        }
        let (rest, query) = match rest.split_once('?') {
            Some((rest, query)) => (rest, Some(query.to_owned())),
            None => (rest, None),
        };
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (host, port) = split_port(authority)?;
        if host.is_empty() || authority.contains('@') {
            return None;
        }
        let default = if scheme == "https" { "443" } else { "80" };
        let host = host.to_ascii_lowercase();
        let authority = match port {
            Some(port) if port != default => format!("{host}:{port}"),
            _ => host,
        };
        let path = path.to_owned();
        Some(Self {
            scheme,
            authority,
            path,
            query,
        })
    }

    /// `scheme://authority`, the origin as a browser writes it (RFC 6454 section 6.2).
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The URL with `path` put behind its own path.
    pub fn join(&self, path: &str) -> String {
        format!("{}{}{path}", self.origin(), self.path.trim_end_matches('/'))
    }

    /// Path and query as a request target.
    pub fn target(&self) -> String {
        let path = if self.path.is_empty() {
            "/"
        } else {
            &self.path
        };
        match &self.query {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }

    /// Whether the host is this machine, where plain http is what browsers accept too.
    pub fn is_loopback(&self) -> bool {
        let host = split_port(&self.authority).map_or("", |(host, _)| host);
        host == "localhost"
            || host.ends_with(".localhost")
            || host == "[::1]"
            || is_ipv4_loopback(host)
    }
}

fn is_ipv4_loopback(host: &str) -> bool {
    host.parse::<std::net::Ipv4Addr>()
        .is_ok_and(|address| address.is_loopback())
}

fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    let bracket = authority.find(']').unwrap_or(0);
    match authority.rfind(':').filter(|colon| *colon > bracket) {
        None => Some((authority, None)),
        Some(_) => {
            let (host, port) = authority.rsplit_once(':')?;
            let number: u16 = port.parse().ok()?;
            (number > 0).then_some((host, Some(port)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_its_default_port_dropped() {
        let url = BaseUrl::parse("https://IdP.example:443/realms/a/?x=1").unwrap();
        assert_eq!(url.origin(), "https://idp.example");
        assert_eq!(url.join("/b"), "https://idp.example/realms/a/b");
        assert_eq!(url.target(), "/realms/a/?x=1");
        assert_eq!(
            BaseUrl::parse("http://localhost:8000").unwrap().origin(),
            "http://localhost:8000"
        );
        assert_eq!(
            BaseUrl::parse("http://[::1]:80/").unwrap().authority,
            "[::1]"
        );
    }

    #[test]
    fn what_is_not_an_absolute_http_url_is_refused() {
        for text in [
            "",
            "example.com",
            "ftp://a",
            "https://",
            "https://a@b/",
            "https://a b/",
            "https://a/#f",
            "https://a:0/",
            "https://a:x/",
            "https://a\\b",
            "//a/b",
            "https:///a",
            "https://é/",
        ] {
            assert_eq!(BaseUrl::parse(text), None, "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine_only() {
        let loopback = |text| BaseUrl::parse(text).unwrap().is_loopback();
        assert!(
            loopback("http://localhost:8000")
                && loopback("http://127.8.0.1")
                && loopback("http://[::1]:9")
        );
        assert!(!loopback("http://127.0.0.1.example") && !loopback("http://localhost.example"));
    }
}
