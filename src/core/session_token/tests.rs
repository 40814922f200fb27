use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::jose::testkeys::{TestKey, sign_hs256};

const SECRET: &[u8] = b"a-secret-of-thirty-two-bytes-xyz";
const NOW: u64 = 1_800_000_000;
const EXPECT: SessionExpect<'static> = SessionExpect {
    iss: "https://app.example",
    aud: "https://app.example",
    clock_skew: 30,
};

fn hs256() -> SessionKeys {
    SessionKeys::new(vec![SessionKey::hs256("k1", SECRET).unwrap()]).unwrap()
}

fn rings() -> [SessionKeys; 3] {
    [
        hs256(),
        SessionKeys::new(vec![
            SessionKey::eddsa_pem("k1", TestKey::Ed25519.pem()).unwrap(),
        ])
        .unwrap(),
        SessionKeys::new(vec![
            SessionKey::es256_pem("k1", TestKey::P256.pem()).unwrap(),
        ])
        .unwrap(),
    ]
}

fn claims() -> SessionClaims {
    SessionClaims {
        iss: EXPECT.iss.into(),
        aud: EXPECT.aud.into(),
        sub: "user-1".into(),
        sid: "sid-1".into(),
        jti: "jti-1".into(),
        iat: NOW,
        exp: NOW + 900,
        auth_time: NOW - 60,
        session_iat: NOW - 5,
        session_exp: NOW + 43_200,
        claims: json!({"email": "a@example.org", "groups": ["x", "y"]})
            .as_object()
            .unwrap()
            .clone(),
    }
}

/// The payload of [`claims`] with some members replaced; null takes one away.
fn payload(changes: Value) -> String {
    let mut payload = Value::Object(members(&claims()));
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(payload.as_object_mut().unwrap().remove(name)),
            value => payload[name] = value.clone(),
        }
    }
    payload.to_string()
}

fn check(token: &str) -> Result<SessionClaims, TokenError> {
    verify(&hs256(), &EXPECT, token, NOW)
}

fn check_payload(payload: &str) -> Result<SessionClaims, TokenError> {
    check(&sign_hs256(SECRET, Some("k1"), Some(TYPE), payload))
}

fn check_changed(changes: Value) -> Result<SessionClaims, TokenError> {
    check_payload(&payload(changes))
}

/// A token with this header text, rightly signed.
fn with_header(header: &str) -> String {
    let input = format!(
        "{}.{}",
        encode_base64url(header.as_bytes()),
        encode_base64url(payload(json!({})).as_bytes())
    );
    let key = SessionKey::hs256("k1", SECRET).unwrap();
    format!("{input}.{}", key.sign(&input).unwrap())
}

#[test]
fn a_minted_token_verifies_to_the_same_claims_and_minting_is_deterministic() {
    for keys in rings() {
        let token = mint(&keys, &claims()).unwrap();
        assert_eq!(verify(&keys, &EXPECT, &token, NOW), Ok(claims()));
        assert_eq!(mint(&keys, &claims()), Ok(token));
    }
}

#[test]
fn an_expired_token_still_verifies_because_it_names_the_session_to_refresh() {
    let token = mint(&hs256(), &claims()).unwrap();
    assert_eq!(
        verify(&hs256(), &EXPECT, &token, NOW + 1_000_000),
        Ok(claims())
    );
}

#[test]
fn a_token_with_any_bit_of_any_byte_flipped_does_not_verify() {
    for keys in rings() {
        let token = mint(&keys, &claims()).unwrap();
        // The slow algorithms get one bit of each byte, HMAC gets all.
        let bits = if keys
            .iter()
            .all(|key| key.algorithm() == crate::jose::Algorithm::Hs256)
        {
            0..7
        } else {
            0..1
        };
        for index in 0..token.len() {
            for bit in bits.clone() {
                let mut bytes = token.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                let flipped = String::from_utf8(bytes).unwrap();
                assert!(
                    verify(&keys, &EXPECT, &flipped, NOW).is_err(),
                    "byte {index}, bit {bit}"
                );
            }
        }
    }
}

#[test]
fn a_token_cut_short_or_grown_does_not_verify() {
    let token = mint(&hs256(), &claims()).unwrap();
    for length in 0..token.len() {
        assert!(check(token.get(..length).unwrap()).is_err(), "{length}");
    }
    for tail in ["A", "AA", "AAA", "AAAA", "=", ".", " "] {
        assert!(check(&format!("{token}{tail}")).is_err(), "{tail:?}");
    }
}

/// J1
#[test]
fn the_algorithm_is_the_keys_and_nothing_the_token_says() {
    let header = |alg: &str| format!(r#"{{"alg":"{alg}","kid":"k1","typ":"session+jwt"}}"#);
    assert!(check(&with_header(&header("HS256"))).is_ok());
    for alg in ["none", "None", "NONE", "hs256", "HS384", "HS512", ""] {
        assert_eq!(
            check(&with_header(&header(alg))),
            Err(TokenError::Algorithm),
            "{alg}"
        );
    }
    for alg in ["RS256", "ES256", "EdDSA"] {
        assert_eq!(
            check(&with_header(&header(alg))),
            Err(TokenError::Algorithm),
            "{alg}"
        );
    }
    // Both keys in one ring: neither name opens the other's door.
    let both = SessionKeys::new(vec![
        SessionKey::hs256("h", SECRET).unwrap(),
        SessionKey::es256_pem("p", TestKey::P256.pem()).unwrap(),
    ])
    .unwrap();
    let text = payload(json!({}));
    let crossed = sign_hs256(SECRET, Some("p"), Some(TYPE), &text);
    assert_eq!(
        verify(&both, &EXPECT, &crossed, NOW),
        Err(TokenError::Algorithm)
    );
    let crossed = TestKey::P256.sign(crate::jose::Algorithm::Es256, Some("h"), Some(TYPE), &text);
    assert_eq!(
        verify(&both, &EXPECT, &crossed, NOW),
        Err(TokenError::Algorithm)
    );
}

/// J1: the public key as HMAC secret, the oldest of the confusions.
#[test]
fn the_public_key_is_no_hmac_secret() {
    let keys = &rings()[2];
    let secret = TestKey::P256.openssl_spki();
    let token = sign_hs256(&secret, Some("k1"), Some(TYPE), &payload(json!({})));
    assert_eq!(
        verify(keys, &EXPECT, &token, NOW),
        Err(TokenError::Algorithm)
    );
}

/// J2
#[test]
fn a_key_that_the_token_brings_along_is_ignored() {
    let evil = [b'e'; 32];
    let jwk = format!(r#"{{"kty":"oct","k":"{}"}}"#, encode_base64url(&evil));
    let header = format!(
        r#"{{"alg":"HS256","kid":"k1","typ":"session+jwt","jwk":{jwk},"jku":"https://evil.example","x5u":"https://evil.example","x5c":["AAAA"]}}"#
    );
    let input = format!(
        "{}.{}",
        encode_base64url(header.as_bytes()),
        encode_base64url(payload(json!({})).as_bytes())
    );
    let forged = format!(
        "{input}.{}",
        SessionKey::hs256("x", &evil).unwrap().sign(&input).unwrap()
    );
    assert_eq!(check(&forged), Err(TokenError::Signature));
}

/// J2
#[test]
fn kid_is_a_lookup_key_and_must_be_a_known_one() {
    for header in [
        r#"{"alg":"HS256","typ":"session+jwt"}"#,
        r#"{"alg":"HS256","kid":"","typ":"session+jwt"}"#,
        r#"{"alg":"HS256","kid":"K1","typ":"session+jwt"}"#,
        r#"{"alg":"HS256","kid":"../../dev/null","typ":"session+jwt"}"#,
        r#"{"alg":"HS256","kid":"k1' OR '1'='1","typ":"session+jwt"}"#,
    ] {
        assert_eq!(
            check(&with_header(header)),
            Err(TokenError::UnknownKey),
            "{header}"
        );
    }
}

/// J3
#[test]
fn crit_b64_duplicates_and_headers_that_are_no_objects_are_refused() {
    for header in [
        r#"{"alg":"HS256","kid":"k1","typ":"session+jwt","crit":["exp"],"exp":1}"#,
        r#"{"alg":"HS256","kid":"k1","typ":"session+jwt","b64":false,"crit":["b64"]}"#,
        r#"{"alg":"HS256","kid":"k1","typ":"session+jwt","kid":"k1"}"#,
        r#"{"alg":"none","alg":"HS256","kid":"k1","typ":"session+jwt"}"#,
        r#"[{"alg":"HS256","kid":"k1","typ":"session+jwt"}]"#,
    ] {
        assert_eq!(
            check(&with_header(header)),
            Err(TokenError::Malformed),
            "{header}"
        );
    }
}

/// J3
#[test]
fn a_claim_named_twice_is_refused() {
    let twice = payload(json!({})).replacen('{', r#"{"sub":"admin","#, 1);
    assert_eq!(check_payload(&twice), Err(TokenError::Malformed));
    let nested = payload(json!({"x": 0})).replace(r#""x":0"#, r#""x":{"a":1,"a":2}"#);
    assert_eq!(check_payload(&nested), Err(TokenError::Malformed));
}

/// J4
#[test]
fn another_serialization_is_refused() {
    let token = mint(&hs256(), &claims()).unwrap();
    let parts: Vec<_> = token.split('.').collect();
    let json_form = format!(
        r#"{{"protected":"{}","payload":"{}","signature":"{}"}}"#,
        parts[0], parts[1], parts[2]
    );
    let jwe = format!(
        "{}.{}.{}.{}.{}",
        parts[0], parts[1], parts[2], parts[1], parts[2]
    );
    for text in [
        json_form,
        jwe,
        format!("\"{token}\""),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{token}="),
    ] {
        assert_eq!(check(&text), Err(TokenError::Malformed), "{text}");
    }
}

/// J4
#[test]
fn a_payload_that_is_no_object_or_too_deep_is_refused() {
    for text in ["[]", "\"x\"", "1", "{", "not json"] {
        assert_eq!(check_payload(text), Err(TokenError::Malformed), "{text}");
    }
    let deep = payload(json!({"x": 0})).replace(
        r#""x":0"#,
        &format!(r#""x":{}{}"#, "[".repeat(16), "]".repeat(16)),
    );
    assert_eq!(check_payload(&deep), Err(TokenError::Malformed));
}

/// J5: everything that is no session JWT, though signed with the same key.
#[test]
fn another_type_of_token_of_the_same_key_is_refused() {
    for typ in [
        None,
        Some(""),
        Some("JWT"),
        Some("at+jwt"),
        Some("logout+jwt"),
        Some("client-authentication+jwt"),
        Some("Session+JWT"),
        Some("application/session+jwt"),
    ] {
        let token = sign_hs256(SECRET, Some("k1"), typ, &payload(json!({})));
        assert_eq!(check(&token), Err(TokenError::Type), "{typ:?}");
    }
}

/// J6
#[test]
fn issuer_and_audience_are_compared_exactly() {
    for iss in [
        "https://app.example/",
        "https://APP.example",
        "http://app.example",
        "",
    ] {
        assert_eq!(
            check_changed(json!({"iss": iss})),
            Err(TokenError::Issuer),
            "{iss}"
        );
    }
    assert_eq!(check_changed(json!({"iss": null})), Err(TokenError::Issuer));
    for aud in [
        json!("other"),
        json!([]),
        json!(["other"]),
        json!(7),
        json!(["https://app.example", 7]),
        json!("https://app.example,other"),
        Value::Null,
    ] {
        assert_eq!(
            check_changed(json!({"aud": aud})),
            Err(TokenError::Audience),
            "{aud}"
        );
    }
    assert_eq!(
        check_changed(json!({"aud": ["other", "https://app.example"]})),
        Ok(claims())
    );
}

/// J6
#[test]
fn every_claim_of_ours_must_be_there_with_its_type() {
    for name in [
        "sub",
        "sid",
        "jti",
        "exp",
        "iat",
        "auth_time",
        "session_iat",
        "session_exp",
    ] {
        for value in [json!(null), json!(true), json!([]), json!({})] {
            assert_eq!(
                check_changed(json!({name: value})),
                Err(TokenError::Claim(name)),
                "{name}"
            );
        }
    }
    for name in ["sub", "sid", "jti"] {
        for value in [json!(""), json!(7), json!("x".repeat(256))] {
            assert_eq!(
                check_changed(json!({name: value})),
                Err(TokenError::Claim(name)),
                "{name}"
            );
        }
    }
}

/// J6
#[test]
fn dates_are_json_numbers_within_a_sane_range() {
    for name in [
        "exp",
        "iat",
        "auth_time",
        "session_iat",
        "session_exp",
        "nbf",
    ] {
        for value in [
            json!("1800000000"),
            json!(-1),
            json!(1e300),
            json!(-1e300),
            json!(u64::MAX),
            json!(253_402_300_800_u64),
        ] {
            assert_eq!(
                check_changed(json!({name: value})),
                Err(TokenError::Claim(name)),
                "{name} {value}"
            );
        }
    }
    let infinite = payload(json!({"exp": 0})).replace(r#""exp":0"#, r#""exp":1e999"#);
    assert_eq!(check_payload(&infinite), Err(TokenError::Malformed));
}

/// J6: a NumericDate may be a fraction.
#[test]
fn a_fractional_date_is_legal() {
    let changed = json!({"iat": NOW as f64 + 0.5, "auth_time": NOW as f64 - 59.25});
    assert_eq!(check_changed(changed), Ok(claims()));
}

/// J6
#[test]
fn a_token_from_the_future_is_refused_beyond_the_clock_skew() {
    assert!(check_changed(json!({"iat": NOW + 30, "nbf": NOW + 30})).is_ok());
    assert_eq!(
        check_changed(json!({"iat": NOW + 31})),
        Err(TokenError::NotYetValid)
    );
    assert_eq!(
        check_changed(json!({"nbf": NOW + 31})),
        Err(TokenError::NotYetValid)
    );
}

/// J6, J8
#[test]
fn exp_lies_after_iat_and_not_after_the_end_of_the_session() {
    assert_eq!(
        check_changed(json!({"exp": NOW})),
        Err(TokenError::Claim("exp"))
    );
    assert_eq!(
        check_changed(json!({"exp": NOW + 43_201})),
        Err(TokenError::Claim("exp"))
    );
    assert!(check_changed(json!({"exp": NOW + 43_200})).is_ok());
}

/// J9
#[test]
fn a_key_that_no_longer_signs_still_verifies_until_it_leaves_the_ring() {
    let old = SessionKey::hs256("k1", SECRET).unwrap();
    let new = SessionKey::hs256("k2", b"another-secret-of-32-bytes-abcdef").unwrap();
    let token = mint(&hs256(), &claims()).unwrap();
    let rotated = SessionKeys::new(vec![new.clone(), old]).unwrap();
    assert_eq!(verify(&rotated, &EXPECT, &token, NOW), Ok(claims()));
    let minted = mint(&rotated, &claims()).unwrap();
    assert_eq!(check(&minted), Err(TokenError::UnknownKey));
    let retired = SessionKeys::new(vec![new]).unwrap();
    assert_eq!(
        verify(&retired, &EXPECT, &token, NOW),
        Err(TokenError::UnknownKey)
    );
    assert_eq!(verify(&retired, &EXPECT, &minted, NOW), Ok(claims()));
}

#[test]
fn an_operators_claim_cannot_take_the_place_of_ours() {
    for name in RESERVED_CLAIMS {
        let mut claims = claims();
        claims.claims.insert(name.into(), "evil".into());
        assert_eq!(
            mint(&hs256(), &claims),
            Err(MintError::ReservedClaim),
            "{name}"
        );
    }
    for (name, _) in members(&SessionClaims {
        claims: Claims::new(),
        ..claims()
    }) {
        assert!(is_reserved(&name), "{name}");
    }
}

#[test]
fn what_would_not_verify_is_not_minted() {
    let deep = (0..16).fold(json!(1), |inner, _| json!([inner]));
    let mut too_deep = claims();
    too_deep.claims.insert("deep".into(), deep);
    for (claims, fault) in [
        (
            SessionClaims {
                exp: NOW,
                ..claims()
            },
            TokenError::Claim("exp"),
        ),
        (
            SessionClaims {
                sub: String::new(),
                ..claims()
            },
            TokenError::Claim("sub"),
        ),
        (
            SessionClaims {
                sid: "x".repeat(129),
                ..claims()
            },
            TokenError::Claim("sid"),
        ),
        (
            SessionClaims {
                session_exp: u64::MAX,
                ..claims()
            },
            TokenError::Claim("session_exp"),
        ),
        (too_deep, TokenError::Malformed),
    ] {
        assert_eq!(mint(&hs256(), &claims), Err(MintError::Unacceptable(fault)));
    }
}

#[test]
fn a_token_beyond_4096_bytes_is_neither_minted_nor_looked_at() {
    let sized = |bytes: usize| {
        let mut claims = claims();
        claims
            .claims
            .insert("fill".into(), "x".repeat(bytes).into());
        mint(&hs256(), &claims)
    };
    let base = sized(3).unwrap().len();
    let most = 3 + (MAX_BYTES - base) * 3 / 4;
    assert!(sized(most - 3).unwrap().len() <= MAX_BYTES);
    assert_eq!(sized(most + 3), Err(MintError::TooLarge));
    assert_eq!(sized(100_000), Err(MintError::TooLarge));
    assert_eq!(check(&"x".repeat(MAX_BYTES + 1)), Err(TokenError::TooLarge));
}

/// RFC 7515 appendix A.1: the signature is right, and it is no session JWT.
#[test]
fn the_example_of_rfc_7515_has_the_right_signature_and_the_wrong_type() {
    let key = crate::jose::decode_base64url(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow",
    )
    .unwrap();
    let token = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let key = SessionKey::hs256("k1", &key).unwrap();
    let jws = CompactJws::parse(token, MAX_BYTES).unwrap();
    assert!(key.verify(jws.signing_input, jws.signature_text));
    assert_eq!(
        key.sign(jws.signing_input).as_deref(),
        Some(jws.signature_text)
    );
    let keys = SessionKeys::new(vec![key]).unwrap();
    assert_eq!(verify(&keys, &EXPECT, token, NOW), Err(TokenError::Type));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_is_minted_verifies_to_the_same_claims(
        sub in "[ -~]{1,255}",
        sid in "[A-Za-z0-9_-]{1,64}",
        jti in ".{1,64}",
        iat in 0..NOW,
        ttl in 1..1_000_000_u64,
        left in 0..1_000_000_u64,
        extra in proptest::collection::btree_map("x[a-z\u{e4}\"]{0,8}", ".{0,32}", 0..5),
    ) {
        let claims = SessionClaims {
            sub, sid, jti, iat,
            exp: iat + ttl,
            session_exp: iat + ttl + left,
            claims: extra.into_iter().map(|(name, value)| (name, value.into())).collect(),
            ..claims()
        };
        let token = mint(&hs256(), &claims).unwrap();
        prop_assert_eq!(check(&token), Ok(claims));
    }

    #[test]
    fn random_text_never_verifies(text in "[A-Za-z0-9_.-]{0,200}") {
        prop_assert!(check(&text).is_err());
    }
}
