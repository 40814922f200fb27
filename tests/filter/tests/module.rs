//! The compiled module as a file: what it asks of its host, and what it offers.

use gatelatch_filter_tests::{Gateway, Module};

/// What the filter makes use of. A new name here needs a reason: operators restrict capabilities by
/// such lists.
const USED: [&str; 28] = [
    "env.proxy_add_header_map_value",
    "env.proxy_call_foreign_function",
    "env.proxy_continue_stream",
    "env.proxy_define_metric",
    "env.proxy_dequeue_shared_queue",
    "env.proxy_enqueue_shared_queue",
    "env.proxy_get_buffer_bytes",
    "env.proxy_get_current_time_nanoseconds",
    "env.proxy_get_header_map_pairs",
    "env.proxy_get_header_map_value",
    "env.proxy_get_shared_data",
    "env.proxy_http_call",
    "env.proxy_increment_metric",
    "env.proxy_log",
    "env.proxy_record_metric",
    "env.proxy_register_shared_queue",
    "env.proxy_remove_header_map_value",
    "env.proxy_replace_header_map_value",
    "env.proxy_send_local_response",
    "env.proxy_set_effective_context",
    "env.proxy_set_shared_data",
    "env.proxy_set_tick_period_milliseconds",
    "wasi_snapshot_preview1.environ_get",
    "wasi_snapshot_preview1.environ_sizes_get",
    "wasi_snapshot_preview1.fd_write",
    "wasi_snapshot_preview1.proc_exit",
    "wasi_snapshot_preview1.random_get",
    "wasi_snapshot_preview1.clock_time_get",
];

/// What the SDK names in callbacks of its own that this filter never reaches.
const NAMED: [&str; 13] = [
    "env.proxy_close_stream",
    "env.proxy_done",
    "env.proxy_get_property",
    "env.proxy_get_status",
    "env.proxy_grpc_call",
    "env.proxy_grpc_cancel",
    "env.proxy_grpc_close",
    "env.proxy_grpc_send",
    "env.proxy_grpc_stream",
    "env.proxy_resolve_shared_queue",
    "env.proxy_set_buffer_bytes",
    "env.proxy_set_header_map_pairs",
    "env.proxy_set_property",
];

#[test]
fn the_module_asks_for_nothing_beyond_the_list() {
    let beyond: Vec<_> = Module::filter()
        .imports()
        .into_iter()
        .filter(|import| !USED.contains(&import.as_str()) && !NAMED.contains(&import.as_str()))
        .collect();
    assert_eq!(beyond, Vec::<String>::new());
}

#[test]
fn the_module_has_the_callbacks_of_abi_0_2_1_that_it_lives_by() {
    let exports = Module::filter().exports();
    for needed in [
        "proxy_abi_version_0_2_1",
        "proxy_on_memory_allocate",
        "proxy_on_context_create",
        "proxy_on_configure",
        "proxy_on_tick",
        "proxy_on_queue_ready",
        "proxy_on_http_call_response",
        "proxy_on_request_headers",
        "proxy_on_response_headers",
        "proxy_on_delete",
    ] {
        assert!(
            exports.iter().any(|export| export == needed),
            "{needed} is not exported"
        );
    }
}

#[test]
fn shared_data_is_a_handful_of_keys_when_nothing_is_revoked() {
    let gateway = Gateway::new();
    let keys = gateway.host.shared_data();
    assert!(
        keys.len() <= 8,
        "{:?}",
        keys.keys()
            .map(|key| key.escape_ascii().to_string())
            .collect::<Vec<_>>()
    );
}
