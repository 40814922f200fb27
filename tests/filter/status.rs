//! The statuses of the proxy-wasm ABI, and the levels of its log.

/// What a host call answers when it is not `Ok` (proxy-wasm ABI 0.2.1, `proxy_result_t`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Status {
    /// No such key, queue, function, metric or header.
    NotFound = 1,
    /// The arguments make no sense, or not now.
    BadArgument = 2,
    /// A pointer that the module gave lies outside of its memory.
    InvalidMemoryAccess = 6,
    /// The queue holds nothing.
    Empty = 7,
    /// Somebody else wrote the key in between.
    CasMismatch = 8,
    /// The host could not do it.
    InternalFailure = 10,
    /// The host does not have it.
    Unimplemented = 12,
}

impl Status {
    /// The number that the module sees.
    pub(crate) fn code(outcome: &Result<(), Self>) -> u32 {
        match outcome {
            Ok(()) => 0,
            Err(status) => *status as u32,
        }
    }
}

/// Levels of a log line, in rising order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// For the filter's developers.
    Trace,
    /// For a look into one request.
    Debug,
    /// What happens once in a while.
    Info,
    /// Something an operator may want to change.
    Warn,
    /// Something an operator must change.
    Error,
    /// The VM is about to die.
    Critical,
}

impl Level {
    pub(crate) fn from_code(code: u32) -> Option<Self> {
        [
            Self::Trace,
            Self::Debug,
            Self::Info,
            Self::Warn,
            Self::Error,
            Self::Critical,
        ]
        .into_iter()
        .find(|level| *level as u32 == code)
    }
}
