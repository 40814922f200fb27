//! Reading claims, each with its type and its bound.

use gatelatch_wire::UnixSeconds;
use serde_json::{Map, Value};

use super::TokenError;
use super::json::numeric_date;

/// The claims of one token, after its signature was found right.
pub type ClaimSet = Map<String, Value>;

/// A string that must be there and must not be empty.
pub fn required_string(
    claims: &ClaimSet,
    name: &'static str,
    max_chars: usize,
) -> Result<String, TokenError> {
    optional_string(claims, name, max_chars)?.ok_or(TokenError::Claim(name))
}

/// A string that may be absent; empty, overlong or another type is an error.
pub fn optional_string(
    claims: &ClaimSet,
    name: &'static str,
    max_chars: usize,
) -> Result<Option<String>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && text.chars().count() <= max_chars => {
            Ok(Some(text.clone()))
        }
        Some(_) => Err(TokenError::Claim(name)),
    }
}

/// `sub`: not empty, at most 255 ASCII characters (OIDC Core 2).
pub fn subject(claims: &ClaimSet) -> Result<Option<String>, TokenError> {
    match optional_string(claims, "sub", 255)? {
        Some(sub) if !sub.is_ascii() => Err(TokenError::Claim("sub")),
        sub => Ok(sub),
    }
}

/// A NumericDate that must be there.
pub fn required_date(claims: &ClaimSet, name: &'static str) -> Result<UnixSeconds, TokenError> {
    optional_date(claims, name)?.ok_or(TokenError::Claim(name))
}

/// A NumericDate that may be absent.
pub fn optional_date(
    claims: &ClaimSet,
    name: &'static str,
) -> Result<Option<UnixSeconds>, TokenError> {
    match claims.get(name) {
        None => Ok(None),
        Some(value) => numeric_date(value).map(Some).ok_or(TokenError::Claim(name)),
    }
}

/// `iss`, compared byte by byte: no slash, case or scheme is made equal to another.
pub fn check_issuer(claims: &ClaimSet, issuer: &str) -> Result<(), TokenError> {
    match claims.get("iss") {
        Some(Value::String(iss)) if iss == issuer => Ok(()),
        _ => Err(TokenError::Issuer),
    }
}

/// `aud` as a list: one string or an array of strings (RFC 7519 section 4.1.3).
pub fn audiences(claims: &ClaimSet) -> Result<Vec<&str>, TokenError> {
    match claims.get("aud") {
        Some(Value::String(one)) => Ok(vec![one]),
        Some(Value::Array(many)) => many
            .iter()
            .map(|value| value.as_str().ok_or(TokenError::Audience))
            .collect(),
        _ => Err(TokenError::Audience),
    }
}

/// `iat` and, where present, `nbf` must not lie in the future by more than `clock_skew` seconds.
/// Returns `iat`.
pub fn check_begun(
    claims: &ClaimSet,
    now: UnixSeconds,
    clock_skew: u64,
) -> Result<UnixSeconds, TokenError> {
    let latest = now.saturating_add(clock_skew);
    let iat = required_date(claims, "iat")?;
    let nbf = optional_date(claims, "nbf")?;
    if iat > latest || nbf.is_some_and(|nbf| nbf > latest) {
        return Err(TokenError::NotYetValid);
    }
    Ok(iat)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims(value: Value) -> ClaimSet {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn strings_are_bounded_and_typed() {
        let set = claims(json!({"ok": "ab", "empty": "", "number": 1, "null": null}));
        assert_eq!(required_string(&set, "ok", 2), Ok("ab".into()));
        assert_eq!(required_string(&set, "ok", 1), Err(TokenError::Claim("ok")));
        for name in ["empty", "number", "null"] {
            assert_eq!(optional_string(&set, name, 9), Err(TokenError::Claim(name)));
        }
        assert_eq!(optional_string(&set, "absent", 9), Ok(None));
        assert_eq!(
            required_string(&set, "absent", 9),
            Err(TokenError::Claim("absent"))
        );
    }

    /// I3
    #[test]
    fn a_subject_has_at_most_255_ascii_characters() {
        let sub = |sub: &str| subject(&claims(json!({"sub": sub})));
        assert_eq!(sub(&"a".repeat(255)), Ok(Some("a".repeat(255))));
        for bad in [String::new(), "a".repeat(256), "\u{e4}".into()] {
            assert_eq!(sub(&bad), Err(TokenError::Claim("sub")), "{bad}");
        }
    }

    /// I1
    #[test]
    fn an_issuer_is_compared_byte_by_byte() {
        let set = claims(json!({"iss": "https://idp.example/"}));
        assert_eq!(check_issuer(&set, "https://idp.example/"), Ok(()));
        for other in [
            "https://idp.example",
            "HTTPS://idp.example/",
            "https://idp.example//",
            "",
        ] {
            assert_eq!(
                check_issuer(&set, other),
                Err(TokenError::Issuer),
                "{other}"
            );
        }
        assert_eq!(
            check_issuer(&claims(json!({"iss": ["a"]})), "a"),
            Err(TokenError::Issuer)
        );
        assert_eq!(check_issuer(&ClaimSet::new(), ""), Err(TokenError::Issuer));
    }

    #[test]
    fn audiences_are_a_string_or_an_array_of_strings() {
        assert_eq!(audiences(&claims(json!({"aud": "a"}))), Ok(vec!["a"]));
        assert_eq!(
            audiences(&claims(json!({"aud": ["a", "b"]}))),
            Ok(vec!["a", "b"])
        );
        for bad in [
            json!({}),
            json!({"aud": 1}),
            json!({"aud": ["a", 1]}),
            json!({"aud": {"a": 1}}),
        ] {
            assert_eq!(audiences(&claims(bad)), Err(TokenError::Audience));
        }
    }

    /// J6
    #[test]
    fn iat_and_nbf_may_lie_in_the_future_by_the_clock_skew_and_no_more() {
        let begun =
            |iat: u64, nbf: u64| check_begun(&claims(json!({"iat": iat, "nbf": nbf})), 1000, 30);
        assert_eq!(begun(1030, 1030), Ok(1030));
        assert_eq!(begun(1031, 1000), Err(TokenError::NotYetValid));
        assert_eq!(begun(1000, 1031), Err(TokenError::NotYetValid));
        assert_eq!(
            check_begun(&claims(json!({"nbf": 1})), 1000, 30),
            Err(TokenError::Claim("iat"))
        );
    }
}
