//! Permission to install one host once.

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec, check_name};
use crate::{AttemptId, HostId, Span, Wall, event::OrderPhase};

/// What an order permits. Made by its own call, never by `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderSpec {
    /// The host's site.
    pub site: String,
    /// The host, as it was named then.
    pub host: String,
    /// The host, whatever its name is now.
    pub host_id: HostId,
    /// What is installed.
    pub profile: String,
    /// The one agent that may obey it.
    pub agent: String,
    /// The fencing number; raised by each hand-over.
    pub number: u64,
    /// Bounds the entry into `started`, milliseconds since the Unix epoch.
    pub not_after_ms: Wall,
    /// How long the installation may take, as its profile said when the order was made: a profile that is changed later
    /// moves the end of no order. None in orders of builds that did not keep it: then as the profile says now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_time: Option<Span>,
    /// It is no permission yet: it waits until its agent holds everything that its boot fetches. None: it waits for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<Waiting>,
    /// When the controller armed it, of one that has waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed_ms: Option<Wall>,
    /// An operator has taken it back.
    #[serde(default)]
    pub revoked: bool,
    /// Who that was, as the audit log names them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_by: Option<String>,
}

/// What an order waits with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waiting {
    /// When it ends unless it was armed before, milliseconds since the Unix epoch.
    pub until_ms: Wall,
    /// How long it is to last once it is armed.
    pub life: Span,
}

/// How far it has come, as the agent reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderStatus {
    /// The phase.
    pub phase: OrderPhase,
    /// When it was entered, by the agent's clock.
    pub since_ms: Wall,
    /// For people.
    #[serde(default)]
    pub reason: String,
    /// The attempt that holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
}

impl Spec for OrderSpec {
    const KIND: Kind = Kind::Order;

    fn validate(&self) -> Vec<Problem> {
        let names =
            [("site", &self.site), ("host", &self.host), ("profile", &self.profile), ("agent", &self.agent)];
        names.into_iter().filter_map(|(field, name)| check_name(field, name)).collect()
    }
}
