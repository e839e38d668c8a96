//! Who a party is: names, and the SPIFFE URI that a certificate carries.
//!
//! Parsing is the only border: beyond it a name is legal. Whether an identity may do something is decided
//! by whoever holds the catalog.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Longest name in bytes, as of a DNS label (RFC 1035 §2.3.4).
const MAX_NAME: usize = 63;

/// Longest URI that is looked at: the scheme, four names and the fixed words fit well within it.
const MAX_URI: usize = 512;

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("{field} name is empty")]
    Empty {
        /// Which name.
        field: &'static str,
    },
    /// More than 63 bytes.
    #[error("{field} name has {length} bytes, more than {MAX_NAME}")]
    TooLong {
        /// Which name.
        field: &'static str,
        /// Its length in bytes.
        length: usize,
    },
    /// A character other than `a-z`, `0-9` and `-`.
    #[error("{field} name holds {found:?}, only a-z, 0-9 and hyphens are allowed")]
    Character {
        /// Which name.
        field: &'static str,
        /// The first character that is not allowed.
        found: char,
    },
    /// A hyphen at either end (RFC 1123 §2.1).
    #[error("{field} name begins or ends with a hyphen")]
    Hyphen {
        /// Which name.
        field: &'static str,
    },
}

fn check_name(field: &'static str, name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { field });
    }
    if name.len() > MAX_NAME {
        return Err(NameError::TooLong { field, length: name.len() });
    }
    let allowed = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '-');
    if let Some(found) = name.chars().find(|c| !allowed(c)) {
        return Err(NameError::Character { field, found });
    }
    if name.starts_with('-') || name.ends_with('-') {
        return Err(NameError::Hyphen { field });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $field:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text. Cloning a name is cheap.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                check_name($field, name)?;
                Ok(Self(name.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                check_name($field, &name)?;
                Ok(Self(name.into()))
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// The fleet: the SPIFFE trust domain, one per authority.
    FleetName,
    "fleet"
);
name!(
    /// A VLAN or remote location.
    SiteName,
    "site"
);
name!(
    /// An edge agent, unique within its site.
    AgentName,
    "agent"
);
name!(
    /// A person or program that uses the CLI or the Admin service.
    OperatorName,
    "operator"
);
name!(
    /// One controller of the fleet.
    ControllerName,
    "controller"
);

/// A party of a fleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Identity {
    /// `spiffe://FLEET/site/SITE/agent/NAME`
    Agent {
        /// The trust domain.
        fleet: FleetName,
        /// Where the agent stands.
        site: SiteName,
        /// Its name there.
        agent: AgentName,
    },
    /// `spiffe://FLEET/operator/NAME`
    Operator {
        /// The trust domain.
        fleet: FleetName,
        /// Who.
        operator: OperatorName,
    },
    /// `spiffe://FLEET/controller/NAME`
    Controller {
        /// The trust domain.
        fleet: FleetName,
        /// Which one.
        controller: ControllerName,
    },
}

/// The identity is of another fleet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{identity}` belongs to fleet `{}`, expected fleet `{expected}`", identity.fleet())]
pub struct WrongFleet {
    /// Who it claims to be.
    pub identity: Identity,
    /// The fleet that was expected.
    pub expected: FleetName,
}

impl Identity {
    /// The fleet it is of.
    #[must_use]
    pub fn fleet(&self) -> &FleetName {
        match self {
            Self::Agent { fleet, .. } | Self::Operator { fleet, .. } | Self::Controller { fleet, .. } => {
                fleet
            }
        }
    }

    /// Refuses an identity of any fleet but `expected`.
    ///
    /// # Errors
    /// [`WrongFleet`], which names both.
    pub fn check_fleet(&self, expected: &FleetName) -> Result<(), WrongFleet> {
        if self.fleet() == expected {
            return Ok(());
        }
        Err(WrongFleet { identity: self.clone(), expected: expected.clone() })
    }

    /// The kind as a word: `agent`, `operator` or `controller`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Agent { .. } => "agent",
            Self::Operator { .. } => "operator",
            Self::Controller { .. } => "controller",
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Agent { fleet, site, agent } => write!(f, "spiffe://{fleet}/site/{site}/agent/{agent}"),
            Self::Operator { fleet, operator } => write!(f, "spiffe://{fleet}/operator/{operator}"),
            Self::Controller { fleet, controller } => write!(f, "spiffe://{fleet}/controller/{controller}"),
        }
    }
}

/// Why a URI is not an identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// It does not begin with `spiffe://`, or is longer than any identity.
    #[error("not a SPIFFE URI")]
    NotSpiffe,
    /// The path is of none of the three shapes.
    #[error("path is neither site/SITE/agent/NAME, operator/NAME nor controller/NAME")]
    UnknownPath,
    /// One of the names is not legal.
    #[error(transparent)]
    Name(#[from] NameError),
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        if uri.len() > MAX_URI {
            return Err(IdentityError::NotSpiffe);
        }
        let rest = uri.strip_prefix("spiffe://").ok_or(IdentityError::NotSpiffe)?;
        let mut parts = rest.split('/');
        let fleet: FleetName = parts.next().unwrap_or_default().parse()?;
        match parts.collect::<Vec<_>>().as_slice() {
            ["site", site, "agent", agent] => {
                Ok(Self::Agent { fleet, site: site.parse()?, agent: agent.parse()? })
            }
            ["operator", operator] => Ok(Self::Operator { fleet, operator: operator.parse()? }),
            ["controller", controller] => Ok(Self::Controller { fleet, controller: controller.parse()? }),
            _ => Err(IdentityError::UnknownPath),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn label() -> impl Strategy<Value = String> {
        "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
    }

    proptest! {
        #[test]
        fn every_identity_survives_its_uri(fleet in label(), site in label(), name in label(), kind in 0..3) {
            let uri = match kind {
                0 => format!("spiffe://{fleet}/site/{site}/agent/{name}"),
                1 => format!("spiffe://{fleet}/operator/{name}"),
                _ => format!("spiffe://{fleet}/controller/{name}"),
            };
            let identity: Identity = uri.parse().expect("names are legal");
            prop_assert_eq!(identity.to_string(), uri);
            prop_assert_eq!(identity.fleet().as_str(), fleet);
        }

        #[test]
        fn no_text_panics(text in ".{0,600}") {
            let _ = text.parse::<Identity>();
            let _ = format!("spiffe://{text}").parse::<Identity>();
        }
    }

    #[test]
    fn an_error_names_the_field() {
        let error = "spiffe://acme/site/Lab/agent/a".parse::<Identity>().expect_err("upper case");
        assert_eq!(error.to_string(), "site name holds 'L', only a-z, 0-9 and hyphens are allowed");
        let error = format!("spiffe://acme/operator/{}", "a".repeat(64)).parse::<Identity>();
        assert_eq!(error, Err(NameError::TooLong { field: "operator", length: 64 }.into()));
        assert_eq!("-a".parse::<AgentName>(), Err(NameError::Hyphen { field: "agent" }));
        assert_eq!("".parse::<FleetName>(), Err(NameError::Empty { field: "fleet" }));
    }

    #[test]
    fn other_shapes_are_refused() {
        for uri in ["https://acme/operator/a", "spiffe:/acme", "SPIFFE://acme/operator/a", ""] {
            assert_eq!(uri.parse::<Identity>(), Err(IdentityError::NotSpiffe), "{uri}");
        }
        for uri in [
            "spiffe://acme",
            "spiffe://acme/operator",
            "spiffe://acme/site/lab/operator/a",
            "spiffe://acme/operator/a/b",
            "spiffe://acme/operator/a/",
        ] {
            assert_eq!(uri.parse::<Identity>(), Err(IdentityError::UnknownPath), "{uri}");
        }
        assert!("spiffe://acme/operator/a?x=1".parse::<Identity>().is_err());
        assert!("spiffe://acme:443/operator/a".parse::<Identity>().is_err());
    }

    #[test]
    fn another_fleet_is_named() {
        let identity: Identity = "spiffe://beta/controller/one".parse().expect("legal");
        let error = identity.check_fleet(&"acme".parse().expect("legal")).expect_err("another fleet");
        assert_eq!(
            error.to_string(),
            "`spiffe://beta/controller/one` belongs to fleet `beta`, expected fleet `acme`"
        );
    }
}
