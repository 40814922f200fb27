//! Shared data: what the VMs of one Envoy tell each other. A fixed number of keys.
//!
//! Keys begin with a tag of what they belong to, so that two filters of one `vm_id` with other
//! providers or control services do not mix. Shared data has no delete, and compare-and-swap does
//! not see a missing key: what is swapped is created first, by a swap that only a missing key lets
//! through.

use gatelatch_core::config::Config;
use gatelatch_core::feed::SegmentStore;
use gatelatch_core::revoked::{Head, Index, Segments};
use proxy_wasm::hostcalls;
use proxy_wasm::types::Status;
use sha2::{Digest as _, Sha256};

/// The shared data of one configuration.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    prefix: String,
}

/// A swap that succeeds on a missing key alone: no key ever has this number.
const CREATE: u32 = u32::MAX;

impl Shared {
    pub(crate) fn new(config: &Config) -> Self {
        let mut hash = Sha256::new();
        for part in [
            &config.issuer,
            &config.idp_cluster,
            &config.control_cluster,
            &config.public_url.origin(),
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let tag: String = hash
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        Self {
            prefix: format!("gatelatch/{tag}/"),
        }
    }

    /// The full name of a key or queue.
    pub(crate) fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    pub(crate) fn get(&self, key: &str) -> Option<(Vec<u8>, u32)> {
        match hostcalls::get_shared_data(&self.name(key)) {
            Ok((Some(value), Some(cas))) => Some((value, cas)),
            _ => None,
        }
    }

    pub(crate) fn put(&self, key: &str, value: &[u8]) {
        if hostcalls::set_shared_data(&self.name(key), Some(value), None).is_err() {
            log::error!("shared data refused {key}");
        }
    }

    /// Replaces a value that is still the one read; None: the key was missing. Whether it was.
    pub(crate) fn swap(&self, key: &str, value: &[u8], cas: Option<u32>) -> bool {
        let swapped =
            hostcalls::set_shared_data(&self.name(key), Some(value), Some(cas.unwrap_or(CREATE)));
        !matches!(swapped, Err(Status::CasMismatch) | Err(_))
    }

    /// A value that all VMs agree on: the one that is there, or `fresh` if none is.
    pub(crate) fn agree(&self, key: &str, fresh: &[u8]) -> Vec<u8> {
        self.swap(key, fresh, None);
        self.get(key)
            .map_or_else(|| fresh.to_vec(), |(value, _)| value)
    }

    pub(crate) fn head(&self) -> Option<Head> {
        self.get("head").and_then(|(value, _)| Head::decode(&value))
    }

    pub(crate) fn index(&self) -> Index {
        self.get("index")
            .and_then(|(value, _)| Index::decode(&value))
            .unwrap_or_default()
    }
}

impl Segments for Shared {
    fn read(&self, segment: u16) -> Option<Vec<u8>> {
        self.get(&format!("segment/{segment}"))
            .map(|(value, _)| value)
    }
}

impl SegmentStore for Shared {
    fn write(&mut self, segment: u16, bytes: &[u8]) {
        self.put(&format!("segment/{segment}"), bytes);
    }
}
