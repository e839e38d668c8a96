//! What agents saw and did: stored once, in order, and told apart by boot attempt (DESIGN §5 "Events", §7).
//!
//! An [`EventStore`] stands beside the catalog's store. [`EventStore::append`] returns when the events are durable;
//! what was stored before is passed over, so a batch may be sent again. Each attempt has a [`BootSummary`], a fold of
//! its events ([`boot`]). Kept: the recent attempts of each host, bounded in number and in events. Events of no
//! attempt are told to subscribers and not kept, but for what they say of leases ([`LeaseEntry`]): those that stand, and
//! for each site the last that have ended. What events mean for orders and agents is others' to do.

mod boot;
mod disk;
mod fit;
mod key;
mod lease;
mod store;

pub use boot::{BootSummary, Outcome};
pub use lease::{End, Ended, LeaseEntry, LeasePage};
pub use store::{
    AppendError, BootFilter, Continued, EventStore, History, OpenError, ReadError, Source, StoredEvent,
    Tuning,
};

#[cfg(test)]
mod tests;
