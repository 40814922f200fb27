//! After a run in which everything has happened, no secret is anywhere it does not belong.

mod places;
mod run;

use std::collections::BTreeMap;
use std::path::PathBuf;

use gatelatch_harness::{Browser, Stack, StackOptions};

use crate::places::{files, leaks, what_services_tell};
use crate::run::{everything_happens, issued_tokens};

/// Secrets by what they are.
type Secrets = BTreeMap<&'static str, Vec<String>>;

#[tokio::test]
async fn no_secret_is_in_a_log_a_metric_an_event_a_response_or_the_database() {
    let stack = Stack::start(&StackOptions::new().session_ttl("2s"));
    let (mut secrets, answers) = everything_happens(&stack).await;
    let told = what_services_tell(&stack).await;
    let config_dumps = told
        .iter()
        .filter(|(name, _)| name.contains("config_dump"))
        .count();
    assert_eq!(config_dumps, 1);

    // Stopping in order makes the provider write down the tokens that it has issued.
    stack.order("stop", "idp");
    stack.order("stop", "control");
    stack.order("stop", "envoy-0");
    secrets.extend(issued_tokens(&stack));
    for name in [
        "refresh token",
        "authorization code",
        "session JWT",
        "login transaction",
        "client secret",
    ] {
        assert!(
            secrets.get(name).is_some_and(|values| !values.is_empty()),
            "no {name} was seen"
        );
    }
    assert_eq!(
        secrets["refresh token"].len(),
        4,
        "three logins and one rotation at least: {secrets:?}"
    );

    let mut places = told;
    places.extend(
        answers
            .into_iter()
            .map(|(name, text)| (name, text.into_bytes())),
    );
    places.extend(files(&stack));
    for part in [
        "control.log",
        "envoy-0.log",
        "idp.log",
        "app.log",
        "gatelatch.db",
        "idp-events.jsonl",
    ] {
        assert!(
            places
                .iter()
                .any(|(name, bytes)| name.contains(part) && !bytes.is_empty()),
            "{part} was not looked at"
        );
    }
    // The search itself works: it finds the secrets where they are kept.
    let kept = std::fs::read(stack.run_dir().join("envoy.env")).expect("the filter's variables");
    let kept = [("envoy.env".to_owned(), kept)];
    let expected = [
        "client secret in envoy.env",
        "gateway token in envoy.env",
        "session key in envoy.env",
    ];
    assert_eq!(leaks(&secrets, &kept), expected);
    assert_eq!(leaks(&secrets, &places), [] as [String; 0]);
}

#[tokio::test]
async fn files_that_hold_secrets_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let stack = Stack::start(&StackOptions::new().envoys(1, 1));
    Browser::logged_in(&stack, "ada").await;
    let directory = std::fs::read_dir(stack.run_dir()).expect("the run directory");
    let databases: Vec<PathBuf> = directory
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.display().to_string().contains("gatelatch.db"))
        .collect();
    assert!(!databases.is_empty());
    let keys = [
        &stack.ready.admin_token_file,
        &stack.ready.gateway_token_file,
        &stack.ready.session_key_file,
        &stack.ready.encryption_key_file,
        &stack.ready.client_secret_file,
    ];
    for path in keys.into_iter().chain(&databases) {
        let mode = std::fs::metadata(path)
            .expect("a file")
            .permissions()
            .mode();
        assert_eq!(
            mode & 0o077,
            0,
            "{} has mode {:o}",
            path.display(),
            mode & 0o777
        );
    }
}
