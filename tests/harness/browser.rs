//! A client that behaves like a browser towards the services of a stack, one step at a time:
//! cookies are kept, redirects are followed when told to.

use std::sync::Mutex;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, COOKIE, HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use url::Url;

use crate::answer::Answer;
use crate::jar::Jar;
use crate::session::{SESSION_COOKIE, SessionToken};
use crate::stack::Stack;
use crate::transport::Transport;

/// Cookies and connections of one browser.
#[derive(Debug)]
pub struct Browser {
    jar: Mutex<Jar>,
    transport: Transport,
}

/// What makes a browser send a request, as it tells in its headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A link, the address bar, a form: the page is replaced.
    Navigation,
    /// `fetch()` of the page's script.
    Fetch,
    /// No browser: no fetch metadata, no `Accept`.
    Plain,
}

/// The most redirects that are followed in a row.
const MOST_STEPS: usize = 12;

impl Default for Browser {
    fn default() -> Self {
        Self::new()
    }
}

impl Browser {
    /// A new profile on HTTP/1.1.
    pub fn new() -> Self {
        Self::with(Jar::default(), Transport::http1())
    }

    /// A new profile on HTTP/2.
    pub fn http2() -> Self {
        Self::with(Jar::default(), Transport::http2())
    }

    /// A browser with these cookies and connections.
    pub fn with(jar: Jar, transport: Transport) -> Self {
        Self {
            jar: Mutex::new(jar),
            transport,
        }
    }

    /// Another browser with the same cookies, on connections of its own.
    pub fn copy(&self) -> Self {
        Self::with(self.jar(), Transport::http1())
    }

    /// A copy of its cookies.
    pub fn jar(&self) -> Jar {
        self.jar.lock().expect("no test panicked in here").clone()
    }

    /// Changes its cookies.
    pub fn edit_jar(&self, edit: impl FnOnce(&mut Jar)) {
        edit(&mut self.jar.lock().expect("no test panicked in here"));
    }

    /// The session JWT in its cookie. Panics when there is none.
    pub fn session(&self) -> SessionToken {
        self.maybe_session()
            .expect("the browser has a session cookie")
    }

    /// The session JWT in its cookie.
    pub fn maybe_session(&self) -> Option<SessionToken> {
        self.jar().value(SESSION_COOKIE).map(SessionToken)
    }

    /// Waits until the session JWT in its cookie has expired.
    pub async fn expired(&self) {
        self.session().expired().await;
    }

    /// Opens a page; no redirect is followed.
    pub async fn open(&self, url: &str) -> Answer {
        self.send(Method::GET, url, Kind::Navigation, &[], Bytes::new())
            .await
    }

    /// What a script of the page would get.
    pub async fn fetch(&self, url: &str) -> Answer {
        self.send(Method::GET, url, Kind::Fetch, &[], Bytes::new())
            .await
    }

    /// What a script of the page would get for a POST.
    pub async fn post(&self, url: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Method::POST, url, Kind::Fetch, &[], body.into())
            .await
    }

    /// Any request. `headers` come on top of those of its kind and win over them; several of one
    /// name are all sent.
    pub async fn send(
        &self,
        method: Method,
        url: &str,
        kind: Kind,
        headers: &[(&str, &[u8])],
        body: Bytes,
    ) -> Answer {
        let asked = format!("{method} {url}");
        let answer = self.try_send(method, url, kind, headers, body).await;
        answer.unwrap_or_else(|| panic!("{asked}: the connection broke"))
    }

    /// As [`Browser::send`]; None: the connection broke.
    pub async fn try_send(
        &self,
        method: Method,
        url: &str,
        kind: Kind,
        headers: &[(&str, &[u8])],
        body: Bytes,
    ) -> Option<Answer> {
        let path = path_of(url);
        let mut all = kind.headers(&method);
        if let Some(line) = self.jar().line(&path) {
            all.insert(
                COOKIE,
                HeaderValue::from_str(&line).expect("cookies in ASCII"),
            );
        }
        let mut own = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a header name");
            own.append(
                name,
                HeaderValue::from_bytes(value).expect("a header value"),
            );
        }
        all.extend(own);
        let answer = self.transport.try_send(method, url, all, body).await?;
        self.edit_jar(|jar| {
            for line in answer.set_cookies() {
                jar.take(line, &path);
            }
        });
        Some(answer)
    }

    /// Goes where an answer leads, until one leads nowhere.
    pub async fn follow(&self, mut answer: Answer) -> Answer {
        for _ in 0..MOST_STEPS {
            if !answer.is_redirect() {
                return answer;
            }
            answer = self.open(&self.target(&answer)).await;
        }
        panic!(
            "more than {MOST_STEPS} redirects, the last to {}",
            answer.location()
        );
    }

    /// Follows an answer until it leads to a URL that contains `part`, which is not opened.
    pub async fn follow_to(&self, mut answer: Answer, part: &str) -> String {
        for _ in 0..MOST_STEPS {
            let target = self.target(&answer);
            if target.contains(part) {
                return target;
            }
            answer = self.open(&target).await;
        }
        panic!("more than {MOST_STEPS} redirects, none to {part}");
    }

    /// Where an answer leads, as an absolute URL.
    pub fn target(&self, answer: &Answer) -> String {
        let base = Url::parse(answer.url()).expect("a URL");
        base.join(answer.location()).expect("a location").into()
    }

    /// Logs in: opens `path`, is sent to the provider, types the name where the provider does not
    /// know it yet, and comes back. The last answer is returned.
    pub async fn login(&self, stack: &Stack, user: &str, path: &str) -> Answer {
        let first = self.open(&stack.url(path)).await;
        assert!(
            first.is_redirect(),
            "no way to the provider: {}",
            first.brief()
        );
        let page = self.follow(first).await;
        if !page.text().contains("name=\"login\"") {
            return page;
        }
        let back = self.type_name(page.url(), user).await;
        self.follow(back).await
    }

    /// A new profile that is logged in.
    pub async fn logged_in(stack: &Stack, user: &str) -> Self {
        let browser = Self::new();
        let page = browser.login(stack, user, "/start").await.expect(200);
        assert_eq!(
            page.echo().values("x-auth-request-user"),
            [user],
            "logged in as {user}"
        );
        browser
    }

    /// Opens a page of the gateway without a session, up to the provider's form; its URL.
    pub async fn login_form(&self, url: &str) -> String {
        let first = self.open(url).await;
        assert!(
            first.is_redirect(),
            "no way to the provider: {} {}",
            first.asked,
            first.brief()
        );
        let form = self.follow(first).await.expect(200);
        assert!(
            form.text().contains("name=\"login\""),
            "not a log-in form: {}",
            form.brief()
        );
        form.url().to_owned()
    }

    /// Sends the provider's form.
    pub async fn type_name(&self, form: &str, user: &str) -> Answer {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("login", user), ("password", "any")])
            .finish();
        let kind: &[u8] = b"application/x-www-form-urlencoded";
        let headers = [(CONTENT_TYPE.as_str(), kind)];
        self.send(Method::POST, form, Kind::Navigation, &headers, body.into())
            .await
    }
}

impl Kind {
    fn headers(self, method: &Method) -> HeaderMap {
        let pairs: &[(&str, &str)] = match self {
            Self::Navigation => &[
                ("accept", "text/html,application/xhtml+xml,*/*;q=0.8"),
                ("sec-fetch-dest", "document"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-site", "same-origin"),
                ("upgrade-insecure-requests", "1"),
            ],
            Self::Fetch => &[
                ("accept", "application/json"),
                ("sec-fetch-dest", "empty"),
                ("sec-fetch-mode", "cors"),
                ("sec-fetch-site", "same-origin"),
            ],
            Self::Plain => &[],
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, HeaderValue::from_static(value));
        }
        if self == Self::Plain {
            headers.remove(ACCEPT);
        }
        if self == Self::Fetch && method == Method::POST {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("application/octet-stream"),
            );
        }
        headers
    }
}

/// The path of a URL as it is written, without its query.
pub fn path_of(url: &str) -> String {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').map_or("/", |at| &after_scheme[at..]);
    path.split(['?', '#']).next().unwrap_or("/").to_owned()
}
