//! What agents report of orders, on its way into the catalog.

use proto::{
    AttemptId, OrderId, Wall,
    catalog::{AnyResource, Kind, OrderSpec, OrderStatus, Resource},
    event::OrderPhase,
};

use super::{at_end, end_of};
use crate::{
    catalog::{
        Catalog, ReadError,
        draft::encode,
        index, keys,
        read::{self, HostOrders},
    },
    store::{Txn, TxnError, Versioned},
};

/// An agent's report that an order has moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseReport {
    /// The agent's name, from its certificate.
    pub agent: String,
    /// Which order.
    pub order: OrderId,
    /// Where it stands now.
    pub phase: OrderPhase,
    /// Since when, by the agent's clock.
    pub since: Wall,
    /// For people.
    pub reason: String,
    /// The attempt that holds it.
    pub attempt: Option<AttemptId>,
}

/// Why a report was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The catalog could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store did not take it.
    #[error(transparent)]
    Store(#[from] TxnError),
}

/// How often a report is tried anew when somebody else writes the order meanwhile.
const TRIES: usize = 8;

impl Catalog {
    /// Records where an order stands; true if that was news.
    ///
    /// Safe to repeat, and in any order: a report that is older than what is known, or of an order that is not this
    /// agent's or not there, changes nothing. An end that the agent reports replaces one that the controller assumed.
    ///
    /// # Errors
    /// [`RecordError`]; call again.
    pub async fn record_order_phase(&self, report: &PhaseReport) -> Result<bool, RecordError> {
        let mut tries = 1;
        loop {
            match self.try_record(report).await {
                Err(RecordError::Store(TxnError::Conflict { .. })) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    async fn try_record(&self, report: &PhaseReport) -> Result<bool, RecordError> {
        let Some(name) = self.index(&keys::order_id_index(report.order)).await? else { return Ok(false) };
        let Some(key) = self.locate(Kind::Order, &name).await? else { return Ok(false) };
        let Some(stored) = self.store.get(&key).await.map_err(ReadError::from)? else { return Ok(false) };
        let order: Resource<OrderSpec> = read::parse(&key, &stored)?;
        if order.spec.agent != report.agent {
            return Ok(false);
        }
        let txn = Txn::new().expect(key, stored.mod_revision);
        let txn = match report.phase.is_end() {
            true => self.end(txn, &order, report).await?,
            false => self.seen(txn, &order, report).await?,
        };
        match txn {
            Some(txn) => self.store.txn(txn).await.map(|_| true).map_err(RecordError::from),
            None => Ok(false),
        }
    }

    /// A phase before the end: only what was seen changes.
    async fn seen(
        &self,
        txn: Txn,
        order: &Resource<OrderSpec>,
        report: &PhaseReport,
    ) -> Result<Option<Txn>, ReadError> {
        let key = keys::status(Kind::Order, &order.name)?;
        let stored = self.store.get(&key).await?;
        let known: Option<OrderStatus> =
            stored.as_ref().and_then(|stored| serde_json::from_slice(&stored.value).ok());
        let older = known.as_ref().is_some_and(|known| known.since_ms > report.since);
        if at_end(order) || older || known == Some(status(report)) {
            return Ok(None);
        }
        let revision = stored.map_or(crate::store::Revision::ZERO, |stored| stored.mod_revision);
        Ok(Some(txn.expect(key.clone(), revision).put(key, json(&status(report)))))
    }

    /// The end: it goes into the document, which thereby leaves the plan, and frees the host.
    async fn end(
        &self,
        txn: Txn,
        order: &Resource<OrderSpec>,
        report: &PhaseReport,
    ) -> Result<Option<Txn>, ReadError> {
        let mut last = status(report);
        if let (OrderPhase::Revoked, Some(who)) = (report.phase, &order.spec.revoked_by) {
            last.reason = format!("taken back by {who}");
        }
        let ended = Resource {
            status: Some(serde_json::to_value(last).expect("plain text and numbers")),
            ..order.clone()
        };
        if end_of(order) == Some(report.phase) {
            return Ok(None);
        }
        let (before, after) = (AnyResource::Order(order.clone()), AnyResource::Order(ended));
        let place = keys::resource(Kind::Order, &order.spec.site, &order.name)?;
        let mut txn = txn.put(place, encode(&after)).delete(keys::status(Kind::Order, &order.name)?);
        let kept: Vec<_> = index::entries(&after)?.into_iter().map(|entry| entry.key).collect();
        for entry in index::entries(&before)? {
            if !kept.contains(&entry.key) {
                txn = txn.delete(entry.key);
            }
        }
        self.free_host(txn, order).await.map(Some)
    }

    async fn free_host(&self, txn: Txn, order: &Resource<OrderSpec>) -> Result<Txn, ReadError> {
        let key = keys::host_orders(&order.spec.host)?;
        let Some(Versioned { value, mod_revision, .. }) = self.store.get(&key).await? else { return Ok(txn) };
        let orders: HostOrders = read::from_json(&key, &value)?;
        if orders.live.as_ref() != Some(&order.name) {
            return Ok(txn);
        }
        let freed = HostOrders { live: None, ..orders };
        Ok(txn.expect(key.clone(), mod_revision).put(key, json(&freed)))
    }
}

fn status(report: &PhaseReport) -> OrderStatus {
    let PhaseReport { phase, since, reason, attempt, .. } = report.clone();
    OrderStatus { phase, since_ms: since, reason, attempt }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain text and numbers")
}
