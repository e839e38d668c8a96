//! How the fleet stands: its agents, the plans of its sites, the orders that are not at their end.

use std::collections::BTreeMap;

use proto::catalog::{AgentSpec, AgentStatus, Kind, OrderSpec, OrderStatus, Resource};
use proto::event::OrderPhase;
use proto::{Following, Wall};

use crate::app::App;
use crate::catalog::ReadError;
use crate::status;

/// The fleet at one moment.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    pub(super) agents: Vec<AgentSeen>,
    pub(super) sites: BTreeMap<String, SiteSeen>,
    /// By site and phase: how many, and since when the oldest has been in it.
    pub(super) orders: BTreeMap<(String, &'static str), (u64, Wall)>,
}

/// An agent that is not revoked.
#[derive(Debug)]
pub(super) struct AgentSeen {
    pub(super) site: String,
    pub(super) name: String,
    pub(super) online: bool,
    /// None: never.
    pub(super) last_contact: Option<Wall>,
    /// It does not obey its site's newest plan, as far as it has told.
    pub(super) behind: bool,
}

/// A site that has a plan.
#[derive(Debug)]
pub(super) struct SiteSeen {
    pub(super) revision: u64,
    pub(super) problems: u64,
    pub(super) behind: u64,
}

impl Fleet {
    /// Looks at all of it.
    pub(super) async fn look(app: &App) -> Result<Self, ReadError> {
        let plans = app.planner.sites();
        let mut fleet = Self::default();
        for (site, plan) in &plans {
            let (revision, problems) = (plan.document.id().generation.revision, plan.problems.len() as u64);
            fleet.sites.insert(site.clone(), SiteSeen { revision, problems, behind: 0 });
        }
        for agent in app.catalog.list::<AgentSpec>(None).await?.items {
            if agent.spec.revoked {
                continue;
            }
            let newest = plans.get(&agent.spec.site).map(|plan| plan.document.id().to_string());
            let seen = seen(app, agent, newest).await?;
            if let Some(site) = fleet.sites.get_mut(&seen.site).filter(|_| seen.behind) {
                site.behind += 1;
            }
            fleet.agents.push(seen);
        }
        for mut order in app.catalog.list::<OrderSpec>(None).await?.items {
            // Up to its end it stands beside the order, where agents' reports are recorded.
            if order.status.is_none() {
                order.status = app.catalog.status(Kind::Order, &order.name).await?;
            }
            fleet.take(order);
        }
        Ok(fleet)
    }

    fn take(&mut self, order: Resource<OrderSpec>) {
        let Some((phase, since)) = standing(&order) else { return };
        let (count, oldest) = self.orders.entry((order.spec.site, phase)).or_insert((0, since));
        *count += 1;
        *oldest = (*oldest).min(since);
    }
}

async fn seen(app: &App, agent: Resource<AgentSpec>, newest: Option<String>) -> Result<AgentSeen, ReadError> {
    let stored = app.catalog.status(Kind::Agent, &agent.name).await?;
    let stored: Option<AgentStatus> = stored.and_then(|stored| serde_json::from_value(stored).ok());
    let applied = stored.as_ref().map(|status| status.applied.clone()).unwrap_or_default();
    let (online, heard) = status::heard(app, &agent.name);
    let last_contact = heard.or(stored.map(|status| status.last_contact_ms).filter(|at| at.0 > 0));
    // Who never said what it obeys does not obey the newest.
    let behind = newest.is_some_and(|newest| Following::of(&newest, &applied) != Following::Newest);
    Ok(AgentSeen { site: agent.spec.site, name: agent.name, online, last_contact, behind })
}

/// In which phase an order is and since when; None: at its end.
fn standing(order: &Resource<OrderSpec>) -> Option<(&'static str, Wall)> {
    let made = order.meta.as_ref().map(|meta| meta.created_ms).unwrap_or_default();
    if order.spec.waiting.is_some() {
        return Some(("waiting", made));
    }
    let status = order.status.clone().and_then(|status| serde_json::from_value::<OrderStatus>(status).ok());
    match status {
        None => Some((OrderPhase::Armed.word(), order.spec.armed_ms.unwrap_or(made))),
        Some(status) if status.phase.is_end() => None,
        Some(status) => Some((status.phase.word(), status.since_ms)),
    }
}
