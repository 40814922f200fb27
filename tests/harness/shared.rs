//! Stacks in statics, which are never dropped: they end when the process exits.

use std::sync::{Mutex, Once, OnceLock, PoisonError};

use crate::options::StackOptions;
use crate::stack::Stack;

/// A stack that all tests of a file use: started by the first, ended with the process.
#[derive(Debug)]
pub struct Shared {
    options: fn() -> StackOptions,
    stack: OnceLock<Stack>,
}

impl Shared {
    /// For a static. Nothing is started yet.
    pub const fn new(options: fn() -> StackOptions) -> Self {
        Self {
            options,
            stack: OnceLock::new(),
        }
    }

    /// The stack, started if it is not.
    pub fn get(&'static self) -> &'static Stack {
        self.stack.get_or_init(|| {
            end_with_process(&self.stack);
            Stack::start(&(self.options)())
        })
    }
}

static SHARED: Mutex<Vec<&'static OnceLock<Stack>>> = Mutex::new(Vec::new());

fn end_with_process(stack: &'static OnceLock<Stack>) {
    static ONCE: Once = Once::new();
    // SAFETY: the function stays where it is, takes nothing and does not unwind.
    ONCE.call_once(|| unsafe {
        libc::atexit(end_shared);
    });
    let mut all = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    all.push(stack);
}

extern "C" fn end_shared() {
    let all = std::mem::take(&mut *SHARED.lock().unwrap_or_else(PoisonError::into_inner));
    let stacks: Vec<&Stack> = all.iter().filter_map(|cell| cell.get()).collect();
    for stack in &stacks {
        stack.begin_end();
    }
    for stack in stacks {
        stack.end();
    }
}
