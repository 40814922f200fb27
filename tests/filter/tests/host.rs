//! The host itself, with modules small enough to be read here.

use std::time::Duration;

use gatelatch_filter_tests::{Cluster, Headers, Host, Level, Module, State, Vm};

/// A module with a bump allocator, `say(status)` to log one digit, and the given parts.
fn module(imports: &str, body: &str) -> Module {
    let text = format!(
        r#"(module
            (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            {imports}
            (memory (export "memory") 2)
            (global $free (mut i32) (i32.const 65536))
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "proxy_on_memory_allocate") (param $len i32) (result i32)
                (global.get $free)
                (global.set $free (i32.add (global.get $free) (local.get $len))))
            (func $say (param $status i32)
                (i32.store8 (i32.const 0) (i32.add (local.get $status) (i32.const 48)))
                (drop (call $log (i32.const 2) (i32.const 0) (i32.const 1))))
            {body})"#
    );
    Module::new(text.as_bytes()).expect("the test's module parses")
}

fn start(host: &Host, module: &Module) -> Vm {
    host.start(module, "{}").expect("the test's module starts")
}

fn said(host: &Host) -> String {
    host.logs()
        .iter()
        .map(|line| line.text.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

fn get(path: &str) -> Headers {
    Headers::new()
        .with(":method", "GET")
        .with(":path", path)
        .with(":authority", "localhost")
}

#[test]
fn shared_data_follows_the_cas_rules_of_envoy() {
    let module = module(
        r#"(import "env" "proxy_set_shared_data" (func $set (param i32 i32 i32 i32 i32) (result i32)))
           (import "env" "proxy_get_shared_data" (func $get (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 100) "keyvalue")
           (func (export "proxy_on_tick") (param i32)
               (call $say (call $get (i32.const 100) (i32.const 3) (i32.const 16) (i32.const 20) (i32.const 24)))
               (call $say (call $set (i32.const 100) (i32.const 3) (i32.const 103) (i32.const 5) (i32.const 77)))
               (call $say (call $get (i32.const 100) (i32.const 3) (i32.const 16) (i32.const 20) (i32.const 24)))
               (call $say (call $set (i32.const 100) (i32.const 3) (i32.const 103) (i32.const 5) (i32.load (i32.const 24))))
               (call $say (call $set (i32.const 100) (i32.const 3) (i32.const 103) (i32.const 5) (i32.load (i32.const 24))))
               (call $say (call $set (i32.const 100) (i32.const 3) (i32.const 103) (i32.const 2) (i32.const 0))))"#,
    );
    let host = Host::new();
    start(&host, &module).tick();
    // not found, created in spite of its cas, found, replaced, stale cas refused, cas 0 wins
    assert_eq!(said(&host), "1 0 0 0 8 0");
    assert_eq!(host.shared_data(), [(b"key".to_vec(), 2)].into());
}

#[test]
fn a_queue_wakes_the_vm_that_registered_it_and_waits_while_that_is_stalled() {
    let module = module(
        r#"(import "env" "proxy_register_shared_queue" (func $register (param i32 i32 i32) (result i32)))
           (import "env" "proxy_enqueue_shared_queue" (func $enqueue (param i32 i32 i32) (result i32)))
           (import "env" "proxy_dequeue_shared_queue" (func $dequeue (param i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 100) "queue")
           (func (export "proxy_on_vm_start") (param i32 i32) (result i32)
               (drop (call $register (i32.const 100) (i32.const 5) (i32.const 16)))
               (i32.const 1))
           (func (export "proxy_on_tick") (param i32)
               (drop (call $enqueue (i32.load (i32.const 16)) (i32.const 100) (i32.const 5))))
           (func (export "proxy_on_queue_ready") (param i32 i32)
               (call $say (call $dequeue (local.get 1) (i32.const 20) (i32.const 24)))
               (call $say (call $dequeue (local.get 1) (i32.const 20) (i32.const 24))))"#,
    );
    let host = Host::new();
    let (first, last) = (start(&host, &module), start(&host, &module));
    last.stall();
    first.tick();
    host.run_until_idle();
    assert_eq!((said(&host).as_str(), host.queued()), ("", 1));
    last.wake();
    host.run_until_idle();
    assert_eq!((said(&host).as_str(), host.queued()), ("0 7", 0));
    assert!(
        host.logs()
            .iter()
            .all(|line| line.vm == last.index() && line.level == Level::Info)
    );
}

#[test]
fn headers_come_and_go_as_the_same_bytes() {
    let module = module(
        r#"(import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
           (import "env" "proxy_set_header_map_pairs" (func $set (param i32 i32 i32) (result i32)))
           (import "env" "proxy_remove_header_map_value" (func $remove (param i32 i32 i32) (result i32)))
           (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))"#,
        r#"(data (i32.const 100) "cookiex-newvalue")
           (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (call $say (call $pairs (i32.const 0) (i32.const 16) (i32.const 20)))
               (call $say (call $set (i32.const 0) (i32.load (i32.const 16)) (i32.load (i32.const 20))))
               (call $say (call $remove (i32.const 0) (i32.const 100) (i32.const 6)))
               (call $say (call $add (i32.const 0) (i32.const 106) (i32.const 5) (i32.const 111) (i32.const 5)))
               (i32.const 0))"#,
    );
    let host = Host::new();
    let vm = start(&host, &module);
    let sent = get("/")
        .with("X-Raw", b"\xff\xfe")
        .with("cookie", "a")
        .with("x-raw", "")
        .with("cookie", "b");
    let stream = vm.request(sent, "body");
    assert_eq!(said(&host), "0 0 0 0");
    let expected = get("/")
        .with("x-raw", b"\xff\xfe")
        .with("x-raw", "")
        .with("x-new", "value");
    assert_eq!(
        (stream.forwarded().headers, stream.forwarded().body),
        (expected, b"body".to_vec())
    );
    let reply = stream.respond(204, Headers::new().with("x-up", "1"), b"");
    assert_eq!(
        (reply.status, reply.headers.text("x-up"), reply.details),
        (204, Some("1"), None)
    );
}

/// Pauses every request; a tick acts on context 2, the first stream.
const PAUSE: &str = r#"
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32) (i32.const 1))"#;

const STREAM_CALLS: &str = r#"
    (import "env" "proxy_set_effective_context" (func $effective (param i32) (result i32)))
    (import "env" "proxy_continue_stream" (func $continue (param i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_send_local_response"
        (func $reply (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))"#;

#[test]
fn a_root_context_continues_a_stream_once_and_its_headers_are_gone_then() {
    let on_tick = r#"
        (data (i32.const 100) ":path")
        (func (export "proxy_on_tick") (param i32)
            (call $say (call $effective (i32.const 2)))
            (call $say (call $value (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 16) (i32.const 20)))
            (call $say (call $continue (i32.const 0)))
            (call $say (call $value (i32.const 0) (i32.const 100) (i32.const 5) (i32.const 16) (i32.const 20))))"#;
    let module = module(STREAM_CALLS, &[PAUSE, on_tick].concat());
    let host = Host::new().tolerant();
    let vm = start(&host, &module);
    let stream = vm.request(get("/"), "");
    assert!(stream.is_paused());
    vm.tick();
    assert_eq!(said(&host), "0 0 0 2");
    assert_eq!(stream.forwarded().headers, get("/"));
    let violations = host.take_violations();
    assert_eq!(violations.len(), 1, "{violations:?}");
    assert!(
        violations[0].contains("header map 0 of context 2"),
        "{violations:?}"
    );

    vm.tick();
    assert!(
        host.take_violations()
            .concat()
            .contains("continued while Forwarded")
    );
    stream.reset();
    vm.tick();
    assert!(
        said(&host).ends_with("2 2 2 2"),
        "a stream that is gone is a bad argument: {}",
        said(&host)
    );
}

#[test]
fn a_local_reply_passes_through_the_response_callback_and_a_second_one_is_a_violation() {
    let callbacks = r#"
        (import "env" "proxy_add_header_map_value" (func $add (param i32 i32 i32 i32 i32) (result i32)))
        "#;
    let body = r#"
        (data (i32.const 100) "detailsbodyx-seen1")
        (func (export "proxy_on_tick") (param i32)
            (drop (call $effective (i32.const 2)))
            (call $say (call $reply (i32.const 401) (i32.const 100) (i32.const 7) (i32.const 107) (i32.const 4)
                (i32.const 0) (i32.const 0) (i32.const -1)))
            (call $say (call $continue (i32.const 0))))
        (func (export "proxy_on_response_headers") (param i32 i32 i32) (result i32)
            (call $say (call $add (i32.const 2) (i32.const 111) (i32.const 6) (i32.const 117) (i32.const 1)))
            (i32.const 0))"#;
    let module = module(&[STREAM_CALLS, callbacks].concat(), &[PAUSE, body].concat());
    let host = Host::new().tolerant();
    let vm = start(&host, &module);
    let stream = vm.request(get("/").with("content-type", "text/plain"), "");
    vm.tick();
    let reply = stream.reply();
    assert_eq!((reply.status, reply.body.as_slice()), (401, &b"body"[..]));
    assert_eq!(reply.details.as_deref(), Some("details"));
    assert_eq!(
        (
            reply.headers.text("x-seen"),
            reply.headers.text("content-length")
        ),
        (Some("1"), Some("4"))
    );
    assert_eq!(
        host.take_violations(),
        Vec::<String>::new(),
        "the stream was over before it was continued"
    );

    let stream = vm.request(get("/"), "");
    assert!(stream.is_paused());
    vm.tick();
    assert!(
        host.take_violations()
            .concat()
            .contains("which is no stream"),
        "context 2 is over"
    );
}

#[test]
fn a_local_reply_for_a_grpc_client_is_a_grpc_status() {
    let on_headers = r#"
        (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (drop (call $reply (i32.const 401) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                (i32.const 0) (i32.const 0) (i32.const -1)))
            (i32.const 1))"#;
    let host = Host::new();
    let vm = start(&host, &module(STREAM_CALLS, on_headers));
    let reply = vm
        .request(get("/").with("content-type", "application/grpc"), "")
        .reply();
    assert_eq!(
        (reply.status, reply.headers.text("grpc-status")),
        (200, Some("16"))
    );
}

const CALLER: &str = r#"
    (data (i32.const 100) "control")
    (data (i32.const 200) "\03\00\00\00\07\00\00\00\04\00\00\00\05\00\00\00\03\00\00\00\0a\00\00\00\01\00\00\00:method\00POST\00:path\00/v1\00:authority\00c\00")
    (func (export "proxy_on_tick") (param i32)
        (call $say (call $call (i32.const 100) (i32.const 7) (i32.const 200) (i32.const 64)
            (i32.const 100) (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 2500) (i32.const 16))))
    (func (export "proxy_on_http_call_response") (param $root i32) (param $token i32) (param $headers i32)
            (param $body i32) (param $trailers i32)
        (call $say (local.get $token))
        (call $say (local.get $headers))
        (call $say (call $value (i32.const 6) (i32.const 700) (i32.const 7) (i32.const 16) (i32.const 20)))
        (i32.store (i32.const 24) (i32.const 0))
        (call $say (call $bytes (i32.const 4) (i32.const 0) (local.get $body) (i32.const 20) (i32.const 24)))
        (drop (call $log (i32.const 2) (i32.load (i32.const 20)) (i32.load (i32.const 24)))))
    (data (i32.const 700) ":status")"#;

const CALLER_IMPORTS: &str = r#"
    (import "env" "proxy_http_call"
        (func $call (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_header_map_value" (func $value (param i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_get_buffer_bytes" (func $bytes (param i32 i32 i32 i32 i32) (result i32)))"#;

#[test]
fn a_callout_is_taken_and_answered_by_the_test() {
    let host = Host::new();
    host.cluster("control", Cluster::Up);
    let vm = start(&host, &module(CALLER_IMPORTS, CALLER));
    vm.tick();
    let callout = host.take_callouts().pop().expect("one callout");
    assert_eq!(
        (callout.request().method(), callout.request().path()),
        ("POST", "/v1")
    );
    assert_eq!(
        (callout.request().body.as_slice(), callout.request().context),
        (&b"con"[..], 1)
    );
    assert_eq!(callout.request().timeout, Some(Duration::from_millis(2500)));
    callout.answer(200, Headers::new().with("x", "y"), "hello");
    assert_eq!(said(&host), "0 1 2 0 0 hello");
}

#[test]
fn a_callout_that_is_reset_has_no_headers_and_one_that_is_too_slow_is_a_504() {
    let host = Host::new();
    host.cluster("control", Cluster::Up);
    let vm = start(&host, &module(CALLER_IMPORTS, CALLER));
    vm.tick();
    host.take_callouts().pop().expect("one callout").reset();
    assert_eq!(said(&host).trim(), "0 1 0 1 0");
    vm.tick();
    host.take_callouts().pop().expect("one callout").time_out();
    assert!(
        said(&host).ends_with("0 2 2 0 0 upstream request timeout"),
        "{}",
        said(&host)
    );
}

#[test]
fn dispatch_to_an_unknown_cluster_and_to_a_refusing_one_fails_in_the_act() {
    let host = Host::new();
    let vm = start(&host, &module(CALLER_IMPORTS, CALLER));
    vm.tick();
    host.cluster("control", Cluster::Refusing);
    vm.tick();
    assert_eq!(said(&host), "2 :"); // BadArgument, InternalFailure (10 as the character after 9)
    assert_eq!(host.take_callouts().len(), 0);
}

#[test]
fn an_import_that_envoy_does_not_have_is_refused_by_name() {
    let module = module(
        r#"(import "env" "proxy_read_file" (func (param i32) (result i32)))"#,
        "",
    );
    let error = Host::new().start(&module, "{}").expect_err("refused");
    assert!(error.contains("env.proxy_read_file"), "{error}");
}

#[test]
fn the_environment_the_clock_and_the_entropy_come_from_the_test() {
    let module = module(
        r#"(import "wasi_snapshot_preview1" "environ_sizes_get" (func $sizes (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "environ_get" (func $environ (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
           (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
           (import "wasi_snapshot_preview1" "path_open"
               (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))"#,
        r#"(func (export "proxy_on_tick") (param i32)
               (call $say (call $sizes (i32.const 16) (i32.const 20)))
               (call $say (call $environ (i32.const 300) (i32.const 400)))
               (i32.store (i32.const 32) (i32.const 400))
               (i32.store (i32.const 36) (i32.sub (i32.load (i32.const 20)) (i32.const 1)))
               (call $say (call $write (i32.const 2) (i32.const 32) (i32.const 1) (i32.const 40)))
               (call $say (call $clock (i32.const 0) (i64.const 1) (i32.const 48)))
               (call $say (i32.wrap_i64 (i64.rem_u (i64.load (i32.const 48)) (i64.const 7))))
               (call $say (call $random (i32.const 56) (i32.const 8)))
               (call $say (i32.wrap_i64 (i64.rem_u (i64.load (i32.const 56)) (i64.const 10))))
               (call $say (i32.sub (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
                   (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)) (i32.const 50))))"#,
    );
    let run = || {
        let host = Host::new();
        host.environment("SECRET", "s3");
        host.skip(Duration::from_nanos(5));
        start(&host, &module).tick();
        let expected = host.now().as_nanos() % 7;
        (said(&host), expected)
    };
    let (text, expected) = run();
    let parts: Vec<_> = text.split(' ').collect();
    assert_eq!(parts[..5], ["0", "0", "SECRET=s3", "0", "0"]);
    assert_eq!(parts[5], expected.to_string());
    assert_eq!(
        (parts[6], parts[8]),
        ("0", "2"),
        "random_get works, path_open is ENOSYS (52)"
    );
    assert_eq!(run().0, text, "the same in every run");
}

#[test]
fn a_trap_fails_the_stream_and_every_later_one_but_not_the_other_vm() {
    let module = module(
        "",
        r#"(func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
               (if (i32.eq (local.get 1) (i32.const 4)) (then unreachable))
               (i32.const 0))"#,
    );
    let host = Host::new();
    let (dying, other) = (start(&host, &module), start(&host, &module));
    dying.expect_trap();
    let reply = dying.request(get("/").with("one", "more"), "").reply();
    assert_eq!(
        (reply.status, reply.details.as_deref()),
        (503, Some("wasm_fail_stream"))
    );
    assert_eq!(dying.request(get("/"), "").reply().status, 503);
    assert!(dying.trap().is_some() && other.trap().is_none());
    assert!(matches!(
        other.request(get("/"), "").state(),
        State::Forwarded(_)
    ));
}

#[test]
#[should_panic(expected = "VM 0 trapped in proxy_on_tick")]
fn a_trap_that_no_test_expects_fails_it() {
    let module = module(
        "",
        r#"(func (export "proxy_on_tick") (param i32) unreachable)"#,
    );
    let host = Host::new();
    start(&host, &module).tick();
}

#[test]
fn ticks_come_when_they_are_due_and_host_calls_are_counted() {
    let module = module(
        r#"(import "env" "proxy_set_tick_period_milliseconds" (func $period (param i32) (result i32)))"#,
        r#"(func (export "proxy_on_vm_start") (param i32 i32) (result i32)
               (drop (call $period (i32.const 250)))
               (i32.const 1))
           (func (export "proxy_on_tick") (param i32) (call $say (i32.const 0)))"#,
    );
    let host = Host::new();
    let vm = start(&host, &module);
    host.advance_to(host.now() + Duration::from_millis(999));
    assert_eq!(vm.host_calls()["proxy_on_tick"], [("proxy_log", 3)].into());
    vm.stall();
    host.advance_to(host.now() + Duration::from_secs(5));
    assert_eq!(said(&host), "0 0 0");
    assert_eq!(vm.memory_bytes(), 2 * 65536);
}
