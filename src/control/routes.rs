//! The calls of API v1, a file for each group.

pub(crate) mod backchannel;
pub(crate) mod feed;
pub(crate) mod health;
pub(crate) mod logins;
pub(crate) mod refresh;
pub(crate) mod revocations;
pub(crate) mod sessions;
