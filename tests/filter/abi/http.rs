//! Header maps, bodies, going on, answering, and callouts.

use std::time::Duration;

use wasmi::{Caller, Error};

use super::{Imports, host_calls};
use crate::callout::Request;
use crate::guest::{Deferred, Guest, LocalReply, VmState};
use crate::headers::Headers;
use crate::process::Cluster;
use crate::status::Status;

pub(super) fn link(imports: &mut Imports) -> Result<(), Error> {
    host_calls! { imports,
        "proxy_get_header_map_pairs" => pairs, (map: u32, pairs_out: u32, len_out: u32);
        "proxy_set_header_map_pairs" => set_pairs, (map: u32, pairs: u32, len: u32);
        "proxy_get_header_map_value" => value, (map: u32, name: u32, len: u32, value_out: u32, len_out: u32);
        "proxy_add_header_map_value" => add_value, (map: u32, name: u32, len: u32, value: u32, value_len: u32);
        "proxy_replace_header_map_value" => replace_value,
            (map: u32, name: u32, len: u32, value: u32, value_len: u32);
        "proxy_remove_header_map_value" => remove_value, (map: u32, name: u32, len: u32);
        "proxy_get_buffer_bytes" => buffer_bytes, (buffer: u32, start: u32, max: u32, bytes_out: u32, len_out: u32);
        "proxy_continue_stream" => continue_stream, (direction: u32);
        "proxy_send_local_response" => send_local_response,
            (status: u32, details: u32, details_len: u32, body: u32, body_len: u32, headers: u32,
             headers_len: u32, grpc_status: i32);
        "proxy_http_call" => http_call,
            (cluster: u32, cluster_len: u32, headers: u32, headers_len: u32, body: u32, body_len: u32,
             trailers: u32, trailers_len: u32, timeout: u32, token_out: u32);
    }
    Ok(())
}

const REQUEST_HEADERS: u32 = 0;
const RESPONSE_HEADERS: u32 = 2;
const CALLOUT_HEADERS: u32 = 6;
const CALLOUT_TRAILERS: u32 = 7;

/// The map as it stands; None when there is none at this moment.
fn read_map(guest: &mut Guest<'_>, map: u32) -> Option<Headers> {
    match map {
        CALLOUT_HEADERS => guest
            .state()
            .reply
            .as_ref()
            .map(|reply| reply.headers.clone()),
        CALLOUT_TRAILERS => guest
            .state()
            .reply
            .as_ref()
            .map(|reply| reply.trailers.clone()),
        _ => guest
            .stream()?
            .borrow_mut()
            .map(map)
            .map(|headers| headers.clone()),
    }
}

/// A map that the module asks for when there is none is a mistake of the module in any callback
/// of the request path, because its SDK turns the answer into a panic.
fn no_map(guest: &mut Guest<'_>, map: u32) -> Status {
    let (callback, context) = (guest.state().callback, guest.context());
    if matches!(map, REQUEST_HEADERS | RESPONSE_HEADERS) {
        let text = format!(
            "{callback} asked for header map {map} of context {context}, which has none now"
        );
        guest.process().violation(text);
    }
    Status::BadArgument
}

/// Changes a map of a stream.
fn edit(guest: &mut Guest<'_>, map: u32, change: impl FnOnce(&mut Headers)) -> Result<(), Status> {
    let Some(stream) = guest.stream() else {
        return Err(no_map(guest, map));
    };
    let mut stream = stream.borrow_mut();
    let Some(headers) = stream.map(map) else {
        return Err(no_map(guest, map));
    };
    change(headers);
    match headers.invalid() {
        Some(pair) => {
            guest
                .process()
                .violation(format!("a header cannot travel: {pair}"));
            Err(Status::BadArgument)
        }
        None => Ok(()),
    }
}

fn pairs(guest: &mut Guest<'_>, map: u32, pairs_out: u32, len_out: u32) -> Result<(), Status> {
    guest.note(map.to_string().as_bytes());
    let headers = match read_map(guest, map) {
        Some(headers) => headers,
        None => {
            // Envoy gives an empty map here, and no error.
            no_map(guest, map);
            Headers::new()
        }
    };
    guest.give(&headers.serialize(), pairs_out, len_out)
}

fn set_pairs(guest: &mut Guest<'_>, map: u32, pairs: u32, len: u32) -> Result<(), Status> {
    let pairs = Headers::deserialize(&guest.read(pairs, len)?).ok_or(Status::BadArgument)?;
    edit(guest, map, |headers| *headers = pairs)
}

fn value(
    guest: &mut Guest<'_>,
    map: u32,
    name: u32,
    len: u32,
    value_out: u32,
    len_out: u32,
) -> Result<(), Status> {
    let name = guest.read(name, len)?;
    guest.note(&name);
    let Some(headers) = read_map(guest, map) else {
        return Err(no_map(guest, map));
    };
    let value = headers.first(&name).ok_or(Status::NotFound)?;
    guest.give(value, value_out, len_out)
}

fn add_value(
    guest: &mut Guest<'_>,
    map: u32,
    name: u32,
    len: u32,
    value: u32,
    value_len: u32,
) -> Result<(), Status> {
    let (name, value) = (guest.read(name, len)?, guest.read(value, value_len)?);
    guest.note(&name);
    edit(guest, map, |headers| headers.add(name, value))
}

fn replace_value(
    guest: &mut Guest<'_>,
    map: u32,
    name: u32,
    len: u32,
    value: u32,
    value_len: u32,
) -> Result<(), Status> {
    let (name, value) = (guest.read(name, len)?, guest.read(value, value_len)?);
    guest.note(&name);
    edit(guest, map, |headers| headers.replace(name, value))
}

fn remove_value(guest: &mut Guest<'_>, map: u32, name: u32, len: u32) -> Result<(), Status> {
    let name = guest.read(name, len)?;
    guest.note(&name);
    edit(guest, map, |headers| headers.remove(name))
}

/// Bodies and configurations. Nothing is copied out when there is nothing in the range.
fn buffer_bytes(
    guest: &mut Guest<'_>,
    buffer: u32,
    start: u32,
    max: u32,
    bytes_out: u32,
    len_out: u32,
) -> Result<(), Status> {
    guest.note(buffer.to_string().as_bytes());
    let bytes = match buffer {
        0 => guest
            .stream()
            .and_then(|stream| stream.borrow().open_body()),
        4 => guest.state().reply.as_ref().map(|reply| reply.body.clone()),
        6 => Some(Vec::new()),
        7 => guest.state().configuration.clone(),
        _ => None,
    };
    let bytes = bytes.ok_or(Status::NotFound)?;
    start.checked_add(max).ok_or(Status::BadArgument)?;
    let (start, max) = (start as usize, max as usize);
    let end = bytes.len().min(start + max);
    match bytes.get(start..end) {
        Some(range) if !range.is_empty() => guest.give(range, bytes_out, len_out),
        _ => Ok(()),
    }
}

fn continue_stream(guest: &mut Guest<'_>, direction: u32) -> Result<(), Status> {
    guest.note(direction.to_string().as_bytes());
    let context = guest.context();
    if direction != 0 {
        guest.process().violation(format!(
            "continue_stream({direction}) on context {context}: only requests pause"
        ));
        return Err(Status::BadArgument);
    }
    let stream = guest.stream().ok_or(Status::BadArgument)?;
    stream.borrow_mut().close_request();
    guest
        .state()
        .deferred
        .push(Deferred::ContinueRequest(context));
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ABI has so many")]
fn send_local_response(
    guest: &mut Guest<'_>,
    status: u32,
    details: u32,
    details_len: u32,
    body: u32,
    body_len: u32,
    headers: u32,
    headers_len: u32,
    _grpc_status: i32,
) -> Result<(), Status> {
    let details = String::from_utf8_lossy(&guest.read(details, details_len)?).into_owned();
    let body = guest.read(body, body_len)?;
    let headers =
        Headers::deserialize(&guest.read(headers, headers_len)?).ok_or(Status::BadArgument)?;
    guest.note(format!("{status} {details}").as_bytes());
    if let Some(pair) = headers.invalid() {
        guest
            .process()
            .violation(format!("a header of a local reply cannot travel: {pair}"));
    }
    let context = guest.context();
    if guest.stream().is_none() {
        guest.process().violation(format!(
            "a local reply for context {context}, which is no stream"
        ));
        return Err(Status::BadArgument);
    }
    guest.state().deferred.push(Deferred::LocalReply(
        context,
        LocalReply {
            status,
            details,
            body,
            headers,
        },
    ));
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the ABI has so many")]
fn http_call(
    guest: &mut Guest<'_>,
    cluster: u32,
    cluster_len: u32,
    headers: u32,
    headers_len: u32,
    body: u32,
    body_len: u32,
    trailers: u32,
    trailers_len: u32,
    timeout: u32,
    token_out: u32,
) -> Result<(), Status> {
    let cluster = String::from_utf8_lossy(&guest.read(cluster, cluster_len)?).into_owned();
    let headers =
        Headers::deserialize(&guest.read(headers, headers_len)?).ok_or(Status::BadArgument)?;
    let (body, _) = (
        guest.read(body, body_len)?,
        guest.read(trailers, trailers_len)?,
    );
    let path = headers.first(":path").unwrap_or_default().to_vec();
    guest.note(&[cluster.as_bytes(), b" ", &path].concat());
    guest.write_u32(token_out, 0)?;
    if let Some(pair) = headers.invalid() {
        guest
            .process()
            .violation(format!("a header of a callout cannot travel: {pair}"));
    }
    if (timeout as i32) < 0
        || [":path", ":method", ":authority"]
            .iter()
            .any(|name| headers.first(name).is_none())
    {
        return Err(Status::BadArgument);
    }
    let held = guest.process().clusters.get(&cluster).copied();
    if held.ok_or(Status::BadArgument)? == Cluster::Refusing {
        return Err(Status::InternalFailure);
    }
    let context = guest.context();
    let state = guest.state();
    state.next_token += 1;
    let (vm, token) = (state.index, state.next_token);
    let timeout = (timeout > 0).then(|| Duration::from_millis(u64::from(timeout)));
    let sent_at = guest.process().now;
    let request = Request {
        cluster,
        headers,
        body,
        timeout,
        context,
        sent_at,
        token,
    };
    guest.process().callouts.push((vm, request));
    guest.write_u32(token_out, token)
}
