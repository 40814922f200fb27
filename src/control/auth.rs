//! Who calls: gateways and administrators, each with bearer tokens of their own (RFC 6750).

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::Response;
use sha2::{Digest as _, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::app::Shared;
use crate::error::ApiError;

/// Tokens shorter than this are refused.
pub const MIN_TOKEN_CHARS: usize = 32;

/// The tokens of one kind of caller. Only their hashes are kept.
pub struct TokenSet(Vec<[u8; 32]>);

/// Why the text of a token file is not a set of tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// No token at all.
    #[error("holds no token; `gatelatch keygen token` makes one")]
    Empty,
    /// Too easy to guess.
    #[error(
        "line {0} is shorter than {MIN_TOKEN_CHARS} characters; `gatelatch keygen token` makes a token"
    )]
    Short(usize),
    /// Not printable ASCII, which a header could not carry.
    #[error("line {0} has a character that a bearer token cannot have")]
    Character(usize),
}

/// A caller whose token was accepted.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Names the token in the audit log: its place in the file and the start of its hash.
    pub(crate) token: String,
}

impl TokenSet {
    /// Reads a token file: one token a line; empty lines and `#` comments are skipped.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut hashes = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let token = line.trim();
            if token.is_empty() || token.starts_with('#') {
                continue;
            }
            if token.len() < MIN_TOKEN_CHARS {
                return Err(TokenError::Short(index + 1));
            }
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(TokenError::Character(index + 1));
            }
            hashes.push(hash(token.as_bytes()));
        }
        if hashes.is_empty() {
            Err(TokenError::Empty)
        } else {
            Ok(Self(hashes))
        }
    }

    /// Whether a token is in both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().any(|hash| other.0.contains(hash))
    }

    /// The caller of that token. Every configured token is compared, in constant time.
    pub(crate) fn caller(&self, token: &[u8]) -> Option<Caller> {
        let given = hash(token);
        let mut found = None;
        for (index, known) in self.0.iter().enumerate() {
            let equal: Choice = known.ct_eq(&given);
            if bool::from(equal) {
                found = Some(index);
            }
        }
        let index = found?;
        let start: String = given
            .iter()
            .take(4)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Some(Caller {
            token: format!("{}:{start}", index + 1),
        })
    }
}

/// Lets gateways pass.
pub(crate) async fn gateway(
    State(app): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check(&app.gateway_tokens, &app.admin_tokens, request, next).await
}

/// Lets administrators pass.
pub(crate) async fn admin(
    State(app): State<Shared>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    check(&app.admin_tokens, &app.gateway_tokens, request, next).await
}

async fn check(
    wanted: &TokenSet,
    other: &TokenSet,
    mut request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let token = bearer(&request).ok_or(ApiError::Unauthorized)?;
    let caller = wanted.caller(token);
    let elsewhere = other.caller(token).is_some();
    let Some(caller) = caller else {
        return Err(if elsewhere {
            ApiError::Forbidden
        } else {
            ApiError::Unauthorized
        });
    };
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

fn bearer(request: &Request) -> Option<&[u8]> {
    let value = request.headers().get(AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked(7)?;
    scheme
        .eq_ignore_ascii_case(b"bearer ")
        .then_some(token.trim_ascii())
}

fn hash(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

impl std::fmt::Debug for TokenSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "<{} tokens>", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    #[test]
    fn every_line_is_a_token_and_nothing_else_is() {
        let set = TokenSet::parse(&format!("# old\n{A}\n\n{B}\n")).unwrap();
        assert!(set.caller(A.as_bytes()).is_some());
        assert!(set.caller(B.as_bytes()).is_some());
        for bad in ["", "# old", &A[1..], &format!("{A}a")] {
            assert!(set.caller(bad.as_bytes()).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_bad_file_is_refused_by_line() {
        assert_eq!(TokenSet::parse("\n").unwrap_err(), TokenError::Empty);
        assert_eq!(
            TokenSet::parse(&format!("{A}\nshort")).unwrap_err(),
            TokenError::Short(2)
        );
        let spaced = format!("{A} {A}");
        assert_eq!(
            TokenSet::parse(&spaced).unwrap_err(),
            TokenError::Character(1)
        );
    }

    #[test]
    fn a_callers_name_shows_no_token() {
        let set = TokenSet::parse(A).unwrap();
        assert!(!set.caller(A.as_bytes()).unwrap().token.contains("aaaa"));
        assert_eq!(format!("{set:?}"), "<1 tokens>");
    }
}
