//! The verified identity as request headers, and the removal of whatever a client claims to be.

use std::collections::BTreeMap;

use gatelatch_wire::session::Claims;
use serde_json::Value;

/// Which claim goes into which header.
#[derive(Debug, Clone)]
pub struct IdentityHeaders {
    /// Header name in lower case, claim name.
    mapping: Vec<(String, String)>,
}

/// The longest identity header value in bytes; a longer one is left out.
const MAX_VALUE: usize = 2048;

impl IdentityHeaders {
    /// Checks header names. The error is the offending name and what is wrong with it.
    pub fn new(mapping: &BTreeMap<String, String>) -> Result<Self, (String, &'static str)> {
        let mut checked = Vec::new();
        for (header, claim) in mapping {
            let lower = header.to_ascii_lowercase();
            let refused = |problem| Err((header.clone(), problem));
            if lower.is_empty()
                || !lower
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            {
                return refused("must be a header name of letters, digits and '-'");
            }
            const NOT_IDENTITY: [&str; 10] = [
                "host",
                "cookie",
                "connection",
                "content-length",
                "content-type",
                "transfer-encoding",
                "upgrade",
                "te",
                "origin",
                "referer",
            ];
            if NOT_IDENTITY.contains(&lower.as_str()) || lower.starts_with("sec-") {
                return refused("must not be a header that HTTP itself uses");
            }
            if claim.is_empty() {
                return refused("must name a claim");
            }
            checked.push((lower, claim.clone()));
        }
        Ok(Self { mapping: checked })
    }

    /// Whether an application could read a header of this name as identity: the same name in any
    /// case, with `_` or `.` for `-`.
    pub fn is_identity(&self, name: &[u8]) -> bool {
        self.mapping
            .iter()
            .any(|(header, _)| is_spelling_of(name, header.as_bytes()))
    }

    /// The headers for a user. Claims that are absent, and values that cannot be a header, give
    /// no header.
    pub fn render(&self, sub: &str, sid: &str, claims: &Claims) -> Vec<(String, String)> {
        let value_of = |claim: &str| match claim {
            "sub" => Some(sub.to_owned()),
            "sid" => Some(sid.to_owned()),
            other => claims.get(other).and_then(text),
        };
        self.mapping
            .iter()
            .filter_map(|(header, claim)| Some((header.clone(), header_value(&value_of(claim)?)?)))
            .collect()
    }
}

fn is_spelling_of(name: &[u8], header: &[u8]) -> bool {
    name.len() == header.len()
        && name.iter().zip(header).all(|(seen, own)| match own {
            b'-' => matches!(seen, b'-' | b'_' | b'.'),
            _ => seen.eq_ignore_ascii_case(own),
        })
}

/// Strings as they are; lists joined by commas; objects as the list of their member names
/// (Zitadel keys roles so).
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(number) => Some(number.to_string()),
        Value::Array(items) => {
            let texts: Vec<_> = items
                .iter()
                .filter_map(|item| item.as_str())
                .filter(|item| !item.contains(','))
                .collect();
            (texts.len() == items.len()).then(|| texts.join(","))
        }
        Value::Object(members) => {
            let names: Vec<_> = members
                .keys()
                .map(String::as_str)
                .filter(|name| !name.contains(','))
                .collect();
            (names.len() == members.len()).then(|| names.join(","))
        }
        Value::Null => None,
    }
}

/// A value that splits no header and traps no parser. Printable ASCII stays as it is; any other
/// value is percent-encoded as a whole (UTF-8, the percent sign included).
fn header_value(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e)) && text.trim() == text;
    let value = if plain {
        text.to_owned()
    } else {
        percent_encode(text)
    };
    (!value.is_empty() && value.len() <= MAX_VALUE).then_some(value)
}

fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            0x21..=0x24 | 0x26..=0x7e => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn headers() -> IdentityHeaders {
        let mapping = [
            ("X-Auth-Request-User", "sub"),
            ("X-auth-request-groups", "groups"),
            ("x-name", "name"),
        ];
        IdentityHeaders::new(&mapping.map(|(a, b)| (a.to_owned(), b.to_owned())).into()).unwrap()
    }

    #[test]
    fn every_spelling_of_an_identity_header_is_recognised() {
        for name in [
            "x-auth-request-user",
            "X-AUTH-REQUEST-USER",
            "x_auth_request_user",
            "x-auth_request.user",
        ] {
            assert!(headers().is_identity(name.as_bytes()), "{name}");
        }
        assert!(!headers().is_identity(b"x-auth-request-users"));
        assert!(!headers().is_identity(b"x-auth-request-use\xff"));
    }

    #[test]
    fn lists_are_joined_and_absent_claims_give_no_header() {
        let Value::Object(claims) = json!({"groups": ["a", "b"]}) else {
            panic!()
        };
        assert_eq!(
            headers().render("ada", "s1", &claims),
            [
                ("x-auth-request-user", "ada"),
                ("x-auth-request-groups", "a,b")
            ]
            .map(|(a, b)| (a.into(), b.into()))
        );
    }

    #[test]
    fn a_list_item_with_a_comma_cannot_pose_as_two() {
        let Value::Object(claims) = json!({"groups": ["a,admins"]}) else {
            panic!()
        };
        assert_eq!(headers().render("ada", "s1", &claims).len(), 1);
    }

    #[test]
    fn a_claim_cannot_split_a_header() {
        let Value::Object(claims) = json!({"name": "Ada\r\nx-evil: 1\u{0}é"}) else {
            panic!()
        };
        let rendered = headers().render("ada", "s1", &claims);
        assert!(rendered.contains(&("x-name".into(), "Ada%0D%0Ax-evil:%201%00%C3%A9".into())));
    }

    #[test]
    fn names_that_http_uses_itself_are_refused() {
        for name in ["Host", "cookie", "sec-fetch-site", "a b", ""] {
            let mapping = [(name.to_owned(), "sub".to_owned())].into();
            assert!(IdentityHeaders::new(&mapping).is_err(), "{name}");
        }
    }
}
