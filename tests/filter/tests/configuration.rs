//! A configuration that is wrong refuses to start, with one line that names the field.

use gatelatch_filter_tests::{CLIENT_SECRET, GATEWAY_TOKEN, Gateway, Level, SESSION_KEY, Setup};
use serde_json::{Value, json};

/// The one line of a refusal.
fn refusal(change: impl FnOnce(&mut Value)) -> String {
    let line = Setup::new().config(change).refusal();
    assert_eq!(line.lines().count(), 1, "one clear error: {line}");
    for secret in [SESSION_KEY, CLIENT_SECRET, GATEWAY_TOKEN] {
        assert!(!line.contains(secret), "{line}");
    }
    line
}

#[track_caller]
fn names(line: &str, words: &[&str]) {
    for word in words {
        assert!(line.contains(word), "the line should name {word}: {line}");
    }
}

#[test]
fn the_configuration_of_the_tests_is_accepted_without_a_warning() {
    let gateway = Gateway::new();
    let loud: Vec<_> = gateway
        .host
        .logs()
        .into_iter()
        .filter(|line| line.level >= Level::Warn)
        .collect();
    assert_eq!(loud, []);
}

#[test]
fn an_unknown_field_is_named_wherever_it_stands() {
    names(
        &refusal(|config| config["sessoin"] = json!({})),
        &["sessoin"],
    );
    names(
        &refusal(|config| config["session"] = json!({"tll": "5m"})),
        &["session", "tll"],
    );
    names(
        &refusal(|config| config["rules"][1]["acess"] = json!("public")),
        &["rules[1]", "acess"],
    );
    names(
        &refusal(|config| config["session_keys"][0]["secret"] = json!("x")),
        &["session_keys[0]", "secret"],
    );
}

#[test]
fn a_missing_field_is_named() {
    for field in [
        "issuer",
        "client_id",
        "client_secret_env",
        "idp_cluster",
        "control_cluster",
        "public_url",
        "session_keys",
    ] {
        let remove = |config: &mut Value| {
            config.as_object_mut().expect("an object").remove(field);
        };
        names(&refusal(remove), &[field]);
    }
}

#[test]
fn an_empty_field_is_named() {
    names(
        &refusal(|config| config["client_id"] = json!("")),
        &["client_id"],
    );
    names(
        &refusal(|config| config["idp_cluster"] = json!(" ")),
        &["idp_cluster"],
    );
    names(
        &refusal(|config| config["session_keys"] = json!([])),
        &["session_keys"],
    );
}

#[test]
fn a_field_of_another_type_is_named() {
    names(
        &refusal(|config| config["session"] = json!({"ttl": 900})),
        &["session.ttl"],
    );
    names(
        &refusal(|config| config["rules"] = json!({"/": "public"})),
        &["rules"],
    );
    names(
        &refusal(|config| config["forward_jwt"] = json!("yes")),
        &["forward_jwt"],
    );
}

#[test]
fn a_missing_environment_variable_is_named_with_the_field_that_asks_for_it() {
    let line = refusal(|config| config["client_secret_env"] = json!("NOT_SET"));
    names(&line, &["client_secret_env", "NOT_SET"]);
    let line = refusal(|config| config["control_token_env"] = json!("NOT_SET"));
    names(&line, &["control_token_env", "NOT_SET"]);
    let line = refusal(|config| config["session_keys"][0]["env"] = json!("NOT_SET"));
    names(&line, &["session_keys[0].env", "NOT_SET"]);
}

#[test]
fn a_short_session_key_is_refused_by_the_name_of_its_variable_and_the_length_it_should_have() {
    let setup = Setup::new()
        .host(|host| host.environment("GATELATCH_SESSION_KEY", "only-31-bytes-long-is-too-short"));
    let line = setup.refusal();
    names(
        &line,
        &["session_keys[0].env", "GATELATCH_SESSION_KEY", "32"],
    );
    assert!(!line.contains("only-31"), "{line}");
}

#[test]
fn two_session_keys_of_the_same_kid_are_refused() {
    let line = refusal(|config| {
        let key = config["session_keys"][0].clone();
        config["session_keys"] = json!([key, key]);
    });
    names(&line, &["session_keys", "kid"]);
}

#[test]
fn a_url_that_is_none_or_would_not_be_safe_is_refused() {
    for url in [
        "localhost:8000",
        "",
        "/",
        "ftp://localhost",
        "https://",
        "http://app.example",
        "https://app.example/app",
    ] {
        names(
            &refusal(|config| config["public_url"] = json!(url)),
            &["public_url"],
        );
    }
    for url in [
        "localhost:9400",
        "",
        "http://idp.example",
        "https://idp.example/?tenant=1",
    ] {
        names(
            &refusal(|config| config["issuer"] = json!(url)),
            &["issuer"],
        );
    }
}

#[test]
fn an_impossible_duration_is_refused_by_its_field() {
    for ttl in ["0s", "25h", "soon", "", "-5m", "15"] {
        names(
            &refusal(|config| config["session"] = json!({"ttl": ttl})),
            &["session.ttl"],
        );
    }
    names(
        &refusal(|config| config["session"] = json!({"max_age": "1m"})),
        &["session.max_age"],
    );
    names(
        &refusal(|config| config["session"] = json!({"max_age": "31d"})),
        &["session.max_age"],
    );
    names(
        &refusal(|config| config["session"] = json!({"refresh_window": "13h"})),
        &["session.refresh_window"],
    );
    names(
        &refusal(|config| config["clock_skew"] = json!("1h")),
        &["clock_skew"],
    );
}

#[test]
fn a_rule_that_cannot_match_as_written_is_refused_by_its_number() {
    for rule in [
        json!({"access": "public"}),
        json!({"path": "/a", "prefix": "/a", "access": "public"}),
        json!({"prefix": "assets/", "access": "public"}),
        json!({"prefix": "/a/../", "access": "public"}),
        json!({"prefix": "/a", "access": "open"}),
    ] {
        names(
            &refusal(|config| config["rules"][2] = rule.clone()),
            &["rules[2]"],
        );
    }
}

#[test]
fn what_is_no_json_object_is_refused() {
    for text in ["", "[]", "{", "null", "issuer: http://localhost"] {
        let line = Setup::new()
            .config(|config| *config = json!(text))
            .refusal();
        names(&line, &["configuration refused"]);
    }
}

#[test]
fn a_second_configuration_takes_the_place_of_the_first() {
    let mut gateway = Gateway::new();
    let config = Setup::new()
        .config(|config| config["rules"] = json!([{"prefix": "/open/", "access": "public"}]));
    let config = config.configuration();
    let vm = gateway.vm(0);
    assert_eq!(vm.configure(config.as_bytes()), Ok(()));
    gateway.advance(std::time::Duration::from_secs(3));
    let browser = gatelatch_filter_tests::Browser::new();
    assert_eq!(
        browser
            .navigate(&mut gateway, "/open/x")
            .forwarded()
            .headers
            .text(":path"),
        Some("/open/x")
    );
    assert_eq!(
        browser
            .fetch(&mut gateway, "GET", "/public/x")
            .reply()
            .status,
        401
    );
}
