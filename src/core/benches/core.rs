//! Micro-benchmarks of the decisions: `make bench-core`. Native, so that they compare one change
//! with another; what Envoy's VM makes of it is measured by `make bench`.

use std::collections::HashMap;
use std::hint::black_box;

use divan::Bencher;
use gatelatch_core::config::Config;
use gatelatch_core::cookie;
use gatelatch_core::entropy::Entropy;
use gatelatch_core::gate::{Env, Gate};
use gatelatch_core::jose::NoHostVerifier;
use gatelatch_core::path::CanonicalPath;
use gatelatch_core::request::Request;
use gatelatch_core::revoked::{
    Head, Index, RevokedView, SEGMENTS, Segment, Segments, Subject, segment_of,
};
use gatelatch_core::rules::{Access, Rules, Scope};
use gatelatch_core::session_token::{self, SessionClaims, SessionExpect};
use gatelatch_core::step::Step;
use gatelatch_wire::feed::Entry;
use gatelatch_wire::revocation::Digest;

const NOW: u64 = 1_800_000_000;
const ORIGIN: &str = "https://app.example";

fn main() {
    divan::main();
}

/// The session cookie between others, found and taken out.
#[divan::bench]
fn cookie_find(bencher: Bencher<'_, '_>) {
    let line = cookie_line();
    bencher.bench(|| {
        cookie::find([black_box(line.as_bytes())], "__Host-gatelatch") != cookie::Found::None
    });
}

#[divan::bench]
fn cookie_remove(bencher: Bencher<'_, '_>) {
    let line = cookie_line();
    bencher.bench(|| {
        cookie::without(black_box(line.as_bytes()), |name| {
            name == b"__Host-gatelatch"
        })
    });
}

/// A token that this VM has not seen: HMAC and claims.
#[divan::bench]
fn verify_miss(bencher: Bencher<'_, '_>) {
    let (config, token) = (config(), token("jti"));
    let expect = SessionExpect {
        iss: ORIGIN,
        aud: ORIGIN,
        clock_skew: 10,
    };
    bencher.bench(|| {
        session_token::verify(&config.session_keys, &expect, black_box(&token), NOW).is_ok()
    });
}

/// A whole decision on a token that this VM knows.
#[divan::bench]
fn request_hit(bencher: Bencher<'_, '_>) {
    let mut gate = Gate::new(config(), "bench".into());
    gate.revoked.head.synced_at_ms = NOW * 1_000;
    let line = cookie_line();
    let headers: [(&[u8], &[u8]); 5] = [
        (b":method", b"GET"),
        (b":path", b"/some/page?with=query"),
        (b"user-agent", b"Mozilla/5.0"),
        (b"accept", b"text/html"),
        (b"cookie", line.as_bytes()),
    ];
    bencher.bench_local(|| {
        let request = Request::read(black_box(headers), |name| {
            gate.config.identity_headers.is_identity(name)
        });
        let mut env = Env {
            now: NOW,
            now_ms: NOW * 1_000,
            entropy: &mut NoEntropy,
            segments: &Shared::default(),
            verifier: &NoHostVerifier,
        };
        matches!(gate.on_request(&request, &mut env), Step::Forward(edits) if !edits.add.is_empty())
    });
}

/// A session that nothing forbids, among this many revocations.
#[divan::bench(args = [0, 10_000, 1_000_000])]
fn revocation_lookup(bencher: Bencher<'_, '_>, entries: u32) {
    let (view, shared) = revoked(entries);
    let subject = Subject {
        digests: [
            Digest::jti("jti"),
            Digest::sid("sid"),
            Digest::sub("https://idp.example", "ada"),
            Digest::sub(ORIGIN, "ada"),
            Digest::all(),
        ],
        started_at: NOW,
    };
    bencher.bench_local(|| view.forbids(black_box(&subject), NOW, &shared));
}

/// The last of 200 rules, and none of them.
#[divan::bench(args = ["/area-199/page", "/elsewhere/page"])]
fn rule_match(bencher: Bencher<'_, '_>, path: &str) {
    let rules =
        Rules::new((0..200).map(|n| (Scope::Prefix(format!("/area-{n}/")), Access::Public)));
    bencher.bench(|| rules.access(CanonicalPath::parse(black_box(path.as_bytes())).as_ref()));
}

fn config() -> Config {
    let json = br#"{
        "issuer": "https://idp.example", "client_id": "app", "client_secret_env": "SECRET",
        "idp_cluster": "idp", "control_cluster": "control", "public_url": "https://app.example",
        "session_keys": [{"kid": "k1", "env": "KEY"}]
    }"#;
    Config::parse(json, &|_| {
        Some("a-secret-of-at-least-thirty-two-characters".into())
    })
    .expect("the configuration is right")
}

fn token(jti: &str) -> String {
    let claims = SessionClaims {
        iss: ORIGIN.into(),
        aud: ORIGIN.into(),
        sub: "ada".into(),
        sid: "AAAAAAAAAAAAAAAAAAAAAA".into(),
        jti: jti.into(),
        iat: NOW,
        exp: NOW + 900,
        auth_time: NOW,
        session_iat: NOW,
        session_exp: NOW + 43_200,
        claims: Default::default(),
    };
    session_token::mint(&config().session_keys, &claims).expect("the claims are right")
}

fn cookie_line() -> String {
    format!("theme=dark; __Host-gatelatch={}; consent=yes", token("jti"))
}

fn revoked(entries: u32) -> (RevokedView, Shared) {
    let mut by_segment: HashMap<u16, Vec<Entry>> = HashMap::new();
    for nth in 0..entries {
        let digest = Digest::jti(&format!("revoked-{nth}"));
        by_segment
            .entry(segment_of(&digest))
            .or_default()
            .push(Entry {
                digest,
                expires_at: u32::MAX,
                issued_before: u32::MAX,
            });
    }
    let (mut shared, mut index) = (Shared::default(), Index::default());
    for (number, entries) in by_segment {
        let mut segment = Segment::default();
        segment.apply(entries, NOW);
        index.set(number, segment.version);
        shared.segments.insert(number, segment.encode());
    }
    assert!(shared.segments.len() <= usize::from(SEGMENTS));
    let mut view = RevokedView::default();
    view.refresh(Head::default(), &index, &shared);
    assert_eq!(view.len(), entries as usize);
    (view, shared)
}

/// Shared data as Envoy would hold it.
#[derive(Default)]
struct Shared {
    segments: HashMap<u16, Vec<u8>>,
}

impl Segments for Shared {
    fn read(&self, segment: u16) -> Option<Vec<u8>> {
        self.segments.get(&segment).cloned()
    }
}

/// For what needs none.
struct NoEntropy;

impl Entropy for NoEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        out.fill(0);
    }
}
