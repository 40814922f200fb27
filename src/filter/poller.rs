//! Keeps this VM in step with the others, and, in the one VM that leads, all of them with the
//! control service and the provider.

use gatelatch_core::feed::Feed;
use gatelatch_core::jose::jwks::JwkSet;
use gatelatch_core::provider::{Discovery, Document, Metadata};
use gatelatch_core::step::CallReply;

use crate::host;
use crate::leader::Leader;
use crate::mailbox;
use crate::worker::Worker;

/// What a poll was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PollKind {
    Feed,
    Provider(Document),
}

/// The poller of one VM; idle unless the VM leads.
#[derive(Debug)]
pub(crate) struct Poller {
    leader: Leader,
    feed: Feed,
    discovery: Discovery,
    /// Rises whenever polling begins anew: the answer to a poll of an earlier term is nobody's.
    term: u32,
    /// Versions of the shared documents that this VM has taken over.
    seen_metadata: Option<u32>,
    seen_keys: Option<u32>,
    /// Whether the last poll of each kind failed, so that a change is logged once.
    feed_failing: bool,
    discovery_failing: bool,
}

impl Poller {
    pub(crate) fn new(vm_id: u64) -> Self {
        Self {
            leader: Leader::new(vm_id),
            feed: Feed::default(),
            discovery: Discovery::default(),
            term: 0,
            seen_metadata: None,
            seen_keys: None,
            feed_failing: false,
            discovery_failing: false,
        }
    }

    /// Leads or follows until the next tick.
    pub(crate) fn tick(worker: &mut Worker, now_ms: u64) {
        let led = worker.poller.leader.is_leading();
        let leads = worker.poller.leader.tick(&worker.shared, now_ms);
        if led != leads {
            log::info!(
                "{}",
                if leads {
                    "this VM polls for its Envoy"
                } else {
                    "another VM polls for this Envoy"
                }
            );
            worker.poller.begin_anew();
        }
        Self::follow(worker);
        if leads {
            Self::lead(worker, now_ms);
        }
    }

    /// The term that a poll is made in.
    pub(crate) fn term(&self) -> u32 {
        self.term
    }

    fn begin_anew(&mut self) {
        self.term = self.term.wrapping_add(1);
        self.feed = Feed::default();
        self.discovery = Discovery::default();
    }

    /// Takes over what shared data holds.
    pub(crate) fn follow(worker: &mut Worker) {
        let Some(head) = worker.shared.head() else {
            return Self::follow_provider(worker);
        };
        let revoked = &mut worker.gate.revoked;
        if (head.epoch, head.cursor) == (revoked.head.epoch, revoked.head.cursor) {
            revoked.head = head;
        } else {
            revoked.refresh(head, &worker.shared.index(), &worker.shared);
        }
        Self::follow_provider(worker);
    }

    fn follow_provider(worker: &mut Worker) {
        if let Some((document, version)) = worker.shared.get("metadata")
            && worker.poller.seen_metadata != Some(version)
        {
            worker.poller.seen_metadata = Some(version);
            if let Ok(metadata) = Metadata::parse(&document, &worker.gate.config.issuer) {
                worker.gate.provider.metadata = Some(metadata);
            }
        }
        if let Some((document, version)) = worker.shared.get("keys")
            && worker.poller.seen_keys != Some(version)
        {
            worker.poller.seen_keys = Some(version);
            if let Ok(keys) = JwkSet::parse(&document) {
                worker.gate.provider.keys = keys;
            }
        }
    }

    fn lead(worker: &mut Worker, now_ms: u64) {
        let head = worker.shared.head().unwrap_or_default();
        let age_ms = if head.synced_at_ms == 0 {
            0
        } else {
            now_ms.saturating_sub(head.synced_at_ms)
        };
        worker.stats.set("feed.age_ms", age_ms);
        worker
            .stats
            .set("feed.synced", u64::from(head.synced_at_ms > 0));
        let gate = &worker.gate;
        if let Some(call) = worker
            .poller
            .feed
            .poll(&gate.config, &head, &gate.gateway_id, now_ms)
            && !worker.poll(&call, PollKind::Feed)
        {
            Self::on_reply(worker, PollKind::Feed, CallReply::Failed);
        }
        if let Some((document, call)) = worker.poller.discovery.poll(&worker.gate.config, now_ms)
            && !worker.poll(&call, PollKind::Provider(document))
        {
            Self::on_reply(worker, PollKind::Provider(document), CallReply::Failed);
        }
    }

    /// Takes the answer to a poll. A VM that no longer leads leaves writing to the one that does.
    pub(crate) fn on_reply(worker: &mut Worker, kind: PollKind, reply: CallReply<'_>) {
        let now_ms = host::now_ms();
        if !worker.poller.leader.still_leads(&worker.shared, now_ms) {
            worker.poller.begin_anew();
            return;
        }
        match kind {
            PollKind::Feed => Self::on_feed(worker, reply, now_ms),
            PollKind::Provider(Document::Metadata) => Self::on_metadata(worker, reply, now_ms),
            PollKind::Provider(Document::Keys) => Self::on_keys(worker, reply, now_ms),
        }
    }

    fn on_feed(worker: &mut Worker, reply: CallReply<'_>, now_ms: u64) {
        let head = worker.shared.head().unwrap_or_default();
        let mut index = worker.shared.index();
        let applied = worker.poller.feed.on_reply(
            reply,
            &head,
            &mut index,
            &mut worker.shared,
            now_ms / 1_000,
            now_ms,
        );
        let failing = applied.is_none();
        if failing != worker.poller.feed_failing {
            worker.poller.feed_failing = failing;
            match failing {
                true => log::warn!(
                    "the revocation feed cannot be read from the control service; trying again"
                ),
                false => log::info!("the revocation feed is read again"),
            }
        }
        let Some(applied) = applied else {
            return worker.stats.count("feed.failed");
        };
        if applied.changed {
            worker.shared.put("index", &index.encode());
        }
        worker.shared.put("head", &applied.head.encode());
        worker.stats.count("feed.pages");
        worker.stats.set("feed.cursor", applied.head.cursor);
        if applied.changed || head.synced_at_ms == 0 {
            mailbox::wake_all(&worker.shared, now_ms);
        }
        Self::follow(worker);
        worker
            .stats
            .set("feed.entries", worker.gate.revoked.len() as u64);
        Self::lead(worker, now_ms);
    }

    fn on_metadata(worker: &mut Worker, reply: CallReply<'_>, now_ms: u64) {
        let keys = worker
            .poller
            .discovery
            .on_metadata(reply, &worker.gate.config, now_ms);
        match (keys, reply.success()) {
            (Some(call), Some(document)) => {
                Self::publish(worker, "metadata", document);
                if !worker.poll(&call, PollKind::Provider(Document::Keys)) {
                    Self::on_keys(worker, CallReply::Failed, now_ms);
                }
            }
            (_, body) => {
                let why = match body.map(|body| Metadata::parse(body, &worker.gate.config.issuer)) {
                    Some(Err(error)) => error.to_string(),
                    _ => "no answer".to_owned(),
                };
                Self::discovery_failed(
                    worker,
                    &format!("discovery at {}: {why}", worker.gate.config.issuer),
                );
            }
        }
    }

    fn on_keys(worker: &mut Worker, reply: CallReply<'_>, now_ms: u64) {
        match (
            worker.poller.discovery.on_keys(reply, now_ms),
            reply.success(),
        ) {
            (true, Some(document)) => {
                Self::publish(worker, "keys", document);
                if std::mem::take(&mut worker.poller.discovery_failing) {
                    log::info!("metadata and keys of the provider are read again");
                }
                mailbox::wake_all(&worker.shared, now_ms);
                Self::follow_provider(worker);
            }
            _ => Self::discovery_failed(worker, "the provider's key set cannot be used"),
        }
    }

    /// Writes a document only when it is another than before, so that followers parse it once.
    fn publish(worker: &Worker, key: &str, document: &[u8]) {
        if worker
            .shared
            .get(key)
            .is_none_or(|(current, _)| current != document)
        {
            worker.shared.put(key, document);
        }
    }

    fn discovery_failed(worker: &mut Worker, why: &str) {
        worker.stats.count("discovery.failed");
        if !std::mem::replace(&mut worker.poller.discovery_failing, true) {
            log::warn!("{why}; trying again");
        }
    }
}
