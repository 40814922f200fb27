//! What takes more than one step: login, refresh, logout.

pub mod callback;
mod keys;
pub mod login;
pub mod logout;
pub mod refresh;
pub mod session_info;
