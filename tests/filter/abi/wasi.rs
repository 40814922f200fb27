//! The part of WASI preview 1 that Envoy has for real.

use wasmi::{Caller, Error};

use super::{Imports, WASI};
use crate::guest::{Guest, VmState};
use crate::status::{Level, Status};

/// `__WASI_ERRNO_NOSYS`.
pub(super) const ENOSYS: i32 = 52;

const EBADF: u32 = 8;
const EFAULT: u32 = 21;
const EINVAL: u32 = 28;
const ENOTSUP: u32 = 58;

/// Envoy gives no more random bytes than this in one call.
const MOST_RANDOM: u32 = 64 * 1024;

/// Defines functions whose result is `Result<(), errno>`.
macro_rules! wasi_calls {
    ($imports:ident, $($name:literal => $function:path, ($($argument:ident: $type:ty),*);)*) => {
        $(
            $imports.names.push((WASI, $name));
            $imports.linker.func_wrap(WASI, $name, |caller: Caller<'_, VmState>, $($argument: $type),*| -> u32 {
                let mut guest = Guest::enter(caller, $name);
                $function(&mut guest, $($argument),*).err().unwrap_or(0)
            })?;
        )*
    };
}

pub(super) fn link(imports: &mut Imports) -> Result<(), Error> {
    wasi_calls! { imports,
        "args_get" => nothing, (_arguments: u32, _buffer: u32);
        "args_sizes_get" => no_arguments, (count_out: u32, size_out: u32);
        "clock_time_get" => clock_time, (clock: u32, _precision: u64, time_out: u32);
        "environ_get" => environment, (pointers: u32, buffer: u32);
        "environ_sizes_get" => environment_sizes, (count_out: u32, size_out: u32);
        "fd_fdstat_get" => descriptor_status, (descriptor: u32, status_out: u32);
        "fd_write" => write, (descriptor: u32, slices: u32, count: u32, written_out: u32);
        "poll_oneoff" => poll, (_subscriptions: u32, _events: u32, _count: u32, _events_out: u32);
        "random_get" => random, (buffer: u32, len: u32);
        "sched_yield" => nothing_at_all, ();
    }
    imports.names.push((WASI, "proc_exit"));
    imports.linker.func_wrap(
        WASI,
        "proc_exit",
        |_: Caller<'_, VmState>, code: i32| -> Result<(), Error> {
            Err(Error::new(format!("the module called proc_exit({code})")))
        },
    )?;
    Ok(())
}

fn nothing(_: &mut Guest<'_>, _: u32, _: u32) -> Result<(), u32> {
    Ok(())
}

fn nothing_at_all(_: &mut Guest<'_>) -> Result<(), u32> {
    Ok(())
}

fn poll(_: &mut Guest<'_>, _: u32, _: u32, _: u32, _: u32) -> Result<(), u32> {
    Ok(())
}

fn no_arguments(guest: &mut Guest<'_>, count_out: u32, size_out: u32) -> Result<(), u32> {
    put(guest, count_out, &[0; 4])?;
    put(guest, size_out, &[0; 4])
}

/// The real-time clock and the monotonic one are the same here: the one that the test moves.
fn clock_time(guest: &mut Guest<'_>, clock: u32, _: u64, time_out: u32) -> Result<(), u32> {
    if clock > 1 {
        return Err(ENOTSUP);
    }
    let now = guest.process().now.as_nanos() as u64;
    put(guest, time_out, &now.to_le_bytes())
}

fn random(guest: &mut Guest<'_>, buffer: u32, len: u32) -> Result<(), u32> {
    if len > MOST_RANDOM {
        return Err(EINVAL);
    }
    let bytes = guest.process().random(len as usize);
    put(guest, buffer, &bytes)
}

fn environment_sizes(guest: &mut Guest<'_>, count_out: u32, size_out: u32) -> Result<(), u32> {
    let lines = lines(guest);
    let size: usize = lines.iter().map(Vec::len).sum();
    put(guest, count_out, &(lines.len() as u32).to_le_bytes())?;
    put(guest, size_out, &(size as u32).to_le_bytes())
}

fn environment(guest: &mut Guest<'_>, pointers: u32, buffer: u32) -> Result<(), u32> {
    let mut at = buffer;
    for (nth, line) in lines(guest).iter().enumerate() {
        put(guest, pointers + 4 * nth as u32, &at.to_le_bytes())?;
        put(guest, at, line)?;
        at += line.len() as u32;
    }
    Ok(())
}

fn lines(guest: &Guest<'_>) -> Vec<Vec<u8>> {
    let variables = guest.process().environment.clone();
    variables
        .iter()
        .map(|(name, value)| format!("{name}={value}\0").into_bytes())
        .collect()
}

/// Standard output becomes an info line, standard error an error line.
fn write(
    guest: &mut Guest<'_>,
    descriptor: u32,
    slices: u32,
    count: u32,
    written_out: u32,
) -> Result<(), u32> {
    let level = match descriptor {
        1 => Level::Info,
        2 => Level::Error,
        _ => return Err(EBADF),
    };
    let mut text = Vec::new();
    for nth in 0..count {
        let (pointer, len) = (
            take(guest, slices + nth * 8)?,
            take(guest, slices + nth * 8 + 4)?,
        );
        text.extend(guest.read(pointer, len).map_err(|_| EFAULT)?);
    }
    let written = text.len() as u32;
    if text.last() == Some(&b'\n') {
        text.pop();
    }
    if written > 0 {
        let vm = guest.state().index;
        guest.process().log(level, vm, &text);
    }
    put(guest, written_out, &written.to_le_bytes())
}

fn descriptor_status(guest: &mut Guest<'_>, descriptor: u32, status_out: u32) -> Result<(), u32> {
    if !matches!(descriptor, 1 | 2) {
        return Err(EBADF);
    }
    let mut status = [0; 24];
    status[8] = 64; // fs_rights_base: FD_WRITE
    put(guest, status_out, &status)
}

fn put(guest: &mut Guest<'_>, pointer: u32, bytes: &[u8]) -> Result<(), u32> {
    guest.write(pointer, bytes).map_err(|_: Status| EFAULT)
}

fn take(guest: &Guest<'_>, pointer: u32) -> Result<u32, u32> {
    guest.read_u32(pointer).map_err(|_: Status| EFAULT)
}
