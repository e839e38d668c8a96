//! What an agent has on its disk, read beside the running agent: the ground truth that timelines are compared with.
//!
//! A ledger keeps its records until it is compacted, which no case of the lab lives to see; so it tells every event
//! from the first, with all leases and orders in their order.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use edge_agent::disk::log::{OpenError, salvage};
use proto::event::NumberedEvent;
use proto::ledger::{Lease, OrderState, Record};

/// An agent's ledger, as far as it was written.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every event, in the order of their numbers.
    pub events: Vec<NumberedEvent>,
    /// The controller holds every event up to this number.
    pub acknowledged: u64,
    /// Every lease that was made or renewed.
    pub leases: Vec<Lease>,
    /// Every step of every order.
    pub orders: Vec<OrderState>,
}

/// Why a ledger could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file.
    #[error("failed to copy {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The copy is no ledger.
    #[error("failed to read the agent's ledger")]
    Read(#[from] OpenError),
    /// The temporary folder.
    #[error("failed to make a temporary folder")]
    Temporary(#[source] io::Error),
}

impl Ledger {
    /// Reads the ledger of an agent with this state folder. The agent may run: a copy is read.
    ///
    /// # Errors
    /// When it cannot be copied, or is damaged.
    pub fn read(state: &Path) -> Result<Self, LedgerError> {
        let copy = tempfile::tempdir().map_err(LedgerError::Temporary)?;
        copy_files(&state.join("ledger"), copy.path())?;
        let mut ledger = Self::default();
        let salvaged = salvage(copy.path(), &mut |record| {
            ledger.take(Record::decode(record.body)?);
            Ok(())
        })?;
        salvaged.damage.map_or(Ok(ledger), |damage| Err(damage.into()))
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Event(event) => self.events.push(event),
            Record::Acknowledged(number) => self.acknowledged = number,
            Record::Lease(lease) => self.leases.push(lease),
            Record::Order(state) => self.orders.push(state),
            Record::LeaseRemoved(_)
            | Record::OrderRemoved(_)
            | Record::Wall(_)
            | Record::WallSet(_)
            | Record::Quarantine(_)
            | Record::Sighting(_)
            | Record::Form(_)
            | Record::NextNumber(_) => {}
        }
    }
}

fn copy_files(from: &Path, to: &Path) -> Result<(), LedgerError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| LedgerError::File { path, source }
    };
    for entry in fs::read_dir(from).map_err(failed(from))? {
        let path = entry.map_err(failed(from))?.path();
        let is_segment = path.extension().is_some_and(|extension| extension == "log");
        if let Some(name) = path.file_name().filter(|_| is_segment) {
            fs::copy(&path, to.join(name)).map_err(failed(&path))?;
        }
    }
    Ok(())
}
