//! Who may do what.

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec, check_name};

/// What an operator may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorSpec {
    /// How much.
    pub role: Role,
    /// Where (role `operator`); empty: at every site.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    /// No call of theirs is answered any more.
    #[serde(default)]
    pub revoked: bool,
}

/// How much an operator may do; each may do what the former may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Look.
    Viewer,
    /// Change hosts and orders of some sites.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// The word in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl Spec for OperatorSpec {
    const KIND: Kind = Kind::Operator;

    fn validate(&self) -> Vec<Problem> {
        let sites = self.sites.iter().enumerate();
        sites.filter_map(|(index, site)| check_name(&format!("sites[{index}]"), site)).collect()
    }
}
