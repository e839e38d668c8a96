//! Captures of boots: what machines and the agent said to each other, kept for a while and written as pcap files.
//!
//! The drivers hand over messages that they have at hand anyway, so what is kept is what the sockets carried, and the
//! headers below it are made again when a capture is read ([`crate::frame`]; docs/adr/0017). No body of an HTTP message is
//! ever handed over, and secrets that lines of requests may hold are masked before anything leaves ([`mask`]).
//!
//! Assumes that times never go back by much: packets of one capture are put in order.

mod mask;
mod pcap;
mod ring;

use std::{
    hash::{Hash, Hasher},
    net::{Ipv4Addr, SocketAddrV4},
};

use proto::Mac;

pub use crate::frame::Segment;
pub use mask::{MASK, mask_fields, mask_tokens, mask_tokens_of_start};
pub use pcap::{Station, pcap};
pub use ring::{Limits, Rings, Standing};

/// Whose packets lie together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// A machine, by its link address.
    Machine(Mac),
    /// An address of which no machine is known here.
    Address(Ipv4Addr),
}

/// As one number, which costs a third of hashing it piece by piece.
impl Hash for Party {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(match *self {
            Self::Machine(Mac([a, b, c, d, e, f])) => u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
            Self::Address(address) => 1 << 63 | u64::from(address.to_bits()),
        });
    }
}

/// Which way a packet went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To the agent.
    In,
    /// From the agent.
    Out,
}

/// What carried it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Carrier {
    /// A datagram.
    Udp,
    /// Part of a connection.
    Tcp(Segment),
}

/// A packet as it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Microseconds since the Unix epoch.
    pub at: u64,
    /// Which way it went.
    pub way: Way,
    /// Who sent it.
    pub from: SocketAddrV4,
    /// Who was to get it.
    pub to: SocketAddrV4,
    /// A relay agent stood between, whose link address nobody knows.
    pub relayed: bool,
    /// What carried it.
    pub carrier: Carrier,
    /// The payload, or the start of it.
    pub bytes: &'a [u8],
    /// How long all of the payload was.
    pub original: u32,
}

impl<'a> Packet<'a> {
    /// A datagram, whole, between a machine and the agent on one link.
    #[must_use]
    pub fn udp(at: u64, way: Way, from: SocketAddrV4, to: SocketAddrV4, bytes: &'a [u8]) -> Self {
        let original = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        Self { at, way, from, to, relayed: false, carrier: Carrier::Udp, bytes, original }
    }
}
