//! Responses made here: the one place where a denial becomes a status, headers and a body.

use serde_json::json;

use crate::config::Config;
use crate::cookie;
use crate::denial::Denial;
use crate::gate::Challenge;
use crate::step::Reply;

/// A refusal: a page for a person who navigates, JSON for everything else.
pub fn refusal(config: &Config, challenge: &Challenge, denial: Denial) -> Reply {
    let login = config.public_url.join("/_gatelatch/login");
    let mut headers = private_headers();
    let body = if challenge.navigation {
        headers.push(("content-type", "text/html; charset=utf-8".to_owned()));
        headers.push(("content-security-policy", PAGE_POLICY.to_owned()));
        page(denial)
    } else {
        headers.push(("content-type", "application/json".to_owned()));
        json!({"reason": denial.code(), "login": login}).to_string()
    };
    if denial.status() == 401 {
        let error = if denial == Denial::NoSession {
            ""
        } else {
            ", error=\"invalid_token\""
        };
        let realm = config.public_url.origin();
        headers.push((
            "www-authenticate",
            format!("Bearer realm=\"{realm}\"{error}"),
        ));
    }
    let cookies = ended_cookies(config, challenge, denial);
    headers.extend(cookies.into_iter().map(|value| ("set-cookie", value)));
    if denial.status() == 503 {
        headers.push(("retry-after", "2".to_owned()));
    }
    Reply {
        status: denial.status(),
        headers,
        body,
        code: denial.code(),
    }
}

/// The cookies of an answer to a session that is over: its own goes, and who was revoked is
/// remembered until the next login, which asks for the password.
pub fn ended_cookies(config: &Config, challenge: &Challenge, denial: Denial) -> Vec<String> {
    let names = &config.cookies;
    let mut cookies = Vec::new();
    if denial.asks_for_login() && challenge.had_cookie {
        cookies.push(cookie::clear(&names.session, "/"));
    }
    if denial.asks_for_reauthentication() {
        cookies.push(cookie::set(
            &names.reauthenticate,
            "1",
            "/",
            config.session.max_age,
        ));
    }
    cookies
}

/// A redirect with cookies. 302 for navigations, 303 where a POST becomes a GET; never 307 or 308,
/// which would repeat a body (RFC 9700 section 4.12).
pub fn redirect(status: u32, location: String, set_cookies: Vec<String>) -> Reply {
    let mut headers = private_headers();
    headers.push(("location", location));
    headers.extend(set_cookies.into_iter().map(|value| ("set-cookie", value)));
    Reply {
        status,
        headers,
        body: String::new(),
        code: "redirect",
    }
}

/// JSON for the browser that asked, and nobody else.
pub fn json(body: &serde_json::Value, set_cookies: Vec<String>, code: &'static str) -> Reply {
    let mut headers = private_headers();
    headers.push(("content-type", "application/json".to_owned()));
    headers.extend(set_cookies.into_iter().map(|value| ("set-cookie", value)));
    Reply {
        status: 200,
        headers,
        body: body.to_string(),
        code,
    }
}

const PAGE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

fn private_headers() -> Vec<(&'static str, String)> {
    [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

fn page(denial: Denial) -> String {
    let (code, sentence) = (denial.code(), denial.sentence());
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{sentence}</title><style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;\
         padding:0 1rem;color-scheme:light dark}}code{{opacity:.6}}</style>\
         <h1>{sentence}</h1><p><a href=\"/_gatelatch/login\">Log in</a> · <a href=\"/\">Start page</a>\
         <p><code>{code}</code>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::config;

    fn challenge(navigation: bool) -> Challenge {
        Challenge {
            navigation,
            return_to: "/".into(),
            had_cookie: true,
            reauthenticate: false,
            open_logins: Vec::new(),
        }
    }

    fn header<'a>(reply: &'a Reply, name: &str) -> Option<&'a str> {
        reply
            .headers
            .iter()
            .find(|(header, _)| *header == name)
            .map(|(_, value)| value.as_str())
    }

    #[test]
    fn a_refusal_names_reason_and_login_and_clears_the_cookie() {
        let reply = refusal(&config(), &challenge(false), Denial::SessionRevoked);
        assert_eq!(reply.status, 401);
        assert_eq!(
            reply.body,
            r#"{"login":"https://gw.example/_gatelatch/login","reason":"session_revoked"}"#
        );
        assert_eq!(header(&reply, "cache-control"), Some("no-store"));
        assert!(
            header(&reply, "www-authenticate")
                .unwrap()
                .starts_with("Bearer realm=")
        );
        let cleared = header(&reply, "set-cookie").unwrap();
        assert!(cleared.starts_with("__Host-gatelatch=; Path=/; Max-Age=0;"));
        assert!(cleared.contains("; Secure"));
    }

    #[test]
    fn an_outage_keeps_the_cookie_and_says_when_to_come_back() {
        let reply = refusal(&config(), &challenge(true), Denial::RefreshUnavailable);
        assert_eq!((reply.status, header(&reply, "set-cookie")), (503, None));
        assert!(header(&reply, "retry-after").is_some());
        assert!(
            header(&reply, "content-security-policy")
                .unwrap()
                .contains("frame-ancestors 'none'")
        );
    }
}
