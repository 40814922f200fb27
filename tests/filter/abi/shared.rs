//! Shared data and shared queues.

use wasmi::{Caller, Error};

use super::{Imports, host_calls};
use crate::guest::{Guest, VmState};
use crate::status::Status;

pub(super) fn link(imports: &mut Imports) -> Result<(), Error> {
    host_calls! { imports,
        "proxy_get_shared_data" => shared_data, (key: u32, len: u32, value_out: u32, len_out: u32, cas_out: u32);
        "proxy_set_shared_data" => set_shared_data, (key: u32, len: u32, value: u32, value_len: u32, cas: u32);
        "proxy_register_shared_queue" => register_queue, (name: u32, len: u32, id_out: u32);
        "proxy_resolve_shared_queue" => resolve_queue,
            (vm_id: u32, vm_id_len: u32, name: u32, len: u32, id_out: u32);
        "proxy_enqueue_shared_queue" => enqueue, (id: u32, value: u32, len: u32);
        "proxy_dequeue_shared_queue" => dequeue, (id: u32, value_out: u32, len_out: u32);
    }
    Ok(())
}

fn shared_data(
    guest: &mut Guest<'_>,
    key: u32,
    len: u32,
    value_out: u32,
    len_out: u32,
    cas_out: u32,
) -> Result<(), Status> {
    let key = guest.read(key, len)?;
    guest.note(&key);
    let (value, cas) = guest.process().data.get(&key)?;
    guest.give(&value, value_out, len_out)?;
    guest.write_u32(cas_out, cas)
}

fn set_shared_data(
    guest: &mut Guest<'_>,
    key: u32,
    len: u32,
    value: u32,
    value_len: u32,
    cas: u32,
) -> Result<(), Status> {
    let (key, value) = (guest.read(key, len)?, guest.read(value, value_len)?);
    guest.note(&key);
    guest.process().data.set(&key, &value, cas)
}

fn register_queue(guest: &mut Guest<'_>, name: u32, len: u32, id_out: u32) -> Result<(), Status> {
    let name = guest.read(name, len)?;
    guest.note(&name);
    let (vm, root) = (guest.state().index, guest.state().root);
    let id = guest.process().queues.register(&name, vm, root);
    guest.write_u32(id_out, id)
}

/// Every VM of this host has the same `vm_id`, so the one that the module names is not looked at.
fn resolve_queue(
    guest: &mut Guest<'_>,
    _vm_id: u32,
    _vm_id_len: u32,
    name: u32,
    len: u32,
    id_out: u32,
) -> Result<(), Status> {
    let name = guest.read(name, len)?;
    guest.note(&name);
    let id = guest.process().queues.resolve(&name)?;
    guest.write_u32(id_out, id)
}

fn enqueue(guest: &mut Guest<'_>, id: u32, value: u32, len: u32) -> Result<(), Status> {
    let value = guest.read(value, len)?;
    guest.process().queues.enqueue(id, &value)
}

fn dequeue(guest: &mut Guest<'_>, id: u32, value_out: u32, len_out: u32) -> Result<(), Status> {
    let value = guest.process().queues.dequeue(id)?;
    guest.give(&value, value_out, len_out)
}
