//! The revocation feed: one binary page of `GET /v1/feed`.
//!
//! Layout, all numbers big-endian: magic `GLRF`, version (1 byte), three reserved zero bytes,
//! epoch (16), `from` (8), `to` (8), `head` (8), number of entries (4), then the entries of
//! [`ENTRY_BYTES`] each: digest (16), `expires_at` (4), `issued_before` (4). Nothing follows.

use crate::revocation::Digest;

/// The media type of a page.
pub const CONTENT_TYPE: &str = "application/vnd.gatelatch.feed.v1";

/// Bytes before the first entry.
pub const HEADER_BYTES: usize = 52;

/// Bytes of one entry.
pub const ENTRY_BYTES: usize = 24;

/// The most entries in a page.
pub const MAX_ENTRIES: usize = 100_000;

const MAGIC: &[u8; 4] = b"GLRF";
const VERSION: u8 = 1;

/// Which history a cursor belongs to. A store that was made anew or restored has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Epoch(pub [u8; 16]);

/// One revocation as a gateway keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// What is revoked.
    pub digest: Digest,
    /// Unix seconds after which nothing it forbids can come back; 0 takes the entry back.
    pub expires_at: u32,
    /// Sessions that started at or before this are forbidden; `u32::MAX`: all of them.
    pub issued_before: u32,
}

/// The changes after cursor `from`, up to and including `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The history that the cursors belong to.
    pub epoch: Epoch,
    /// The cursor this page continues. 0: a snapshot begins, whatever was held before goes.
    pub from: u64,
    /// The cursor after this page.
    pub to: u64,
    /// The newest cursor: there are further pages while `to < head`.
    pub head: u64,
    /// In the order of writing; a later one replaces an earlier one of the same digest.
    pub entries: Vec<Entry>,
}

/// Why bytes are not a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PageError {
    /// Shorter than its header or its count says, or longer.
    #[error("feed page has the wrong length")]
    Length,
    /// Not a feed page at all.
    #[error("not a feed page")]
    Magic,
    /// A version this side does not speak.
    #[error("feed page has an unknown version")]
    Version,
    /// Cursors that cannot follow each other.
    #[error("feed page has impossible cursors")]
    Cursors,
}

impl Page {
    /// The page as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES + self.entries.len() * ENTRY_BYTES);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.extend_from_slice(&self.epoch.0);
        for cursor in [self.from, self.to, self.head] {
            out.extend_from_slice(&cursor.to_be_bytes());
        }
        out.extend_from_slice(&(self.entries.len() as u32).to_be_bytes());
        for entry in &self.entries {
            entry.write(&mut out);
        }
        out
    }

    /// Reads a page. Anything but exactly one well-formed page is an error.
    pub fn decode(bytes: &[u8]) -> Result<Self, PageError> {
        let (header, body) = bytes
            .split_first_chunk::<HEADER_BYTES>()
            .ok_or(PageError::Length)?;
        let mut reader = Reader(header);
        if reader.take::<4>()? != *MAGIC {
            return Err(PageError::Magic);
        }
        if reader.take::<4>()? != [VERSION, 0, 0, 0] {
            return Err(PageError::Version);
        }
        let epoch = Epoch(reader.take()?);
        let from = u64::from_be_bytes(reader.take()?);
        let to = u64::from_be_bytes(reader.take()?);
        let head = u64::from_be_bytes(reader.take()?);
        let count = u32::from_be_bytes(reader.take()?) as usize;
        if from > to || to > head {
            return Err(PageError::Cursors);
        }
        if count > MAX_ENTRIES || body.len() != count * ENTRY_BYTES {
            return Err(PageError::Length);
        }
        let (chunks, _) = body.as_chunks::<ENTRY_BYTES>();
        let entries = chunks.iter().map(Entry::read).collect();
        Ok(Self {
            epoch,
            from,
            to,
            head,
            entries,
        })
    }
}

impl Entry {
    /// Appends the entry's [`ENTRY_BYTES`] to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.digest.0);
        out.extend_from_slice(&self.expires_at.to_be_bytes());
        out.extend_from_slice(&self.issued_before.to_be_bytes());
    }

    /// Reads what [`Entry::write`] wrote.
    pub fn read(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let mut digest = [0; 16];
        let (head, [e0, e1, e2, e3, i0, i1, i2, i3]) = split(bytes);
        digest.copy_from_slice(head);
        Self {
            digest: Digest(digest),
            expires_at: u32::from_be_bytes([e0, e1, e2, e3]),
            issued_before: u32::from_be_bytes([i0, i1, i2, i3]),
        }
    }
}

fn split(bytes: &[u8; ENTRY_BYTES]) -> (&[u8], [u8; 8]) {
    let [head @ .., e0, e1, e2, e3, i0, i1, i2, i3] = bytes;
    (head, [*e0, *e1, *e2, *e3, *i0, *i1, *i2, *i3])
}

impl Epoch {
    /// 32 lower-case hex digits.
    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads what [`Epoch::to_hex`] wrote.
    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let mut epoch = [0; 16];
        for (byte, pair) in epoch.iter_mut().zip(digits.chunks_exact(2)) {
            let [high, low] = pair else { return None };
            *byte = hex(*high)? << 4 | hex(*low)?;
        }
        Some(Self(epoch))
    }
}

fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], PageError> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(PageError::Length)?;
        self.0 = rest;
        Ok(*taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        Page {
            epoch: Epoch([7; 16]),
            from: 3,
            to: 5,
            head: 9,
            entries: vec![
                Entry {
                    digest: Digest::sid("a"),
                    expires_at: 10,
                    issued_before: u32::MAX,
                },
                Entry {
                    digest: Digest::sub("i", "s"),
                    expires_at: 0,
                    issued_before: 4,
                },
            ],
        }
    }

    #[test]
    fn a_page_reads_back_as_written() {
        assert_eq!(Page::decode(&page().encode()), Ok(page()));
    }

    #[test]
    fn every_truncation_and_extension_is_refused() {
        let bytes = page().encode();
        for len in 0..bytes.len() {
            assert!(Page::decode(&bytes[..len]).is_err(), "{len} bytes");
        }
        let longer = [bytes.as_slice(), &[0]].concat();
        assert_eq!(Page::decode(&longer), Err(PageError::Length));
    }

    #[test]
    fn a_foreign_version_and_impossible_cursors_are_refused() {
        let mut bytes = page().encode();
        bytes[4] = 2;
        assert_eq!(Page::decode(&bytes), Err(PageError::Version));
        let backwards = Page { from: 6, ..page() };
        assert_eq!(Page::decode(&backwards.encode()), Err(PageError::Cursors));
    }

    #[test]
    fn an_epoch_reads_back_from_hex() {
        let epoch = Epoch([0xab; 16]);
        assert_eq!(Epoch::from_hex(&epoch.to_hex()), Some(epoch));
        assert_eq!(Epoch::from_hex("zz"), None);
    }
}
