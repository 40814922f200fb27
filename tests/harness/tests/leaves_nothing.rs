//! A stack leaves no process behind, however its test ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use gatelatch_harness::{Stack, StackOptions, eventually};

#[tokio::test]
async fn a_stack_that_is_dropped_ends_all_its_processes_and_removes_its_directory() {
    let stack = Stack::start(&StackOptions::new());
    let pids: Vec<i32> = stack.ready.pids.values().flatten().copied().collect();
    let run_dir = stack.run_dir().to_owned();
    assert_eq!(
        pids.len(),
        4,
        "provider, control service, application, Envoy"
    );
    drop(stack);
    assert_eq!(running(&pids), Vec::<i32>::new());
    assert!(!run_dir.exists());
}

#[tokio::test]
async fn a_stack_in_a_static_ends_when_its_process_is_killed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut holder = Command::new(env!("CARGO_BIN_EXE_hold-stack"))
        .env("TMPDIR", directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the holder starts");
    let mut line = String::new();
    let mut said = BufReader::new(holder.stdout.take().expect("a pipe"));
    said.read_line(&mut line).expect("the process ids");
    let pids: Vec<i32> = line
        .split_whitespace()
        .map(|pid| pid.parse().expect("a number"))
        .collect();
    assert_eq!(running(&pids), pids, "all of {line:?} run");
    holder.kill().expect("killed");
    holder.wait().expect("ended");
    eventually("all processes have ended", 20, async || {
        running(&pids).is_empty().then_some(())
    })
    .await;
}

/// Those that run and are not just waiting to be collected.
fn running(pids: &[i32]) -> Vec<i32> {
    let alive = |pid: &i32| {
        let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    pids.iter().copied().filter(alive).collect()
}
