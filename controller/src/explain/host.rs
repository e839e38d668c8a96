//! Why a host did not boot, and what it would be given now.

use proto::catalog::{HostSpec, Resource};
use proto::{HostId, Mac, v1};

use super::agent::AgentLink;
use super::{ATTEMPTS, Explained, Inquiry, Unreadable, facts, supply};
use crate::diagnosis::{Context, Finding, Given, OrderFacts, Standing, ago, expect, given};
use crate::events::{BootFilter, BootSummary};
use crate::readiness;

/// As many of its last attempts are explained.
const EXPLAINED: usize = 5;

/// Of whom something is to be said.
#[derive(Debug)]
pub(crate) enum Subject {
    /// A host of the catalog.
    Host(Box<Resource<HostSpec>>),
    /// A machine that is none.
    Machine(Mac),
}

/// What there is to say.
#[derive(Debug)]
pub(crate) struct HostExplained {
    /// "": no site is known.
    pub(crate) site: String,
    /// The answer, in one sentence.
    pub(crate) answer: String,
    /// What it would be given now, and why.
    pub(crate) given: Given,
    /// What is wrong, the answer first; of its last attempt, or of its silence since.
    pub(crate) findings: Vec<Finding>,
    /// Its last attempts, the latest first.
    pub(crate) boots: Vec<Explained>,
    /// Its order that is not at its end.
    pub(crate) order: Option<OrderFacts>,
    /// Whether its site holds what that takes.
    pub(crate) readiness: Option<v1::Readiness>,
    /// The agent that would serve it.
    pub(crate) agent: Option<AgentLink>,
}

impl Inquiry {
    /// Everything that is known of a host, or of a machine that is none.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub(crate) async fn host(&mut self, subject: Subject) -> Result<HostExplained, Unreadable> {
        let (host, mac) = match subject {
            Subject::Host(host) => {
                let mac = host.spec.macs.first().copied();
                (Some(*host), mac)
            }
            Subject::Machine(mac) => (None, Some(mac)),
        };
        let id: Option<HostId> = host.as_ref().and_then(|host| host.id()).map(Into::into);
        let attempts = self.attempts(id, mac).await?;
        let site = host.as_ref().map(|host| host.spec.site.clone());
        let site = site.or_else(|| attempts.first().map(|boot| boot.site.clone())).unwrap_or_default();
        let order = self.live_order(host.as_ref()).await?;
        let agent = self.agent_of(&site, order.as_ref(), attempts.first()).await?;
        let mut boots = Vec::new();
        for boot in attempts.iter().take(EXPLAINED) {
            boots.push(self.explain(boot.clone()).await?);
        }
        let readiness = match &order {
            Some(order) => readiness::of_order(&self.app, &order.name).await?.map(|(message, _)| message),
            None => None,
        };
        let profile = order.as_ref().map(|order| order.profile.clone());
        let profile = profile.or_else(|| host.as_ref().and_then(|host| host.spec.profile.clone()));
        let context = Context {
            host: host.as_ref().map(facts),
            boots: self.boot_facts(profile.as_deref(), order.is_some()).await?,
            supply: readiness.as_ref().map(supply::supply_of),
            agent: agent.as_ref().map(|agent| agent.facts.clone()),
            site: self.site_facts(&site),
            foreign_servers: self.foreign_servers(&site).await?,
            neighbours: self.neighbours(&site, id, mac).await?,
            former: attempts,
            order,
            ..Context::at(self.now)
        };
        let findings = findings(&context, boots.first());
        Ok(HostExplained {
            answer: answer(&context, &findings, boots.first()),
            given: given(&context),
            order: context.order,
            site,
            findings,
            boots,
            readiness,
            agent,
        })
    }

    async fn attempts(&self, host: Option<HostId>, mac: Option<Mac>) -> Result<Vec<BootSummary>, Unreadable> {
        if host.is_none() && mac.is_none() {
            return Ok(Vec::new());
        }
        let filter = BootFilter { host, stranger: mac, site: None, limit: ATTEMPTS };
        Ok(self.app.events.boots(filter).await?)
    }

    async fn agent_of(
        &mut self,
        site: &str,
        order: Option<&OrderFacts>,
        last: Option<&BootSummary>,
    ) -> Result<Option<AgentLink>, Unreadable> {
        let plan = self.app.planner.latest(site);
        let first = || plan.as_ref().and_then(|plan| plan.agents.first().cloned());
        let name = order.map(|order| order.agent.clone()).or_else(|| last.map(|last| last.agent.clone()));
        let Some(name) = name.or_else(first) else { return Ok(None) };
        self.agent_link(site, &name).await.map(Some)
    }
}

/// What is wrong now: with its silence since an order was made, else with its last attempt.
fn findings(context: &Context, last: Option<&Explained>) -> Vec<Finding> {
    let waits_since = context.order.as_ref().map(|order| order.since);
    let heard_since = last.filter(|last| waits_since.is_none_or(|since| last.boot.last_ms >= since));
    match heard_since {
        Some(last) => last.diagnosis.findings.clone(),
        None => expect(context),
    }
}

fn answer(context: &Context, findings: &[Finding], last: Option<&Explained>) -> String {
    if let Some(finding) = findings.first() {
        return finding.sentence();
    }
    if let Some(order) = context.order.as_ref().filter(|order| order.is_awaited()) {
        let heard_since = last.is_some_and(|last| last.boot.last_ms >= order.since);
        if !heard_since {
            let (number, made) = (order.number, ago(context.now.since(order.since)));
            return format!(
                "Nothing is known to be wrong: order {number} was made {made}, and its machine has not asked to boot yet."
            );
        }
    }
    let Some(Explained { boot, diagnosis, .. }) = last else {
        return "It was never heard, and nothing is expected of it.".into();
    };
    let ago = ago(context.now.since(boot.last_ms));
    match diagnosis.standing {
        Standing::UnderWay => {
            let at = diagnosis.stages.last().map_or("its beginning", |stage| stage.step.title());
            format!("It boots now, and nothing is known to be wrong: it was last heard {ago}, at: {at}.")
        }
        Standing::Ended | Standing::Silent => {
            format!("Nothing is wrong: its last boot, {ago}, ended well ({}).", boot.outcome.word())
        }
    }
}
