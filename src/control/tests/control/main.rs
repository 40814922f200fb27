//! Tests of the control service: over HTTP, on real stores, with a clock that the tests move.

mod api;
mod cleaning;
mod clock;
mod feed;
mod logout;
mod postgres;
mod process;
mod refresh;
mod revocations;
mod service;
mod sessions;

/// Makes a test of each function for each store.
macro_rules! on_every_store {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[test] fn $name() { super::$name($crate::service::Service::on_sqlite()); })*
        }
        mod postgres {
            $(#[test] fn $name() { super::$name($crate::service::Service::on_postgres()); })*
        }
    };
}
pub(crate) use on_every_store;
