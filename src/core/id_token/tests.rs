use serde_json::json;

use super::*;
use crate::jose::NoHostVerifier;
use crate::jose::testkeys::{self, TestKey, sign_hs256};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example/realm";
const CLIENT: &str = "gatelatch";

const LOGIN: IdTokenExpect<'static> = IdTokenExpect {
    issuer: ISSUER,
    client_id: CLIENT,
    algorithms: &[Algorithm::Rs256, Algorithm::Es256],
    nonce: Nonce::Required("n-1"),
    now: NOW,
    clock_skew: 60,
    access_token: None,
    sub: None,
};

const REFRESH: IdTokenExpect<'static> = IdTokenExpect {
    nonce: Nonce::IfPresent("n-1"),
    sub: Some("user-1"),
    ..LOGIN
};

/// A good payload with some members replaced; null takes one away.
fn payload(changes: Value) -> String {
    let mut payload = json!({
        "iss": ISSUER, "aud": CLIENT, "sub": "user-1", "nonce": "n-1",
        "iat": NOW - 1, "exp": NOW + 300, "auth_time": NOW - 10, "sid": "s-1",
        "email": "a@example.org",
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

fn check_token(expect: &IdTokenExpect<'_>, token: &str) -> Result<IdToken, IdTokenError> {
    validate(
        token,
        expect,
        &testkeys::set(&[(TestKey::P256, "k")]),
        &NoHostVerifier,
    )
}

fn check(expect: &IdTokenExpect<'_>, changes: Value) -> Result<IdToken, IdTokenError> {
    check_token(expect, &signed(Some("JWT"), &payload(changes)))
}

fn fault(expect: &IdTokenExpect<'_>, changes: Value) -> TokenError {
    check(expect, changes.clone()).expect_err(&changes.to_string())
}

#[test]
fn a_good_token_is_read_with_all_its_claims() {
    let token = check(&LOGIN, json!({})).unwrap();
    let claims: Value = serde_json::from_str(&payload(json!({}))).unwrap();
    assert_eq!(
        token,
        IdToken {
            sub: "user-1".into(),
            sid: Some("s-1".into()),
            auth_time: Some(NOW - 10),
            iat: NOW - 1,
            exp: NOW + 300,
            nonce: Some("n-1".into()),
            claims: claims.as_object().unwrap().clone(),
        }
    );
    let bare = check(&LOGIN, json!({"sid": null, "auth_time": null})).unwrap();
    assert_eq!((bare.sid, bare.auth_time), (None, None));
}

/// I1
#[test]
fn the_issuer_is_compared_byte_by_byte() {
    for iss in [
        json!("https://idp.example/realm/"),
        json!("https://IDP.example/realm"),
        json!([ISSUER]),
        Value::Null,
    ] {
        assert_eq!(fault(&LOGIN, json!({"iss": iss})), TokenError::Issuer);
    }
}

/// I1
#[test]
fn the_audience_holds_us_and_nobody_whom_the_idp_did_not_issue_it_to() {
    for good in [
        json!({"aud": CLIENT}),
        json!({"aud": [CLIENT]}),
        json!({"aud": CLIENT, "azp": CLIENT}),
        json!({"aud": ["other", CLIENT], "azp": CLIENT}),
    ] {
        assert!(check(&LOGIN, good.clone()).is_ok(), "{good}");
    }
    for bad in [
        json!({"aud": null}),
        json!({"aud": "other"}),
        json!({"aud": []}),
        json!({"aud": ["other"]}),
        json!({"aud": [CLIENT, 7]}),
        json!({"aud": {"a": CLIENT}}),
        json!({"aud": "gatelatch other"}),
        json!({"aud": [CLIENT, "other"]}),
        json!({"aud": [CLIENT, "other"], "azp": "other"}),
        json!({"aud": CLIENT, "azp": "other"}),
        json!({"aud": CLIENT, "azp": [CLIENT]}),
        json!({"aud": "other", "azp": CLIENT}),
    ] {
        assert_eq!(fault(&LOGIN, bad), TokenError::Audience);
    }
}

/// I2
#[test]
fn only_a_configured_asymmetric_algorithm_and_a_right_signature_pass() {
    let text = payload(json!({}));
    let keys = testkeys::set(&[(TestKey::Rsa, "r"), (TestKey::P384, "e")]);
    let validate = |token: &str| validate(token, &LOGIN, &keys, &NoHostVerifier).map(|_| ());
    assert_eq!(
        validate(&TestKey::Rsa.sign(Algorithm::Rs256, Some("r"), None, &text)),
        Ok(())
    );
    for algorithm in [Algorithm::Rs512, Algorithm::Ps256] {
        let token = TestKey::Rsa.sign(algorithm, Some("r"), None, &text);
        assert_eq!(validate(&token), Err(TokenError::Algorithm));
    }
    let token = TestKey::P384.sign(Algorithm::Es384, Some("e"), None, &text);
    assert_eq!(validate(&token), Err(TokenError::Algorithm));

    let token = signed(None, &text);
    let (head, _) = token.rsplit_once('.').unwrap();
    let other = signed(None, "{}");
    let (_, signature) = other.rsplit_once('.').unwrap();
    assert_eq!(
        check_token(&LOGIN, &format!("{head}.{signature}")),
        Err(TokenError::Signature)
    );
}

/// I2
#[test]
fn none_and_hmac_never_pass() {
    let text = payload(json!({}));
    let all = IdTokenExpect {
        algorithms: &Algorithm::ALL,
        ..LOGIN
    };
    let header = encode_base64url(br#"{"alg":"none"}"#);
    let body = encode_base64url(text.as_bytes());
    assert_eq!(
        check_token(&all, &format!("{header}.{body}.")),
        Err(TokenError::Algorithm)
    );
    assert_eq!(
        check_token(&all, &format!("{header}.{body}.c2ln")),
        Err(TokenError::Algorithm)
    );
    let spki = TestKey::P256.openssl_spki();
    assert_eq!(
        check_token(&all, &sign_hs256(&spki, Some("k"), None, &text)),
        Err(TokenError::Algorithm)
    );
}

/// I2, I10
#[test]
fn an_unknown_key_is_told_apart_because_it_is_worth_a_fetch() {
    let keys = testkeys::set(&[(TestKey::P256Other, "old")]);
    for kid in [Some("k"), None] {
        let token = TestKey::P256.sign(Algorithm::Es256, kid, None, &payload(json!({})));
        assert_eq!(
            validate(&token, &LOGIN, &keys, &NoHostVerifier),
            Err(TokenError::UnknownKey)
        );
    }
    let token = signed(None, &payload(json!({})));
    assert_eq!(
        validate(&token, &LOGIN, &JwkSet::default(), &NoHostVerifier),
        Err(TokenError::UnknownKey)
    );
}

/// I3
#[test]
fn exp_is_there_and_in_the_future_but_for_the_clock_skew() {
    assert!(check(&LOGIN, json!({"exp": NOW - 59})).is_ok());
    assert_eq!(fault(&LOGIN, json!({"exp": NOW - 60})), TokenError::Expired);
    assert_eq!(fault(&LOGIN, json!({"exp": 0})), TokenError::Expired);
    for exp in [json!(null), json!("1800000300"), json!(1e300), json!(-1)] {
        assert_eq!(fault(&LOGIN, json!({"exp": exp})), TokenError::Claim("exp"));
    }
}

/// I3
#[test]
fn iat_is_there_and_near_at_login() {
    assert!(check(&LOGIN, json!({"iat": NOW + 60})).is_ok());
    assert_eq!(
        fault(&LOGIN, json!({"iat": NOW + 61})),
        TokenError::NotYetValid
    );
    assert!(check(&LOGIN, json!({"iat": NOW - 660})).is_ok());
    assert_eq!(
        fault(&LOGIN, json!({"iat": NOW - 661})),
        TokenError::Expired
    );
    assert!(check(&REFRESH, json!({"iat": NOW - 661})).is_ok());
    for iat in [json!(null), json!("1800000000"), json!(-1), json!(1e300)] {
        assert_eq!(fault(&LOGIN, json!({"iat": iat})), TokenError::Claim("iat"));
    }
}

/// I3
#[test]
fn nbf_is_respected_where_present() {
    assert!(check(&LOGIN, json!({"nbf": NOW + 60})).is_ok());
    assert_eq!(
        fault(&LOGIN, json!({"nbf": NOW + 61})),
        TokenError::NotYetValid
    );
    assert_eq!(
        fault(&LOGIN, json!({"nbf": "soon"})),
        TokenError::Claim("nbf")
    );
}

/// I3
#[test]
fn sub_is_1_to_255_ascii_characters() {
    assert!(check(&LOGIN, json!({"sub": "x".repeat(255)})).is_ok());
    for sub in [
        json!(null),
        json!(""),
        json!(7),
        json!("x".repeat(256)),
        json!("\u{fc}ser"),
    ] {
        assert_eq!(fault(&LOGIN, json!({"sub": sub})), TokenError::Claim("sub"));
    }
}

/// L4, I6
#[test]
fn the_nonce_is_required_at_login_and_at_refresh_absent_or_the_same() {
    for nonce in [
        json!(null),
        json!(""),
        json!("n-2"),
        json!("N-1"),
        json!(["n-1"]),
    ] {
        assert_eq!(fault(&LOGIN, json!({"nonce": nonce})), TokenError::Nonce);
    }
    let empty = IdTokenExpect {
        nonce: Nonce::Required(""),
        ..LOGIN
    };
    assert_eq!(fault(&empty, json!({"nonce": ""})), TokenError::Nonce);

    assert!(check(&REFRESH, json!({"nonce": null})).is_ok());
    assert!(check(&REFRESH, json!({})).is_ok());
    assert_eq!(fault(&REFRESH, json!({"nonce": "n-2"})), TokenError::Nonce);
    let ignore = IdTokenExpect {
        nonce: Nonce::Ignore,
        ..REFRESH
    };
    assert!(check(&ignore, json!({"nonce": "n-2"})).is_ok());
}

/// I4
#[test]
fn at_hash_must_fit_the_access_token_where_both_are_there() {
    let with = IdTokenExpect {
        access_token: Some("at-1"),
        ..LOGIN
    };
    let right = half_hash(Algorithm::Es256, "at-1");
    assert!(check(&with, json!({})).is_ok());
    assert!(check(&with, json!({"at_hash": right})).is_ok());
    assert!(check(&LOGIN, json!({"at_hash": "whatever"})).is_ok());
    for wrong in [
        json!(half_hash(Algorithm::Es256, "at-2")),
        json!(half_hash(Algorithm::Es384, "at-1")),
        json!(format!("{right}=")),
        json!(""),
        json!(7),
    ] {
        assert_eq!(
            fault(&with, json!({"at_hash": wrong})),
            TokenError::Claim("at_hash")
        );
    }
}

/// I4: the example of OIDC Core, appendix A.3, and the sizes of the others.
#[test]
fn at_hash_is_the_left_half_of_the_algorithms_hash() {
    let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
    assert_eq!(half_hash(Algorithm::Rs256, token), "77QmUPtjPfzWtF2AnpK9RQ");
    for (algorithm, chars) in [
        (Algorithm::Es384, 32),
        (Algorithm::Ps512, 43),
        (Algorithm::EdDsa, 43),
    ] {
        assert_eq!(half_hash(algorithm, token).len(), chars);
    }
}

/// I6
#[test]
fn at_refresh_the_subject_must_not_change() {
    assert_eq!(
        fault(&REFRESH, json!({"sub": "user-2"})),
        TokenError::Subject
    );
    assert_eq!(
        fault(&REFRESH, json!({"aud": "other"})),
        TokenError::Audience
    );
    assert_eq!(
        fault(&REFRESH, json!({"iss": "https://other.example"})),
        TokenError::Issuer
    );
}

#[test]
fn auth_time_may_be_a_fraction_and_sid_may_be_long() {
    let token = check(
        &LOGIN,
        json!({"auth_time": NOW as f64 - 0.25, "sid": "s".repeat(304)}),
    )
    .unwrap();
    assert_eq!(token.auth_time, Some(NOW - 1));
    assert_eq!(token.sid.unwrap().len(), 304);
    for sid in [json!(""), json!(7), json!("s".repeat(513))] {
        assert_eq!(fault(&LOGIN, json!({"sid": sid})), TokenError::Claim("sid"));
    }
    assert_eq!(
        fault(&LOGIN, json!({"auth_time": "now"})),
        TokenError::Claim("auth_time")
    );
}

/// J5, B2: other kinds of token of the same issuer and key.
#[test]
fn another_type_of_token_is_refused() {
    let text = payload(json!({}));
    for typ in [None, Some("JWT"), Some("jwt"), Some("application/jwt")] {
        assert!(check_token(&LOGIN, &signed(typ, &text)).is_ok(), "{typ:?}");
    }
    for typ in [
        "logout+jwt",
        "session+jwt",
        "at+jwt",
        "secevent+jwt",
        "JWE",
        "",
    ] {
        assert_eq!(
            check_token(&LOGIN, &signed(Some(typ), &text)),
            Err(TokenError::Type),
            "{typ}"
        );
    }
    assert_eq!(fault(&LOGIN, json!({"events": {}})), TokenError::Type);
}

/// I5: what we do not know does not disturb us.
#[test]
fn unknown_claims_are_kept_and_not_judged() {
    let token = check(&LOGIN, json!({"x": {"y": [1, null]}})).unwrap();
    assert_eq!(token.claims["x"], json!({"y": [1, null]}));
}

#[test]
fn duplicates_size_and_depth_are_refused() {
    let twice = payload(json!({})).replacen('{', r#"{"sub":"admin","#, 1);
    assert_eq!(
        check_token(&LOGIN, &signed(None, &twice)),
        Err(TokenError::Malformed)
    );
    let deep = payload(json!({"x": 0})).replace(
        r#""x":0"#,
        &format!(r#""x":{}{}"#, "[".repeat(16), "]".repeat(16)),
    );
    assert_eq!(
        check_token(&LOGIN, &signed(None, &deep)),
        Err(TokenError::Malformed)
    );
    assert!(check(&LOGIN, json!({"groups": "g".repeat(40_000)})).is_ok());
    assert_eq!(
        fault(&LOGIN, json!({"groups": "g".repeat(60_000)})),
        TokenError::TooLarge
    );
}

#[test]
fn a_token_with_a_bit_of_any_byte_flipped_is_refused() {
    let token = signed(Some("JWT"), &payload(json!({})));
    for index in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[index] ^= 1;
        assert!(
            check_token(&LOGIN, &String::from_utf8(bytes).unwrap()).is_err(),
            "{index}"
        );
    }
}
