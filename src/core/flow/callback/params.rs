//! What a provider's answer to an authorization request says.

use crate::gate::Gate;

/// Parameters of the authorization response (RFC 6749 section 4.1.2, RFC 9207 section 2).
pub(super) struct Params {
    pub(super) state: String,
    pub(super) code: Option<String>,
    iss: Option<String>,
}

impl Params {
    /// None: a parameter is missing or repeats (RFC 6749 section 3.1), or code and error come
    /// together.
    pub(super) fn parse(query: &[u8]) -> Option<Self> {
        let (mut state, mut code, mut iss, mut error) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query) {
            let slot = match name.as_ref() {
                "state" => &mut state,
                "code" => &mut code,
                "iss" => &mut iss,
                "error" => &mut error,
                _ => continue,
            };
            if slot.replace(value.into_owned()).is_some() {
                return None;
            }
        }
        let code = code.filter(|code: &String| !code.is_empty());
        (code.is_some() != error.is_some()).then_some(())?;
        Some(Self {
            state: state?,
            code,
            iss,
        })
    }

    /// RFC 9207 section 2.4, for errors too: a response that names an issuer must name the one that
    /// was asked, and must name it where the provider says that it does.
    pub(super) fn is_from(&self, issuer: &str, gate: &Gate) -> bool {
        let promised = gate
            .provider
            .metadata
            .as_ref()
            .is_some_and(|metadata| metadata.response_iss);
        match &self.iss {
            Some(iss) => iss == issuer,
            None => !promised,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Params;

    #[test]
    fn repeated_missing_and_contradicting_parameters_are_refused() {
        let parse = |query: &str| Params::parse(query.as_bytes()).is_some();
        assert!(parse("state=s&code=c&iss=i&session_state=x"));
        assert!(parse("state=s&error=access_denied&error_description=<b>"));
        for query in [
            "",
            "state=s",
            "code=c",
            "state=s&code=",
            "state=s&state=s&code=c",
            "state=s&code=c&code=c",
            "state=s&code=c&error=e",
            "state=s&code=c&iss=i&iss=i",
            "state=s&error=e&error=e",
            "st%61te=s&state=s&code=c",
        ] {
            assert!(!parse(query), "{query}");
        }
    }
}
