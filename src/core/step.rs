//! What the core answers to an event: exactly one [`Step`].

use std::rc::Rc;

use crate::pending::Pending;

/// The one answer to one event. The shell performs it and knows nothing else.
#[derive(Debug)]
pub enum Step {
    /// Let the request continue upstream, edited.
    Forward(Edits),
    /// Answer it here.
    Respond(Reply),
    /// Make a call; its outcome goes to `then`, which answers with the next step.
    Await {
        /// What to send.
        call: Callout,
        /// Who receives the reply.
        then: Pending,
    },
    /// Let the request continue upstream, edited, and make a call that it does not wait for.
    ForwardAnd {
        /// What becomes of the request.
        edits: Edits,
        /// What to send beside it.
        call: Callout,
        /// Who receives the reply.
        then: Pending,
    },
    /// Nothing more is to be done: the work belonged to no waiting request.
    Done,
}

/// Changes to a request on its way upstream, and to its response on the way back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Edits {
    /// Header names to remove, with every value they have. Removals come before additions.
    pub remove: Vec<Vec<u8>>,
    /// Headers to add; shared with what is known of the session.
    pub add: Rc<[(String, String)]>,
    /// What replaces the `Cookie` lines; None leaves them alone, an empty value removes them.
    pub cookie: Option<Vec<u8>>,
    /// `Set-Cookie` values for the response, whatever the response is.
    pub set_cookies: Vec<String>,
    /// What became of a session that was not live, for metrics.
    pub note: Option<&'static str>,
}

/// A response made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u32,
    /// Headers in order; names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
    /// The stable code for logs and metrics.
    pub code: &'static str,
}

/// Which of the two peers a call goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The OpenID provider.
    Idp,
    /// The control service.
    Control,
}

/// An HTTP request to a peer. Its body and headers may hold credentials: it cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Callout {
    /// Whom to ask; configuration says which cluster that is.
    pub peer: Peer,
    /// `:method`.
    pub method: &'static str,
    /// `:scheme`.
    pub scheme: &'static str,
    /// `:authority`.
    pub authority: String,
    /// `:path` with its query.
    pub path: String,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Milliseconds until the call counts as failed; never 0.
    pub timeout_ms: u32,
    /// Milliseconds to wait before the call is made.
    pub delay_ms: u32,
}

impl std::fmt::Debug for Callout {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "Callout({:?} {} {path})", self.peer, self.method)
    }
}

/// How a callout ended.
#[derive(Clone, Copy)]
pub enum CallReply<'a> {
    /// An answer. `retry_after_s` is its Retry-After header, where that is a number of seconds.
    Http {
        /// HTTP status.
        status: u32,
        /// Retry-After in seconds.
        retry_after_s: Option<u32>,
        /// The body.
        body: &'a [u8],
    },
    /// No answer: time-out, reset, no healthy host, unknown cluster.
    Failed,
}

impl CallReply<'_> {
    /// The body of an answer of status 200 or 201, if that is what came.
    pub fn success(&self) -> Option<&[u8]> {
        match self {
            Self::Http {
                status: 200 | 201,
                body,
                ..
            } => Some(body),
            _ => None,
        }
    }
}
