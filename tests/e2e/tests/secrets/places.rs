//! Where secrets could be: what services tell, and files.

use std::path::Path;

use bytes::Bytes;
use gatelatch_harness::Stack;
use gatelatch_harness::transport::Transport;
use http::{HeaderMap, Method};

use crate::Secrets;

pub(crate) async fn what_services_tell(stack: &Stack) -> Vec<(String, Vec<u8>)> {
    let admin = &stack.ready.gateways[0].admin_url;
    let mut told = Vec::new();
    for url in [
        format!("{}/metrics", stack.ready.control_url),
        format!("{}/openapi.json", stack.ready.control_url),
        format!("{admin}/stats/prometheus"),
        format!("{admin}/config_dump?include_eds"),
        format!("{admin}/clusters"),
        format!("{admin}/server_info"),
    ] {
        let answer = Transport::http1()
            .try_send(Method::GET, &url, HeaderMap::new(), Bytes::new())
            .await;
        told.push((url, answer.expect("an answer").expect(200).body.to_vec()));
    }
    told
}

/// Every file of the run directory but those that are made to hold secrets.
pub(crate) fn files(stack: &Stack) -> Vec<(String, Vec<u8>)> {
    let meant = [
        "admin-token",
        "gateway-token",
        "session-key",
        "encryption-keys",
        "client-secret",
        "envoy.env",
        "idp-state.json",
        "idp-keys.json",
    ];
    let mut found = Vec::new();
    let mut open = vec![stack.run_dir().to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else if !meant.contains(&name_of(&path).as_str()) {
                found.push((
                    path.display().to_string(),
                    std::fs::read(&path).expect("a file"),
                ));
            }
        }
    }
    found
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Which secret is where.
pub(crate) fn leaks(secrets: &Secrets, places: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut found = Vec::new();
    for (name, bytes) in places {
        let text = String::from_utf8_lossy(bytes);
        for (kind, values) in secrets {
            for value in values {
                assert!(value.len() >= 16, "a {kind} is too short to look for");
                if text.contains(value) {
                    found.push(format!("{kind} in {name}"));
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
