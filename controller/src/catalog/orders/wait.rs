//! Orders that wait until their site holds what they need: no permission before, so nothing of them is at the edge, and
//! the controller alone ends the wait.

use std::time::Duration;

use proto::{
    Span, Wall,
    catalog::{AnyResource, HostSpec, Kind, OrderSpec, OrderStatus, Resource, Waiting},
    event::OrderPhase,
};

use super::{edit_order, end_of, not_at_end, over};
use crate::catalog::{
    Catalog, ReadError,
    draft::{CommitError, Draft},
    roles::Actor,
    write::ChangeError,
};

/// How long an order waits if nothing is said.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(24 * 3_600);

/// What an order waits with that is made now.
pub(super) fn begin(wait: Duration, life: Duration, now: Wall) -> Waiting {
    Waiting {
        until_ms: now.plus(wait),
        life: Span::seconds(u32::try_from(life.as_secs()).unwrap_or(u32::MAX)),
    }
}

/// The end of an order's life by its own word, at the latest.
pub(super) fn not_after(waiting: Option<&Waiting>, life: Duration, now: Wall) -> Wall {
    waiting.map_or(now, |waiting| waiting.until_ms).plus(life)
}

impl Catalog {
    /// Arms an order that has waited: from now on it is a permission, and its life begins. False: it does not wait
    /// (any more), its time is over, or its host is locked.
    ///
    /// # Errors
    /// [`ChangeError`].
    pub async fn arm_order(&self, name: &str, now: Wall) -> Result<bool, ChangeError> {
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let Some(before) = waiting_order(&draft, name).await? else { return Ok(false) };
            let Some(waiting) = before.spec.waiting.clone() else { return Ok(false) };
            if before.spec.revoked || now > waiting.until_ms || is_locked(&draft, &before.spec.host).await? {
                return Ok(false);
            }
            let mut after = before.clone();
            after.spec.waiting = None;
            after.spec.armed_ms = Some(now);
            after.spec.not_after_ms = now.plus(waiting.life.into());
            let detail = format!("agent {} holds all that it needs", before.spec.agent);
            edit_order(&mut draft, Some(before), after, "arm", detail);
            if attempts.commit(draft, "controller", now).await?.is_some() {
                return Ok(true);
            }
        }
    }
}

/// What became of an order that waited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    /// It waits.
    On,
    /// It is a permission now.
    Armed,
    /// It was over before it was one; why.
    Over(String),
}

impl Catalog {
    /// The order that a host waits with, if one does.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn waiting_order_of(&self, host: &str) -> Result<Option<Resource<OrderSpec>>, ReadError> {
        let Some(live) = self.host_orders(host).await?.live else { return Ok(None) };
        let order = self.get_order(&live).await?;
        Ok(order.filter(|order| order.spec.waiting.is_some() && end_of(order).is_none()))
    }

    /// What became of an order that waited a moment ago.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn waited(&self, order: &str) -> Result<Waited, ReadError> {
        let Some(order) = self.get_order(order).await? else {
            return Ok(Waited::Over("it was removed".into()));
        };
        let status: Option<OrderStatus> =
            order.status.clone().and_then(|status| serde_json::from_value(status).ok());
        Ok(match status.filter(|status| status.phase.is_end()) {
            Some(status) => Waited::Over(status.reason),
            None if order.spec.waiting.is_some() => Waited::On,
            None => Waited::Armed,
        })
    }
}

async fn waiting_order(draft: &Draft, name: &str) -> Result<Option<Resource<OrderSpec>>, ChangeError> {
    let Some(AnyResource::Order(order)) = draft.get(Kind::Order, name).await? else { return Ok(None) };
    Ok(not_at_end(&order).is_ok().then_some(order))
}

async fn is_locked(draft: &Draft, host: &str) -> Result<bool, ChangeError> {
    let host = draft.catalog().get::<HostSpec>(host).await?;
    Ok(host.is_none_or(|host| host.spec.locked))
}

/// Takes back an order that waits: no agent has it, so it is over at once.
pub(super) async fn cancel(
    draft: &mut Draft,
    order: Resource<OrderSpec>,
    actor: &Actor,
    now: Wall,
) -> Result<(), CommitError> {
    over::free_host(draft, &order).await?;
    over::end(draft, order, OrderPhase::Revoked, &format!("taken back by {}", actor.label()), now)
}
