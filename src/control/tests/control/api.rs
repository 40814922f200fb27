//! What holds for every call.

use serde_json::{Value, json};

use crate::service::{ADMIN, GATEWAY, Service};

fn calls() -> Vec<(String, String, String)> {
    let document = serde_json::to_value(gatelatch_control::document()).unwrap();
    let mut calls = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, call) in item.as_object().unwrap() {
            let right = call["security"][0]
                .as_object()
                .and_then(|names| names.keys().next());
            let right = right.cloned().unwrap_or_default();
            let path = path.replace("{sid}", "x").replace("{id}", "x");
            calls.push((method.to_uppercase(), path, right));
        }
    }
    calls
}

#[test]
fn every_call_takes_its_own_credential_and_no_other() {
    let service = Service::on_sqlite();
    let caller = service.caller();
    let calls = calls();
    assert_eq!(calls.len(), 20);
    for (method, path, right) in calls {
        let statuses = [
            None,
            Some("wrong-token-wrong-token-wrong-token"),
            Some(GATEWAY),
            Some(ADMIN),
        ]
        .map(|token| caller.status(&method, &path, token));
        let [none, wrong, gateway, admin] = statuses;
        match right.as_str() {
            // A logout token is its own credential, and there is none in this call.
            "" if method == "POST" => assert_eq!(statuses, [400; 4], "{method} {path}"),
            "" => assert_eq!(statuses, [200; 4], "{method} {path}"),
            "gateway" => {
                assert_eq!((none, wrong, admin), (401, 401, 403), "{method} {path}");
                assert!(![401, 403].contains(&gateway), "{method} {path}");
            }
            _ => {
                assert_eq!((none, wrong, gateway), (401, 401, 403), "{method} {path}");
                assert!(![401, 403].contains(&admin), "{method} {path}");
            }
        }
    }
}

#[test]
fn an_error_is_json_with_a_stable_code_and_quotes_no_value() {
    let service = Service::on_sqlite();
    let caller = service.caller();
    let error = |(status, body): (u16, Value)| (status, body["error"].as_str().unwrap().to_owned());
    assert_eq!(
        error(caller.get(ADMIN, "/nowhere")),
        (404, "unknown_path".into())
    );
    assert_eq!(
        error(caller.delete("/healthz")),
        (405, "unknown_method".into())
    );
    let (status, body) = caller.post_text(GATEWAY, "/v1/sessions", r#"{"sid": ["a secret"]}"#);
    assert_eq!(status, 400);
    assert!(!body.to_string().contains("a secret"), "{body}");
    let (status, body) = caller.post(GATEWAY, "/v1/sessions", &json!({"sid": "s"}));
    assert_eq!(
        (status, &body["message"]),
        (
            400,
            &json!("the body has a missing field `iss` at line 1 column 11")
        )
    );
    let large = "x".repeat(65 * 1024);
    assert_eq!(
        error(caller.post_text(GATEWAY, "/v1/sessions", &large)),
        (413, "too_large".into())
    );
    let larger = "x".repeat(2 * 1024 * 1024 + 1);
    assert_eq!(
        error(caller.post_text(ADMIN, "/v1/revocations", &larger)),
        (413, "too_large".into())
    );
    let lease = json!({"lease": "made-up"});
    let renewing = caller.post(GATEWAY, "/v1/sessions/s/refresh/complete", &lease);
    assert_eq!(error(renewing), (400, "invalid_request".into()));
}
