//! The host verifies RSA signatures: what it is asked, decoded and done for real.

use std::cell::RefCell;
use std::rc::Rc;

use gatelatch_filter_tests::{Browser, Gateway, Setup, Status};
use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::signature::Verifier as _;
use sha2::Sha256;

/// Fields of Envoy's `VerifySignatureArguments`, by number: 1 hash_function, 2 public_key,
/// 3 signature, 4 text. All are length-delimited.
fn fields(mut message: &[u8]) -> Option<[Vec<u8>; 4]> {
    let mut fields: [Vec<u8>; 4] = Default::default();
    while let Some((tag, rest)) = message.split_first() {
        let number = usize::from(tag >> 3);
        if tag & 7 != 2 || !(1..=4).contains(&number) {
            return None;
        }
        let (len, rest) = varint(rest)?;
        let (field, rest) = rest.split_at_checked(len)?;
        fields[number - 1] = field.to_vec();
        message = rest;
    }
    Some(fields)
}

fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let last = bytes.iter().position(|byte| byte & 0x80 == 0)?;
    let (number, rest) = bytes.split_at(last + 1);
    let value = number
        .iter()
        .rev()
        .fold(0, |value, byte| value << 7 | usize::from(byte & 0x7f));
    Some((value, rest))
}

/// What Envoy's function does, for SHA-256: the result is `{1: true}`, or empty.
fn verify(message: &[u8]) -> Result<Vec<u8>, Status> {
    let [hash, key, signature, text] = fields(message).ok_or(Status::BadArgument)?;
    assert_eq!(hash, b"sha256");
    let key = VerifyingKey::<Sha256>::new(
        rsa::RsaPublicKey::from_public_key_der(&key).map_err(|_| Status::BadArgument)?,
    );
    let signature = Signature::try_from(signature.as_slice()).map_err(|_| Status::BadArgument)?;
    Ok(if key.verify(&text, &signature).is_ok() {
        vec![0x08, 0x01]
    } else {
        Vec::new()
    })
}

/// A gateway in whose host signatures are verified, and the outcomes.
fn gateway() -> (Gateway, Rc<RefCell<Vec<bool>>>) {
    let outcomes = Rc::new(RefCell::new(Vec::new()));
    let seen = Rc::clone(&outcomes);
    let setup = Setup::new().host(|host| {
        host.foreign_function("verify_signature", move |message| {
            let outcome = verify(message)?;
            seen.borrow_mut().push(!outcome.is_empty());
            Ok(outcome)
        });
    });
    (setup.start(), outcomes)
}

#[test]
fn the_host_is_asked_once_for_a_login_and_finds_the_signature_good() {
    let (mut gateway, outcomes) = gateway();
    Browser::logged_in(&mut gateway);
    assert_eq!(*outcomes.borrow(), [true]);
}

#[test]
fn a_signature_by_another_key_under_the_same_name_is_found_bad() {
    let (mut gateway, outcomes) = gateway();
    gateway.idp.lies_about_its_key = true;
    let mut browser = Browser::new();
    let away = browser.navigate(&mut gateway, "/").reply();
    browser.keep(&away);
    let callback = gateway.idp.log_in(away.location());
    assert_eq!(browser.follow(&mut gateway, &callback).status, 400);
    assert_eq!(*outcomes.borrow(), [false]);
}

#[test]
fn the_filter_finds_the_same_without_the_host() {
    let mut gateway = Gateway::new();
    gateway.idp.lies_about_its_key = true;
    let mut browser = Browser::new();
    let away = browser.navigate(&mut gateway, "/").reply();
    browser.keep(&away);
    let callback = gateway.idp.log_in(away.location());
    assert_eq!(browser.follow(&mut gateway, &callback).status, 400);
    gateway.idp.lies_about_its_key = false;
    Browser::logged_in(&mut gateway);
}
