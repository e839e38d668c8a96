//! What is known of the agent that serves a machine.

use proto::catalog::{AgentStatus, Kind};
use proto::event::AlarmKind;
use proto::{Following, Wall};

use super::{Inquiry, Unreadable};
use crate::diagnosis::AgentFacts;
use crate::status::last_heard;

/// An agent's link, and how old what it lives by is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentLink {
    pub(crate) facts: AgentFacts,
    /// The plan that it obeys, as it said: `EPOCH.REVISION/DIGEST`; "": it never did.
    pub(crate) applied: String,
    /// The newest plan of its site; "": there is none.
    pub(crate) newest: String,
}

impl Inquiry {
    pub(super) async fn agent_link(&mut self, site: &str, agent: &str) -> Result<AgentLink, Unreadable> {
        if let Some(known) = self.read.agents.get(agent) {
            return Ok(known.clone());
        }
        let link = self.read_agent(site, agent).await?;
        self.read.agents.insert(agent.to_owned(), link.clone());
        Ok(link)
    }

    async fn read_agent(&self, site: &str, agent: &str) -> Result<AgentLink, Unreadable> {
        let away = last_heard(&self.app, agent).await;
        let status = self.app.catalog.status(Kind::Agent, agent).await?;
        let status: AgentStatus =
            status.and_then(|status| serde_json::from_value(status).ok()).unwrap_or_default();
        let newest = self.app.planner.latest(site).map(|plan| plan.document.id().to_string());
        let newest = newest.unwrap_or_default();
        let current = Following::of(&newest, &status.applied) != Following::Behind;
        let facts = AgentFacts {
            name: agent.to_owned(),
            connected: away.is_none(),
            last_heard: Some(away.unwrap_or(self.now)).filter(|at| *at != Wall::default()),
            current,
            refused: if current { String::new() } else { self.refused(site, agent).await? },
            disk_low: status.disk_low,
        };
        Ok(AgentLink { facts, applied: status.applied, newest })
    }

    /// What it said of a plan that it did not understand.
    async fn refused(&self, site: &str, agent: &str) -> Result<String, Unreadable> {
        let alarms = self.app.catalog.alarms(Some(site)).await?;
        let of_agent = alarms
            .into_iter()
            .map(|(_, alarm)| alarm)
            .find(|alarm| alarm.kind == AlarmKind::PlanNotUnderstood && alarm.agent == agent);
        Ok(of_agent.map(|alarm| alarm.detail).unwrap_or_default())
    }
}
