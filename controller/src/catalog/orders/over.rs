//! Orders that end without their agent's word: when they could not be obeyed any more by any clock, and when an admin
//! vouches that the agent, which is revoked and so can confirm nothing, is gone for good.
//!
//! Revoking an agent ends no order by itself: the agent is not told, may be cut off, and may obey what it has for as
//! long as the order lasts (DESIGN §5).

use std::time::Duration;

use netboot::decide::ORDERS_WAIT;
use proto::{
    Span, Wall,
    catalog::{AgentSpec, AnyResource, HostSpec, Kind, OrderSpec, OrderStatus, Resource, Role},
    event::OrderPhase,
};
use serde_json::{Value, json};

use super::{CLOCK_ERROR, at_end, edit_order, put_host_orders};
use crate::catalog::{
    Catalog, ReadError,
    draft::{CommitError, Draft},
    keys,
    read::HostOrders,
    roles::Actor,
    write::ChangeError,
};

/// For how long an installer may run whose order does not say it and whose profile is not there to be asked.
const LONGEST_INSTALL: Duration = Duration::from_secs(7 * 86_400);

/// After this moment the order's agent cannot be entering it, by any clock.
pub(super) fn entered_by(order: &OrderSpec) -> Wall {
    order.not_after_ms.plus(CLOCK_ERROR)
}

/// After this moment nothing is served under the order any more, whether or not its agent can say so. The order's own
/// time counts: its agent holds what it started with, whatever its profile says by now.
pub(super) fn over_at(order: &OrderSpec, profile: Option<&AnyResource>) -> Wall {
    if let Some(waiting) = &order.waiting {
        // No agent has it.
        return waiting.until_ms;
    }
    let install_time = match (order.install_time, profile) {
        (Some(own), _) => own.into(),
        (None, Some(AnyResource::Profile(profile))) => profile.spec.install_time.into(),
        (None, Some(_) | None) => LONGEST_INSTALL,
    };
    entered_by(order).plus(install_time)
}

/// Ends an order by the controller's own word; an end that the agent reports later replaces it.
pub(super) fn end(
    draft: &mut Draft,
    before: Resource<OrderSpec>,
    phase: OrderPhase,
    reason: &str,
    now: Wall,
) -> Result<(), CommitError> {
    let status = OrderStatus { phase, since_ms: now, reason: reason.into(), attempt: None };
    let mut after = before.clone();
    after.status = Some(serde_json::to_value(status).expect("plain text and numbers"));
    draft.put_along(keys::status(Kind::Order, &before.name)?, None);
    edit_order(draft, Some(before), after, "end", format!("{}: {reason}", phase.word()));
    Ok(())
}

/// Why an order keeps its host, and until when.
pub(super) fn still_stands(
    name: &str,
    order: &OrderSpec,
    phase: OrderPhase,
    agent: Agent,
    rest: Duration,
) -> String {
    let hint = match (agent, order.revoked) {
        (Agent::Revoked, _) => format!(
            "its agent {} is revoked and cannot confirm its end; if that agent is gone for good, \
             `bootlane order revoke {name} --abandon` ends the order now",
            order.agent
        ),
        (Agent::Serving, true) => {
            format!("it is revoked, but agent {} has not confirmed that yet", order.agent)
        }
        (Agent::Serving, false) => "revoke it first".to_owned(),
    };
    let minutes = rest.as_secs().div_ceil(60);
    let rest = Span::seconds(u32::try_from(minutes * 60).unwrap_or(u32::MAX));
    format!(
        "host {} has the live order {name} ({}): {hint}; it ends by itself within {rest}",
        order.host,
        phase.word()
    )
}

/// Why an order cannot be removed yet.
pub(in crate::catalog) async fn why_it_stays(
    draft: &Draft,
    order: &Resource<OrderSpec>,
) -> Result<String, ReadError> {
    let (name, agent) = (&order.name, &order.spec.agent);
    Ok(match draft.agent_of(&order.spec).await? {
        Agent::Serving => "is not at its end: revoke it and let its agent confirm".into(),
        Agent::Revoked => format!(
            "is not at its end, and its agent {agent} is revoked and cannot confirm it: `bootlane order get {name}` \
             says when it ends by itself; if that agent is gone for good, `bootlane order revoke {name} --abandon` \
             ends it now"
        ),
    })
}

/// Can the agent of an order still say how it ended?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Agent {
    /// It can.
    Serving,
    /// No call of it is answered.
    Revoked,
}

impl Agent {
    fn of(agent: Option<&AgentSpec>) -> Self {
        if agent.is_none_or(|agent| agent.revoked) { Self::Revoked } else { Self::Serving }
    }
}

impl Draft {
    /// See [`Agent`].
    pub(super) async fn agent_of(&self, order: &OrderSpec) -> Result<Agent, ReadError> {
        Ok(match self.get(Kind::Agent, &order.agent).await? {
            Some(AnyResource::Agent(agent)) => Agent::of(Some(&agent.spec)),
            Some(_) | None => Agent::Revoked,
        })
    }
}

impl Catalog {
    /// Ends every order that could not be obeyed any more by any clock; how many there were. What has an end can be
    /// removed, also where an agent never comes back to tell how it went. One that cannot be ended is logged and keeps
    /// no other from its end.
    ///
    /// # Errors
    /// [`ReadError`]: there is no list of sites.
    pub async fn end_overdue_orders(&self, now: Wall) -> Result<usize, ReadError> {
        let mut ended = 0;
        for site in self.site_names().await? {
            match self.list::<OrderSpec>(Some(&site)).await {
                Ok(orders) => ended += self.end_overdue_of(&site, &orders.items, now).await,
                Err(error) => tracing::warn!(site, %error, "cannot look for orders whose time is over"),
            }
        }
        Ok(ended)
    }

    /// The same of one order; false: its time is not over, or it has ended.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn end_overdue_order(&self, name: &str, now: Wall) -> Result<bool, ChangeError> {
        match self.get_order(name).await? {
            Some(order) if !at_end(&order) => self.end_overdue(&order, now).await,
            Some(_) | None => Ok(false),
        }
    }

    async fn end_overdue_of(&self, site: &str, orders: &[Resource<OrderSpec>], now: Wall) -> usize {
        let mut ended = 0;
        for order in orders.iter().filter(|order| !at_end(order)) {
            match self.end_overdue(order, now).await {
                Ok(done) => ended += usize::from(done),
                Err(error) => {
                    tracing::warn!(site, order = order.name, %error, "cannot end an order whose time may be over");
                }
            }
        }
        ended
    }

    async fn over_at(&self, order: &OrderSpec) -> Result<Wall, ReadError> {
        Ok(over_at(order, self.get_any(Kind::Profile, &order.profile).await?.as_ref()))
    }

    /// False: its time is not over, or somebody else has ended it.
    async fn end_overdue(&self, seen: &Resource<OrderSpec>, now: Wall) -> Result<bool, ChangeError> {
        if now <= self.over_at(&seen.spec).await? {
            return Ok(false);
        }
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let Some(AnyResource::Order(order)) = draft.get(Kind::Order, &seen.name).await? else {
                return Ok(false);
            };
            if at_end(&order) || now <= self.over_at(&order.spec).await? {
                return Ok(false);
            }
            free_host(&mut draft, &order).await?;
            let reason = match order.spec.waiting {
                Some(_) => "its site did not hold what it needs in time",
                None => "its agent did not report its end",
            };
            end(&mut draft, order, OrderPhase::Expired, reason, now)?;
            if attempts.commit(draft, "controller", now).await?.is_some() {
                return Ok(true);
            }
        }
    }

    /// Ends an order at once whose agent is revoked, on the word of an admin that this agent is gone for good: switched
    /// off, or its disk destroyed. If it is not, it may obey the order still, until its time is over.
    ///
    /// # Errors
    /// [`ChangeError`]: unknown, at its end already, or its agent is not revoked and can confirm a revocation.
    pub async fn abandon_order(
        &self,
        actor: &Actor,
        name: &str,
        now: Wall,
    ) -> Result<Resource<OrderSpec>, ChangeError> {
        actor.require(Role::Admin, &format!("abandoning order {name}"))?;
        let not_found = || ChangeError::NotFound { kind: Kind::Order, name: name.to_owned() };
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let Some(AnyResource::Order(order)) = draft.get(Kind::Order, name).await? else {
                return Err(not_found());
            };
            super::not_at_end(&order)?;
            if draft.agent_of(&order.spec).await? == Agent::Serving {
                let agent = &order.spec.agent;
                return Err(ChangeError::Precondition(format!(
                    "agent {agent} of order {name} is not revoked and can confirm its end: revoke the order without \
                     --abandon, or the agent first, if it is gone for good"
                )));
            }
            free_host(&mut draft, &order).await?;
            let reason = format!("abandoned by {}: its agent {} is revoked", actor.label(), order.spec.agent);
            end(&mut draft, order, OrderPhase::Revoked, &reason, now)?;
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                drop(attempts);
                return self.get_order(name).await?.ok_or_else(not_found);
            }
        }
    }

    /// What there is to know of an order that is not at its end, beside what its agent has reported: fields for its
    /// status. `over_ms`: when it ends at the latest, whether or not its agent reports that. `held_up`: why its agent starts
    /// no order now, in the agent's words; left out where it would.
    pub(in crate::catalog) async fn outlook(&self, order: &Resource<OrderSpec>) -> Result<Value, ReadError> {
        let agent = self.get::<AgentSpec>(&order.spec.agent).await?;
        let host = self.get::<HostSpec>(&order.spec.host).await?;
        let mut outlook = json!({
            "over_ms": self.over_at(&order.spec).await?,
            "agent_revoked": Agent::of(agent.as_ref().map(|agent| &agent.spec)) == Agent::Revoked,
            "host_locked": host.is_some_and(|host| host.spec.locked),
        });
        if self.has_no_room(&order.spec.agent).await? {
            outlook["held_up"] = ORDERS_WAIT.into();
        }
        Ok(outlook)
    }

    /// Has this agent said last that its disk is full? Then no order of its starts, whatever else it needs.
    pub(crate) async fn has_no_room(&self, agent: &str) -> Result<bool, ReadError> {
        let status = self.status(Kind::Agent, agent).await?;
        let low = |status: &Value| status.get("disk_low").and_then(Value::as_bool);
        Ok(status.as_ref().and_then(low).unwrap_or(false))
    }
}

/// The host may have another order.
pub(super) async fn free_host(draft: &mut Draft, order: &Resource<OrderSpec>) -> Result<(), CommitError> {
    let orders = draft.catalog().host_orders(&order.spec.host).await?;
    if orders.live.as_ref() == Some(&order.name) {
        put_host_orders(draft, &order.spec.host, &HostOrders { live: None, ..orders })?;
    }
    Ok(())
}
