//! A value for templates that is never shown.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec};

/// A secret: `value` on its way in, `sealed` at rest, neither on its way out.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretSpec {
    /// The value; only in what operators write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The value, encrypted, in base64; only in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sealed: Option<String>,
}

impl fmt::Debug for SecretSpec {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretSpec(…)")
    }
}

/// The largest secret, in bytes.
const LARGEST: usize = 64 * 1024;

impl Spec for SecretSpec {
    const KIND: Kind = Kind::Secret;

    fn validate(&self) -> Vec<Problem> {
        match (&self.value, &self.sealed) {
            (None, None) => vec![Problem::new("value", "is missing")],
            (Some(value), _) if value.is_empty() || value.len() > LARGEST => {
                vec![Problem::new("value", format!("has {} bytes, expected 1 to {LARGEST}", value.len()))]
            }
            (Some(_), _) | (None, Some(_)) => vec![],
        }
    }

    fn redacted(&self) -> Self {
        Self::default()
    }
}
