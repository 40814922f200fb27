use serde_json::json;

use super::*;
use crate::id_token::{self, IdTokenExpect, Nonce};
use crate::jose::testkeys::{self, TestKey, sign_hs256};
use crate::jose::{NoHostVerifier, encode_base64url};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const CLIENT: &str = "gatelatch";
const EXPECT: LogoutTokenExpect<'static> = LogoutTokenExpect {
    issuer: ISSUER,
    client_id: CLIENT,
    algorithms: &[Algorithm::Es256],
    now: NOW,
    clock_skew: 60,
};

/// A good payload with some members replaced; null takes one away.
fn payload(changes: Value) -> String {
    let mut payload = json!({
        "iss": ISSUER, "aud": CLIENT, "iat": NOW - 1, "exp": NOW + 119, "jti": "j-1",
        "sub": "user-1", "sid": "s-1", "events": {EVENT: {}},
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(payload.as_object_mut().unwrap().remove(name)),
            value => payload[name] = value.clone(),
        }
    }
    payload.to_string()
}

fn signed(typ: Option<&str>, payload: &str) -> String {
    TestKey::P256.sign(Algorithm::Es256, Some("k"), typ, payload)
}

fn check_token(token: &str) -> Result<LogoutToken, TokenError> {
    validate(
        token,
        &EXPECT,
        &testkeys::set(&[(TestKey::P256, "k")]),
        &NoHostVerifier,
    )
}

fn check(changes: Value) -> Result<LogoutToken, TokenError> {
    check_token(&signed(Some("logout+jwt"), &payload(changes)))
}

fn fault(changes: Value) -> TokenError {
    check(changes.clone()).expect_err(&changes.to_string())
}

/// B2
#[test]
fn a_good_token_is_read() {
    assert_eq!(
        check(json!({})),
        Ok(LogoutToken {
            iss: ISSUER.into(),
            sub: Some("user-1".into()),
            sid: Some("s-1".into()),
            jti: "j-1".into(),
            iat: NOW - 1,
            exp: NOW + 119 + 120,
        })
    );
}

/// B2
#[test]
fn the_types_in_use_pass_and_no_other() {
    let text = payload(json!({}));
    for typ in [
        None,
        Some("JWT"),
        Some("logout+jwt"),
        Some("application/logout+jwt"),
        Some("Logout+JWT"),
    ] {
        assert!(check_token(&signed(typ, &text)).is_ok(), "{typ:?}");
    }
    for typ in ["session+jwt", "at+jwt", "secevent+jwt", "id_token", ""] {
        assert_eq!(
            check_token(&signed(Some(typ), &text)),
            Err(TokenError::Type),
            "{typ}"
        );
    }
}

/// B2
#[test]
fn the_signature_is_checked_as_for_an_id_token() {
    let text = payload(json!({}));
    let token = TestKey::P256Other.sign(Algorithm::Es256, Some("k"), None, &text);
    assert_eq!(check_token(&token), Err(TokenError::Signature));
    let token = TestKey::P256.sign(Algorithm::Es256, Some("new"), None, &text);
    assert_eq!(check_token(&token), Err(TokenError::UnknownKey));
    let token = TestKey::Rsa.sign(Algorithm::Rs256, Some("k"), None, &text);
    assert_eq!(check_token(&token), Err(TokenError::Algorithm));
    let token = sign_hs256(&TestKey::P256.openssl_spki(), Some("k"), None, &text);
    assert_eq!(check_token(&token), Err(TokenError::Algorithm));
    let none = encode_base64url(br#"{"alg":"none","kid":"k"}"#);
    let token = format!("{none}.{}.c2ln", encode_base64url(text.as_bytes()));
    assert_eq!(check_token(&token), Err(TokenError::Algorithm));
}

/// B2
#[test]
fn events_must_hold_the_logout_event_as_an_object() {
    for events in [
        json!(null),
        json!({}),
        json!([EVENT]),
        json!(EVENT),
        json!({EVENT: null}),
        json!({EVENT: true}),
        json!({EVENT: []}),
        json!({"http://schemas.openid.net/event/other": {}}),
    ] {
        assert_eq!(
            fault(json!({"events": events})),
            TokenError::Claim("events")
        );
    }
    assert!(check(json!({"events": {EVENT: {"x": 1}, "other": 1}})).is_ok());
}

/// B2
#[test]
fn a_nonce_in_any_form_is_refused() {
    for nonce in [json!("n-1"), json!(""), json!(7), json!([])] {
        assert_eq!(fault(json!({"nonce": nonce})), TokenError::Nonce);
    }
    let null = payload(json!({"nonce": 0})).replace(r#""nonce":0"#, r#""nonce":null"#);
    assert_eq!(check_token(&signed(None, &null)), Err(TokenError::Nonce));
}

/// B2
#[test]
fn issuer_and_audience_must_be_ours() {
    assert_eq!(
        fault(json!({"iss": "https://idp.example/"})),
        TokenError::Issuer
    );
    assert_eq!(fault(json!({"iss": null})), TokenError::Issuer);
    assert_eq!(fault(json!({"aud": "other"})), TokenError::Audience);
    assert_eq!(fault(json!({"aud": null})), TokenError::Audience);
    assert!(check(json!({"aud": ["other", CLIENT]})).is_ok());
}

/// B2
#[test]
fn sub_or_sid_and_jti_must_be_there() {
    let token = check(json!({"sub": null})).unwrap();
    assert_eq!((token.sub, token.sid.as_deref()), (None, Some("s-1")));
    let token = check(json!({"sid": null})).unwrap();
    assert_eq!((token.sub.as_deref(), token.sid), (Some("user-1"), None));
    assert_eq!(
        fault(json!({"sub": null, "sid": null})),
        TokenError::Claim("sid")
    );
    assert_eq!(
        check(json!({"sid": "s".repeat(304)}))
            .unwrap()
            .sid
            .unwrap()
            .len(),
        304
    );
    for (name, values) in [
        (
            "jti",
            vec![json!(null), json!(""), json!(7), json!("j".repeat(513))],
        ),
        ("sub", vec![json!(""), json!(7), json!("u".repeat(256))]),
        ("sid", vec![json!(""), json!(7), json!("s".repeat(513))]),
    ] {
        for value in values {
            assert_eq!(fault(json!({name: value})), TokenError::Claim(name));
        }
    }
}

/// B2
#[test]
fn iat_is_there_and_at_most_five_minutes_old() {
    assert!(check(json!({"iat": NOW + 60})).is_ok());
    assert_eq!(fault(json!({"iat": NOW + 61})), TokenError::NotYetValid);
    assert!(check(json!({"iat": NOW - 359})).is_ok());
    assert_eq!(fault(json!({"iat": NOW - 360})), TokenError::Expired);
    for iat in [json!(null), json!("1"), json!(1e300)] {
        assert_eq!(fault(json!({"iat": iat})), TokenError::Claim("iat"));
    }
}

/// B2
#[test]
fn exp_may_be_absent_and_never_prolongs_the_memory_of_a_replay() {
    assert_eq!(
        check(json!({"exp": null})).unwrap().exp,
        NOW - 1 + 300 + 120
    );
    assert_eq!(
        check(json!({"exp": NOW + 86_400})).unwrap().exp,
        NOW - 1 + 300 + 120
    );
    assert!(check(json!({"exp": NOW - 59})).is_ok());
    assert_eq!(fault(json!({"exp": NOW - 60})), TokenError::Expired);
    assert_eq!(fault(json!({"exp": "soon"})), TokenError::Claim("exp"));
}

/// B2, J5: neither passes as the other, with the same issuer, client, key and `typ`.
#[test]
fn an_id_token_is_no_logout_token_and_the_reverse() {
    let id = json!({"iss": ISSUER, "aud": CLIENT, "sub": "user-1", "sid": "s-1", "jti": "j", "nonce": "n", "iat": NOW, "exp": NOW + 60});
    assert_eq!(
        check_token(&signed(Some("JWT"), &id.to_string())),
        Err(TokenError::Claim("events"))
    );

    let keys = testkeys::set(&[(TestKey::P256, "k")]);
    for nonce in [Nonce::Required("n"), Nonce::Ignore] {
        let expect = IdTokenExpect {
            issuer: ISSUER,
            client_id: CLIENT,
            algorithms: EXPECT.algorithms,
            nonce,
            now: NOW,
            clock_skew: 60,
            access_token: None,
            sub: None,
        };
        for typ in ["JWT", "logout+jwt"] {
            let token = signed(Some(typ), &payload(json!({})));
            assert_eq!(
                id_token::validate(&token, &expect, &keys, &NoHostVerifier),
                Err(TokenError::Type)
            );
        }
    }
}

#[test]
fn duplicates_and_size_are_refused() {
    let twice = payload(json!({})).replacen('{', r#"{"sub":"admin","#, 1);
    assert_eq!(
        check_token(&signed(None, &twice)),
        Err(TokenError::Malformed)
    );
    assert_eq!(
        check_token(&"x".repeat(MAX_BYTES + 1)),
        Err(TokenError::TooLarge)
    );
}
