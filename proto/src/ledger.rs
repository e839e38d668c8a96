//! The records of an agent's ledger: its durable state (DESIGN §5). Never sent; readable by every later build.

mod part;

use std::{fmt, net::Ipv4Addr};

use ipnet::Ipv4Net;
use prost::Message;

use crate::{
    AttemptId, FirmwareModel, HostId, Mac, OrderId, Token128, Wall,
    event::{NumberedEvent, OrderPhase},
    plan::ReplyForm,
    v1,
    wire::{WireError, optional_address, required},
};

pub use part::{DhcpRecord, JournalRecord, OrderRecord, Part};

/// One durable change. Replaying all records in order gives the state back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// The journal got an event.
    Event(NumberedEvent),
    /// The controller holds every event up to this number.
    Acknowledged(u64),
    /// A lease was made or renewed.
    Lease(Lease),
    /// A lease is no more.
    LeaseRemoved(LeaseKey),
    /// An order has moved.
    Order(OrderState),
    /// An order that is at its end has left the plan.
    OrderRemoved(OrderId),
    /// The highest wall time seen.
    Wall(Wall),
    /// An address is not to be leased for a while.
    Quarantine(Quarantine),
    /// The number that the next event gets.
    NextNumber(u64),
    /// The wall time, set right by a controller after a clock had run ahead.
    WallSet(Wall),
    /// A known machine uses an address that another server gave it; replaces what was known of either.
    Sighting(Sighting),
    /// In which form a PXE ROM is told what to boot; replaces what was known of the machine and the model.
    Form(FormMemory),
}

/// Whose lease: one machine on one network. Not the client identifier, which changes within a boot (QUIRKS 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseKey {
    /// The machine.
    pub mac: Mac,
    /// The network.
    pub network: Ipv4Net,
}

/// An address that is a machine's until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Whose.
    pub key: LeaseKey,
    /// Which.
    pub address: Ipv4Addr,
    /// How long.
    pub until: Wall,
}

/// An address that a machine declined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quarantine {
    /// Which.
    pub address: Ipv4Addr,
    /// How long.
    pub until: Wall,
}

/// Who uses an address that is not ours to lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The machine.
    pub mac: Mac,
    /// Its address.
    pub address: Ipv4Addr,
}

/// What an agent has learnt of how a PXE ROM wants to be told what to boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormMemory {
    /// The machine.
    pub mac: Mac,
    /// What its ROM said of itself.
    pub model: FirmwareModel,
    /// What it is given.
    pub form: ReplyForm,
    /// It has fetched what it was told to in this form; else it did not obey the one before.
    pub proved: bool,
    /// When.
    pub at: Wall,
}

/// How far an order has come at this agent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct OrderState {
    /// Which.
    pub order: OrderId,
    /// Whom it installs.
    pub host: HostId,
    /// Its fencing number.
    pub number: u64,
    /// Where it stands.
    pub phase: OrderPhase,
    /// Attempts that have entered `offered`.
    pub attempts: u32,
    /// The attempt that holds it.
    pub attempt: Option<AttemptId>,
    /// Opens its files; made for the attempt.
    pub token: Option<Token128>,
    /// When it entered `started`.
    pub started: Option<Wall>,
    /// From the plan: an order at its end is remembered until it could not be obeyed anyway.
    pub not_after: Wall,
}

impl fmt::Debug for OrderState {
    /// The token shows itself as `Token128(…)`.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("OrderState")
            .field("order", &self.order)
            .field("phase", &self.phase)
            .field("number", &self.number)
            .field("attempts", &self.attempts)
            .field("attempt", &self.attempt)
            .field("started", &self.started)
            .finish_non_exhaustive()
    }
}

impl Record {
    /// For the ledger.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.encode_to(&mut bytes);
        bytes
    }

    /// The same, behind what is there.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        use v1::record::Record as Wire;
        let record = match self.clone() {
            Self::Event(event) => Wire::Event(event.into()),
            Self::Acknowledged(number) => Wire::Acknowledged(number),
            Self::Lease(lease) => Wire::Lease(v1::Lease {
                key: Some(lease.key.into()),
                address: lease.address.to_bits(),
                until_ms: lease.until.0,
            }),
            Self::LeaseRemoved(key) => Wire::LeaseRemoved(key.into()),
            Self::Order(state) => Wire::Order(state.into()),
            Self::OrderRemoved(order) => Wire::OrderRemoved(order.to_wire()),
            Self::Wall(wall) => Wire::WallMs(wall.0),
            Self::Quarantine(Quarantine { address, until }) => {
                Wire::Quarantine(v1::Quarantine { address: address.to_bits(), until_ms: until.0 })
            }
            Self::NextNumber(number) => Wire::NextNumber(number),
            Self::WallSet(wall) => Wire::WallSetMs(wall.0),
            Self::Sighting(Sighting { mac, address }) => {
                Wire::Sighting(v1::Sighting { mac: mac.to_wire(), address: address.to_bits() })
            }
            Self::Form(FormMemory { mac, model, form, proved, at }) => Wire::Form(v1::FormMemory {
                mac: mac.to_wire(),
                model: model.to_wire(),
                form: form.into(),
                proved,
                at_ms: at.0,
            }),
        };
        v1::Record { record: Some(record) }.encode(out).expect("a vector grows");
    }

    /// From the ledger.
    ///
    /// # Errors
    /// Names the field that is wrong; a record of an unknown kind was written by a later build.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        use v1::record::Record as Wire;
        let message =
            v1::Record::decode(bytes).map_err(|error| WireError::new("record", error.to_string()))?;
        let record = message
            .record
            .ok_or_else(|| WireError::new("record", "is of a kind that this build does not know"))?;
        let address = |bits| optional_address(bits).ok_or_else(|| WireError::new("address", "is missing"));
        Ok(match record {
            Wire::Event(event) => Self::Event(event.try_into()?),
            Wire::Acknowledged(number) => Self::Acknowledged(number),
            Wire::Lease(lease) => Self::Lease(Lease {
                key: required("lease.key", lease.key)?.try_into()?,
                address: address(lease.address)?,
                until: Wall(lease.until_ms),
            }),
            Wire::LeaseRemoved(key) => Self::LeaseRemoved(key.try_into()?),
            Wire::Order(state) => Self::Order(state.try_into()?),
            Wire::OrderRemoved(id) => Self::OrderRemoved(OrderId::from_wire("order_removed", &id)?),
            Wire::WallMs(wall) => Self::Wall(Wall(wall)),
            Wire::Quarantine(quarantine) => Self::Quarantine(Quarantine {
                address: address(quarantine.address)?,
                until: Wall(quarantine.until_ms),
            }),
            Wire::NextNumber(number) => Self::NextNumber(number),
            Wire::WallSetMs(wall) => Self::WallSet(Wall(wall)),
            Wire::Sighting(sighting) => Self::Sighting(Sighting {
                mac: Mac::from_wire("sighting.mac", &sighting.mac)?,
                address: address(sighting.address)?,
            }),
            Wire::Form(form) => Self::Form(FormMemory {
                mac: Mac::from_wire("form.mac", &form.mac)?,
                model: FirmwareModel::from_wire("form.model", &form.model)?,
                form: ReplyForm::from_wire("form.form", form.form)?,
                proved: form.proved,
                at: Wall(form.at_ms),
            }),
        })
    }
}

impl From<LeaseKey> for v1::LeaseKey {
    fn from(key: LeaseKey) -> Self {
        Self { mac: key.mac.to_wire(), network: key.network.to_string() }
    }
}

impl TryFrom<v1::LeaseKey> for LeaseKey {
    type Error = WireError;

    fn try_from(key: v1::LeaseKey) -> Result<Self, WireError> {
        let network =
            key.network.parse().map_err(|_| WireError::new("lease.key.network", "is no network"))?;
        Ok(Self { mac: Mac::from_wire("lease.key.mac", &key.mac)?, network })
    }
}

impl From<OrderState> for v1::OrderState {
    fn from(state: OrderState) -> Self {
        Self {
            order: state.order.to_wire(),
            host: state.host.to_wire(),
            number: state.number,
            phase: state.phase.into(),
            attempts: state.attempts,
            attempt: state.attempt.map(AttemptId::to_wire).unwrap_or_default(),
            token: state.token.map(Token128::to_wire).unwrap_or_default(),
            started_ms: state.started.unwrap_or_default().0,
            not_after_ms: state.not_after.0,
        }
    }
}

impl TryFrom<v1::OrderState> for OrderState {
    type Error = WireError;

    fn try_from(state: v1::OrderState) -> Result<Self, WireError> {
        Ok(Self {
            order: OrderId::from_wire("order", &state.order)?,
            host: HostId::from_wire("host", &state.host)?,
            number: state.number,
            phase: OrderPhase::from_wire("phase", state.phase)?,
            attempts: state.attempts,
            attempt: AttemptId::from_wire_optional("attempt", &state.attempt)?,
            token: Token128::from_wire_optional("token", &state.token)?,
            started: (state.started_ms != 0).then_some(Wall(state.started_ms)),
            not_after: Wall(state.not_after_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, EventKind};

    fn records() -> Vec<Record> {
        let key = LeaseKey { mac: Mac([2; 6]), network: "10.1.0.0/24".parse().expect("a network") };
        let address = Ipv4Addr::new(10, 1, 0, 9);
        let kind = EventKind::OsUp { address: None };
        let event = Event { at: Wall(3), attempt: None, host: None, mac: None, kind };
        vec![
            Record::Event(NumberedEvent { number: 1, event }),
            Record::Acknowledged(7),
            Record::Lease(Lease { key, address, until: Wall(99) }),
            Record::LeaseRemoved(key),
            Record::Order(OrderState {
                order: OrderId([1; 16]),
                host: HostId([2; 16]),
                number: 3,
                phase: OrderPhase::Started,
                attempts: 1,
                attempt: Some(AttemptId([5; 16])),
                token: Some(Token128([6; 16])),
                started: Some(Wall(44)),
                not_after: Wall(99),
            }),
            Record::OrderRemoved(OrderId([1; 16])),
            Record::Wall(Wall(12)),
            Record::Quarantine(Quarantine { address, until: Wall(5) }),
            Record::NextNumber(8),
            Record::WallSet(Wall(13)),
            Record::Sighting(Sighting { mac: Mac([2; 6]), address }),
            Record::Form(FormMemory {
                mac: Mac([2; 6]),
                model: FirmwareModel([7; 8]),
                form: ReplyForm::BootService,
                proved: true,
                at: Wall(9),
            }),
        ]
    }

    #[test]
    fn every_record_there_and_back() {
        for record in records() {
            assert_eq!(Record::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn a_record_of_a_later_build_is_an_error() {
        assert_eq!(Record::decode(&[]).expect_err("no kind").field, "record");
        assert!(Record::decode(&[0xff, 0xff]).is_err());
    }
}
