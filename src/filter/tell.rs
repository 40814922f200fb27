//! Host calls that only tell an operator something: logs and metrics.
//!
//! The SDK panics when the host refuses one, as it does under an operator's list of allowed
//! capabilities that leaves it out. No request may fail for that: what cannot be told is not told.

use log::{LevelFilter, Log, Metadata, Record};

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, message: *const u8, size: usize) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, size: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, offset: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
}

const OK: u32 = 0;
const CRITICAL: u32 = 5;

/// What a metric measures, in the numbers of the ABI.
#[derive(Debug, Clone, Copy)]
#[repr(u32)]
pub(crate) enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}

/// The id of a metric. None: the host does not keep it.
pub(crate) fn define_metric(kind: MetricKind, name: &str) -> Option<u32> {
    let mut id = 0;
    // SAFETY: the pointers are valid for the call, which keeps none of them.
    let status = unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) };
    (status == OK).then_some(id)
}

/// Adds one to a counter.
pub(crate) fn increment(metric: u32) {
    // SAFETY: plain numbers.
    unsafe { proxy_increment_metric(metric, 1) };
}

/// Sets a gauge, or adds a value to a histogram.
pub(crate) fn record(metric: u32, value: u64) {
    // SAFETY: plain numbers.
    unsafe { proxy_record_metric(metric, value) };
}

/// Sends the log, and the last words of a trap, to the host.
pub(crate) fn install_log(level: LevelFilter) {
    static LOGGER: HostLog = HostLog;
    if log::set_logger(&LOGGER).is_ok() {
        std::panic::set_hook(Box::new(|info| write(CRITICAL, &info.to_string())));
    }
    log::set_max_level(level);
}

struct HostLog;

impl Log for HostLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let level = match record.level() {
                log::Level::Trace => 0,
                log::Level::Debug => 1,
                log::Level::Info => 2,
                log::Level::Warn => 3,
                log::Level::Error => 4,
            };
            write(level, &record.args().to_string());
        }
    }

    fn flush(&self) {}
}

fn write(level: u32, message: &str) {
    // SAFETY: the pointer is valid for the call, which does not keep it.
    unsafe { proxy_log(level, message.as_ptr(), message.len()) };
}
