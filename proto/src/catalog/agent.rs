//! An enrolled agent.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec, check_name};
use crate::{Digest, Wall};

/// What is known of an agent. Made by enrolment, never by `apply`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSpec {
    /// Where it stands.
    pub site: String,
    /// SHA-256 of its public key (the SubjectPublicKeyInfo): what it recovers with.
    pub key: Digest,
    /// The public key itself, SubjectPublicKeyInfo in base64.
    pub public_key: String,
    /// No call of its is answered any more.
    #[serde(default)]
    pub revoked: bool,
    /// Where other agents of its site may fetch blobs from it, as it reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peer_addresses: Vec<SocketAddr>,
}

/// What was last heard of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Is it there now? Worked out for who asks; what is stored says nothing.
    #[serde(default)]
    pub connected: bool,
    /// When the last byte of it came, by the controller's clock.
    pub last_contact_ms: Wall,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// The plan that it obeys: `EPOCH.REVISION/DIGEST`.
    #[serde(default)]
    pub applied: String,
    /// Events that wait at the agent.
    #[serde(default)]
    pub journal_events: u64,
    /// Addresses in use.
    #[serde(default)]
    pub leases: u32,
    /// Bytes in its image cache.
    #[serde(default)]
    pub cache_bytes: u64,
    /// Blobs that its plan names and it does not hold yet.
    #[serde(default)]
    pub missing_blobs: u32,
    /// Bytes that its cache may take; 0: it did not say.
    #[serde(default)]
    pub cache_budget: u64,
    /// Is its disk filling up?
    #[serde(default)]
    pub disk_low: bool,
    /// Where machines reach it.
    #[serde(default)]
    pub addresses: Vec<String>,
}

impl Spec for AgentSpec {
    const KIND: Kind = Kind::Agent;

    fn validate(&self) -> Vec<Problem> {
        check_name("site", &self.site).into_iter().collect()
    }
}
