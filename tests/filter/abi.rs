//! The host calls that a module can import: what Envoy has, and nothing else.

mod general;
mod http;
mod shared;
mod wasi;

use wasmi::{Caller, Error, Linker, Module, Val};

use crate::guest::VmState;

/// Host calls under the names by which modules import them.
pub(crate) struct Imports {
    linker: Linker<VmState>,
    names: Vec<(&'static str, &'static str)>,
}

/// Defines host calls whose functions take a [`Guest`] and give `Result<(), Status>`.
macro_rules! host_calls {
    ($imports:ident, $($name:literal => $function:path, ($($argument:ident: $type:ty),*);)*) => {
        $(
            $imports.names.push(("env", $name));
            $imports.linker.func_wrap("env", $name, |caller: Caller<'_, VmState>, $($argument: $type),*| -> u32 {
                let mut guest = Guest::enter(caller, $name);
                let outcome = match guest.is_restricted($name) {
                    true => Err(Status::InternalFailure),
                    false => $function(&mut guest, $($argument),*),
                };
                guest.leave($name, outcome)
            })?;
        )*
    };
}
use host_calls;

/// Host calls that Envoy has and this host has not, because the filter makes none of them.
const NOT_HERE: [&str; 11] = [
    "proxy_grpc_call",
    "proxy_grpc_stream",
    "proxy_grpc_send",
    "proxy_grpc_cancel",
    "proxy_grpc_close",
    "proxy_get_status",
    "proxy_get_header_map_size",
    "proxy_get_buffer_status",
    "proxy_set_buffer_bytes",
    "proxy_close_stream",
    "proxy_done",
];

/// WASI functions that Envoy has as stubs only.
const WASI_STUBS: [&str; 7] = [
    "fd_close",
    "fd_fdstat_set_flags",
    "fd_prestat_dir_name",
    "fd_prestat_get",
    "fd_read",
    "fd_seek",
    "path_open",
];

/// The module name of WASI preview 1.
const WASI: &str = "wasi_snapshot_preview1";

/// Links everything that `module` imports; an import that Envoy does not know is an error that
/// names it.
pub(crate) fn link(module: &Module) -> Result<Linker<VmState>, Error> {
    let mut imports = Imports {
        linker: Linker::new(module.engine()),
        names: Vec::new(),
    };
    general::link(&mut imports)?;
    http::link(&mut imports)?;
    shared::link(&mut imports)?;
    wasi::link(&mut imports)?;
    let mut unknown = Vec::new();
    for import in module.imports() {
        let (from, name) = (import.module(), import.name());
        if imports.names.contains(&(from, name)) {
            continue;
        }
        let stub = match from {
            "env" => NOT_HERE
                .iter()
                .find(|known| **known == name)
                .map(|name| (*name, Some(12))),
            WASI => WASI_STUBS
                .iter()
                .find(|known| **known == name)
                .map(|name| (*name, None)),
            _ => None,
        };
        match (stub, import.ty().func()) {
            (Some((name, code)), Some(signature)) => {
                imports.linker.func_new(
                    from,
                    name,
                    signature.clone(),
                    move |caller, _, results| {
                        stub_called(caller, name, code, results);
                        Ok(())
                    },
                )?;
            }
            _ => unknown.push(format!("{from}.{name}")),
        }
    }
    if unknown.is_empty() {
        return Ok(imports.linker);
    }
    Err(Error::new(format!(
        "the module imports what Envoy does not have: {}",
        unknown.join(", ")
    )))
}

/// A proxy call answers with its status and fails the test; a WASI function answers `ENOSYS`.
fn stub_called(
    caller: Caller<'_, VmState>,
    name: &'static str,
    status: Option<i32>,
    results: &mut [Val],
) {
    if status.is_some() {
        caller
            .data()
            .process
            .borrow_mut()
            .violation(format!("{name} is not a part of this host"));
    }
    if let Some(result) = results.first_mut() {
        *result = Val::I32(status.unwrap_or(wasi::ENOSYS));
    }
}
