//! The packets that were last seen of each machine, within bounds: of each machine, and of all together.
//!
//! A machine's packets lie behind each other in two pieces of memory. When the newer one is full the older one is emptied and
//! takes its place, so nothing is ever moved; when all rings
//! together are too large, the machine goes that was silent longest. Machines that nobody knows have a quarter of the room
//! to themselves and never push out those that somebody does (S5).
//!
//! Whoever was heard a moment ago is not pushed out at all: while all room is taken by boots under way, those that come on top
//! are not kept. In a flood some boots so have all their packets until they are judged, where otherwise none would have.

use std::{
    collections::VecDeque,
    net::{Ipv4Addr, SocketAddrV4},
};

use proto::Mac;

use super::{Carrier, Packet, Party, Segment, Way};

/// Of longer payloads only the start is kept, in bytes: any DHCP message, and the head of any request that explains a boot.
pub(super) const LONGEST: usize = 2_048;
/// What a ring costs beside its packets, in bytes, at most.
const BESIDE: usize = 512;
/// A ring's first piece of memory, in bytes.
const FIRST: usize = 1_024;
/// Addresses that one machine's packets are known by.
const ADDRESSES: usize = 4;
/// Who was heard within this time does not give way, in microseconds: as long as a silence takes to be one, and some more.
const UNDER_WAY: u64 = 120 * 1_000_000;

/// Found by hash, since it is asked several times for each packet.
#[expect(clippy::disallowed_types, reason = "it is never walked, so its order is nobody's business")]
type ByHash<K, V> = std::collections::HashMap<K, V>;

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
    rings: ByHash<Party, Ring>,
    /// Which machine has an address, as far as rings know.
    owners: ByHash<u32, Mac>,
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
    older: Vec<u8>,
    newer: Vec<u8>,
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
            rings: ByHash::new(),
            owners: ByHash::new(),
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
        match self.rings.get_mut(&party) {
            Some(ring) if ring.takes(packet) => ring.push(packet),
            Some(ring) => {
                ring.last = ring.last.max(packet.at);
                let (standing, more) = (ring.standing, ring.prepare(packet, self.limits.machine / 2));
                let room = more == 0 || self.has_room(standing, more, packet.at);
                self.put(party, packet, if room { more } else { 0 });
            }
            None => {
                let standing = if self.is_off() { None } else { admit() };
                standing.into_iter().for_each(|standing| self.begin(party, packet, standing));
            }
        }
    }

    /// The first packet of a party, if there is room or somebody gives way.
    fn begin(&mut self, party: Party, packet: &Packet<'_>, standing: Standing) {
        let (older, newer) = (Vec::new(), Vec::new());
        let mut ring = Ring { standing, older, newer, last: packet.at, addresses: Vec::new() };
        let first = ring.prepare(packet, self.limits.machine / 2);
        if self.has_room(standing, BESIDE + first, packet.at) {
            let pool = self.pool(standing);
            pool.bytes += BESIDE;
            pool.by_silence.push_back((packet.at, party));
            self.rings.insert(party, ring);
            self.put(party, packet, first);
        }
    }

    /// Puts a packet into its ring, which may take so many bytes more than it has.
    fn put(&mut self, party: Party, packet: &Packet<'_>, more: usize) {
        let Some(ring) = self.rings.get_mut(&party) else { return };
        let (standing, before) = (ring.standing, ring.cost());
        ring.grow(more);
        ring.push(packet);
        let grown = ring.cost() - before;
        self.pool(standing).bytes += grown;
    }

    /// Is there room for so many bytes more, now or once those have given way that were silent long enough?
    fn has_room(&mut self, standing: Standing, bytes: usize, now: u64) -> bool {
        loop {
            let pool = self.pool(standing);
            if pool.bytes + bytes <= pool.limit {
                return true;
            }
            let oldest = pool.by_silence.pop_front_if(|(known, _)| known.saturating_add(UNDER_WAY) <= now);
            let Some((known, party)) = oldest else { return false };
            match self.rings.get(&party).map(|ring| ring.last) {
                Some(last) if last > known => self.pool(standing).by_silence.push_back((last, party)),
                Some(_) => self.remove(party),
                None => {}
            }
        }
    }

    /// Who is behind an address.
    #[must_use]
    pub fn party_of(&self, address: Ipv4Addr) -> Party {
        self.owner(address).map_or(Party::Address(address), Party::Machine)
    }

    /// The agent gives a machine this address.
    pub fn given(&mut self, mac: Mac, address: Ipv4Addr) {
        if self.owner(address) != Some(mac) {
            self.bind(mac, address);
        }
    }

    /// A machine says that it has this address: that counts as long as nobody else is known to.
    pub fn claimed(&mut self, mac: Mac, address: Ipv4Addr) {
        if self.owner(address).is_none() {
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
            let too_many = ring.addresses.len() == ADDRESSES;
            let oldest = too_many.then(|| ring.addresses.remove(0));
            ring.addresses.push(address);
            oldest.into_iter().for_each(|oldest| self.release(mac, oldest));
        }
        self.owners.insert(address.to_bits(), mac);
    }

    fn owner(&self, address: Ipv4Addr) -> Option<Mac> {
        self.owners.get(&address.to_bits()).copied()
    }

    fn release(&mut self, mac: Mac, address: Ipv4Addr) {
        if self.owner(address) == Some(mac) {
            self.owners.remove(&address.to_bits());
        }
    }

    fn remove(&mut self, party: Party) {
        let Some(ring) = self.rings.remove(&party) else { return };
        let cost = ring.cost();
        let pool = self.pool(ring.standing);
        pool.bytes = pool.bytes.saturating_sub(cost);
        if let Party::Machine(mac) = party {
            ring.addresses.into_iter().for_each(|address| self.release(mac, address));
        }
    }
}

impl Ring {
    fn cost(&self) -> usize {
        BESIDE + self.older.capacity() + self.newer.capacity()
    }

    /// Does it take the packet as it is?
    fn takes(&self, packet: &Packet<'_>) -> bool {
        self.newer.len() + room_for(packet) <= self.newer.capacity()
    }

    /// How many bytes more the newer piece is to have for the next packet: it grows by doubling, up to `limit`. One that is
    /// full is the older one from then on.
    fn prepare(&mut self, packet: &Packet<'_>, limit: usize) -> usize {
        if self.newer.len() + room_for(packet) > limit {
            self.turn();
        }
        let (needed, capacity) = (self.newer.len() + room_for(packet), self.newer.capacity());
        if needed <= capacity { 0 } else { (2 * capacity).clamp(FIRST, limit).max(needed) - capacity }
    }

    /// Empties the older piece, which takes what comes next.
    fn turn(&mut self) {
        std::mem::swap(&mut self.older, &mut self.newer);
        self.newer.clear();
    }

    fn grow(&mut self, more: usize) {
        let wanted = self.newer.capacity() + more;
        self.newer.reserve_exact(wanted - self.newer.len());
    }

    /// What has no room takes the place of the oldest packets, or, where the older piece is too small, of all.
    fn push(&mut self, packet: &Packet<'_>) {
        self.last = self.last.max(packet.at);
        for _ in 0..2 {
            if !self.takes(packet) {
                self.turn();
            }
        }
        if self.takes(packet) {
            let kept = start_of(packet);
            self.newer.extend_from_slice(&header(packet, kept.len()));
            self.newer.extend_from_slice(kept);
        }
    }

    fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        [&self.older, &self.newer].into_iter().flat_map(|piece| {
            let mut rest = piece.as_slice();
            std::iter::from_fn(move || {
                let (packet, length) = packet_at(rest)?;
                rest = &rest[length..];
                Some(packet)
            })
        })
    }
}

// What is kept of a payload.
fn start_of<'a>(packet: &Packet<'a>) -> &'a [u8] {
    &packet.bytes[..packet.bytes.len().min(LONGEST)]
}

/// What a packet takes in its ring, in bytes.
fn room_for(packet: &Packet<'_>) -> usize {
    HEADER + start_of(packet).len()
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
