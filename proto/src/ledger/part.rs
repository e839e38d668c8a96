//! Whose a record is: each part of an agent restores its own kinds and need not know the others.

use super::{FormMemory, Lease, LeaseKey, OrderState, Quarantine, Record, Sighting};
use crate::{OrderId, Wall, event::NumberedEvent};

/// The part of an agent that a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// The journal of events.
    Journal(JournalRecord<'a>),
    /// The DHCP server.
    Dhcp(DhcpRecord<'a>),
    /// The states of orders.
    Orders(OrderRecord<'a>),
    /// The forms of replies to PXE ROMs.
    Forms(&'a FormMemory),
    /// The wall time that was seen.
    Clock(Wall),
}

/// See [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalRecord<'a> {
    /// [`Record::Event`].
    Event(&'a NumberedEvent),
    /// [`Record::Acknowledged`].
    Acknowledged(u64),
    /// [`Record::NextNumber`].
    NextNumber(u64),
}

/// See [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DhcpRecord<'a> {
    /// [`Record::Lease`].
    Lease(&'a Lease),
    /// [`Record::LeaseRemoved`].
    LeaseRemoved(LeaseKey),
    /// [`Record::Quarantine`].
    Quarantine(Quarantine),
    /// [`Record::Sighting`].
    Sighting(Sighting),
}

/// See [`Record`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderRecord<'a> {
    /// [`Record::Order`].
    Moved(&'a OrderState),
    /// [`Record::OrderRemoved`].
    Removed(OrderId),
}

impl Record {
    /// Whose it is.
    #[must_use]
    pub fn part(&self) -> Part<'_> {
        match self {
            Self::Event(event) => Part::Journal(JournalRecord::Event(event)),
            Self::Acknowledged(number) => Part::Journal(JournalRecord::Acknowledged(*number)),
            Self::NextNumber(number) => Part::Journal(JournalRecord::NextNumber(*number)),
            Self::Lease(lease) => Part::Dhcp(DhcpRecord::Lease(lease)),
            Self::LeaseRemoved(key) => Part::Dhcp(DhcpRecord::LeaseRemoved(*key)),
            Self::Quarantine(quarantine) => Part::Dhcp(DhcpRecord::Quarantine(*quarantine)),
            Self::Sighting(sighting) => Part::Dhcp(DhcpRecord::Sighting(*sighting)),
            Self::Order(state) => Part::Orders(OrderRecord::Moved(state)),
            Self::OrderRemoved(order) => Part::Orders(OrderRecord::Removed(*order)),
            Self::Form(memory) => Part::Forms(memory),
            Self::Wall(wall) | Self::WallSet(wall) => Part::Clock(*wall),
        }
    }
}
