//! One log line for everything an administrator does.

use crate::auth::Caller;

/// Logs that `caller` did `action` to `target`, and what came of it. No token appears: a caller is
/// named by its token's place in the file and the start of the token's hash.
pub(crate) fn log(caller: &Caller, action: &'static str, target: &str, sessions_ended: u32) {
    tracing::info!(target: "gatelatch::audit", who = caller.token, action, what = target, sessions_ended, "administration");
}
