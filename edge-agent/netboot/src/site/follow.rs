//! What comes from above and from time: plans, acknowledgements, the disk's state, expiry.

use std::{sync::Arc, time::Duration};

use proto::{
    Incarnation, Wall,
    event::{AlarmKind, EventKind},
    ledger::Record,
    plan::SitePlan,
};
use rand::RngCore;

use super::{About, CLOCKS_APART, Disk, Site};
use crate::{orders::Moved, time::Now};

/// How long an installation may take whose order has left the plan.
const INSTALL_TIME: Duration = Duration::from_secs(3_600);

impl Site {
    /// Older plans and equal ones are the shell's to refuse: it holds the last two on disk.
    pub(super) fn handle_plan(&mut self, now: Now, plan: Arc<SitePlan>) {
        let known = self.plan.as_ref().map(|former| former.id);
        if known == Some(plan.id) {
            return;
        }
        self.report(now, About::default(), EventKind::PlanAdopted(plan.id));
        for doubt in &plan.doubts {
            let detail = format!("{}: {}", doubt.key, doubt.why);
            self.alarm(now, AlarmKind::PlanNotUnderstood, detail);
        }
        let steps = self.orders.follow(&plan, &self.config.agent, now.wall);
        self.pin_orders(&plan);
        self.dhcp.follow(&plan);
        self.meter_hosts_of(&plan);
        self.forget_forms(&plan);
        self.foreign_servers.follow(now.mono, &plan.network, self.random.next_u32());
        self.plan = Some(plan);
        self.all_moved(now, &steps);
    }

    pub(super) fn handle_acknowledged(&mut self, incarnation: Incarnation, number: u64) {
        if incarnation != self.incarnation {
            return;
        }
        if let Some(record) = self.journal.acknowledge(number) {
            self.persist(record);
        }
    }

    /// Two clocks that agree are right. Ours may be put right then: what was recorded ahead of both was a clock that ran
    /// away, and would end every order and keep every lease for ever.
    pub(super) fn compare_clocks(&mut self, now: Now, system: Wall, controller: Wall) {
        let apart = system.since(controller).max(controller.since(system));
        let in_doubt = apart > CLOCKS_APART;
        if in_doubt && !self.clock_in_doubt {
            let detail = format!(
                "the clock is {} s from the controller's; orders wait: set it right",
                apart.as_secs()
            );
            self.alarm(now, AlarmKind::ClockBehind, detail);
        }
        self.clock_in_doubt = in_doubt;
        if !in_doubt && now.wall > system.plus(CLOCKS_APART) {
            self.floor = Now { mono: now.mono, wall: system };
            self.persist(Record::WallSet(system));
        }
    }

    pub(super) fn handle_disk(&mut self, now: Now, disk: Disk) {
        if disk == Disk::Full && self.disk != Disk::Full {
            let detail = "no room: pool addresses and new orders wait; fixed addresses and local boots go on";
            self.alarm(now, AlarmKind::DiskLow, detail.into());
        }
        self.disk = disk;
    }

    pub(super) fn look_at_orders(&mut self, now: Now) {
        let pinned = &self.pinned;
        let install = |id| pinned.get(&id).map_or(INSTALL_TIME, |order| order.install);
        let steps = if self.clock_in_doubt { vec![] } else { self.orders.expire(now.wall, install) };
        self.all_moved(now, &steps);
        for record in self.orders.forget(now.wall) {
            self.persist(record);
        }
    }

    fn all_moved(&mut self, now: Now, steps: &[Moved]) {
        for moved in steps {
            self.moved(now, None, None, moved);
        }
    }
}
