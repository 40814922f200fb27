//! Input that nobody sends in good faith. A trap fails every test here by itself.

use std::time::Duration;

use gatelatch_filter_tests::{
    Answer, Browser, Gateway, Headers, SESSION_COOKIE, SESSION_KEY, Setup,
};
use serde_json::{Value, json};

mod bytes;
mod limits;
mod peers;
mod statuses;
