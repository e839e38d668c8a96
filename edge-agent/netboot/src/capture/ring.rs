//! The packets that were last seen of each machine, within bounds: of each machine, and of all together.
//!
//! A machine's packets lie behind each other in one piece of memory. When it is full the oldest go; when all rings
//! together are too large, the machine goes that was silent longest. Machines that nobody knows have a quarter of the room
//! to themselves and never push out those that somebody does (S5).

use std::{
    collections::{BTreeMap, VecDeque},
    net::{Ipv4Addr, SocketAddrV4},
};

use proto::Mac;

use super::{Carrier, Packet, Party, Segment, Way};

/// Of longer payloads only the start is kept, in bytes: any DHCP message, and the head of any request that explains a boot.
const LONGEST: usize = 2_048;
/// What a ring costs beside its packets, in bytes, at most.
const BESIDE: usize = 512;
/// A ring's first piece of memory, in bytes.
const FIRST: usize = 1_024;
/// Addresses that one machine's packets are known by.
const ADDRESSES: usize = 4;

/// How much is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all rings together; 0: nothing is kept.
    pub total: usize,
    /// Bytes of one machine's ring; at least as much as two of the longest packets.
    pub machine: usize,
}

impl Limits {
    /// A whole boot of one machine and more: some 40 DHCP messages, or 16 of them and 60 heads of requests.
    pub const MACHINE: usize = 24 << 10;

    /// So many bytes for all together.
    #[must_use]
    pub fn of_total(total: usize) -> Self {
        Self { total, machine: Self::MACHINE }
    }
}

/// Whose share of the room a machine's ring takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// The plan names it.
    Host,
    /// It does not.
    Stranger,
}

/// All rings.
#[derive(Debug)]
pub struct Rings {
    limits: Limits,
    rings: BTreeMap<Party, Ring>,
    /// Which machine has an address, as far as rings know.
    owners: BTreeMap<Ipv4Addr, Mac>,
    hosts: Pool,
    strangers: Pool,
}

/// What rings of one standing share.
#[derive(Debug, Default)]
struct Pool {
    bytes: usize,
    limit: usize,
    /// Every ring once, by a time at which it was written; it may have been written since.
    by_silence: VecDeque<(u64, Party)>,
}

#[derive(Debug)]
struct Ring {
    standing: Standing,
    bytes: Vec<u8>,
    last: u64,
    addresses: Vec<Ipv4Addr>,
}

impl Rings {
    /// Without packets.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let pool = |limit| Pool { limit, ..Pool::default() };
        let strangers = limits.total / 4;
        Self {
            limits: Limits { machine: limits.machine.max(2 * (LONGEST + HEADER)), ..limits },
            rings: BTreeMap::new(),
            owners: BTreeMap::new(),
            hosts: pool(limits.total - strangers),
            strangers: pool(strangers),
        }
    }

    /// Is nothing kept at all?
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.limits.total == 0
    }

    /// Keeps a packet. Of a party that has no ring yet `admit` says whether it gets one, and at whose cost.
    pub fn record(&mut self, party: Party, packet: &Packet<'_>, admit: impl FnOnce() -> Option<Standing>) {
        let (standing, before, after) = if let Some(ring) = self.rings.get_mut(&party) {
            let before = ring.cost();
            ring.push(packet, self.limits.machine);
            (ring.standing, before, ring.cost())
        } else {
            if self.is_off() {
                return;
            }
            let Some(standing) = admit() else { return };
            let mut ring = Ring { standing, bytes: Vec::new(), last: packet.at, addresses: Vec::new() };
            ring.push(packet, self.limits.machine);
            let after = ring.cost();
            self.rings.insert(party, ring);
            self.pool(standing).by_silence.push_back((packet.at, party));
            (standing, 0, after)
        };
        let pool = self.pool(standing);
        pool.bytes = pool.bytes + after - before;
        while self.pool(standing).bytes > self.pool(standing).limit {
            if !self.give_way(standing) {
                return;
            }
        }
    }

    /// Who is behind an address.
    #[must_use]
    pub fn party_of(&self, address: Ipv4Addr) -> Party {
        self.owners.get(&address).map_or(Party::Address(address), |mac| Party::Machine(*mac))
    }

    /// The agent gives a machine this address.
    pub fn given(&mut self, mac: Mac, address: Ipv4Addr) {
        if self.owners.get(&address) != Some(&mac) {
            self.bind(mac, address);
        }
    }

    /// A machine says that it has this address: that counts as long as nobody else is known to.
    pub fn claimed(&mut self, mac: Mac, address: Ipv4Addr) {
        if !self.owners.contains_key(&address) {
            self.bind(mac, address);
        }
    }

    /// The packets of these parties from `since` to `until`, microseconds since the Unix epoch, in order of time.
    #[must_use]
    pub fn collect(&self, parties: &[Party], since: u64, until: u64) -> Vec<Packet<'_>> {
        let rings = parties.iter().filter_map(|party| self.rings.get(party));
        let within = |packet: &Packet<'_>| (since..=until).contains(&packet.at);
        let mut packets: Vec<_> = rings.flat_map(Ring::packets).filter(within).collect();
        packets.sort_by_key(|packet| packet.at);
        packets
    }

    /// Bytes that all rings take, never more than their limits.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.hosts.bytes + self.strangers.bytes
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rings.len()
    }

    /// Is there none?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    fn pool(&mut self, standing: Standing) -> &mut Pool {
        match standing {
            Standing::Host => &mut self.hosts,
            Standing::Stranger => &mut self.strangers,
        }
    }

    fn bind(&mut self, mac: Mac, address: Ipv4Addr) {
        let Some(ring) = self.rings.get_mut(&Party::Machine(mac)) else { return };
        if !ring.addresses.contains(&address) {
            if ring.addresses.len() == ADDRESSES {
                let oldest = ring.addresses.remove(0);
                self.owners.retain(|owned, owner| (*owned, *owner) != (oldest, mac));
            }
            ring.addresses.push(address);
        }
        self.owners.insert(address, mac);
    }

    /// Takes the ring out that was silent longest, or finds out that the first in line was not. False: there is none.
    fn give_way(&mut self, standing: Standing) -> bool {
        let Some((known, party)) = self.pool(standing).by_silence.pop_front() else { return false };
        match self.rings.get(&party).map(|ring| ring.last) {
            Some(last) if last > known => self.pool(standing).by_silence.push_back((last, party)),
            Some(_) => self.remove(party),
            None => {}
        }
        true
    }

    fn remove(&mut self, party: Party) {
        let Some(ring) = self.rings.remove(&party) else { return };
        let cost = ring.cost();
        let pool = self.pool(ring.standing);
        pool.bytes = pool.bytes.saturating_sub(cost);
        if let Party::Machine(mac) = party {
            for address in ring.addresses {
                if self.owners.get(&address) == Some(&mac) {
                    self.owners.remove(&address);
                }
            }
        }
    }
}

impl Ring {
    fn cost(&self) -> usize {
        BESIDE + self.bytes.capacity()
    }

    /// Of a ring that would be too long the oldest packets go, a quarter of it at once.
    fn push(&mut self, packet: &Packet<'_>, limit: usize) {
        let kept = &packet.bytes[..packet.bytes.len().min(LONGEST)];
        let needed = self.bytes.len() + HEADER + kept.len();
        if needed > limit {
            self.forget(needed - limit + limit / 4);
        }
        self.make_room(HEADER + kept.len(), limit);
        self.bytes.extend_from_slice(&header(packet, kept.len()));
        self.bytes.extend_from_slice(kept);
        self.last = self.last.max(packet.at);
    }

    /// Lets go the oldest packets that make up so many bytes at least.
    fn forget(&mut self, bytes: usize) {
        let mut end = 0;
        while end < bytes.min(self.bytes.len()) {
            end += packet_at(&self.bytes[end..]).map_or(self.bytes.len(), |(_, length)| length);
        }
        self.bytes.drain(..end.min(self.bytes.len()));
    }

    /// Memory grows by doubling, and never beyond the limit.
    fn make_room(&mut self, more: usize, limit: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let wanted = (2 * self.bytes.capacity()).clamp(FIRST, limit).max(needed);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
    }

    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (packet, length) = packet_at(rest)?;
            rest = &rest[length..];
            Some(packet)
        })
    }
}

/// A packet's header in its ring, in bytes.
///
/// ```text
///  0 kept length | 2 what | 3 TCP flags | 4 original length | 8 time | 16 from | 22 to | 28 sequence | 32 acknowledgement
/// ```
const HEADER: usize = 36;
const OUT: u8 = 1;
const RELAYED: u8 = 2;
const TCP: u8 = 4;

fn header(packet: &Packet<'_>, kept: usize) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let segment = match packet.carrier {
        Carrier::Udp => None,
        Carrier::Tcp(segment) => Some(segment),
    };
    let what = |set: bool, bit: u8| if set { bit } else { 0 };
    header[..2].copy_from_slice(&u16::try_from(kept).unwrap_or(u16::MAX).to_le_bytes());
    header[2] =
        what(packet.way == Way::Out, OUT) | what(packet.relayed, RELAYED) | what(segment.is_some(), TCP);
    header[4..8].copy_from_slice(&packet.original.to_le_bytes());
    header[8..16].copy_from_slice(&packet.at.to_le_bytes());
    header[16..22].copy_from_slice(&end(packet.from));
    header[22..28].copy_from_slice(&end(packet.to));
    if let Some(segment) = segment {
        header[3] = segment.flags;
        header[28..32].copy_from_slice(&segment.sequence.to_le_bytes());
        header[32..].copy_from_slice(&segment.acknowledgement.to_le_bytes());
    }
    header
}

fn end(address: SocketAddrV4) -> [u8; 6] {
    let ([a, b, c, d], [high, low]) = (address.ip().octets(), address.port().to_be_bytes());
    [a, b, c, d, high, low]
}

/// The packet that `bytes` begins with, and how much of them it takes.
fn packet_at(bytes: &[u8]) -> Option<(Packet<'_>, usize)> {
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let end = |at: usize| {
        let port = u16::from_be_bytes([header[at + 4], header[at + 5]]);
        SocketAddrV4::new(Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]), port)
    };
    let kept = usize::from(u16::from_le_bytes([header[0], header[1]]));
    let segment = Segment { sequence: number(28), acknowledgement: number(32), flags: header[3] };
    let packet = Packet {
        at: u64::from(number(12)) << 32 | u64::from(number(8)),
        way: if header[2] & OUT == 0 { Way::In } else { Way::Out },
        from: end(16),
        to: end(22),
        relayed: header[2] & RELAYED != 0,
        carrier: if header[2] & TCP == 0 { Carrier::Udp } else { Carrier::Tcp(segment) },
        bytes: rest.get(..kept)?,
        original: number(4),
    };
    Some((packet, HEADER + kept))
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
