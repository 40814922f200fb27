//! The one poller of an Envoy: asks the control service what is revoked and writes it down.
//!
//! A page that does not follow the cursor, does not parse or belongs to nothing is refused, and the
//! set stays as it was. A snapshot is merged into what is there: entries leave when they expire, so
//! a resync, a new epoch or a restored store can add to the set but never empties it by mistake.

use gatelatch_wire::UnixSeconds;
use gatelatch_wire::feed::{Entry, Page};

use crate::config::Config;
use crate::control_api;
use crate::revoked::{Head, Index, Segment, Segments, segment_of};
use crate::step::{CallReply, Callout};

/// Where the poller writes.
pub trait SegmentStore: Segments {
    /// Replaces the bytes of one segment.
    fn write(&mut self, segment: u16, bytes: &[u8]);
}

/// When to poll next.
#[derive(Debug, Default)]
pub struct Feed {
    waiting: bool,
    failures: u32,
    not_before_ms: u64,
}

/// What a page has changed.
#[derive(Debug, PartialEq, Eq)]
pub struct Applied {
    /// The head as it now is, to be written after the segments and the index.
    pub head: Head,
    /// Whether any segment was written.
    pub changed: bool,
}

/// Longest wait of a long poll in milliseconds; shorter where staleness must be noticed sooner.
const LONG_POLL_MS: u64 = 20_000;
const MAX_BACKOFF_MS: u64 = 10_000;

impl Feed {
    /// The next poll, when its time has come and none is under way.
    pub fn poll(
        &mut self,
        config: &Config,
        head: &Head,
        gateway: &str,
        now_ms: u64,
    ) -> Option<Callout> {
        if self.waiting || now_ms < self.not_before_ms {
            return None;
        }
        self.waiting = true;
        let staleness = config.revocation.max_staleness_ms;
        // After an outage the first answer must come at once: it ends the staleness.
        let wait_ms = if head.synced_at_ms == 0 || self.failures > 0 {
            0
        } else {
            LONG_POLL_MS.min(staleness / 3)
        };
        Some(control_api::feed(config, head, gateway, wait_ms))
    }

    /// Takes the answer. None: it was refused or none came, nothing has changed, and the next poll
    /// waits a while.
    pub fn on_reply(
        &mut self,
        reply: CallReply<'_>,
        head: &Head,
        index: &mut Index,
        store: &mut dyn SegmentStore,
        now: UnixSeconds,
        now_ms: u64,
    ) -> Option<Applied> {
        self.waiting = false;
        let page = reply
            .success()
            .and_then(|body| Page::decode(body).ok())
            .filter(|page| follows(page, head));
        let Some(page) = page else {
            self.failures = self.failures.saturating_add(1);
            let backoff = 250_u64
                .saturating_mul(1 << self.failures.min(6))
                .min(MAX_BACKOFF_MS);
            self.not_before_ms = now_ms.saturating_add(backoff);
            return None;
        };
        self.failures = 0;
        self.not_before_ms = 0;
        let changed = !page.entries.is_empty();
        write(page.entries, index, store, now);
        let synced_at_ms = if page.to == page.head {
            now_ms
        } else {
            head.synced_at_ms
        };
        Some(Applied {
            head: Head {
                epoch: page.epoch,
                cursor: page.to,
                synced_at_ms,
            },
            changed,
        })
    }
}

/// A snapshot begins at 0 and may come at any time; a delta must continue our cursor in our epoch.
fn follows(page: &Page, head: &Head) -> bool {
    page.from == 0 || (page.epoch == head.epoch && page.from == head.cursor)
}

fn write(
    mut entries: Vec<Entry>,
    index: &mut Index,
    store: &mut dyn SegmentStore,
    now: UnixSeconds,
) {
    entries.sort_by_key(|entry| segment_of(&entry.digest));
    for group in entries.chunk_by(|a, b| segment_of(&a.digest) == segment_of(&b.digest)) {
        let Some(first) = group.first() else { continue };
        let number = segment_of(&first.digest);
        let mut segment = store
            .read(number)
            .and_then(|bytes| Segment::decode(&bytes))
            .unwrap_or_default();
        segment.apply(group.iter().copied(), now);
        store.write(number, &segment.encode());
        index.set(number, segment.version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;
    use crate::revoked::tests::Memory;
    use crate::revoked::{RevokedView, Subject};
    use gatelatch_wire::feed::Epoch;
    use gatelatch_wire::revocation::Digest;

    impl SegmentStore for Memory {
        fn write(&mut self, segment: u16, bytes: &[u8]) {
            self.segments.insert(segment, bytes.to_vec());
        }
    }

    #[derive(Default)]
    struct Scene {
        feed: Feed,
        head: Head,
        index: Index,
        memory: Memory,
    }

    impl Scene {
        fn answer(&mut self, status: u32, body: &[u8]) -> bool {
            let reply = CallReply::Http {
                status,
                retry_after_s: None,
                body,
            };
            let applied = self.feed.on_reply(
                reply,
                &self.head,
                &mut self.index,
                &mut self.memory,
                1_000,
                5_000,
            );
            if let Some(applied) = &applied {
                self.head = applied.head;
            }
            applied.is_some()
        }

        fn page(&mut self, epoch: u8, from: u64, to: u64, head: u64, sids: &[&str]) -> bool {
            let entry = |sid: &&str| Entry {
                digest: Digest::sid(sid),
                expires_at: 2_000,
                issued_before: u32::MAX,
            };
            let page = Page {
                epoch: Epoch([epoch; 16]),
                from,
                to,
                head,
                entries: sids.iter().map(entry).collect(),
            };
            self.answer(200, &page.encode())
        }

        fn revoked(&self, sid: &str) -> bool {
            let mut view = RevokedView::default();
            view.refresh(self.head, &self.index, &self.memory);
            let digests = [
                Digest::jti(""),
                Digest::sid(sid),
                Digest::sub("", ""),
                Digest::sub("", ""),
                Digest::all(),
            ];
            view.forbids(
                &Subject {
                    digests,
                    started_at: 1,
                },
                1_000,
                &self.memory,
            )
        }
    }

    #[test]
    fn a_snapshot_in_pages_counts_as_synced_when_it_is_whole() {
        let mut scene = Scene::default();
        assert!(scene.page(1, 0, 2, 4, &["a", "b"]));
        assert_eq!(scene.head.synced_at_ms, 0);
        assert!(scene.page(1, 2, 4, 4, &["c"]));
        assert_eq!((scene.head.cursor, scene.head.synced_at_ms), (4, 5_000));
        assert!(scene.revoked("a") && scene.revoked("c") && !scene.revoked("d"));
    }

    #[test]
    fn gaps_repeats_garbage_and_foreign_deltas_are_refused_and_the_set_stays() {
        let mut scene = Scene::default();
        scene.page(1, 0, 4, 4, &["a"]);
        assert!(!scene.page(1, 5, 6, 6, &["x"]), "gap");
        assert!(!scene.page(1, 3, 5, 5, &["x"]), "overlap");
        assert!(!scene.page(2, 4, 5, 5, &["x"]), "foreign epoch");
        assert!(!scene.answer(200, b""));
        assert!(!scene.answer(200, b"<html>"));
        assert!(!scene.answer(500, b""));
        assert!(scene.revoked("a") && !scene.revoked("x"));
        assert_eq!(scene.head.cursor, 4);
    }

    #[test]
    fn a_new_epoch_adds_to_the_set_and_never_empties_it() {
        let mut scene = Scene::default();
        scene.page(1, 0, 4, 4, &["a"]);
        assert!(scene.page(2, 0, 1, 1, &["b"]));
        assert!(scene.revoked("a") && scene.revoked("b"));
        assert_eq!(scene.head.epoch, Epoch([2; 16]));
    }

    #[test]
    fn one_poll_at_a_time_and_a_pause_after_a_failure() {
        let (config, mut scene) = (config(), Scene::default());
        assert!(scene.feed.poll(&config, &scene.head, "g", 5_000).is_some());
        assert!(scene.feed.poll(&config, &scene.head, "g", 5_000).is_none());
        scene.answer(503, b"");
        assert!(scene.feed.poll(&config, &scene.head, "g", 5_000).is_none());
        assert!(scene.feed.poll(&config, &scene.head, "g", 5_600).is_some());
    }
}
