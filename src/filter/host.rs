//! Host calls that the SDK makes with copies or panics that a filter cannot afford, and small
//! adapters for the rest.

use std::time::{Duration, UNIX_EPOCH};

use gatelatch_core::entropy::Entropy;
use gatelatch_core::jose::{Algorithm, SignatureVerifier, VerifyKey};
use gatelatch_core::step::{Callout, Reply};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, MapType, Status};

/// A header block as the host serialized it: count, lengths, then names and values, each ended by
/// a zero byte. Read in place.
pub(crate) struct HeaderBlock(Vec<u8>);

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_header_map_pairs(map_type: u32, data: *mut *mut u8, size: *mut usize) -> u32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> u32;
}

impl HeaderBlock {
    /// Reads a whole map in one host call. An unreadable map is an empty one.
    pub(crate) fn read(map: MapType) -> Self {
        let (mut data, mut size) = (std::ptr::null_mut(), 0);
        // SAFETY: the host writes an allocation made by `proxy_on_memory_allocate`, which is a
        // `Vec` of exactly this capacity, and hands it over.
        unsafe {
            if proxy_get_header_map_pairs(map as u32, &mut data, &mut size) != 0 || data.is_null() {
                return Self(Vec::new());
            }
            Self(Vec::from_raw_parts(data, size, size))
        }
    }

    /// Names and values in order, read in place.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let (lengths, mut text) = self.parts().unwrap_or_default();
        lengths.iter().map_while(move |length| {
            let [a, b, c, d, e, f, g, h] = *length;
            let (name, rest) = text.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
            let (value, rest) = rest
                .get(1..)?
                .split_at_checked(u32::from_le_bytes([e, f, g, h]) as usize)?;
            text = rest.get(1..)?;
            Some((name, value))
        })
    }

    /// The lengths of all pairs, and what they are the lengths of.
    fn parts(&self) -> Option<(&[[u8; 8]], &[u8])> {
        let (count, rest) = self.0.split_first_chunk::<4>()?;
        let count = u32::from_le_bytes(*count) as usize;
        let (lengths, text) = rest.split_at_checked(count.checked_mul(8)?)?;
        Some((lengths.as_chunks().0, text))
    }
}

/// Answers a request here, with `gatelatch.<code>` as the response code details. Whether the host
/// took it.
pub(crate) fn send_local_response(reply: &Reply) -> bool {
    let details = format!("gatelatch.{}", reply.code);
    let headers = serialize(&reply.headers);
    // SAFETY: the pointers are valid for the call, which keeps none of them.
    let status = unsafe {
        proxy_send_local_response(
            reply.status,
            details.as_ptr(),
            details.len(),
            reply.body.as_ptr(),
            reply.body.len(),
            headers.as_ptr(),
            headers.len(),
            -1,
        )
    };
    status == 0
}

/// The form that [`HeaderBlock`] reads.
fn serialize(headers: &[(&'static str, String)]) -> Vec<u8> {
    let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX).to_le_bytes();
    let mut out = number(headers.len()).to_vec();
    for (name, value) in headers {
        out.extend_from_slice(&number(name.len()));
        out.extend_from_slice(&number(value.len()));
    }
    for text in headers
        .iter()
        .flat_map(|(name, value)| [*name, value.as_str()])
    {
        out.extend_from_slice(text.as_bytes());
        out.push(0);
    }
    out
}

/// The host's clock in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let now = hostcalls::get_current_time().unwrap_or(UNIX_EPOCH);
    let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Makes an HTTP call; on success its token.
pub(crate) fn dispatch(cluster: &str, call: &Callout) -> Result<u32, Status> {
    let mut headers = vec![
        (":method", call.method),
        (":scheme", call.scheme),
        (":authority", call.authority.as_str()),
        (":path", call.path.as_str()),
    ];
    headers.extend(
        call.headers
            .iter()
            .map(|(name, value)| (*name, value.as_str())),
    );
    let body = (!call.body.is_empty()).then_some(call.body.as_slice());
    let timeout = Duration::from_millis(call.timeout_ms.max(1).into());
    hostcalls::dispatch_http_call(cluster, headers, body, Vec::new(), timeout)
}

/// A reply's status and Retry-After; None when there was no answer at all.
pub(crate) fn reply_head() -> Option<(u32, Option<u32>)> {
    let value = |name| {
        let bytes =
            hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, name).ok()??;
        std::str::from_utf8(&bytes).ok()?.trim().parse::<u32>().ok()
    };
    Some((value(":status")?, value("retry-after")))
}

/// A reply's body.
pub(crate) fn reply_body(size: usize) -> Vec<u8> {
    if size == 0 {
        return Vec::new();
    }
    hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, size)
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// Randomness from the host.
pub(crate) struct HostEntropy;

impl Entropy for HostEntropy {
    fn fill(&mut self, out: &mut [u8]) {
        // WASI's random_get fails for no size that is used here. If it ever does, the core gets
        // zeros, and every id it makes collides, visibly; it must not trap.
        let _ = getrandom::fill(out);
    }
}

/// RSA signatures by the host, twenty times as fast as inside the VM. Elliptic curves are left to
/// the core: the host wants another encoding, and they are cheap.
pub(crate) struct HostVerifier;

impl SignatureVerifier for HostVerifier {
    fn verify(
        &self,
        algorithm: Algorithm,
        key: &VerifyKey,
        message: &[u8],
        signature: &[u8],
    ) -> Option<bool> {
        let hash = match algorithm {
            Algorithm::Rs256 => "sha256",
            Algorithm::Rs384 => "sha384",
            Algorithm::Rs512 => "sha512",
            _ => return None,
        };
        // message VerifySignatureArguments: 1 hash_function, 2 public_key, 3 signature, 4 text.
        let fields = [hash.as_bytes(), key.spki_der()?, signature, message];
        let mut arguments = Vec::new();
        for (number, field) in (1_u8..).zip(fields) {
            arguments.push(number << 3 | 2);
            push_varint(&mut arguments, field.len());
            arguments.extend_from_slice(field);
        }
        let result = hostcalls::call_foreign_function("verify_signature", Some(&arguments)).ok()?;
        // message VerifySignatureResult: 1 result, left out when false.
        Some(result.is_some_and(|bytes| bytes.starts_with(&[0x08, 0x01])))
    }
}

fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
