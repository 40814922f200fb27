//! What an ID token must be.

use super::*;

#[test]
fn an_id_token_with_any_fault_makes_no_session() {
    type Fault = (&'static str, fn(&mut Value));
    let faults: [Fault; 16] = [
        ("issuer", |claims| {
            claims["iss"] = json!("http://localhost:9400/")
        }),
        ("audience", |claims| claims["aud"] = json!("another")),
        ("no audience", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("aud")))
        }),
        ("second audience", |claims| {
            claims["aud"] = json!(["gatelatch", "another"])
        }),
        ("authorized party", |claims| {
            claims["azp"] = json!("another")
        }),
        ("nonce", |claims| claims["nonce"] = json!("another")),
        ("no nonce", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("nonce")))
        }),
        ("expired", |claims| {
            claims["exp"] = json!(claims["iat"].as_u64().unwrap_or(0) - 60)
        }),
        ("no expiry", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("exp")))
        }),
        ("text expiry", |claims| claims["exp"] = json!("4000000000")),
        ("issued in the future", |claims| {
            claims["iat"] = json!(claims["iat"].as_u64().unwrap_or(0) + 3_600)
        }),
        ("no issue", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("iat")))
        }),
        ("no subject", |claims| {
            drop(claims.as_object_mut().map(|claims| claims.remove("sub")))
        }),
        ("empty subject", |claims| claims["sub"] = json!("")),
        ("number as subject", |claims| claims["sub"] = json!(7)),
        ("access token hash", |claims| {
            claims["at_hash"] = json!("AAAAAAAAAAAAAAAAAAAAAA")
        }),
    ];
    let mut gateway = Gateway::new();
    for (fault, edit) in faults {
        gateway.idp.edit_id_tokens(edit);
        let (mut browser, callback) = back(&mut gateway);
        let reply = browser.follow(&mut gateway, &callback);
        assert_eq!(
            (reply.status, code(&reply).as_str()),
            (400, "login_invalid"),
            "{fault}"
        );
        assert_eq!(browser.cookie(SESSION_COOKIE), None, "{fault}");
    }
    assert_eq!(gateway.control.sessions().len(), 0);
}

#[test]
fn an_id_token_that_is_not_signed_by_the_provider_makes_no_session() {
    let mut gateway = Gateway::new();
    let good = sign(&json!({"iss": ISSUER}), 0);
    let parts: Vec<&str> = good.split('.').collect();
    for token in [
        format!("eyJhbGciOiJub25lIn0.{}.", parts[1]),
        format!("eyJhbGciOiJub25lIn0.{}.{}", parts[1], parts[2]),
        format!(
            "eyJhbGciOiJIUzI1NiIsImtpZCI6ImtleS0wIn0.{}.{}",
            parts[1], parts[2]
        ),
        format!("{}.{}.", parts[0], parts[1]),
        String::new(),
        "not a token".to_owned(),
    ] {
        let (mut browser, callback) = back(&mut gateway);
        let body = json!({"access_token": "a", "token_type": "Bearer", "id_token": token});
        gateway.idp.next("/token", Answer::json(200, &body));
        refused(
            &browser.follow(&mut gateway, &callback),
            400,
            "login_invalid",
        );
    }
    let (mut browser, callback) = back(&mut gateway);
    gateway.idp.next(
        "/token",
        Answer::json(200, &json!({"access_token": "a", "token_type": "Bearer"})),
    );
    refused(
        &browser.follow(&mut gateway, &callback),
        400,
        "login_invalid",
    );
}

#[test]
fn a_new_signing_key_is_fetched_once_and_an_invented_one_does_not_cause_a_storm() {
    let mut gateway = Gateway::new();
    (gateway.idp.signing_key, gateway.idp.published) = (1, 2);
    let before = gateway.idp.calls("/jwks").len();
    let browser = Browser::logged_in(&mut gateway);
    assert!(browser.cookie(SESSION_COOKIE).is_some());
    assert_eq!(gateway.idp.calls("/jwks").len(), before + 1);

    let mut gateway = Gateway::new();
    gateway.idp.signing_key = 1;
    let before = gateway.idp.calls("/jwks").len();
    for _ in 0..4 {
        let (mut browser, callback) = back(&mut gateway);
        refused(
            &browser.follow(&mut gateway, &callback),
            400,
            "login_invalid",
        );
    }
    assert_eq!(gateway.idp.calls("/jwks").len(), before + 1);
}
