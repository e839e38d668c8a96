//! Gathers what is known of a machine, and has it judged: the shell of [`crate::diagnosis`].
//!
//! An [`Inquiry`] answers one question: it reads each site's plan once, and what the store does not tell is left out of
//! the [`Context`], so that a controller which lacks a part says less and fails nobody.

mod agent;
mod host;
mod installs;
mod plan;

pub(crate) use agent::AgentLink;
pub(crate) use host::{HostExplained, Subject};

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proto::catalog::{HostSpec, OrderSpec, OrderStatus, Resource};
use proto::event::{AlarmKind, EventKind, OrderPhase};
use proto::plan::SitePlan;
use proto::{AttemptId, HostId, OrderId, Wall, v1};

use crate::app::App;
use crate::catalog::ReadError;
use crate::diagnosis::{
    BootFacts, Context, Diagnosis, HostFacts, OrderFacts, OrderState, Supply, SupplyState, examine,
};
use crate::events::{self, BootFilter, BootSummary, StoredEvent};
use crate::readiness;

/// Attempts of one machine that are looked at.
const ATTEMPTS: usize = 50;
/// Attempts among which those of a machine are sought that is no host.
const STRANGERS: usize = 1_000;
/// An alarm about another DHCP server counts for so long.
const FRESH: Duration = Duration::from_secs(86_400);

/// Why nothing can be said.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ExplainError {
    /// The catalog could not be read.
    #[error(transparent)]
    Catalog(#[from] ReadError),
    /// The event store could not be read.
    #[error(transparent)]
    Events(#[from] events::ReadError),
}

/// One attempt, and what is to be said of it.
#[derive(Debug)]
pub(crate) struct Explained {
    pub(crate) boot: BootSummary,
    pub(crate) events: Vec<StoredEvent>,
    pub(crate) diagnosis: Diagnosis,
}

/// One question.
pub(crate) struct Inquiry<'a> {
    app: &'a App,
    now: Wall,
    plans: HashMap<String, Option<Arc<SitePlan>>>,
}

impl<'a> Inquiry<'a> {
    /// As of now.
    pub(crate) fn new(app: &'a App) -> Self {
        Self { app, now: app.clock.wall(), plans: HashMap::new() }
    }

    /// The present that silences are judged against.
    pub(crate) fn now(&self) -> Wall {
        self.now
    }

    /// One attempt with all that is known beside it; None: there is no such attempt (any more).
    ///
    /// # Errors
    /// [`ExplainError`].
    pub(crate) async fn attempt(&mut self, attempt: AttemptId) -> Result<Option<Explained>, ExplainError> {
        let Some(boot) = self.app.events.boot(attempt).await? else { return Ok(None) };
        let others = self.attempts_of(&boot).await?;
        self.explain(boot, &others).await.map(Some)
    }

    /// The same of an attempt that was read, with the machine's attempts, the latest first.
    async fn explain(
        &mut self,
        boot: BootSummary,
        others: &[BootSummary],
    ) -> Result<Explained, ExplainError> {
        let events = self.app.events.boot_events(boot.attempt).await?;
        let context = self.context(&boot, &events, others).await?;
        let diagnosis = examine(&boot, &events, &context);
        Ok(Explained { boot, events, diagnosis })
    }

    /// What a list says of its attempts: without what is known beside them, but for the attempts themselves.
    ///
    /// # Errors
    /// [`ExplainError`].
    pub(crate) async fn listed(
        &mut self,
        boot: &BootSummary,
        others: &[BootSummary],
    ) -> Result<Diagnosis, ExplainError> {
        let events = self.app.events.boot_events(boot.attempt).await?;
        let agent = self.agent_facts(&boot.site, &boot.agent).await?;
        let (former, next_began) = around(boot, others);
        let context = Context { agent: Some(agent), former, next_began, ..Context::at(self.now) };
        Ok(examine(boot, &events, &context))
    }

    async fn context(
        &mut self,
        boot: &BootSummary,
        events: &[StoredEvent],
        others: &[BootSummary],
    ) -> Result<Context, ExplainError> {
        let (former, next_began) = around(boot, others);
        let ordered = self.order_of(events).await?;
        let host = self.host_of(boot.host).await?;
        let profile = ordered.as_ref().map(|order| order.spec.profile.clone());
        let profile = profile.or_else(|| host.as_ref().and_then(|host| host.spec.profile.clone()));
        let boots = self.boot_facts(&boot.site, boot.mac, profile, ordered.is_some()).await?;
        let usual = match (&ordered, ends_in_installation(events)) {
            (Some(order), true) => {
                installs::usual(self.app, &boot.site, boot.attempt, &order.spec.profile).await?
            }
            _ => None,
        };
        Ok(Context {
            supply: self.supply(&boot.site, &boot.agent, ordered.as_ref(), boots.as_ref()).await?,
            order: self.live_order(host.as_ref()).await?,
            agent: Some(self.agent_facts(&boot.site, &boot.agent).await?),
            loader: self.loader_facts(&boot.site, events).await,
            site: self.site_facts(&boot.site),
            foreign_servers: self.foreign_servers(&boot.site).await?,
            host: host.map(|host| facts(&host)),
            former,
            next_began,
            boots,
            usual,
            now: self.now,
        })
    }

    /// The machine's attempts, the latest first.
    async fn attempts_of(&self, boot: &BootSummary) -> Result<Vec<BootSummary>, ExplainError> {
        let limit = if boot.host.is_some() { ATTEMPTS } else { STRANGERS };
        let filter = BootFilter { host: boot.host, site: Some(boot.site.clone()), limit };
        let mut found = self.app.events.boots(filter).await?;
        found.retain(|other| is_of_same_machine(boot, other));
        Ok(found)
    }

    async fn host_of(&self, host: Option<HostId>) -> Result<Option<Resource<HostSpec>>, ExplainError> {
        let Some(host) = host else { return Ok(None) };
        let Some(name) = self.app.catalog.host_name(host).await? else { return Ok(None) };
        Ok(self.app.catalog.get_host(&name).await?)
    }

    /// The order that the attempt boots under, if that is still kept.
    async fn order_of(&self, events: &[StoredEvent]) -> Result<Option<Resource<OrderSpec>>, ExplainError> {
        let ordered = events.iter().rev().find_map(|event| {
            let (EventKind::OrderMoved { order, .. } | EventKind::Decided { order: Some(order), .. }) =
                &event.numbered.event.kind
            else {
                return None;
            };
            Some(*order)
        });
        let Some(order) = ordered else { return Ok(None) };
        self.order(order).await
    }

    async fn order(&self, order: OrderId) -> Result<Option<Resource<OrderSpec>>, ExplainError> {
        let Some(name) = self.app.catalog.order_name(order).await? else { return Ok(None) };
        Ok(self.app.catalog.get_order(&name).await?)
    }

    /// The host's order that is not at its end.
    async fn live_order(
        &self,
        host: Option<&Resource<HostSpec>>,
    ) -> Result<Option<OrderFacts>, ExplainError> {
        let Some(host) = host else { return Ok(None) };
        let Some(name) = self.app.catalog.host_orders(&host.name).await?.live else { return Ok(None) };
        let Some(order) = self.app.catalog.get_order(&name).await? else { return Ok(None) };
        let seen = self.app.catalog.status(proto::catalog::Kind::Order, &name).await?;
        let seen: Option<OrderStatus> = seen.and_then(|seen| serde_json::from_value(seen).ok());
        Ok(Some(order_facts(&order, seen.map(|seen| seen.phase))))
    }

    async fn supply(
        &self,
        site: &str,
        agent: &str,
        order: Option<&Resource<OrderSpec>>,
        boots: Option<&BootFacts>,
    ) -> Result<Option<Supply>, ExplainError> {
        let ordered = match order {
            Some(order) => readiness::of_order(self.app, &order.name).await?.map(|(message, _)| message),
            None => None,
        };
        let readiness = match (ordered, boots) {
            (Some(ordered), _) => Some(ordered),
            (None, Some(boots)) => readiness::of_image(self.app, site, agent, &boots.image).await?,
            (None, None) => None,
        };
        Ok(readiness.as_ref().map(supply_of))
    }

    async fn foreign_servers(&self, site: &str) -> Result<Vec<String>, ExplainError> {
        let alarms = self.app.catalog.alarms(Some(site)).await?;
        let fresh = alarms
            .into_iter()
            .map(|(_, alarm)| alarm)
            .filter(|alarm| alarm.kind == AlarmKind::ForeignDhcp && self.now.since(alarm.last_ms) < FRESH);
        Ok(fresh.map(|alarm| alarm.detail).collect())
    }
}

/// The attempts before this one, the latest first, and when the next one began.
fn around(boot: &BootSummary, others: &[BootSummary]) -> (Vec<BootSummary>, Option<Wall>) {
    let mine = others.iter().filter(|other| other.attempt != boot.attempt && is_of_same_machine(boot, other));
    let (former, later): (Vec<_>, Vec<_>) = mine.cloned().partition(|other| other.began_ms <= boot.began_ms);
    (former, later.iter().map(|later| later.began_ms).min())
}

fn is_of_same_machine(boot: &BootSummary, other: &BootSummary) -> bool {
    match boot.host {
        Some(host) => other.host == Some(host),
        None => boot.mac.is_some() && other.mac == boot.mac,
    }
}

fn ends_in_installation(events: &[StoredEvent]) -> bool {
    let started = |event: &StoredEvent| {
        matches!(event.numbered.event.kind, EventKind::OrderMoved { phase: OrderPhase::Started, .. })
    };
    events.iter().any(started)
}

fn facts(host: &Resource<HostSpec>) -> HostFacts {
    HostFacts { name: host.name.clone(), locked: host.spec.locked }
}

fn order_facts(order: &Resource<OrderSpec>, phase: Option<OrderPhase>) -> OrderFacts {
    let spec = &order.spec;
    let made = order.meta.as_ref().map(|meta| meta.created_ms).unwrap_or_default();
    let state = match phase.unwrap_or(OrderPhase::Armed) {
        OrderPhase::Armed if spec.waiting.is_some() => OrderState::Waiting,
        OrderPhase::Armed => OrderState::Armed,
        OrderPhase::Offered => OrderState::Offered,
        OrderPhase::Started => OrderState::Started,
        OrderPhase::Installed | OrderPhase::Failed | OrderPhase::Expired | OrderPhase::Revoked => {
            OrderState::Ended
        }
    };
    let state = if spec.revoked { OrderState::Ended } else { state };
    OrderFacts {
        name: order.name.clone(),
        number: spec.number,
        state,
        profile: spec.profile.clone(),
        agent: spec.agent.clone(),
        since: spec.armed_ms.unwrap_or(made),
        not_after: spec.not_after_ms,
    }
}

fn supply_of(readiness: &v1::Readiness) -> Supply {
    let state = match readiness.state.as_str() {
        "ready" => SupplyState::Ready,
        "arriving" | "waiting" => SupplyState::Arriving,
        "failed" => SupplyState::Failed,
        _ => SupplyState::Unknown,
    };
    Supply {
        state,
        bytes: readiness.bytes,
        held: readiness.held_bytes,
        done: (readiness.done_ms != 0).then_some(Wall(readiness.done_ms)),
        why: readiness.why.clone(),
        remedy: readiness.remedy.clone(),
    }
}
