//! Envoy's foreign function `verify_signature`, for RSA with SHA-256.

use rsa::pkcs1v15::{Signature, VerifyingKey};
use rsa::pkcs8::DecodePublicKey as _;
use rsa::signature::Verifier as _;
use sha2::Sha256;

use crate::status::Status;

/// What Envoy does with `VerifySignatureArguments`: the result is `{1: true}`, or empty when the
/// signature is bad.
pub fn verify_signature(message: &[u8]) -> Result<Vec<u8>, Status> {
    let [hash, key, signature, text] = fields(message).ok_or(Status::BadArgument)?;
    if hash != b"sha256" {
        return Err(Status::BadArgument);
    }
    let key = rsa::RsaPublicKey::from_public_key_der(&key).map_err(|_| Status::BadArgument)?;
    let signature = Signature::try_from(signature.as_slice()).map_err(|_| Status::BadArgument)?;
    let good = VerifyingKey::<Sha256>::new(key)
        .verify(&text, &signature)
        .is_ok();
    Ok(if good { vec![0x08, 0x01] } else { Vec::new() })
}

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
