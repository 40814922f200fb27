//! What a scripted peer does with a callout.

use std::collections::VecDeque;

use crate::callout::{Callout, Request};
use crate::headers::Headers;

/// One way for a callout to end, or not to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// An HTTP response.
    Http {
        /// The status code.
        status: u16,
        /// Its headers.
        headers: Headers,
        /// Its body.
        body: Vec<u8>,
    },
    /// Envoy's 504 in the peer's place, at once.
    TimedOut,
    /// The connection breaks.
    Reset,
    /// No answer yet: ask the peer again when something has happened or time has passed.
    Later,
}

impl Answer {
    /// A JSON response.
    pub fn json(status: u16, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("the contract's types serialize");
        Self::Http {
            status,
            headers: Headers::new().with("content-type", "application/json"),
            body,
        }
    }

    /// A response with this body and no more.
    pub fn text(status: u16, body: &str) -> Self {
        Self::Http {
            status,
            headers: Headers::new(),
            body: body.as_bytes().to_vec(),
        }
    }

    /// Ends the callout, unless it has to wait: then it is given back.
    pub(crate) fn give(self, callout: Callout) -> Option<Callout> {
        match self {
            Self::Http {
                status,
                headers,
                body,
            } => callout.answer(status, headers, body),
            Self::TimedOut => callout.time_out(),
            Self::Reset => callout.reset(),
            Self::Later => return Some(callout),
        }
        None
    }
}

/// Misbehaviour on order: what a peer does instead of what it should, by the end of the path.
#[derive(Debug, Default)]
pub(crate) struct Script {
    once: VecDeque<(String, Answer)>,
    always: Vec<(String, Answer)>,
    seen: Vec<Request>,
}

impl Script {
    pub(crate) fn once(&mut self, path_end: &str, answer: Answer) {
        self.once.push_back((path_end.to_owned(), answer));
    }

    pub(crate) fn always(&mut self, path_end: &str, answer: Answer) {
        self.always.push((path_end.to_owned(), answer));
    }

    pub(crate) fn clear(&mut self) {
        self.once.clear();
        self.always.clear();
    }

    /// Notes a callout that has just arrived; the answer on order, if there is one.
    pub(crate) fn arrive(&mut self, request: &Request) -> Option<Answer> {
        self.seen.push(request.clone());
        let matches = |end: &String| request.path().ends_with(end.as_str());
        if let Some(nth) = self.once.iter().position(|(end, _)| matches(end)) {
            return self.once.remove(nth).map(|(_, answer)| answer);
        }
        self.always
            .iter()
            .find(|(end, _)| matches(end))
            .map(|(_, answer)| answer.clone())
    }

    /// Everything that arrived whose path ends so.
    pub(crate) fn seen(&self, path_end: &str) -> Vec<&Request> {
        self.seen
            .iter()
            .filter(|request| request.path().ends_with(path_end))
            .collect()
    }
}
