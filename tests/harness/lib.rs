//! What the end-to-end suites share.
//!
//! [`Stack`] is the whole product as processes of its own, [`Browser`] a client that keeps cookies
//! as a browser does, [`raw`] one that sends any bytes, [`Control`] the administrator,
//! [`Events`] what the OpenID provider saw, and [`eventually`] how a test waits: for a condition,
//! never for a time. What cannot do its work panics with a sentence: the test has failed.

pub mod answer;
pub mod browser;
pub mod control;
pub mod events;
pub mod jar;
pub mod options;
pub mod raw;
pub mod session;
pub mod shared;
pub mod stack;
pub mod transport;
pub mod wait;
pub mod webdriver;

pub use answer::Answer;
pub use browser::{Browser, Kind};
pub use control::Control;
pub use events::Events;
pub use options::StackOptions;
pub use session::SessionToken;
pub use shared::Shared;
pub use stack::{Stack, user};
pub use wait::eventually;
pub use webdriver::WebDriver;
