//! Tests of the compiled filter, and the small stateful host in which they run it.
//!
//! The host behaves as Envoy does where a filter can tell the difference: shared data and queues
//! with their corner cases, header maps of bytes, deferred local replies that pass through the
//! filter's own response callback, callouts that belong to the root context. It has no sockets, no
//! threads, a clock that tests move and entropy that is the same in every run. What a filter must
//! not do in Envoy (a second local reply, header access after it has let go of the request, a
//! header that cannot travel) and every trap fail the test with the last log lines and host calls.
//!
//! A [`Host`] is one Envoy process, a [`Vm`] one of its workers, a [`Stream`] one request. A
//! [`Gateway`] is a host with the compiled filter and two scripted peers, the control service and
//! the provider; a [`Browser`] sends requests through it. The peers keep to their contracts until a
//! test orders misbehaviour, which is what they are for: the well-behaved paths through real peers
//! are the end-to-end suite's.

#![forbid(unsafe_code)]

mod abi;
mod browser;
mod callout;
mod control;
mod exchange;
mod gateway;
mod guest;
mod headers;
mod host;
mod idp;
mod module;
mod peer;
mod process;
mod shared;
mod signature;
mod status;
mod stream;
mod telemetry;
mod vm;

pub use browser::{Browser, SESSION_COOKIE};
pub use callout::{Callout, Request};
pub use control::{GATEWAY_TOKEN, ScriptedControl, Session};
pub use exchange::{Forwarded, Reply, State};
pub use gateway::{Gateway, PUBLIC_URL, SESSION_KEY, Setup};
pub use headers::Headers;
pub use host::Host;
pub use idp::{CLIENT_ID, CLIENT_SECRET, ISSUER, ScriptedIdp, sign};
pub use module::Module;
pub use peer::Answer;
pub use process::Cluster;
pub use signature::verify_signature;
pub use status::{Level, Status};
pub use stream::Stream;
pub use telemetry::LogLine;
pub use vm::{HostCalls, Vm};
