//! Orders: the one that an attempt boots under, and the one that stands.

use proto::catalog::{HostSpec, Kind, OrderSpec, OrderStatus, Resource};
use proto::event::OrderPhase;

use super::{Inquiry, Unreadable};
use crate::diagnosis::{self, OrderFacts, OrderState};
use crate::events::StoredEvent;

impl Inquiry {
    /// The order that the attempt boots under, if that is still kept.
    pub(super) async fn order_of(
        &self,
        events: &[StoredEvent],
    ) -> Result<Option<Resource<OrderSpec>>, Unreadable> {
        let Some(order) = diagnosis::order_of(events) else { return Ok(None) };
        let Some(name) = self.app.catalog.order_name(order).await? else { return Ok(None) };
        Ok(self.app.catalog.get_order(&name).await?)
    }

    /// The host's order that is not at its end.
    pub(super) async fn live_order(
        &self,
        host: Option<&Resource<HostSpec>>,
    ) -> Result<Option<OrderFacts>, Unreadable> {
        let Some(host) = host else { return Ok(None) };
        let Some(name) = self.app.catalog.host_orders(&host.name).await?.live else { return Ok(None) };
        let Some(order) = self.app.catalog.get_order(&name).await? else { return Ok(None) };
        let seen = self.app.catalog.status(Kind::Order, &name).await?;
        let seen: Option<OrderStatus> = seen.and_then(|seen| serde_json::from_value(seen).ok());
        Ok(Some(facts(&order, seen.map(|seen| seen.phase))))
    }
}

/// Of an order whose phase does not matter.
pub(super) fn stored(order: &Resource<OrderSpec>) -> OrderFacts {
    facts(order, None)
}

fn facts(order: &Resource<OrderSpec>, phase: Option<OrderPhase>) -> OrderFacts {
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
