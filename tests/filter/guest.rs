//! The module's side of a host call: its memory, its allocator, and which context is meant.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use wasmi::{Caller, Extern, Memory, TypedFunc};

use crate::headers::Headers;
use crate::process::{Process, SharedProcess};
use crate::status::Status;
use crate::stream::StreamCore;

/// How many host calls are shown when a VM traps.
const TRACE: usize = 24;

/// What one VM keeps beside its memory.
pub(crate) struct VmState {
    pub(crate) process: SharedProcess,
    pub(crate) index: usize,
    pub(crate) root: u32,
    pub(crate) configuration: Option<Vec<u8>>,
    pub(crate) streams: BTreeMap<u32, Rc<RefCell<StreamCore>>>,
    pub(crate) current: u32,
    pub(crate) effective: u32,
    pub(crate) callback: &'static str,
    pub(crate) reply: Option<CalloutReply>,
    pub(crate) next_token: u32,
    pub(crate) tick: Option<(Duration, Duration)>,
    pub(crate) deferred: Vec<Deferred>,
    pub(crate) calls: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    pub(crate) trace: VecDeque<String>,
}

/// What Envoy does once the callback has returned, because the call came from inside of it.
#[derive(Debug)]
pub(crate) enum Deferred {
    /// `proxy_continue_stream` on this context.
    ContinueRequest(u32),
    /// `proxy_send_local_response` on this context.
    LocalReply(u32, LocalReply),
}

/// The arguments of `proxy_send_local_response`.
#[derive(Debug, Clone)]
pub(crate) struct LocalReply {
    pub(crate) status: u32,
    pub(crate) details: String,
    pub(crate) body: Vec<u8>,
    pub(crate) headers: Headers,
}

/// The answer to a callout, readable while its callback runs.
#[derive(Debug, Default)]
pub(crate) struct CalloutReply {
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Headers,
}

/// A host call in progress.
pub(crate) struct Guest<'a> {
    caller: Caller<'a, VmState>,
    note: String,
}

impl<'a> Guest<'a> {
    /// Starts a host call and counts it.
    pub(crate) fn enter(mut caller: Caller<'a, VmState>, name: &'static str) -> Self {
        let state = caller.data_mut();
        *state
            .calls
            .entry(state.callback)
            .or_default()
            .entry(name)
            .or_default() += 1;
        Self {
            caller,
            note: String::new(),
        }
    }

    /// Whether the operator has taken this host call away from the module.
    pub(crate) fn is_restricted(&self, name: &str) -> bool {
        self.process().restricted.contains(name)
    }

    /// What the trace shows of the call beside its name.
    pub(crate) fn note(&mut self, text: &[u8]) {
        self.note = text.escape_ascii().to_string();
    }

    /// Ends it: keeps it for the trace, gives the number that the module sees.
    pub(crate) fn leave(mut self, name: &'static str, outcome: Result<(), Status>) -> u32 {
        let state = self.caller.data_mut();
        let shown = outcome.map_or_else(|status| format!("{status:?}"), |()| "ok".to_owned());
        state.trace.push_back(format!(
            "{}: {name}({}) -> {shown}",
            state.callback, self.note
        ));
        if state.trace.len() > TRACE {
            state.trace.pop_front();
        }
        Status::code(&outcome)
    }

    pub(crate) fn state(&mut self) -> &mut VmState {
        self.caller.data_mut()
    }

    pub(crate) fn process(&self) -> RefMut<'_, Process> {
        self.caller.data().process.borrow_mut()
    }

    /// The context that the call is about: the effective one while it lives, else the one that
    /// the callback is for.
    pub(crate) fn context(&self) -> u32 {
        let state = self.caller.data();
        if state.effective != 0 && state.is_alive(state.effective) {
            state.effective
        } else {
            state.current
        }
    }

    /// The stream that the call is about, unless it is about the root context.
    pub(crate) fn stream(&self) -> Option<Rc<RefCell<StreamCore>>> {
        self.caller.data().streams.get(&self.context()).cloned()
    }

    /// Copies from the module's memory.
    pub(crate) fn read(&self, pointer: u32, len: u32) -> Result<Vec<u8>, Status> {
        let (start, len) = (pointer as usize, len as usize);
        let memory = self.memory()?;
        let bytes = memory
            .data(&self.caller)
            .get(start..start.saturating_add(len));
        bytes.map(<[u8]>::to_vec).ok_or(Status::InvalidMemoryAccess)
    }

    /// Reads one 32-bit number.
    pub(crate) fn read_u32(&self, pointer: u32) -> Result<u32, Status> {
        let bytes = self.read(pointer, 4)?;
        bytes
            .try_into()
            .map(u32::from_le_bytes)
            .map_err(|_| Status::InvalidMemoryAccess)
    }

    /// Copies into the module's memory.
    pub(crate) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Status> {
        let memory = self.memory()?;
        memory
            .write(&mut self.caller, pointer as usize, bytes)
            .map_err(|_| Status::InvalidMemoryAccess)
    }

    /// Writes one 32-bit number.
    pub(crate) fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Status> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// Gives bytes to the module, in memory that its own allocator makes for them. No bytes are a
    /// null pointer.
    pub(crate) fn give(
        &mut self,
        bytes: &[u8],
        pointer_out: u32,
        len_out: u32,
    ) -> Result<(), Status> {
        let mut pointer = 0;
        if !bytes.is_empty() {
            pointer = self.allocate(bytes.len() as u32)?;
            self.write(pointer, bytes)?;
        }
        self.write_u32(pointer_out, pointer)?;
        self.write_u32(len_out, bytes.len() as u32)
    }

    fn allocate(&mut self, len: u32) -> Result<u32, Status> {
        let allocator: TypedFunc<u32, u32> = ["proxy_on_memory_allocate", "malloc"]
            .into_iter()
            .find_map(|name| {
                self.caller
                    .get_export(name)?
                    .into_func()?
                    .typed(&self.caller)
                    .ok()
            })
            .ok_or(Status::InvalidMemoryAccess)?;
        match allocator.call(&mut self.caller, len) {
            Ok(pointer) if pointer != 0 => Ok(pointer),
            Ok(_) | Err(_) => Err(Status::InvalidMemoryAccess),
        }
    }

    fn memory(&self) -> Result<Memory, Status> {
        self.caller
            .get_export("memory")
            .and_then(Extern::into_memory)
            .ok_or(Status::InvalidMemoryAccess)
    }
}

impl VmState {
    /// Whether the module still knows this context.
    pub(crate) fn is_alive(&self, context: u32) -> bool {
        context == self.root || self.streams.contains_key(&context)
    }
}
