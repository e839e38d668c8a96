//! Orders at the edge: how far each has come, enforced alone and durably (DESIGN §6 "Orders").
//!
//! `armed → offered(attempt) → started → installed | failed | expired | revoked`. The states here are the agent's own
//! and outlive the plan: an order at its end is remembered until it could not be obeyed anyway, so a controller that is
//! restored from an old backup installs nothing twice.

use std::{collections::BTreeMap, time::Duration};

use proto::{
    AttemptId, HostId, OrderId, Token128, Wall,
    event::{EventKind, OrderPhase},
    ledger::{OrderRecord, OrderState, Part, Record},
    plan::{OrderPlan, SitePlan},
};

/// How long beyond its `not_after` an order at its end is remembered: more than a clock may be wrong.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);

/// The states of all orders that this agent has seen.
#[derive(Debug, Default)]
pub struct Orders {
    states: BTreeMap<OrderId, OrderState>,
}

/// A step of an order: the record precedes whatever rests on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The state entered.
    pub state: OrderState,
    /// For people.
    pub reason: String,
}

impl Moved {
    /// For the ledger.
    #[must_use]
    pub fn record(&self) -> Record {
        Record::Order(self.state)
    }

    /// For the journal.
    #[must_use]
    pub fn event(&self) -> EventKind {
        let OrderState { order, number, phase, .. } = self.state;
        EventKind::OrderMoved { order, number, phase, reason: self.reason.clone() }
    }
}

/// Why an order is not obeyed now. The answer is the local disk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Standing {
    /// Another agent's.
    #[error("the order is agent {0}'s")]
    OtherAgent(String),
    /// A newer order of this host was seen before.
    #[error("order number {0} was seen before, this one is older")]
    Superseded(u64),
    /// The installation has begun under another attempt.
    #[error("the installation has already started")]
    Started,
    /// It is at its end.
    #[error("the order is {}", .0.word())]
    Ended(OrderPhase),
    /// `not_after` has passed.
    #[error("the order has expired")]
    Expired,
    /// Every attempt was used.
    #[error("all {0} attempts were used and none started the installation")]
    Exhausted(u32),
}

impl Standing {
    /// Is the order simply over? Then the host boots what it boots without one; else the answer is the local disk.
    #[must_use]
    pub fn is_over(&self) -> bool {
        match self {
            Self::Ended(_) | Self::Expired => true,
            Self::OtherAgent(_) | Self::Superseded(_) | Self::Started | Self::Exhausted(_) => false,
        }
    }
}

impl Orders {
    /// The newest order of a host that this agent remembers.
    pub fn newest_of(&self, host: HostId) -> Option<&OrderState> {
        self.states.values().filter(|state| state.host == host).max_by_key(|state| state.number)
    }

    /// May `attempt` (None: any new one) boot under this order now?
    ///
    /// # Errors
    /// Says why not.
    pub fn stands(
        &self,
        order: &OrderPlan,
        agent: &str,
        attempt: Option<AttemptId>,
        now: Wall,
    ) -> Result<(), Standing> {
        if order.agent != agent {
            return Err(Standing::OtherAgent(order.agent.clone()));
        }
        let newest = self.newest_of(order.host).map(|state| state.number);
        if let Some(newest) = newest.filter(|newest| *newest > order.number) {
            return Err(Standing::Superseded(newest));
        }
        let Some(state) = self.states.get(&order.id) else {
            return if now > order.not_after { Err(Standing::Expired) } else { Ok(()) };
        };
        let same = attempt.is_some() && state.attempt == attempt;
        match state.phase {
            // Not even to the attempt that started it: a machine that asks a boot server again has been reset.
            OrderPhase::Started => Err(Standing::Started),
            OrderPhase::Installed | OrderPhase::Failed | OrderPhase::Expired | OrderPhase::Revoked => {
                Err(Standing::Ended(state.phase))
            }
            OrderPhase::Armed | OrderPhase::Offered if now > order.not_after => Err(Standing::Expired),
            OrderPhase::Armed | OrderPhase::Offered if !same && state.attempts >= order.attempts => {
                Err(Standing::Exhausted(state.attempts))
            }
            OrderPhase::Armed | OrderPhase::Offered => Ok(()),
        }
    }

    /// `attempt` boots under the order. None when it already does. Call only where [`Orders::stands`].
    pub fn offer(&mut self, order: &OrderPlan, attempt: AttemptId, token: Token128) -> Option<Moved> {
        let state = self.states.get(&order.id).copied().unwrap_or_else(|| armed(order));
        if state.attempt == Some(attempt) {
            return None;
        }
        let attempts = state.attempts + 1;
        let (attempt, token) = (Some(attempt), Some(token));
        let reason = format!("attempt {attempts} of {}", order.attempts);
        Some(self.enter(OrderState { phase: OrderPhase::Offered, attempts, attempt, token, ..state }, reason))
    }

    /// The first byte of what overwrites a disk is about to leave. None when it already has.
    ///
    /// # Errors
    /// When the order is not offered, or its time to start has passed.
    pub fn start(&mut self, id: OrderId, now: Wall) -> Result<Option<Moved>, Standing> {
        let Some(state) = self.states.get(&id).copied() else { return Err(Standing::Expired) };
        match state.phase {
            OrderPhase::Started => Ok(None),
            OrderPhase::Offered if now > state.not_after => Err(Standing::Expired),
            OrderPhase::Offered => {
                let state = OrderState { phase: OrderPhase::Started, started: Some(now), ..state };
                Ok(Some(self.enter(state, "the installation begins".into())))
            }
            OrderPhase::Armed
            | OrderPhase::Installed
            | OrderPhase::Failed
            | OrderPhase::Expired
            | OrderPhase::Revoked => Err(Standing::Ended(state.phase)),
        }
    }

    /// The installer says how it ended. One that fetched nothing that starts an order may say so while it is `offered`.
    /// None when the order is at its end already: a repeated word changes nothing.
    pub fn finish(&mut self, id: OrderId, phase: OrderPhase, reason: String) -> Option<Moved> {
        let under_way = |state: &OrderState| matches!(state.phase, OrderPhase::Offered | OrderPhase::Started);
        let state = self.states.get(&id).copied().filter(under_way)?;
        Some(self.enter(OrderState { phase, ..state }, reason))
    }

    /// Takes in the orders of a plan: new ones are armed; those that have left it, or were given to another agent, are
    /// revoked. One whose part of the plan is not understood stays as it is: a doubt is no revocation.
    pub fn follow(&mut self, plan: &SitePlan, agent: &str, now: Wall) -> Vec<Moved> {
        let left = |state: &OrderState| match plan.orders.get(&state.order) {
            Some(order) => (order.agent != agent).then(|| format!("it was given to agent {}", order.agent)),
            None => (!plan.doubts_order(state.order)).then(|| "it is no longer in the plan".to_owned()),
        };
        let live = self.states.values().filter(|state| !state.phase.is_end());
        let gone: Vec<_> = live.filter_map(|state| Some((*state, left(state)?))).collect();
        let revoke = |(state, why)| (OrderState { phase: OrderPhase::Revoked, ..state }, why);
        let new = plan.orders.values().filter(|order| {
            order.agent == agent && !self.states.contains_key(&order.id) && now <= order.not_after
        });
        let arm = |order| (armed(order), "ready at the edge".to_owned());
        let steps: Vec<_> = gone.into_iter().map(revoke).chain(new.map(arm)).collect();
        steps.into_iter().map(|(state, reason)| self.enter(state, reason)).collect()
    }

    /// What time alone has ended: orders that were not started in time, installations that fell silent.
    pub fn expire(&mut self, now: Wall, install_time: impl Fn(OrderId) -> Duration) -> Vec<Moved> {
        let ended: Vec<_> =
            self.states.values().filter_map(|state| ended_by_time(state, now, &install_time)).collect();
        ended.into_iter().map(|(state, reason)| self.enter(state, reason)).collect()
    }

    /// Orders at their end that need not be remembered any more.
    pub fn forget(&mut self, now: Wall) -> Vec<Record> {
        let old = self.states.values().filter(|s| s.phase.is_end() && now > s.not_after.plus(REMEMBERED));
        let old: Vec<_> = old.map(|state| state.order).collect();
        old.into_iter()
            .map(|id| {
                self.states.remove(&id);
                Record::OrderRemoved(id)
            })
            .collect()
    }

    /// The order whose files this token opens.
    #[must_use]
    pub fn by_token(&self, token: Token128) -> Option<&OrderState> {
        self.states.values().find(|state| state.token == Some(token))
    }

    /// The order that an attempt boots under.
    #[must_use]
    pub fn by_attempt(&self, attempt: AttemptId) -> Option<&OrderState> {
        self.states.values().find(|state| state.attempt == Some(attempt))
    }

    /// How far an order has come.
    #[must_use]
    pub fn get(&self, id: OrderId) -> Option<&OrderState> {
        self.states.get(&id)
    }

    /// Orders at their end that are still remembered.
    pub fn ended(&self) -> impl Iterator<Item = OrderId> + '_ {
        self.states.values().filter(|state| state.phase.is_end()).map(|state| state.order)
    }

    /// Replays a record of the ledger; those of other kinds are not the orders'.
    pub fn restore(&mut self, record: &Record) {
        let Part::Orders(record) = record.part() else { return };
        match record {
            OrderRecord::Moved(state) => drop(self.states.insert(state.order, *state)),
            OrderRecord::Removed(order) => drop(self.states.remove(&order)),
        }
    }

    /// The records that make these states again.
    pub fn snapshot(&self) -> impl Iterator<Item = Record> + '_ {
        self.states.values().copied().map(Record::Order)
    }

    fn enter(&mut self, state: OrderState, reason: String) -> Moved {
        self.states.insert(state.order, state);
        Moved { state, reason }
    }
}

fn armed(order: &OrderPlan) -> OrderState {
    OrderState {
        order: order.id,
        host: order.host,
        number: order.number,
        phase: OrderPhase::Armed,
        attempts: 0,
        attempt: None,
        token: None,
        started: None,
        not_after: order.not_after,
    }
}

fn ended_by_time(
    state: &OrderState,
    now: Wall,
    install_time: impl Fn(OrderId) -> Duration,
) -> Option<(OrderState, String)> {
    match (state.phase, state.started) {
        (OrderPhase::Armed | OrderPhase::Offered, _) if now > state.not_after => Some((
            OrderState { phase: OrderPhase::Expired, ..*state },
            "no installation started in time".into(),
        )),
        (OrderPhase::Started, Some(started)) if now.since(started) > install_time(state.order) => {
            let minutes = now.since(started).as_secs() / 60;
            let reason = format!("the installer did not say that it had ended within {minutes} minutes");
            Some((OrderState { phase: OrderPhase::Failed, ..*state }, reason))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proto::{HostId, plan::Boot};

    use super::*;

    const A: AttemptId = AttemptId([0xa; 16]);
    const B: AttemptId = AttemptId([0xb; 16]);
    const TOKEN: Token128 = Token128([7; 16]);

    fn order() -> OrderPlan {
        OrderPlan {
            id: OrderId([1; 16]),
            host: HostId([2; 16]),
            number: 5,
            not_after: Wall(10_000),
            agent: "lyon-1".into(),
            boot: Boot {
                profile: "p".into(),
                image: "i".into(),
                entry: "e".into(),
                files: BTreeMap::new(),
                loaders: vec![],
                menu: false,
            },
            install: Duration::from_secs(60),
            attempts: 2,
            secrets: BTreeMap::new(),
        }
    }

    fn stands(orders: &Orders, attempt: AttemptId, now: u64) -> Result<(), Standing> {
        orders.stands(&order(), "lyon-1", Some(attempt), Wall(now))
    }

    #[test]
    fn an_order_is_obeyed_once() {
        let mut orders = Orders::default();
        assert_eq!(stands(&orders, A, 1), Ok(()));
        assert_eq!(orders.offer(&order(), A, TOKEN).expect("new").state.phase, OrderPhase::Offered);
        assert_eq!(orders.offer(&order(), A, TOKEN), None, "the same attempt asks again");
        assert!(orders.start(order().id, Wall(2)).expect("offered").is_some());
        assert_eq!(orders.start(order().id, Wall(3)), Ok(None));
        assert_eq!(
            stands(&orders, A, 3),
            Err(Standing::Started),
            "it asks a boot server again: it was reset"
        );
        assert_eq!(stands(&orders, B, 3), Err(Standing::Started));
        assert!(orders.finish(order().id, OrderPhase::Installed, String::new()).is_some());
        assert_eq!(orders.finish(order().id, OrderPhase::Failed, String::new()), None);
        assert_eq!(stands(&orders, A, 4), Err(Standing::Ended(OrderPhase::Installed)));
    }

    #[test]
    fn attempts_before_the_start_are_counted() {
        let mut orders = Orders::default();
        orders.offer(&order(), A, TOKEN);
        assert_eq!(stands(&orders, B, 1), Ok(()));
        orders.offer(&order(), B, TOKEN);
        assert_eq!(stands(&orders, B, 1), Ok(()));
        assert_eq!(stands(&orders, AttemptId([0xc; 16]), 1), Err(Standing::Exhausted(2)));
    }

    #[test]
    fn not_after_bounds_the_start_and_never_a_running_installation() {
        let mut orders = Orders::default();
        assert_eq!(stands(&orders, A, 10_001), Err(Standing::Expired));
        orders.offer(&order(), A, TOKEN);
        assert_eq!(orders.start(order().id, Wall(10_001)), Err(Standing::Expired));
        orders.start(order().id, Wall(10_000)).expect("just in time");
        assert_eq!(orders.expire(Wall(50_000), |_| Duration::from_secs(60)), []);
        let failed = orders.expire(Wall(70_001), |_| Duration::from_secs(60));
        assert_eq!(failed[0].state.phase, OrderPhase::Failed);
    }

    #[test]
    fn an_older_number_is_never_obeyed_again() {
        let mut orders = Orders::default();
        orders.restore(&Record::Order(OrderState { order: OrderId([9; 16]), number: 6, ..armed(&order()) }));
        assert_eq!(stands(&orders, A, 1), Err(Standing::Superseded(6)));
    }

    #[test]
    fn another_agents_order_is_not_obeyed() {
        let orders = Orders::default();
        let answer = orders.stands(&order(), "lyon-2", Some(A), Wall(1));
        assert_eq!(answer, Err(Standing::OtherAgent("lyon-1".into())));
    }

    #[test]
    fn an_end_is_remembered_until_it_does_not_matter() {
        let mut orders = Orders::default();
        orders.offer(&order(), A, TOKEN);
        orders.start(order().id, Wall(2)).expect("offered");
        orders.finish(order().id, OrderPhase::Installed, String::new());
        assert_eq!(orders.forget(Wall(10_001)), []);
        assert_eq!(orders.forget(Wall(10_001).plus(REMEMBERED)), [Record::OrderRemoved(order().id)]);
    }

    #[test]
    fn the_states_survive_a_restart() {
        let mut orders = Orders::default();
        orders.offer(&order(), A, TOKEN);
        let mut replayed = Orders::default();
        orders.snapshot().for_each(|record| replayed.restore(&record));
        assert_eq!(replayed.by_token(TOKEN), orders.by_token(TOKEN));
        assert_eq!(replayed.by_attempt(A).map(|state| state.attempts), Some(1));
    }
}
