//! What is revoked, as one worker sees it.
//!
//! One VM of each Envoy writes the exact set into shared data, in [`SEGMENTS`] segments sorted by
//! digest. Every worker keeps four bytes of each entry in memory. A request whose digests have no
//! fingerprint here is not revoked, and asks nobody; a fingerprint that is found is decided by the
//! full 128 bits in the segment, so that no accident of hashing shuts anybody out.

use gatelatch_wire::UnixSeconds;
use gatelatch_wire::feed::{ENTRY_BYTES, Entry, Epoch};
use gatelatch_wire::revocation::Digest;

/// How many segments the set is spread over.
pub const SEGMENTS: u16 = 1024;

/// Where the exact segments lie: shared data, in Envoy.
pub trait Segments {
    /// The bytes of one segment as [`Segment::encode`] gave them. None: never written.
    fn read(&self, segment: u16) -> Option<Vec<u8>>;
}

/// What one session can be revoked by, with the start of the session for issued-before cuts.
#[derive(Debug, Clone)]
pub struct Subject {
    /// jti, sid, (iss, sub) of the IdP and of the gateway, everything.
    pub digests: [Digest; 5],
    /// `session_iat`.
    pub started_at: UnixSeconds,
}

/// How far the set reaches. Written last, read first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// History that the cursor belongs to.
    pub epoch: Epoch,
    /// Everything up to here is in the segments.
    pub cursor: u64,
    /// When the control service last said that nothing newer exists, in Unix milliseconds; 0:
    /// never.
    pub synced_at_ms: u64,
}

/// One worker's view of the set.
#[derive(Debug)]
pub struct RevokedView {
    /// How far it reaches.
    pub head: Head,
    /// Rises whenever the set changes: what was clear under the same generation still is.
    pub generation: u64,
    versions: Vec<u32>,
    fingerprints: Vec<Box<[u32]>>,
}

/// The exact entries of one segment, sorted by digest, with a version that rises on every write.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Segment {
    /// Rises on every write.
    pub version: u32,
    entries: Vec<Entry>,
}

/// The segment that a digest belongs to.
pub fn segment_of(digest: &Digest) -> u16 {
    let [first, second, ..] = digest.0;
    u16::from_be_bytes([first, second]) >> 6
}

fn fingerprint(digest: &Digest) -> u32 {
    let [_, _, a, b, c, d, ..] = digest.0;
    u32::from_be_bytes([a, b, c, d])
}

impl Default for RevokedView {
    fn default() -> Self {
        Self {
            head: Head::default(),
            generation: 1,
            versions: vec![0; usize::from(SEGMENTS)],
            fingerprints: vec![Box::default(); usize::from(SEGMENTS)],
        }
    }
}

impl RevokedView {
    /// Takes over the segments whose version in `index` is not the one seen before.
    pub fn refresh(&mut self, head: Head, index: &Index, segments: &dyn Segments) {
        self.head = head;
        let slots = self.versions.iter_mut().zip(&mut self.fingerprints);
        for ((number, current), (seen, fingerprints)) in (0..SEGMENTS).zip(&index.0).zip(slots) {
            if seen == current {
                continue;
            }
            let Some(segment) = segments
                .read(number)
                .and_then(|bytes| Segment::decode(&bytes))
            else {
                continue;
            };
            *seen = segment.version;
            *fingerprints = segment.fingerprints();
            self.generation = self.generation.saturating_add(1);
        }
    }

    /// Whether anything forbids the session.
    pub fn forbids(&self, subject: &Subject, now: UnixSeconds, segments: &dyn Segments) -> bool {
        subject.digests.iter().any(|digest| {
            self.may_hold(digest)
                && segments
                    .read(segment_of(digest))
                    .and_then(|bytes| Segment::decode(&bytes))
                    .and_then(|segment| segment.find(digest))
                    .is_some_and(|entry| forbids(&entry, subject.started_at, now))
        })
    }

    /// How many entries the view holds.
    pub fn len(&self) -> usize {
        self.fingerprints.iter().map(|segment| segment.len()).sum()
    }

    /// Whether nothing at all is revoked.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn may_hold(&self, digest: &Digest) -> bool {
        self.fingerprints
            .get(usize::from(segment_of(digest)))
            .is_some_and(|segment| segment.binary_search(&fingerprint(digest)).is_ok())
    }
}

/// An issued-before cut is inclusive: what started in the same second is forbidden too.
fn forbids(entry: &Entry, started_at: UnixSeconds, now: UnixSeconds) -> bool {
    now <= entry.expires_at.into() && started_at <= entry.issued_before.into()
}

impl Segment {
    /// The segment as bytes: version, then entries.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(
            self.entries
                .len()
                .saturating_mul(ENTRY_BYTES)
                .saturating_add(4),
        );
        out.extend_from_slice(&self.version.to_be_bytes());
        for entry in &self.entries {
            entry.write(&mut out);
        }
        out
    }

    /// Reads what [`Segment::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (version, body) = bytes.split_first_chunk::<4>()?;
        let (chunks, rest) = body.as_chunks::<ENTRY_BYTES>();
        rest.is_empty().then(|| Self {
            version: u32::from_be_bytes(*version),
            entries: chunks.iter().map(Entry::read).collect(),
        })
    }

    /// Adds, replaces and takes back entries, and lets go of those that have expired.
    pub fn apply(&mut self, changes: impl IntoIterator<Item = Entry>, now: UnixSeconds) {
        // A stable sort keeps the order of writing among equals; the last one counts.
        self.entries.extend(changes);
        self.entries.sort_by_key(|entry| entry.digest);
        self.entries.reverse();
        self.entries.dedup_by_key(|entry| entry.digest);
        self.entries.reverse();
        self.entries.retain(|entry| now <= entry.expires_at.into());
        self.version = self.version.wrapping_add(1).max(1);
    }

    fn find(&self, digest: &Digest) -> Option<Entry> {
        let nth = self
            .entries
            .binary_search_by_key(digest, |entry| entry.digest)
            .ok()?;
        self.entries.get(nth).copied()
    }

    fn fingerprints(&self) -> Box<[u32]> {
        let mut all: Vec<u32> = self
            .entries
            .iter()
            .map(|entry| fingerprint(&entry.digest))
            .collect();
        all.sort_unstable();
        all.into()
    }
}

/// The version of every segment, so that a worker re-reads only what has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index(Vec<u32>);

impl Default for Index {
    fn default() -> Self {
        Self(vec![0; usize::from(SEGMENTS)])
    }
}

impl Index {
    /// Notes that a segment now has this version.
    pub fn set(&mut self, segment: u16, version: u32) {
        if let Some(slot) = self.0.get_mut(usize::from(segment)) {
            *slot = version;
        }
    }

    /// As bytes, big-endian.
    pub fn encode(&self) -> Vec<u8> {
        self.0
            .iter()
            .flat_map(|version| version.to_be_bytes())
            .collect()
    }

    /// Reads what [`Index::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (chunks, rest) = bytes.as_chunks::<4>();
        (rest.is_empty() && chunks.len() == usize::from(SEGMENTS)).then(|| {
            Self(
                chunks
                    .iter()
                    .map(|chunk| u32::from_be_bytes(*chunk))
                    .collect(),
            )
        })
    }
}

impl Head {
    /// As bytes: epoch, cursor, time of the last sync.
    pub fn encode(&self) -> [u8; 32] {
        let mut out = [0; 32];
        let (epoch, rest) = out.split_at_mut(16);
        epoch.copy_from_slice(&self.epoch.0);
        let (cursor, synced) = rest.split_at_mut(8);
        cursor.copy_from_slice(&self.cursor.to_be_bytes());
        synced.copy_from_slice(&self.synced_at_ms.to_be_bytes());
        out
    }

    /// Reads what [`Head::encode`] wrote.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; 32] = bytes.try_into().ok()?;
        let (epoch, rest) = bytes.split_first_chunk::<16>()?;
        let (cursor, rest) = rest.split_first_chunk::<8>()?;
        let synced = rest.first_chunk::<8>()?;
        Some(Self {
            epoch: Epoch(*epoch),
            cursor: u64::from_be_bytes(*cursor),
            synced_at_ms: u64::from_be_bytes(*synced),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::cell::Cell;
    use std::collections::HashMap;

    /// Shared data as the tests have it, counting reads.
    #[derive(Default)]
    pub(crate) struct Memory {
        pub(crate) segments: HashMap<u16, Vec<u8>>,
        pub(crate) reads: Cell<u32>,
    }

    impl Segments for Memory {
        fn read(&self, segment: u16) -> Option<Vec<u8>> {
            self.reads.set(self.reads.get() + 1);
            self.segments.get(&segment).cloned()
        }
    }

    impl Memory {
        pub(crate) fn write(&mut self, index: &mut Index, entries: &[Entry], now: u64) {
            for entry in entries {
                let number = segment_of(&entry.digest);
                let mut segment = self
                    .segments
                    .get(&number)
                    .and_then(|bytes| Segment::decode(bytes))
                    .unwrap_or_default();
                segment.apply([*entry], now);
                index.set(number, segment.version);
                self.segments.insert(number, segment.encode());
            }
        }
    }

    fn entry(digest: Digest, issued_before: u32) -> Entry {
        Entry {
            digest,
            expires_at: 2_000,
            issued_before,
        }
    }

    fn subject(sid: &str, started_at: u64) -> Subject {
        let digests = [
            Digest::jti("j"),
            Digest::sid(sid),
            Digest::sub("idp", "ada"),
            Digest::sub("gw", "ada"),
            Digest::all(),
        ];
        Subject {
            digests,
            started_at,
        }
    }

    fn view(entries: &[Entry]) -> (RevokedView, Memory) {
        let (mut memory, mut index, mut view) =
            (Memory::default(), Index::default(), RevokedView::default());
        memory.write(&mut index, entries, 1_000);
        view.refresh(Head::default(), &index, &memory);
        memory.reads.set(0);
        (view, memory)
    }

    #[test]
    fn each_kind_forbids_and_a_clear_session_reads_nothing() {
        let all_time = u32::MAX;
        for digest in subject("s", 0).digests {
            let (view, memory) = view(&[entry(digest, all_time)]);
            assert!(view.forbids(&subject("s", 500), 1_000, &memory));
        }
        let (view, memory) = view(&[entry(Digest::sid("other"), all_time)]);
        assert!(!view.forbids(&subject("s", 500), 1_000, &memory));
        assert_eq!(memory.reads.get(), 0);
    }

    #[test]
    fn a_cut_is_inclusive_and_spares_what_started_later() {
        let (view, memory) = view(&[entry(Digest::sub("idp", "ada"), 700)]);
        assert!(view.forbids(&subject("s", 699), 1_000, &memory));
        assert!(view.forbids(&subject("s", 700), 1_000, &memory));
        assert!(!view.forbids(&subject("s", 701), 1_000, &memory));
    }

    #[test]
    fn an_entry_forbids_until_it_expires_and_can_be_taken_back() {
        let (view, memory) = view(&[entry(Digest::sid("s"), u32::MAX)]);
        assert!(view.forbids(&subject("s", 1), 2_000, &memory));
        assert!(!view.forbids(&subject("s", 1), 2_001, &memory));
        let mut segment = Segment::default();
        segment.apply([entry(Digest::sid("s"), 5)], 1);
        segment.apply(
            [Entry {
                expires_at: 0,
                ..entry(Digest::sid("s"), 5)
            }],
            1,
        );
        assert_eq!(segment.entries, []);
    }

    #[test]
    fn the_same_fingerprint_of_another_id_shuts_nobody_out() {
        let ours = Digest::sid("s");
        let mut other = ours;
        other.0[15] ^= 1;
        let (view, memory) = view(&[entry(other, u32::MAX)]);
        assert!(view.may_hold(&ours));
        assert!(!view.forbids(&subject("s", 1), 1_000, &memory));
    }

    #[test]
    fn a_later_entry_of_the_same_digest_replaces_the_earlier() {
        let mut segment = Segment::default();
        segment.apply([entry(Digest::all(), 5), entry(Digest::all(), 9)], 1);
        assert_eq!(segment.entries, [entry(Digest::all(), 9)]);
        assert_eq!(Segment::decode(&segment.encode()), Some(segment));
    }

    #[test]
    fn heads_and_indexes_read_back() {
        let head = Head {
            epoch: Epoch([3; 16]),
            cursor: 7,
            synced_at_ms: 9,
        };
        assert_eq!(Head::decode(&head.encode()), Some(head));
        let mut index = Index::default();
        index.set(1023, 5);
        assert_eq!(Index::decode(&index.encode()), Some(index));
    }
}
