//! What the server may do: it knows only what machines were acknowledged, and what rests.
//!
//! An address is one machine's at a time; nobody is given what is reserved, at rest or ours; an ACK comes behind the record
//! of its lease; at most one reply to a packet, to who sent it, in a size that it takes; none to what is not ours.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use netboot::dhcp::{Destination, Effect, Message, MessageType, Operation, Port, Request};
use netboot::time::Wall;
use proto::Mac;
use proto::ledger::{Lease, Record};
use proto::plan::{DhcpMode, SitePlan};

use super::site::{SERVER, is_reserved};

/// How long a fixed address rests, at most.
const FIXED_REST: Duration = Duration::from_secs(60);

/// IP and UDP.
const HEADERS: usize = 28;

/// A packet, and what is true when it comes.
#[derive(Clone, Copy)]
pub(super) struct Heard<'a> {
    pub(super) message: &'a Message,
    pub(super) request: &'a Request,
    pub(super) plan: &'a SitePlan,
    pub(super) now: Wall,
}

#[derive(Default)]
pub(super) struct Reference {
    /// Each address's machine, and until when.
    held: BTreeMap<Ipv4Addr, (Mac, Wall)>,
    /// Addresses that were declined or answered for, and until when.
    resting: BTreeMap<Ipv4Addr, Wall>,
}

impl Reference {
    /// Holds the effects of a packet against what is known; the address that was offered or given.
    pub(super) fn check(&mut self, heard: Heard<'_>, effects: &[Effect]) -> Option<Ipv4Addr> {
        self.let_go(heard);
        check_rests(heard, effects);
        effects.iter().for_each(|effect| {
            if let Effect::Persist(record) = effect {
                self.recorded(record);
            }
        });
        let mut sent = effects.iter().enumerate().filter_map(|(at, effect)| match effect {
            Effect::Send { datagram, to } => Some((at, datagram, *to)),
            Effect::Persist(_)
            | Effect::Report(_)
            | Effect::Probe(_)
            | Effect::ProbeAhead { .. }
            | Effect::Wait { .. } => None,
        });
        let (at, datagram, to) = sent.next()?;
        assert!(sent.next().is_none(), "one reply to one packet");
        let reply = Message::parse(datagram).expect("what is sent is legal");
        let takes = usize::from(heard.request.max_datagram).min(1500) - HEADERS;
        assert!(datagram.len() <= takes, "{} bytes to who takes {takes}", datagram.len());
        check_ours(heard);
        check_addressee(heard, &reply, to);
        self.check_address(heard, reply.yiaddr);
        if kind(&reply) == Some(5) && heard.request.kind == MessageType::Request {
            self.acknowledged(heard, &reply, &effects[..at]);
        }
        (!reply.yiaddr.is_unspecified()).then_some(reply.yiaddr)
    }

    /// What rests on the plan alone: a fixed address, for ten minutes at most, with no record.
    pub(super) fn unrecorded(&self, heard: Heard<'_>, reply: &Message) {
        let host = heard.plan.host_of(heard.request.mac).expect("a host of the plan");
        assert_eq!(Some(reply.yiaddr), host.address);
        assert!(lease_seconds(reply).is_none_or(|seconds| seconds <= 600));
        self.check_address(heard, reply.yiaddr);
    }

    /// A machine that says so itself has its address no more, if it says it to us.
    fn let_go(&mut self, heard: Heard<'_>) {
        let request = heard.request;
        let named = match request.kind {
            MessageType::Decline => request.requested,
            MessageType::Release => request.ciaddr,
            MessageType::Discover | MessageType::Request | MessageType::Inform | MessageType::Bootp => None,
        };
        let named = named.filter(|_| !is_anothers(request));
        self.held.retain(|address, (mac, _)| named != Some(*address) || *mac != request.mac);
    }

    /// A rest begins, or is over before its time. What the plan keeps for a host rests for a minute at most, whoever says so.
    pub(super) fn rested(&mut self, record: &Record, plan: &SitePlan, now: Wall) {
        if let Record::Quarantine(quarantine) = record {
            let reserved = plan.hosts.values().any(|host| host.address == Some(quarantine.address));
            assert!(!reserved || quarantine.until <= now.plus(FIXED_REST), "{} rests", quarantine.address);
        }
        self.recorded(record);
    }

    fn recorded(&mut self, record: &Record) {
        if let Record::Quarantine(quarantine) = record {
            self.resting.insert(quarantine.address, quarantine.until);
        }
    }

    fn check_address(&self, Heard { request, plan, now, .. }: Heard<'_>, address: Ipv4Addr) {
        if address.is_unspecified() {
            return;
        }
        assert_eq!(plan.network.dhcp, DhcpMode::Authoritative, "no address beside another server");
        assert!(plan.network.subnet_of(address).is_some() && !is_reserved(address), "{address}");
        assert!(self.resting.get(&address).is_none_or(|until| *until <= now), "{address} rests");
        let owner = plan.hosts.values().find(|host| host.address == Some(address));
        assert!(owner.is_none_or(|host| host.macs.contains(&request.mac)), "{address} is another host's");
        let Some((holder, _)) = self.held.get(&address).filter(|(_, until)| *until > now) else { return };
        // Firmware tries the cards of a host one after the other.
        let own = request.is_boot_class() && owner.is_some_and(|host| host.macs.contains(holder));
        assert!(*holder == request.mac || own, "{address} is {holder}'s");
    }

    fn acknowledged(&mut self, heard: Heard<'_>, reply: &Message, before: &[Effect]) {
        let (request, plan, address) = (heard.request, heard.plan, reply.yiaddr);
        if address.is_unspecified() {
            assert!(request.port != Port::Dhcp || plan.network.dhcp == DhcpMode::Proxy);
            return;
        }
        assert_eq!(request.requested.or(request.ciaddr), Some(address), "what was asked for");
        let seconds = lease_seconds(reply).expect("a lease has its time");
        let told = Wall(heard.now.0 + 1000 * u64::from(seconds));
        let own = |lease: &&Lease| lease.key.mac == request.mac && lease.address == address;
        let recorded = before.iter().find_map(|effect| {
            let Effect::Persist(Record::Lease(lease)) = effect else { return None };
            Some(lease).filter(own).map(|lease| lease.until)
        });
        let until = recorded.expect("an ACK comes behind its record");
        // Firmware that passes by is told of less than its system was promised (QUIRKS 11).
        let passing = request.is_boot_class() && plan.host_of(request.mac).is_none();
        assert!(until == told || (passing && until > told), "the record says what the client is told");
        // On one link a machine has one address.
        let link = plan.network.subnet_of(address).expect("checked").network;
        self.held.retain(|held, (mac, _)| *mac != request.mac || !link.contains(held));
        self.held.insert(address, (request.mac, until));
    }
}

/// Only who declines an address lets it rest; time alone ends it.
fn check_rests(heard: Heard<'_>, effects: &[Effect]) {
    for effect in effects {
        if let Effect::Persist(Record::Quarantine(quarantine)) = effect
            && quarantine.until > heard.now
        {
            assert_eq!(heard.plan.network.dhcp, DhcpMode::Authoritative);
            assert_eq!(heard.request.kind, MessageType::Decline);
        }
    }
}

/// Is an answer due to this packet at all?
fn check_ours(Heard { message, request, plan, .. }: Heard<'_>) {
    assert_ne!(plan.network.dhcp, DhcpMode::Off, "a silent site");
    match request.kind {
        MessageType::Decline | MessageType::Release => panic!("nobody waits for an answer"),
        MessageType::Request => {
            assert!(request.port != Port::Dhcp || !is_anothers(request), "another server's")
        }
        MessageType::Discover | MessageType::Inform | MessageType::Bootp => {}
    }
    let options = message.options.as_ref();
    let selects = options.is_some_and(|options| [82, 118].iter().any(|code| options.get(*code).is_some()));
    let known = request.giaddr.is_none_or(|giaddr| plan.network.subnet_of(giaddr).is_some());
    assert!(known || selects, "a link that is not ours");
}

/// The reply goes to who asked, and says so.
fn check_addressee(Heard { request, plan, .. }: Heard<'_>, reply: &Message, to: Destination) {
    assert_eq!((reply.operation, reply.xid, reply.mac), (Operation::Reply, request.xid, request.mac));
    let on_link = |address| plan.network.subnet_of(address).is_some();
    match to {
        Destination::Relay(giaddr) => assert_eq!(request.giaddr, Some(giaddr)),
        Destination::Broadcast => assert_eq!((request.giaddr, request.port), (None, Port::Dhcp)),
        Destination::Unicast { address, mac } => {
            assert_eq!((request.giaddr, mac, address), (None, request.mac, reply.yiaddr));
        }
        Destination::Address(address, port) => {
            assert_eq!((request.giaddr, request.ciaddr, port), (None, Some(address), 68));
            assert!(on_link(address), "{address} is on no link of ours");
        }
        Destination::Servers => panic!("nobody has asked for servers"),
        Destination::BootService(from) => {
            assert_eq!((request.port, reply.yiaddr), (Port::BootService(from), Ipv4Addr::UNSPECIFIED));
            assert!(on_link(*from.ip()), "{from} is on no link of ours");
        }
    }
}

/// Is it said to another server? Relay agents may have us under another address (RFC 5107).
fn is_anothers(request: &Request) -> bool {
    request.giaddr.is_none() && request.server_id.is_some_and(|id| id != SERVER)
}

fn kind(message: &Message) -> Option<u8> {
    message.options.as_ref()?.get(53)?.first().copied()
}

fn lease_seconds(message: &Message) -> Option<u32> {
    let value = message.options.as_ref()?.get(51)?;
    Some(u32::from_be_bytes(value.try_into().ok()?))
}
