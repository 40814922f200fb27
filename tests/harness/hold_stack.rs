//! Starts a stack, prints the process ids of all its parts, and waits for its input to end. What
//! it holds is in a static, as in the end-to-end suites.

use std::io::Read as _;

use gatelatch_harness::{Shared, StackOptions};

fn main() {
    static STACK: Shared = Shared::new(StackOptions::new);
    let stack = STACK.get();
    let pids = stack.ready.pids.values().flatten();
    let all: Vec<String> = pids
        .chain([&stack.ready.supervisor_pid])
        .map(ToString::to_string)
        .collect();
    println!("{}", all.join(" "));
    let _ = std::io::stdin().read(&mut [0]);
}
