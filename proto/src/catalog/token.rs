//! A join token.

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec, check_name};
use crate::{Digest, Wall};

/// What a join token permits. Made by its own call; the token itself is shown once and never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    /// Where the agent will stand.
    pub site: String,
    /// The one name that it may take; None: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// How many agents may enrol with it.
    pub uses: u32,
    /// Milliseconds since the Unix epoch.
    pub not_after_ms: Wall,
    /// SHA-256 of the secret; never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Digest>,
    /// Who has enrolled: the same key is answered again, so a lost reply strands nobody (S11).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub enrolled: Vec<Enrolled>,
}

/// An enrolment by a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrolled {
    /// The agent's name.
    pub agent: String,
    /// SHA-256 of its public key.
    pub key: Digest,
}

impl Spec for TokenSpec {
    const KIND: Kind = Kind::Token;

    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::from_iter(check_name("site", &self.site));
        problems.extend(self.agent.as_deref().and_then(|name| check_name("agent", name)));
        if !(1..=1_000).contains(&self.uses) {
            problems.push(Problem::new("uses", format!("is {}, expected 1 to 1000", self.uses)));
        }
        problems
    }

    fn redacted(&self) -> Self {
        Self { secret: None, ..self.clone() }
    }
}
