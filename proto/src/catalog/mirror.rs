//! An upstream package mirror that agents may cache.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec};
use crate::{
    ByteSize, Span,
    mirror::{HostName, MirrorFamily, Pattern, Upstream},
};

/// What operators say of a mirror.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MirrorSpec {
    /// What is an index there, and what never changes.
    #[serde(default)]
    pub family: MirrorFamily,
    /// Where its files come from, the preferred first: archives of the same content.
    pub upstreams: Vec<Upstream>,
    /// Other hosts that an upstream may redirect to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirects_to: Vec<HostName>,
    /// The labels that a site must have for its agents to serve the mirror; none: every site.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sites: BTreeMap<String, String>,
    /// Files that are asked after, before what the family says and what `immutable` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub index: Vec<Pattern>,
    /// Files that never change under their name, before what the family says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub immutable: Vec<Pattern>,
    /// How long an index is given away before it is asked after again.
    #[serde(default = "half_a_minute")]
    pub fresh: Span,
    /// What the mirror may take on each agent's disk.
    #[serde(default = "budget")]
    pub budget: ByteSize,
    /// The largest file that is taken; None: 8 GiB, or the budget if that is less.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_object: Option<ByteSize>,
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

fn budget() -> ByteSize {
    ByteSize(20 << 30)
}

/// The most upstreams, hosts and patterns of one kind.
const MOST: usize = 32;
/// The largest file that is taken where nothing is said.
const LARGEST: ByteSize = ByteSize(8 << 30);
/// The least budget: a release's indices alone take as much.
const LEAST_BUDGET: ByteSize = ByteSize(16 << 20);
/// An index that is older is no news to anybody.
const LONGEST_FRESH: Span = Span::seconds(86_400);

impl MirrorSpec {
    /// The largest file that is taken.
    #[must_use]
    pub fn largest(&self) -> ByteSize {
        self.max_object.unwrap_or(LARGEST.min(self.budget))
    }

    /// Is it for a site with these labels?
    #[must_use]
    pub fn is_for(&self, labels: &BTreeMap<String, String>) -> bool {
        self.sites.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

impl Spec for MirrorSpec {
    const KIND: Kind = Kind::Mirror;

    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        if self.upstreams.is_empty() {
            problems.push(Problem::new("upstreams", "is empty: expected at least one URL"));
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let field = format!("upstreams[{index}]");
            if upstream.is_local() {
                let message =
                    format!("{upstream} is the agent's own machine or its link, which no mirror is");
                problems.push(Problem::new(&field, message));
            }
            if self.upstreams[..index].contains(upstream) {
                problems.push(Problem::new(field, format!("{upstream} stands there twice")));
            }
        }
        let local = self.redirects_to.iter().enumerate().filter(|(_, host)| host.is_local());
        problems.extend(local.map(|(index, host)| {
            let message = format!("{host} is the agent's own machine or its link, which no mirror is");
            Problem::new(format!("redirects_to[{index}]"), message)
        }));
        let lists = [
            ("upstreams", self.upstreams.len()),
            ("redirects_to", self.redirects_to.len()),
            ("index", self.index.len()),
            ("immutable", self.immutable.len()),
        ];
        let long = lists.into_iter().filter(|(_, length)| *length > MOST);
        problems.extend(
            long.map(|(field, length)| Problem::new(field, format!("has {length}, expected at most {MOST}"))),
        );
        self.validate_sizes(&mut problems);
        problems
    }
}

impl MirrorSpec {
    fn validate_sizes(&self, problems: &mut Vec<Problem>) {
        if self.fresh > LONGEST_FRESH {
            let message = format!("is {}, expected at most {LONGEST_FRESH}", self.fresh);
            problems.push(Problem::new("fresh", message));
        }
        if self.budget < LEAST_BUDGET {
            let message = format!("is {}, expected at least {LEAST_BUDGET}", self.budget);
            problems.push(Problem::new("budget", message));
        }
        if let Some(largest) = self.max_object.filter(|largest| largest.0 == 0 || *largest > self.budget) {
            let message =
                format!("is {largest}, expected at least a byte and at most the budget, {}", self.budget);
            problems.push(Problem::new("max_object", message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mirror(json: &str) -> MirrorSpec {
        serde_json::from_str(json).expect("well-formed")
    }

    fn fields(json: &str) -> Vec<String> {
        mirror(json).validate().into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn a_small_mirror_is_legal() {
        let small = mirror(r#"{"family":"debian","upstreams":["https://deb.example/debian"]}"#);
        assert_eq!(small.validate(), []);
        assert_eq!((small.fresh, small.largest()), (Span::seconds(30), ByteSize(8 << 30)));
        let tight = mirror(r#"{"upstreams":["https://deb.example/"],"budget":"64MiB"}"#);
        assert_eq!((tight.validate(), tight.largest()), (vec![], ByteSize(64 << 20)));
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let json = r#"{"upstreams":["http://127.0.0.1/","http://x/","http://x"],"fresh":"2d","budget":"1MiB",
            "max_object":"2MiB","redirects_to":["cdn.example","169.254.169.254"]}"#;
        let wrong = ["upstreams[0]", "upstreams[2]", "redirects_to[1]", "fresh", "budget", "max_object"];
        assert_eq!(fields(json), wrong);
        assert_eq!(fields(r#"{"upstreams":[]}"#), ["upstreams"]);
    }

    #[test]
    fn what_is_no_upstream_is_named_with_its_place() {
        let json = br#"{"kind":"Mirror","name":"m","spec":{"upstreams":["http://x/","http://me@x/"]}}"#;
        let error = crate::catalog::AnyResource::from_json(json).expect_err("a user");
        assert_eq!(error.0.field, "spec.upstreams[1]");
        assert!(error.0.message.contains("user"), "{error}");
    }

    #[test]
    fn sites_are_chosen_by_label() {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let chosen = mirror(r#"{"upstreams":["http://x/"],"sites":{"country":"fr"}}"#);
        assert!(chosen.is_for(&BTreeMap::from([label("country", "fr"), label("floor", "1")])));
        assert!(!chosen.is_for(&BTreeMap::from([label("country", "de")])));
        assert!(!chosen.is_for(&BTreeMap::new()));
        assert!(mirror(r#"{"upstreams":["http://x/"]}"#).is_for(&BTreeMap::new()));
    }
}
