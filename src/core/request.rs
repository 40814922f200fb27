//! What a decision needs to know of a request, read from the header block in one pass.

use crate::path::{self, CanonicalPath};

/// The header fields of one request that decisions look at, borrowed from the header block.
///
/// `Host`, `X-Forwarded-*` and every other field that a client could use to influence what
/// configuration decides are left out on purpose.
#[derive(Debug, Clone, Default)]
pub struct Request<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:path`, the request target with its query.
    pub target: &'a [u8],
    /// All `Cookie` lines, in order.
    pub cookies: Vec<&'a [u8]>,
    /// Names of fields that would be read as identity by an application, as they came.
    pub spoofed: Vec<&'a [u8]>,
    /// `Origin` (RFC 6454 section 7).
    pub origin: Option<&'a [u8]>,
    /// `Referer`.
    pub referer: Option<&'a [u8]>,
    accept: Option<&'a [u8]>,
    sec_fetch_site: Option<&'a [u8]>,
    sec_fetch_mode: Option<&'a [u8]>,
    sec_fetch_dest: Option<&'a [u8]>,
    purpose: Option<&'a [u8]>,
    requests_method: bool,
    upgrade: bool,
    xml_http_request: bool,
}

/// Where a request with side effects came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Site {
    /// Our own pages, or the user's own act (address bar, bookmark).
    Same,
    /// Another site or origin, or one that hides.
    Cross,
    /// No browser says anything.
    Unknown,
}

impl<'a> Request<'a> {
    /// Reads the header block. `is_identity` tells names that carry identity, in any spelling.
    pub fn read(
        headers: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
        is_identity: impl Fn(&[u8]) -> bool,
    ) -> Self {
        let mut request = Self::default();
        for (name, value) in headers {
            match name {
                b":method" => request.method = value,
                b":path" => request.target = value,
                b"cookie" => request.cookies.push(value),
                b"accept" => request.accept = Some(value),
                b"origin" => request.origin = Some(value),
                b"referer" => request.referer = Some(value),
                b"sec-fetch-site" => request.sec_fetch_site = Some(value),
                b"sec-fetch-mode" => request.sec_fetch_mode = Some(value),
                b"sec-fetch-dest" => request.sec_fetch_dest = Some(value),
                b"sec-purpose" | b"purpose" => request.purpose = Some(value),
                b"access-control-request-method" => request.requests_method = true,
                b"upgrade" => request.upgrade = true,
                b"x-requested-with" => request.xml_http_request = true,
                other if is_identity(other) => request.spoofed.push(other),
                _ => {}
            }
        }
        request
    }

    /// The canonical path, where there is one.
    pub fn path(&self) -> Option<CanonicalPath> {
        CanonicalPath::parse(self.target)
    }

    /// The query, without the question mark.
    pub fn query(&self) -> &'a [u8] {
        path::query_of(self.target)
    }

    /// Whether a redirect can be answered: a top-level GET or HEAD navigation. Everything else
    /// (fetch, XHR, gRPC, WebSocket, unsafe methods, images) would follow it into nowhere.
    pub fn is_navigation(&self) -> bool {
        if !matches!(self.method, b"GET" | b"HEAD") || self.upgrade || self.xml_http_request {
            return false;
        }
        match (self.sec_fetch_mode, self.sec_fetch_dest) {
            (Some(b"navigate"), None | Some(b"document")) => true,
            (Some(_), _) | (None, Some(_)) => false,
            (None, None) => self
                .accept
                .is_some_and(|accept| contains(accept, b"text/html")),
        }
    }

    /// Whether the browser only guesses that the page will be wanted. No login begins for a guess.
    pub fn is_prefetch(&self) -> bool {
        self.purpose.is_some_and(|purpose| {
            contains(purpose, b"prefetch") || contains(purpose, b"prerender")
        })
    }

    /// Whether a browser asks what another origin may send here (Fetch 3.2.2, CORS-preflight). It
    /// carries no cookies, whoever the user is.
    pub fn is_preflight(&self) -> bool {
        self.method == b"OPTIONS" && self.origin.is_some() && self.requests_method
    }

    /// Whether the method promises to have no effect (RFC 9110 section 9.2.1).
    pub fn is_safe(&self) -> bool {
        matches!(self.method, b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE")
    }

    /// Where the request came from: by Sec-Fetch-Site, else Origin, else Referer, against our own
    /// `origin`.
    pub fn site(&self, origin: &str) -> Site {
        match self.sec_fetch_site {
            Some(b"same-origin" | b"none") => return Site::Same,
            Some(b"same-site" | b"cross-site") => return Site::Cross,
            _ => {}
        }
        match (self.origin, self.referer) {
            (Some(claimed), _) if claimed == origin.as_bytes() => Site::Same,
            (None, Some(referer)) if has_origin(referer, origin) => Site::Same,
            (None, None) => Site::Unknown,
            _ => Site::Cross,
        }
    }
}

fn has_origin(referer: &[u8], origin: &str) -> bool {
    match referer.strip_prefix(origin.as_bytes()) {
        Some(rest) => matches!(rest.first(), None | Some(b'/' | b'?')),
        None => false,
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(headers: &[(&'a str, &'a str)]) -> Request<'a> {
        let pairs = headers
            .iter()
            .map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        Request::read(pairs, |name| name.starts_with(b"x-auth-"))
    }

    #[test]
    fn only_top_level_navigations_can_follow_a_redirect() {
        let get = (":method", "GET");
        let html = ("accept", "text/html,*/*");
        assert!(request(&[get, html]).is_navigation());
        assert!(
            request(&[
                get,
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document")
            ])
            .is_navigation()
        );
        assert!(!request(&[get]).is_navigation());
        assert!(!request(&[get, ("accept", "*/*")]).is_navigation());
        assert!(!request(&[(":method", "POST"), html]).is_navigation());
        assert!(!request(&[get, html, ("sec-fetch-mode", "cors")]).is_navigation());
        assert!(
            !request(&[
                get,
                html,
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe")
            ])
            .is_navigation()
        );
        assert!(!request(&[get, html, ("upgrade", "websocket")]).is_navigation());
        assert!(!request(&[get, html, ("x-requested-with", "XMLHttpRequest")]).is_navigation());
    }

    #[test]
    fn the_site_is_judged_by_fetch_metadata_then_origin_then_referer() {
        let own = "https://gw.example";
        let site = |headers: &[(&'static str, &'static str)]| request(headers).site(own);
        assert_eq!(
            site(&[
                ("sec-fetch-site", "same-origin"),
                ("origin", "https://evil.example")
            ]),
            Site::Same
        );
        assert_eq!(
            site(&[("sec-fetch-site", "cross-site"), ("origin", own)]),
            Site::Cross
        );
        assert_eq!(
            site(&[("sec-fetch-site", "nonsense"), ("origin", "null")]),
            Site::Cross
        );
        assert_eq!(site(&[("origin", own)]), Site::Same);
        assert_eq!(site(&[("origin", "https://gw.example.evil")]), Site::Cross);
        assert_eq!(site(&[("referer", "https://gw.example/page")]), Site::Same);
        assert_eq!(
            site(&[("referer", "https://gw.example.evil/")]),
            Site::Cross
        );
        assert_eq!(site(&[]), Site::Unknown);
    }

    #[test]
    fn fields_that_carry_identity_are_noted_with_their_own_spelling() {
        let seen = request(&[("x-auth-user", "a"), ("x-auth-user", "b"), ("x-other", "c")]);
        assert_eq!(seen.spoofed, [b"x-auth-user".as_slice(), b"x-auth-user"]);
    }
}
