//! An enrolled agent.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::{Kind, Problem, Spec, check_name};
use crate::{Digest, Wall, v1};

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
    /// Its package mirrors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<MirrorStatus>,
}

/// What there is of a package mirror at an agent, and what passed through it since that started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct MirrorStatus {
    /// Its name.
    pub name: String,
    /// Bytes of the files that it holds.
    pub held_bytes: u64,
    /// How many files.
    pub held_files: u64,
    /// Upstreams that did not answer when this was said.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub away: Vec<String>,
    /// Bytes of files that came from upstreams.
    pub wan_bytes: u64,
    /// Bytes of files that were handed to machines.
    pub machine_bytes: u64,
    /// Requests to upstreams.
    pub questions: u64,
    /// Answers from what was held, without asking.
    pub held: u64,
    /// From what was held, after an upstream said that it has no other version.
    pub checked: u64,
    /// From what was fetched for who asked first.
    pub fetched: u64,
    /// From what was on its way already.
    pub joined: u64,
    /// From what was held, though no upstream gave it.
    pub stale: u64,
    /// That there is no such file.
    pub absent: u64,
    /// That it cannot be had now.
    pub unavailable: u64,
}

/// Mirrors of one agent that are listened to, upstreams of one that are, and the longest text.
const MOST: (usize, usize, usize) = (64, 16, 1_024);

impl MirrorStatus {
    /// What an agent says of its mirrors, as far as it can be believed: names that are names, and no more than there can be.
    #[must_use]
    pub fn all_of(said: Vec<v1::MirrorStatus>) -> Vec<Self> {
        let named = said.into_iter().filter(|mirror| check_name("name", &mirror.name).is_none());
        named.take(MOST.0).map(Self::of).collect()
    }

    fn of(said: v1::MirrorStatus) -> Self {
        let plain = |text: String| text.chars().filter(|c| !c.is_control()).take(MOST.2).collect();
        Self {
            name: said.name,
            held_bytes: said.held_bytes,
            held_files: said.held_files,
            away: said.away.into_iter().take(MOST.1).map(plain).collect(),
            wan_bytes: said.wan_bytes,
            machine_bytes: said.machine_bytes,
            questions: said.questions,
            held: said.held,
            checked: said.checked,
            fetched: said.fetched,
            joined: said.joined,
            stale: said.stale,
            absent: said.absent,
            unavailable: said.unavailable,
        }
    }
}

impl Spec for AgentSpec {
    const KIND: Kind = Kind::Agent;

    fn validate(&self) -> Vec<Problem> {
        check_name("site", &self.site).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agent_says_of_mirrors_is_bounded() {
        let said = |name: &str| v1::MirrorStatus {
            name: name.into(),
            away: vec!["http://x/\n".into(); 100],
            wan_bytes: 7,
            ..v1::MirrorStatus::default()
        };
        let all = MirrorStatus::all_of(vec![said("../x"), said("debian")]);
        assert_eq!(all.len(), 1);
        assert_eq!((all[0].name.as_str(), all[0].wan_bytes), ("debian", 7));
        assert_eq!((all[0].away.len(), all[0].away[0].as_str()), (16, "http://x/"));
        assert_eq!(MirrorStatus::all_of(vec![said("a"); 1_000]).len(), 64);
    }
}
