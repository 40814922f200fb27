//! Cookies of a request, as bytes: found by exact name, ours removed, others left as they are.
//!
//! RFC 6265 section 5.4 has one syntax for what a browser sends, `name=value` joined by `; `. No
//! quoting, no `$Version`, no percent-decoding and no comma is understood, because whoever
//! understands more can be shown another cookie than the application sees.

/// The session cookie as a request carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// No cookie of this name.
    None,
    /// Exactly one.
    One(&'a [u8]),
    /// Several: an attempt to shadow one with another. Order must not decide.
    Several,
}

/// Looks for `name` in all `Cookie` header lines of a request.
pub fn find<'a>(lines: impl IntoIterator<Item = &'a [u8]>, name: &str) -> Found<'a> {
    let mut found = Found::None;
    for (cookie_name, value) in lines.into_iter().flat_map(pairs) {
        if cookie_name == name.as_bytes() {
            match found {
                Found::None => found = Found::One(value),
                Found::One(_) | Found::Several => return Found::Several,
            }
        }
    }
    found
}

/// `line` without the cookies that `ours` claims by name. None: nothing of ours was in it. What
/// stays, stays byte for byte.
pub fn without(line: &[u8], ours: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let (mut rest, mut any) = (Vec::new(), false);
    for piece in pieces(line) {
        if ours(split(piece).0) {
            any = true;
        } else if rest.is_empty() {
            rest.reserve(line.len());
            rest.extend_from_slice(piece.trim_ascii_start());
        } else {
            rest.push(b';');
            rest.extend_from_slice(piece);
        }
    }
    any.then_some(rest)
}

/// The cookies of one header line.
pub fn pairs(line: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    pieces(line).map(split)
}

/// What lies between semicolons. A session cookie is hundreds of bytes long and looked through on
/// every request: by words, not by bytes.
fn pieces(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let (piece, after) = cut(line, b';').map_or((line, None), |(a, b)| (a, Some(b)));
        rest = after;
        Some(piece)
    })
}

fn split(piece: &[u8]) -> (&[u8], &[u8]) {
    match cut(piece, b'=') {
        Some((name, value)) => (name.trim_ascii(), value.trim_ascii()),
        // A nameless cookie: RFC 6265bis section 5.6 gives it an empty name.
        None => (b"", piece.trim_ascii()),
    }
}

/// What is before and behind the first `separator`.
fn cut(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let (before, rest) = text.split_at_checked(memchr::memchr(separator, text)?)?;
    Some((before, rest.get(1..)?))
}

/// A `Set-Cookie` value (RFC 6265bis section 4.1) with the attributes that `__Host-` and
/// `__Secure-` names demand, on setting and on clearing alike.
pub fn set(name: &str, value: &str, path: &str, max_age: u64) -> String {
    format!("{name}={value}; Path={path}; Max-Age={max_age}; Secure; HttpOnly; SameSite=Lax")
}

/// A `Set-Cookie` value that deletes the cookie.
pub fn clear(name: &str, path: &str) -> String {
    format!(
        "{name}=; Path={path}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Lax"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "__Host-gatelatch";

    fn found<'a>(lines: &[&'a [u8]]) -> Found<'a> {
        find(lines.iter().copied(), NAME)
    }

    #[test]
    fn a_cookie_is_found_by_its_exact_name_in_any_line() {
        assert_eq!(
            found(&[b"a=1; __Host-gatelatch=tok; b=2"]),
            Found::One(b"tok")
        );
        assert_eq!(
            found(&[b"a=1", b"__Host-gatelatch=tok"]),
            Found::One(b"tok")
        );
        assert_eq!(found(&[b"__Host-gatelatch=a=b="]), Found::One(b"a=b="));
        assert_eq!(
            found(&[b"__host-gatelatch=tok; x__Host-gatelatch=1; a=__Host-gatelatch=2"]),
            Found::None
        );
    }

    #[test]
    fn a_nameless_cookie_that_looks_like_ours_is_not_taken() {
        assert_eq!(found(&[b" =__Host-gatelatch=evil"]), Found::None);
        assert_eq!(found(&[b"__Host-gatelatch"]), Found::None);
    }

    #[test]
    fn quotes_versions_and_commas_mean_nothing() {
        assert_eq!(found(&[b"$Version=1, __Host-gatelatch=evil"]), Found::None);
        assert_eq!(
            found(&[b"a=\"x; __Host-gatelatch=tok; y\""]),
            Found::One(b"tok")
        );
    }

    #[test]
    fn two_of_ours_are_several_in_any_order_and_line() {
        assert_eq!(
            found(&[b"__Host-gatelatch=a; __Host-gatelatch=a"]),
            Found::Several
        );
        assert_eq!(
            found(&[b"__Host-gatelatch=a", b"x=1; __Host-gatelatch=b"]),
            Found::Several
        );
    }

    #[test]
    fn others_pass_byte_for_byte_when_ours_are_removed() {
        let ours = |name: &[u8]| name == NAME.as_bytes();
        assert_eq!(without(b"a=1;b=\xff\"q\" ;  c", ours), None);
        assert_eq!(
            without(b"a=1; __Host-gatelatch=t;b=\xff ;  c", ours),
            Some(b"a=1;b=\xff ;  c".to_vec())
        );
        assert_eq!(
            without(b"__Host-gatelatch=t; a=1", ours),
            Some(b"a=1".to_vec())
        );
        assert_eq!(without(b"__Host-gatelatch=t", ours), Some(Vec::new()));
    }
}
