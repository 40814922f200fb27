//! One running service, and the calls that gateways and administrators make to it.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gatelatch_control::Config;
use gatelatch_control::auth::TokenSet;
use gatelatch_control::clock::Clock as _;
use gatelatch_control::config::StoreUrl;
use gatelatch_control::keyring::KeyRing;
use gatelatch_wire::feed::Page;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::clock::ManualClock;

pub(crate) const GATEWAY: &str = "gateway-token-gateway-token-gateway-token";
pub(crate) const ADMIN: &str = "admin-token-admin-token-admin-token-admin";
pub(crate) const ISS: &str = "https://idp.example";
pub(crate) const PUBLIC: &str = "https://app.example";
pub(crate) const DAY: Duration = Duration::from_secs(86_400);

const KEY: &str = "k1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

/// Half a second past a full one, so that seconds and milliseconds cannot be mixed up unseen.
const START_MS: u64 = 1_800_000_000_500;

pub(crate) struct Service {
    pub(crate) clock: ManualClock,
    store: StoreUrl,
    running: Option<Running>,
    folder: Option<tempfile::TempDir>,
}

struct Running {
    url: String,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

/// A caller on a thread of its own.
#[derive(Clone)]
pub(crate) struct Caller {
    url: String,
    agent: ureq::Agent,
}

impl Service {
    pub(crate) fn on_sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreUrl::Sqlite(folder.path().join("gatelatch.db"));
        Self::started(ManualClock::at(START_MS), store, Some(folder))
    }

    pub(crate) fn on_postgres() -> Self {
        let store = StoreUrl::Postgres(crate::postgres::database());
        Self::started(ManualClock::at(START_MS), store, None)
    }

    /// Another service on the same store, in the same time.
    pub(crate) fn replica(&self) -> Self {
        Self::started(self.clock.clone(), self.store.clone(), None)
    }

    /// Why a service cannot start on that database.
    pub(crate) fn refusal(url: &str) -> String {
        let config = config(
            &StoreUrl::Postgres(url.to_owned()),
            &ManualClock::at(START_MS),
        );
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let served = gatelatch_control::serve(config, listener, std::future::pending()).await;
            served.unwrap_err().to_string()
        })
    }

    pub(crate) fn database_name(&self) -> &str {
        match &self.store {
            StoreUrl::Postgres(url) => url.rsplit('/').next().unwrap(),
            StoreUrl::Sqlite(_) => panic!("a file has no name in a server"),
        }
    }

    fn started(clock: ManualClock, store: StoreUrl, folder: Option<tempfile::TempDir>) -> Self {
        let mut service = Self {
            clock,
            store,
            running: None,
            folder,
        };
        service.start();
        service
    }

    /// Ends the service as SIGTERM would, and starts it again on the same store.
    pub(crate) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    pub(crate) fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.stop.send(());
            let ended = running.thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }

    pub(crate) fn caller(&self) -> Caller {
        Caller::of(&self.running.as_ref().expect("the service runs").url)
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// All bytes that the store has on disk.
    pub(crate) fn bytes_on_disk(&self) -> Vec<u8> {
        let files = std::fs::read_dir(self.folder.as_ref().unwrap().path()).unwrap();
        files
            .flat_map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect()
    }

    /// The body of `POST /v1/sessions` for a user.
    pub(crate) fn login(&self, sid: &str, sub: &str) -> Value {
        json!({
            "sid": sid, "iss": ISS, "sub": sub, "gateway": PUBLIC, "jti": format!("jti-{sid}"),
            "claims": {"email": format!("{sub}@example")},
            "refresh_token": format!("rt0-{sid}"), "id_token": format!("idt0-{sid}"),
            "auth_time": self.now(), "id_token_iat": self.now(), "ends_at": self.now() + 43_200,
        })
    }

    /// Starts a session of `sub`.
    pub(crate) fn create(&self, sid: &str, sub: &str) -> Value {
        self.caller().gateway("/v1/sessions", &self.login(sid, sub))
    }

    fn start(&mut self) {
        let config = config(&self.store, &self.clock);
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tell.send(listener.local_addr().unwrap()).unwrap();
                let stopped = async { drop(stopped.await) };
                gatelatch_control::serve(config, listener, stopped)
                    .await
                    .unwrap();
            });
        });
        let url = format!("http://{}", told.recv().unwrap());
        self.running = Some(Running { url, stop, thread });
        eventually("the service is ready", || {
            let running = self.running.as_ref().expect("just set");
            assert!(!running.thread.is_finished(), "the service could not start");
            self.caller().status("GET", "/readyz", None) == 200
        });
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Caller {
    pub(crate) fn of(url: &str) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(60)))
            .build()
            .new_agent();
        Self {
            url: url.to_owned(),
            agent,
        }
    }

    /// `POST` as a gateway, which has to succeed.
    pub(crate) fn gateway(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.post(GATEWAY, path, body);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    /// `POST /v1/revocations` as an administrator, which has to succeed.
    pub(crate) fn revoke(&self, body: &Value) -> Value {
        let (status, answer) = self.post(ADMIN, "/v1/revocations", body);
        assert_eq!(status, 201, "{answer}");
        answer
    }

    pub(crate) fn post(&self, token: &str, path: &str, body: &Value) -> (u16, Value) {
        self.post_text(token, path, &body.to_string())
    }

    pub(crate) fn post_text(&self, token: &str, path: &str, body: &str) -> (u16, Value) {
        let request = self.agent.post(self.url.clone() + path);
        read(request.header("authorization", bearer(token)).send(body))
    }

    /// Whether a revocation was acknowledged.
    pub(crate) fn try_revoke(&self, body: &str) -> bool {
        let request = self.agent.post(format!("{}/v1/revocations", self.url));
        let answer = request.header("authorization", bearer(ADMIN)).send(body);
        answer.is_ok_and(|response| response.status() == 201)
    }

    /// `GET` as an administrator, which has to succeed.
    pub(crate) fn admin(&self, path: &str) -> Value {
        let (status, answer) = self.get(ADMIN, path);
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    pub(crate) fn get(&self, token: &str, path: &str) -> (u16, Value) {
        let request = self.agent.get(self.url.clone() + path);
        read(request.header("authorization", bearer(token)).call())
    }

    pub(crate) fn delete(&self, path: &str) -> (u16, Value) {
        let request = self.agent.delete(self.url.clone() + path);
        read(request.header("authorization", bearer(ADMIN)).call())
    }

    /// One page of the feed.
    pub(crate) fn feed(&self, query: &str) -> Page {
        let request = self.agent.get(format!("{}/v1/feed?{query}", self.url));
        let answer = request.header("authorization", bearer(GATEWAY)).call();
        let mut response = answer.unwrap();
        assert_eq!(response.status(), 200, "{query}");
        Page::decode(&response.body_mut().read_to_vec().unwrap()).unwrap()
    }

    pub(crate) fn begin(&self, sid: &str, jti: &str, wait_ms: u32) -> Value {
        let body = json!({"jti": jti, "holder": "test", "wait_ms": wait_ms});
        self.gateway(&format!("/v1/sessions/{sid}/refresh/begin"), &body)
    }

    /// `begin`, which has to give the lease.
    pub(crate) fn lease(&self, sid: &str) -> String {
        let answer = self.begin(sid, &format!("jti-{sid}"), 0);
        answer["lease"]
            .as_str()
            .unwrap_or_else(|| panic!("no lease: {answer}"))
            .to_owned()
    }

    pub(crate) fn complete(&self, sid: &str, lease: &str, token: &str) -> Value {
        let body = json!({"lease": lease, "refresh_token": token});
        self.gateway(&format!("/v1/sessions/{sid}/refresh/complete"), &body)
    }

    pub(crate) fn fail(&self, sid: &str, lease: &str, class: &str) -> Value {
        let body = json!({"lease": lease, "class": class});
        self.gateway(&format!("/v1/sessions/{sid}/refresh/fail"), &body)
    }

    /// The value of a metric; 0 when it is not there yet.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let mut response = self
            .agent
            .get(format!("{}/metrics", self.url))
            .call()
            .unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub(crate) fn status(&self, method: &str, path: &str, token: Option<&str>) -> u16 {
        let url = self.url.clone() + path;
        let mut request = ureq::http::Request::builder().method(method).uri(url);
        if let Some(token) = token {
            request = request.header("authorization", bearer(token));
        }
        self.agent
            .run(request.body(()).unwrap())
            .map_or(0, |response| response.status().as_u16())
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

/// Waits for a condition, and gives up after a while.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::yield_now();
    }
}

fn config(store: &StoreUrl, clock: &ManualClock) -> Config {
    Config {
        store: store.clone(),
        gateway_tokens: TokenSet::parse(GATEWAY).unwrap(),
        admin_tokens: TokenSet::parse(ADMIN).unwrap(),
        keyring: KeyRing::parse(KEY).unwrap(),
        retention: 30 * DAY,
        cleanup_interval: DAY,
        tail_window: Duration::from_secs(30),
        lease: Duration::from_secs(10),
        idps: Vec::new(),
        clock: Arc::new(clock.clone()),
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

fn read(answer: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> (u16, Value) {
    let mut response = answer.unwrap();
    let text = response.body_mut().read_to_string().unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (response.status().as_u16(), body)
}
