//! Which paths ask for a session.

use serde::Deserialize;

use crate::path::CanonicalPath;

/// What a path asks of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Nothing: forwarded without identity.
    Public,
    /// A session is used when there is one.
    Optional,
    /// A session, or a refusal.
    Required,
}

/// The operator's rules. What no rule names, and what has no canonical path, is required.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    exact: Vec<(String, Access)>,
    /// Longest first, so that the first match is the most specific.
    prefixes: Vec<(String, Access)>,
}

/// Where a rule applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// This path alone.
    Exact(String),
    /// Every path that begins so.
    Prefix(String),
}

impl Rules {
    /// Orders `rules` by how specific they are: an exact path before any prefix, a longer prefix
    /// before a shorter one.
    pub fn new(rules: impl IntoIterator<Item = (Scope, Access)>) -> Self {
        let mut sorted = Self::default();
        for (scope, access) in rules {
            match scope {
                Scope::Exact(path) => sorted.exact.push((path, access)),
                Scope::Prefix(prefix) => sorted.prefixes.push((prefix, access)),
            }
        }
        sorted
            .prefixes
            .sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        sorted
    }

    /// What `path` asks for; None stands for a path that is not canonical.
    pub fn access(&self, path: Option<&CanonicalPath>) -> Access {
        let Some(path) = path.map(CanonicalPath::as_str) else {
            return Access::Required;
        };
        let exact = self.exact.iter().find(|(rule, _)| rule == path);
        let rule = exact.or_else(|| {
            self.prefixes
                .iter()
                .find(|(prefix, _)| path.starts_with(prefix))
        });
        rule.map_or(Access::Required, |(_, access)| *access)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(target: &str) -> Access {
        let rules = Rules::new([
            (Scope::Prefix("/public/".into()), Access::Public),
            (Scope::Prefix("/public/admin/".into()), Access::Required),
            (Scope::Exact("/health".into()), Access::Public),
            (Scope::Prefix("/optional/".into()), Access::Optional),
        ]);
        rules.access(CanonicalPath::parse(target.as_bytes()).as_ref())
    }

    #[test]
    fn the_most_specific_rule_decides_and_the_rest_is_required() {
        assert_eq!(access("/public/a"), Access::Public);
        assert_eq!(access("/public/admin/a"), Access::Required);
        assert_eq!(access("/health"), Access::Public);
        assert_eq!(access("/healthy"), Access::Required);
        assert_eq!(access("/optional/"), Access::Optional);
        assert_eq!(access("/public"), Access::Required);
        assert_eq!(access("/Public/"), Access::Required);
    }

    #[test]
    fn neither_query_nor_an_ambiguous_path_makes_a_request_public() {
        for target in [
            "/private?/public/",
            "/x?path=/health",
            "/public/../private",
            "/public%2f",
            "/public//a",
        ] {
            assert_eq!(access(target), Access::Required, "{target}");
        }
    }
}
