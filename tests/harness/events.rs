//! What the OpenID provider did, from its file of events.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

/// The provider's events so far; read anew at every question.
#[derive(Debug, Clone)]
pub struct Events {
    file: PathBuf,
}

impl Events {
    pub(crate) fn new(file: PathBuf) -> Self {
        Self { file }
    }

    /// How often `event` happened with all of these fields.
    pub fn count(&self, event: &str, fields: &[(&str, &str)]) -> usize {
        let all = self.all();
        let fitting = all.iter().filter(|line| line["event"] == event);
        fitting
            .filter(|line| fields.iter().all(|(name, value)| line[*name] == *value))
            .count()
    }

    /// How many refresh tokens of a user the provider has exchanged.
    pub fn refreshes(&self, user: &str) -> usize {
        self.count(
            "grant.success",
            &[("grant_type", "refresh_token"), ("sub", user)],
        )
    }

    /// How often a user's grant was revoked, as the provider does when a token is spent twice.
    pub fn revoked_grants(&self, user: &str) -> usize {
        let all = self.all();
        let grants: BTreeSet<&str> = all
            .iter()
            .filter(|line| line["sub"] == user)
            .filter_map(|line| line["grant"].as_str())
            .collect();
        let revoked = all.iter().filter(|line| line["event"] == "grant.revoked");
        revoked
            .filter(|line| {
                line["sub"] == user || line["grant"].as_str().is_some_and(|id| grants.contains(id))
            })
            .count()
    }

    /// All lines that are whole.
    pub fn all(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.file).expect("the provider's events");
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}
