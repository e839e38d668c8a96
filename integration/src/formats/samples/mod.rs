//! The values that a set holds: every field of every message and every kind of event and record at least once.
//!
//! Recorded sets are compared with them, so a value is never changed; what a format gains since a set was recorded comes
//! with the next one.

mod first;
mod fourth;
mod second;
mod third;

use proto::chunks::ChunkList;
use proto::event::{Event, EventKind, NumberedEvent};
use proto::holding::Holding;
use proto::ledger::Record;
use proto::plan::{
    ChunkLists, HostPlan, LoaderSet, MirrorPlan, Network, OrderPlan, PlanDocument, Prefetch, chunks_entry,
    host_entry, loaders_entry, mirror_entry, network_entry, order_entry, prefetch_entry, secrets_entry,
};
use proto::{AttemptId, Generation, Incarnation, OrderId, Wall};

/// Of the ledger.
pub const INCARNATION: Incarnation = Incarnation([9; 16]);
/// Whose secrets the plan holds.
pub const ORDER_WITH_SECRETS: OrderId = first::ORDER;

/// The values of one set.
#[derive(Debug, Clone, Copy)]
pub struct Samples {
    /// Its number.
    set: u32,
}

impl Samples {
    /// Of the set with this number, from 1.
    #[must_use]
    pub fn of(set: u32) -> Self {
        Self { set }
    }

    /// The former plan: without the order.
    #[must_use]
    pub fn former_plan(self) -> PlanDocument {
        self.plan_of(7, None)
    }

    /// The plan in force: with an order and its secrets.
    #[must_use]
    pub fn plan(self) -> PlanDocument {
        self.plan_of(8, Some(&self.order()))
    }

    fn plan_of(self, revision: u64, order: Option<&OrderPlan>) -> PlanDocument {
        let mut entries = vec![network_entry(&self.network()), host_entry(&self.host())];
        entries.extend(self.loaders().iter().map(loaders_entry));
        entries.extend(self.mirrors().iter().map(mirror_entry));
        entries.extend(self.prefetch().iter().map(prefetch_entry));
        let lists = self.chunk_lists();
        if !lists.is_empty() {
            entries.push(chunks_entry(&lists));
        }
        entries.extend(order.map(order_entry));
        entries.extend(order.and_then(secrets_entry));
        let planner = if self.set >= 4 { fourth::PLANNER } else { 1 };
        PlanDocument::assemble("recorded", "lab", Generation { epoch: 1, revision }, planner, entries)
    }

    /// What the network of both plans decodes to.
    #[must_use]
    pub fn network(self) -> Network {
        match self.set {
            ..2 => first::network(),
            2 => second::network(),
            3 => third::network(),
            4.. => fourth::network(),
        }
    }

    /// What the loader sets of both plans decode to.
    #[must_use]
    pub fn loaders(self) -> Vec<LoaderSet> {
        if self.set >= 2 { vec![second::loaders()] } else { Vec::new() }
    }

    /// What the package mirrors of both plans decode to.
    #[must_use]
    pub fn mirrors(self) -> Vec<MirrorPlan> {
        if self.set >= 3 { vec![third::mirror()] } else { Vec::new() }
    }

    /// What is to be at the site ahead of time by both plans.
    #[must_use]
    pub fn prefetch(self) -> Vec<Prefetch> {
        if self.set >= 3 { third::prefetch().into() } else { Vec::new() }
    }

    /// Which blobs of both plans have lists of chunks.
    #[must_use]
    pub fn chunk_lists(self) -> ChunkLists {
        if self.set >= 3 { third::chunk_lists() } else { ChunkLists::new() }
    }

    /// A list of chunks, if there were any.
    #[must_use]
    pub fn chunk_list(self) -> Option<ChunkList> {
        (self.set >= 3).then(third::chunk_list)
    }

    /// What an agent says that it holds, if it could.
    #[must_use]
    pub fn holding(self) -> Option<Holding> {
        (self.set >= 3).then(third::holding)
    }

    /// What the host of both plans decodes to.
    #[must_use]
    pub fn host(self) -> HostPlan {
        if self.set >= 2 { second::host() } else { first::host() }
    }

    /// What the order decodes to.
    #[must_use]
    pub fn order(self) -> OrderPlan {
        if self.set >= 2 { second::order() } else { first::order() }
    }

    /// Every kind of event, numbered from 1.
    #[must_use]
    pub fn events(self) -> Vec<NumberedEvent> {
        let event = |kind| Event {
            at: Wall(1_690_000_000_000),
            attempt: Some(AttemptId([5; 16])),
            host: Some(first::HOST),
            mac: Some(first::MAC),
            kind,
        };
        let numbered = |(number, kind)| NumberedEvent { number, event: event(kind) };
        (1..).zip(self.kinds()).map(numbered).collect()
    }

    /// A gap ends the journal, as long as three events.
    fn kinds(self) -> Vec<EventKind> {
        let mut kinds = first::kinds();
        if self.set >= 2 {
            kinds.extend(second::kinds());
        }
        if self.set >= 3 {
            kinds.push(third::kind());
        }
        if self.set >= 4 {
            kinds.extend(fourth::kinds());
        }
        let gap = kinds.len() as u64 + 1;
        kinds.push(EventKind::Gap { first: gap, last: gap + 2 });
        kinds
    }

    /// Every kind of record, in an order that a ledger could have.
    #[must_use]
    pub fn records(self) -> Vec<Record> {
        let events = self.events();
        let next = events.len() as u64 + 3;
        let mut records: Vec<_> = events.into_iter().map(Record::Event).collect();
        records.extend(first::records(next));
        if self.set >= 2 {
            records.extend(second::records());
        }
        records
    }

    /// Documents of the catalog, as an operator applies them.
    #[must_use]
    pub fn documents(self) -> Vec<&'static str> {
        let since = |set, documents: &'static [&'static str]| if self.set >= set { documents } else { &[] };
        let later = [since(2, &second::DOCUMENTS), since(3, &third::DOCUMENTS), since(4, &fourth::DOCUMENTS)];
        [&first::DOCUMENTS[..], &later.concat()].concat()
    }

    /// What the controller has learnt of a PXE ROM, if it can.
    #[must_use]
    pub fn proof(self) -> Option<controller::catalog::Proof> {
        (self.set >= 2).then(second::proof)
    }
}
