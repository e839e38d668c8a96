//! When an installation may begin: the one place where an order enters `started` (DESIGN §6 "Orders").

use std::sync::Arc;

use proto::{
    Mac, OrderId,
    event::OrderPhase,
    plan::{OrderPlan, SitePlan},
};

use super::{Disk, Site};
use crate::{attempts::Reached, time::Now};

impl Site {
    /// What the order installs. Once it has started, a later plan does not change it under the machine's feet.
    pub(super) fn order_plan(&self, id: OrderId) -> Option<Arc<OrderPlan>> {
        self.pinned.get(&id).cloned()
    }

    /// Keeps what the orders of a plan install; see [`Site::order_plan`].
    pub(super) fn pin_orders(&mut self, plan: &SitePlan) {
        self.pinned.retain(|id, _| plan.orders.contains_key(id) || plan.doubts_order(*id));
        for order in plan.orders.values() {
            let started = self.orders.get(order.id).is_some_and(|state| state.phase == OrderPhase::Started);
            if !started || !self.pinned.contains_key(&order.id) {
                self.pinned.insert(order.id, Arc::new(order.clone()));
            }
        }
    }

    /// May anything be served under this order? What has started goes on, whatever the plan says of the host meanwhile.
    pub(super) fn may_go_on(&self, plan: &SitePlan, order: &OrderPlan) -> Result<(), String> {
        if self.orders.get(order.id).is_some_and(|state| state.phase == OrderPhase::Started) {
            return Ok(());
        }
        if order.agent != self.config.agent {
            return Err(format!("the order is agent {}'s", order.agent));
        }
        match plan.hosts.get(&order.host) {
            Some(host) if !host.locked => Ok(()),
            Some(_) => Err("the host is locked: no order is obeyed".into()),
            None => Err("the host is not in the plan".into()),
        }
    }

    /// The first byte of what overwrites a disk is about to leave, or the installer says that it runs. On disk before
    /// either is answered.
    pub(super) fn begin_installation(
        &mut self,
        now: Now,
        plan: &SitePlan,
        order: &OrderPlan,
        mac: Mac,
    ) -> Result<(), String> {
        self.may_go_on(plan, order)?;
        let begun = self.orders.get(order.id).is_some_and(|state| state.phase == OrderPhase::Started);
        if !begun && self.clock_in_doubt {
            return Err("the agent's clock is in doubt: no installation starts".into());
        }
        if !begun && self.disk == Disk::Full {
            return Err("the agent's disk is full: no installation starts".into());
        }
        if let Some(moved) = self.orders.start(order.id, now.wall).map_err(|why| why.to_string())? {
            self.moved(now, None, Some(mac), &moved);
        }
        if let Some(attempt) = self.attempts.heard(now.mono, mac) {
            attempt.reached = attempt.reached.max(Reached::Handover);
        }
        Ok(())
    }
}
