//! Log, clock, timer, properties, metrics, foreign functions and the effective context.

use std::time::Duration;

use wasmi::{Caller, Error};

use super::{Imports, host_calls};
use crate::guest::{Guest, VmState};
use crate::status::{Level, Status};

pub(super) fn link(imports: &mut Imports) -> Result<(), Error> {
    host_calls! { imports,
        "proxy_log" => log, (level: u32, text: u32, len: u32);
        "proxy_get_log_level" => log_level, (level_out: u32);
        "proxy_get_current_time_nanoseconds" => current_time, (time_out: u32);
        "proxy_set_tick_period_milliseconds" => set_tick_period, (milliseconds: u32);
        "proxy_set_effective_context" => set_effective_context, (context: u32);
        "proxy_get_property" => property, (path: u32, len: u32, value_out: u32, len_out: u32);
        "proxy_set_property" => set_property, (path: u32, len: u32, value: u32, value_len: u32);
        "proxy_define_metric" => define_metric, (kind: u32, name: u32, len: u32, id_out: u32);
        "proxy_increment_metric" => increment_metric, (id: u32, offset: i64);
        "proxy_record_metric" => record_metric, (id: u32, value: u64);
        "proxy_get_metric" => metric, (id: u32, value_out: u32);
        "proxy_call_foreign_function" => call_foreign_function,
            (name: u32, name_len: u32, arguments: u32, arguments_len: u32, result_out: u32, len_out: u32);
    }
    Ok(())
}

fn log(guest: &mut Guest<'_>, level: u32, text: u32, len: u32) -> Result<(), Status> {
    let level = Level::from_code(level).ok_or(Status::BadArgument)?;
    let text = guest.read(text, len)?;
    guest.note(&text);
    let vm = guest.state().index;
    guest.process().log(level, vm, &text);
    Ok(())
}

/// The most talkative level, so that a test sees every line that could ever be written.
fn log_level(guest: &mut Guest<'_>, level_out: u32) -> Result<(), Status> {
    guest.write_u32(level_out, Level::Trace as u32)
}

fn current_time(guest: &mut Guest<'_>, time_out: u32) -> Result<(), Status> {
    let now = guest.process().now.as_nanos() as u64;
    guest.write(time_out, &now.to_le_bytes())
}

fn set_tick_period(guest: &mut Guest<'_>, milliseconds: u32) -> Result<(), Status> {
    guest.note(milliseconds.to_string().as_bytes());
    let now = guest.process().now;
    let period = Duration::from_millis(u64::from(milliseconds));
    let state = guest.state();
    state.tick = (!period.is_zero()).then_some((period, now + period));
    Ok(())
}

fn set_effective_context(guest: &mut Guest<'_>, context: u32) -> Result<(), Status> {
    guest.note(context.to_string().as_bytes());
    let state = guest.state();
    if !state.is_alive(context) {
        return Err(Status::BadArgument);
    }
    state.effective = context;
    Ok(())
}

fn property(
    guest: &mut Guest<'_>,
    path: u32,
    len: u32,
    value_out: u32,
    len_out: u32,
) -> Result<(), Status> {
    let path = guest.read(path, len)?;
    guest.note(&path);
    let value = guest
        .process()
        .properties
        .get(&path)
        .cloned()
        .ok_or(Status::NotFound)?;
    guest.give(&value, value_out, len_out)
}

fn set_property(
    guest: &mut Guest<'_>,
    path: u32,
    len: u32,
    value: u32,
    value_len: u32,
) -> Result<(), Status> {
    let (path, value) = (guest.read(path, len)?, guest.read(value, value_len)?);
    guest.note(&path);
    guest.process().properties.insert(path, value);
    Ok(())
}

fn define_metric(
    guest: &mut Guest<'_>,
    kind: u32,
    name: u32,
    len: u32,
    id_out: u32,
) -> Result<(), Status> {
    let name = guest.read(name, len)?;
    guest.note(&name);
    let id = guest.process().metrics.define(kind, &name)?;
    guest.write_u32(id_out, id)
}

fn increment_metric(guest: &mut Guest<'_>, id: u32, offset: i64) -> Result<(), Status> {
    guest.process().metrics.increment(id, offset)
}

fn record_metric(guest: &mut Guest<'_>, id: u32, value: u64) -> Result<(), Status> {
    guest.process().metrics.record(id, value)
}

fn metric(guest: &mut Guest<'_>, id: u32, value_out: u32) -> Result<(), Status> {
    let value = guest.process().metrics.get(id)?;
    guest.write(value_out, &value.to_le_bytes())
}

fn call_foreign_function(
    guest: &mut Guest<'_>,
    name: u32,
    name_len: u32,
    arguments: u32,
    arguments_len: u32,
    result_out: u32,
    len_out: u32,
) -> Result<(), Status> {
    let name = guest.read(name, name_len)?;
    guest.note(&name);
    let arguments = guest.read(arguments, arguments_len)?;
    let function = guest
        .process()
        .foreign
        .get(&*String::from_utf8_lossy(&name))
        .cloned();
    let result = function.ok_or(Status::NotFound)?(&arguments)?;
    guest.give(&result, result_out, len_out)
}
