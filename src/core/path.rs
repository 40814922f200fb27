//! One canonical form of a request path, or none.
//!
//! Access rules decide on this form alone, without query and fragment. A path that could mean two
//! things to two parsers (dot segments, doubled or encoded slashes, backslashes, parameters,
//! encoded controls, invalid UTF-8) has no canonical form, and what has none is never public and
//! never ours.

/// A path that every parser reads alike: percent-decoding was undone where it changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanonicalPath(String);

impl CanonicalPath {
    /// Reads the path of a request target in origin form (RFC 9112 section 3.2.1). None: the
    /// target is in another form, or its path is not canonical.
    pub fn parse(target: &[u8]) -> Option<Self> {
        let path = path_of(target);
        if path.first() != Some(&b'/') || target.contains(&b'#') {
            return None;
        }
        let decoded = decode(path)?;
        let ambiguous = decoded
            .split('/')
            .skip(1)
            .enumerate()
            .any(|(nth, segment)| {
                is_dots(segment) || (segment.is_empty() && !is_last(&decoded, nth))
            });
        if ambiguous { None } else { Some(Self(decoded)) }
    }

    /// The path as text, percent-decoded.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The target without its query.
pub fn path_of(target: &[u8]) -> &[u8] {
    target
        .split(|byte| *byte == b'?')
        .next()
        .unwrap_or_default()
}

/// The query of a target, without the question mark; empty when there is none.
pub fn query_of(target: &[u8]) -> &[u8] {
    let after_path = path_of(target).len().saturating_add(1);
    target.get(after_path..).unwrap_or_default()
}

fn is_dots(segment: &str) -> bool {
    segment == "." || segment == ".."
}

/// Only the last segment may be empty: that is a trailing slash.
fn is_last(path: &str, nth: usize) -> bool {
    path.split('/').count() == nth.saturating_add(2)
}

/// Percent-decodes, refusing every byte that would be ambiguous decoded or not.
fn decode(path: &[u8]) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        let (plain, encoded) = match byte {
            b'%' => (hex(bytes.next()?)? << 4 | hex(bytes.next()?)?, true),
            other => (other, false),
        };
        let refused = match plain {
            0..=0x1f | 0x7f | b'\\' | b';' => true,
            b' ' => !encoded,
            b'/' | b'%' | b'?' | b'#' | b'.' => encoded,
            0x80.. => !encoded,
            _ => false,
        };
        if refused {
            return None;
        }
        out.push(plain);
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn canonical(target: &str) -> Option<String> {
        CanonicalPath::parse(target.as_bytes()).map(|path| path.0)
    }

    #[test]
    fn plain_paths_stay_and_queries_go() {
        assert_eq!(canonical("/"), Some("/".into()));
        assert_eq!(canonical("/a/b.css?x=/public/"), Some("/a/b.css".into()));
        assert_eq!(canonical("/a/"), Some("/a/".into()));
        assert_eq!(canonical("/caf%C3%A9"), Some("/café".into()));
        assert_eq!(canonical("/..a/b..c"), Some("/..a/b..c".into()));
        assert_eq!(canonical("/my%20file"), Some("/my file".into()));
    }

    #[test]
    fn whatever_two_parsers_may_read_differently_has_no_canonical_form() {
        for target in [
            "",
            "*",
            "x",
            "http://h/p",
            "//a",
            "/a//b",
            "/a/../b",
            "/a/.",
            "/./a",
            "/..",
            "/%2e%2e/a",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/a;b",
            "/a%3bb",
            "/a%00",
            "/a%0d",
            "/a b",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%25b",
            "/%ff",
            "/%c0%af",
            "/a#b",
            "/a%23b",
            "/a?b#c",
            "/a%3fb",
            "/a//",
        ] {
            assert_eq!(canonical(target), None, "{target}");
        }
        assert_eq!(CanonicalPath::parse(b"/\xc3\xa9"), None);
    }

    #[test]
    fn a_query_is_what_follows_the_first_question_mark() {
        assert_eq!(query_of(b"/a?b?c"), b"b?c");
        assert_eq!(query_of(b"/a"), b"");
    }
}
