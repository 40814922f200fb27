//! The JWS compact serialization (RFC 7515 section 7.1), in its strictest reading.

use serde_json::{Map, Value};

use super::json::parse_object;
use super::{Algorithm, TokenError, decode_base64url};

/// The most bytes that a decoded header may have.
const MAX_HEADER_BYTES: usize = 2048;

/// A token whose form is right and whose signature nobody has looked at yet.
///
/// There is no `Debug`: the token may be a credential.
pub struct CompactJws<'a> {
    /// The protected header.
    pub header: Header,
    /// The decoded payload, to be read after the signature is found right.
    pub payload: Vec<u8>,
    /// What is signed: the first two parts and the dot between them.
    pub signing_input: &'a str,
    /// The decoded signature.
    pub signature: Vec<u8>,
    /// The third part as it stands in the token.
    pub signature_text: &'a str,
}

/// The members of the protected header that mean something here. `jwk`, `jku`, `x5u` and `x5c` are
/// not among them: a token does not bring its own key (RFC 8725 section 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// `alg`.
    pub algorithm: Algorithm,
    /// `kid`: looked up, never interpreted.
    pub kid: Option<String>,
    /// `typ`.
    pub typ: Option<String>,
    /// `cty`.
    pub cty: Option<String>,
}

impl<'a> CompactJws<'a> {
    /// Takes `token` apart.
    ///
    /// Errors: [`TokenError::TooLarge`] above `limit` bytes, [`TokenError::Algorithm`] for an
    /// `alg` that is unknown or `none`, [`TokenError::Malformed`] for everything else: anything
    /// but three non-empty parts in canonical base64url, a header that is not an object, and the
    /// extensions that change what is signed or how it is read (`crit`, `b64`, `zip`).
    pub fn parse(token: &'a str, limit: usize) -> Result<Self, TokenError> {
        if token.len() > limit {
            return Err(TokenError::TooLarge);
        }
        let (signing_input, signature_text) =
            token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header_text, payload_text) =
            signing_input.split_once('.').ok_or(TokenError::Malformed)?;
        // A dot that is left over is no base64url, so four parts (and JWE's five) end here too.
        Ok(Self {
            header: Header::parse(&decode_part(header_text)?)?,
            payload: decode_part(payload_text)?,
            signing_input,
            signature: decode_part(signature_text)?,
            signature_text,
        })
    }
}

impl Header {
    fn parse(text: &[u8]) -> Result<Self, TokenError> {
        let members = parse_object(text, MAX_HEADER_BYTES).map_err(|_| TokenError::Malformed)?;
        if ["crit", "b64", "zip"]
            .into_iter()
            .any(|name| members.contains_key(name))
        {
            return Err(TokenError::Malformed);
        }
        let algorithm = string(&members, "alg")?.ok_or(TokenError::Malformed)?;
        Ok(Self {
            algorithm: Algorithm::parse(&algorithm).ok_or(TokenError::Algorithm)?,
            kid: string(&members, "kid")?,
            typ: string(&members, "typ")?,
            cty: string(&members, "cty")?,
        })
    }

    /// Whether `typ` is the media type `name`: without regard to case, and to the `application/`
    /// that may be left out (RFC 7515 section 4.1.9).
    pub fn is_type(&self, name: &str) -> bool {
        self.typ.as_deref().is_some_and(|typ| {
            let typ = typ.to_ascii_lowercase();
            typ.strip_prefix("application/")
                .unwrap_or(&typ)
                .eq_ignore_ascii_case(name)
        })
    }
}

fn decode_part(text: &str) -> Result<Vec<u8>, TokenError> {
    match decode_base64url(text) {
        Some(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(TokenError::Malformed),
    }
}

fn string(members: &Map<String, Value>, name: &str) -> Result<Option<String>, TokenError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(value)) => Ok(Some(value.clone())),
        Some(_) => Err(TokenError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::jose::encode_base64url;

    fn token(header: &str, payload: &str) -> String {
        format!(
            "{}.{}.c2ln",
            encode_base64url(header.as_bytes()),
            encode_base64url(payload.as_bytes())
        )
    }

    fn error(token: &str) -> TokenError {
        CompactJws::parse(token, 4096)
            .err()
            .expect("must be refused")
    }

    #[test]
    fn the_parts_of_a_token_are_read() {
        let token = token(
            r#"{"alg":"ES256","kid":"k","typ":"JWT","cty":"x","x":[1]}"#,
            "{}",
        );
        let jws = CompactJws::parse(&token, 4096).unwrap();
        assert_eq!(
            jws.header,
            Header {
                algorithm: Algorithm::Es256,
                kid: Some("k".into()),
                typ: Some("JWT".into()),
                cty: Some("x".into())
            }
        );
        assert_eq!(jws.payload, b"{}");
        assert_eq!(jws.signature, b"sig");
        assert_eq!(
            format!("{}.{}", jws.signing_input, jws.signature_text),
            token
        );
    }

    /// J1
    #[test]
    fn alg_none_or_unknown_or_absent_is_refused() {
        for alg in ["none", "None", "NONE", "hs256", "HS512", "RSA-OAEP"] {
            assert_eq!(
                error(&token(&format!(r#"{{"alg":"{alg}"}}"#), "{}")),
                TokenError::Algorithm
            );
        }
        assert_eq!(error(&token("{}", "{}")), TokenError::Malformed);
        assert_eq!(
            error(&token(r#"{"alg":["HS256"]}"#, "{}")),
            TokenError::Malformed
        );
    }

    /// J3
    #[test]
    fn crit_b64_zip_duplicates_and_a_header_that_is_no_object_are_refused() {
        for header in [
            r#"{"alg":"HS256","crit":["exp"]}"#,
            r#"{"alg":"HS256","crit":[]}"#,
            r#"{"alg":"HS256","b64":false,"crit":["b64"]}"#,
            r#"{"alg":"HS256","b64":false}"#,
            r#"{"alg":"HS256","b64":true}"#,
            r#"{"alg":"HS256","zip":"DEF"}"#,
            r#"{"alg":"HS256","alg":"HS256"}"#,
            r#"{"alg":"HS256","kid":1}"#,
            r#"{"alg":"HS256","typ":null}"#,
            r#"["HS256"]"#,
            r#""HS256""#,
            r#"{"alg":"HS256"} "x""#,
        ] {
            assert_eq!(
                error(&token(header, "{}")),
                TokenError::Malformed,
                "{header}"
            );
        }
    }

    /// J2
    #[test]
    fn keys_that_a_token_brings_along_are_not_read() {
        let header = r#"{"alg":"HS256","jwk":{"kty":"oct","k":"AAAA"},"jku":"https://evil","x5u":"https://evil","x5c":["AAAA"]}"#;
        let token = token(header, "{}");
        let jws = CompactJws::parse(&token, 4096).unwrap();
        assert_eq!(
            jws.header,
            Header {
                algorithm: Algorithm::Hs256,
                kid: None,
                typ: None,
                cty: None
            }
        );
    }

    /// J4
    #[test]
    fn anything_but_three_canonical_parts_is_refused() {
        let good = token(r#"{"alg":"HS256"}"#, "{}");
        assert!(CompactJws::parse(&good, 4096).is_ok());
        let (head, _) = good.rsplit_once('.').unwrap();
        for bad in [
            String::new(),
            ".".into(),
            "..".into(),
            "...".into(),
            head.to_owned(),
            format!("{head}."),
            format!(".{good}"),
            format!("{good}."),
            format!("{good}.c2ln"),
            format!("{good}.c2ln.c2ln"),
            format!("{good}="),
            format!("{good}\n"),
            format!(" {good}"),
            format!("\"{good}\""),
            format!("{{{good}}}"),
            format!("{head}.c2l+"),
            format!("{head}.c2l/"),
            format!("{head}.c2"),
            format!("{head}.c2lu\u{e4}"),
            good.replacen('.', "..", 1),
        ] {
            assert_eq!(error(&bad), TokenError::Malformed, "{bad:?}");
        }
    }

    #[test]
    fn a_token_beyond_the_bound_is_refused_unread() {
        assert_eq!(
            CompactJws::parse("....", 3).err(),
            Some(TokenError::TooLarge)
        );
    }

    #[test]
    fn media_types_are_compared_as_such() {
        let header = |typ: &str| Header {
            algorithm: Algorithm::Rs256,
            kid: None,
            typ: Some(typ.into()),
            cty: None,
        };
        for typ in [
            "logout+jwt",
            "Logout+JWT",
            "application/logout+jwt",
            "APPLICATION/logout+jwt",
        ] {
            assert!(header(typ).is_type("logout+jwt"), "{typ}");
        }
        for typ in ["", "jwt", "logout+jwt;", "text/logout+jwt", "application/"] {
            assert!(!header(typ).is_type("logout+jwt"), "{typ}");
        }
    }

    proptest! {
        /// J4: what is accepted has no second spelling.
        #[test]
        fn an_accepted_token_is_canonical(text in "[A-Za-z0-9_=+/-]{0,8}\\.{1,2}[A-Za-z0-9_=+/-]{0,8}\\.[A-Za-z0-9_=+/-]{0,8}") {
            let header = encode_base64url(br#"{"alg":"HS256"}"#);
            let token = format!("{header}.{text}");
            if let Ok(jws) = CompactJws::parse(&token, 4096) {
                let again = format!("{header}.{}.{}", encode_base64url(&jws.payload), encode_base64url(&jws.signature));
                prop_assert_eq!(again, token);
            }
        }

        #[test]
        fn no_text_makes_the_parser_fail_otherwise_than_by_an_error(text in ".{0,64}") {
            let _ = CompactJws::parse(&text, 4096);
        }
    }
}
