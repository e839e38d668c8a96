//! The server: one method per message type of RFC 2131 §4.3, over the leases, offers and quarantine.

use std::net::Ipv4Addr;

use proto::{
    Mac, Wall,
    event::{AlarmKind, EventKind, LeaseEnd},
    ledger::{DhcpRecord, Lease, LeaseKey, Part, Quarantine, Record},
    plan::{DhcpMode, SitePlan, Subnet},
};

use super::{
    Context, Effect, MessageType, Request,
    ahead::Ahead,
    alarm::{Alarms, Subject},
    book::Book,
    exchange::Exchange,
    lease::Place,
    pool,
    probe::Probes,
    quarantine::QUARANTINE,
    renewal::Told,
    reply::Kind,
    request::Port,
    sighting::Sightings,
};
use crate::time::{Mono, Now};

/// Why a machine without a fixed address gets no new lease while the agent's disk is full.
pub const POOLS_WAIT: &str = "the agent's disk is full: new addresses of pools wait until there is room";

/// The DHCP server for the subnets of one site.
#[derive(Debug, Default)]
pub struct Server {
    pub(super) book: Book,
    pub(super) probes: Probes,
    alarms: Alarms,
    pub(super) sightings: Sightings,
    /// The moment of the last call.
    last: Now,
}

impl Server {
    /// A server without leases; [`Self::restore`] brings them back.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, which asks for some addresses ahead of time where operating systems would wait.
    #[must_use]
    pub fn asking_ahead() -> Self {
        let mut server = Self::new();
        server.probes.ahead = Some(Ahead::default());
        server
    }

    /// Replays a record of the ledger, in the ledger's order; records of others are passed over.
    pub fn restore(&mut self, record: &Record) {
        let Part::Dhcp(record) = record.part() else { return };
        match record {
            DhcpRecord::Lease(lease) => self.book.leases.insert(*lease),
            DhcpRecord::LeaseRemoved(key) => drop(self.book.leases.remove(key)),
            DhcpRecord::Quarantine(quarantine) => self.book.quarantined.insert(quarantine),
            DhcpRecord::Sighting(sighting) => self.sightings.insert(sighting),
        }
    }

    /// The records that bring this server's durable state back, for a compacted ledger.
    pub fn snapshot(&self) -> impl Iterator<Item = Record> {
        self.book.leases.iter().copied().map(Record::Lease).chain(self.snapshot_but_leases())
    }

    /// The same without the leases, which [`Self::leases_behind`] gives in pieces.
    pub fn snapshot_but_leases(&self) -> impl Iterator<Item = Record> {
        let sightings = self.sightings.iter().map(Record::Sighting);
        self.book.quarantined.iter().map(Record::Quarantine).chain(sightings)
    }

    /// Hands out the records of up to `count` leases behind a place; None: these were the last.
    ///
    /// Pieces that are taken at different moments, with every record since before the first behind them, bring the leases
    /// back: a record says what holds of a machine and an address, whatever held before.
    #[must_use]
    pub fn leases_behind(
        &self,
        place: Option<Place>,
        count: usize,
        mut take: impl FnMut(Record),
    ) -> Option<Place> {
        self.book.leases.piece(place, count, |lease| take(Record::Lease(*lease)))
    }

    /// The lease of an address, if it is leased.
    #[must_use]
    pub fn lease_of(&self, address: Ipv4Addr) -> Option<&Lease> {
        self.book.leases.at(address)
    }

    /// The machine that uses an address: by its own word where another server leases, else by its lease.
    #[must_use]
    pub fn machine_at(&self, address: Ipv4Addr) -> Option<Mac> {
        self.sightings.machine_at(address).or_else(|| self.book.leases.holder(address))
    }

    /// The address that a known machine uses by another server's leave, if it was heard to.
    #[must_use]
    pub fn sighted(&self, mac: Mac) -> Option<Ipv4Addr> {
        self.sightings.of(mac)
    }

    /// Every lease that stands, by machine.
    pub fn leases(&self) -> impl Iterator<Item = &Lease> {
        self.book.leases.iter()
    }

    /// How many leases stand.
    #[must_use]
    pub fn lease_count(&self) -> usize {
        self.book.leases.len()
    }

    /// How many addresses the pools of a subnet have, and how many of them are leased.
    #[must_use]
    pub fn use_of_pools(&self, subnet: &Subnet) -> (u64, u64) {
        let leased = subnet.pools.iter().map(|range| self.book.leases.count(range.first(), range.last()));
        (pool::size(subnet), leased.sum())
    }

    /// When [`Self::handle_timeout`] is next due; ask again after each `handle` and `handle_timeout`. Leases end
    /// by wall time; when that is on the monotonic clock follows from the `now` that was handed in last.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        let walls = [self.book.leases.next_end(), self.book.quarantined.next_end()];
        let on_mono = |wall: Wall| self.last.mono.plus(wall.since(self.last.wall));
        let ahead = self.probes.ahead.as_ref().and_then(Ahead::next_end);
        let monos = [self.book.offers.next_end(), self.probes.next_end(), ahead];
        monos.into_iter().chain([walls.into_iter().flatten().min().map(on_mono)]).flatten().min()
    }

    /// Ends the leases, offers and quarantines whose time is over.
    pub fn handle_timeout(&mut self, now: Now) -> Vec<Effect> {
        self.last = now;
        self.book.offers.drop_ended(now.mono);
        self.book.quarantined.drop_ended(now.wall);
        let mut effects = self.lift_rests(now);
        effects.extend(self.ask_ahead(now));
        while let Some(lease) = self.book.leases.pop_ended(now.wall) {
            effects.extend(ended(&lease, LeaseEnd::Expired));
        }
        effects
    }

    /// This report was told: of the renewals of a lease few need be, of one of which nothing was told each.
    pub fn told(&mut self, now: Wall, kind: &EventKind) {
        let (EventKind::Leased { address, .. } | EventKind::LeaseRenewed { address, .. }) = kind else {
            return;
        };
        if let Some(lease) = self.book.leases.at(*address).copied() {
            self.book.leases.tell(lease.key, Told::of(&lease, now));
        }
    }

    /// Obeys this plan from now on.
    pub fn follow(&mut self, plan: &SitePlan) {
        if self.book.follow(plan) {
            self.sightings.follow(plan);
            self.probes.ahead.iter_mut().for_each(Ahead::clear);
        }
    }

    /// Answers a request.
    pub fn handle(&mut self, now: Now, request: &Request, context: &Context<'_>) -> Vec<Effect> {
        let mut effects = self.handle_timeout(now);
        let Some(subnet) = subnet_of(request, context) else { return effects };
        self.follow(context.plan);
        let exchange = Exchange { request, context, subnet };
        effects.extend(match (context.network.dhcp, request.port) {
            (DhcpMode::Off, Port::Dhcp | Port::BootService(_)) => Vec::new(),
            (DhcpMode::Authoritative | DhcpMode::Proxy, Port::BootService(from)) => {
                self.boot_service(exchange, from)
            }
            (DhcpMode::Proxy, Port::Dhcp) => self.proxy(exchange),
            (DhcpMode::Authoritative, Port::Dhcp) => self.authority(now, exchange),
        });
        effects
    }

    fn authority(&mut self, now: Now, exchange: Exchange<'_>) -> Vec<Effect> {
        match exchange.request.kind {
            MessageType::Discover => self.discover(now, exchange),
            MessageType::Request => self.request(now, exchange),
            MessageType::Decline => self.decline(now, exchange),
            MessageType::Release => self.release(exchange),
            MessageType::Inform => inform(exchange),
            MessageType::Bootp => self.bootp(exchange),
        }
    }

    /// RFC 2131 §4.3.1.
    fn discover(&mut self, now: Now, exchange: Exchange<'_>) -> Vec<Effect> {
        let mut effects = self.report_conflict(now, exchange);
        let ready = self.ready_address(now, exchange);
        let Some(address) = self.book.choose(now, exchange, ready) else {
            effects.extend(self.report_empty_pool(now, exchange));
            return effects;
        };
        effects.extend(self.probe(now, exchange, address));
        if matches!(effects.last(), Some(Effect::Wait { .. })) {
            return effects;
        }
        let (client, boot) = (exchange.request.client, exchange.boot());
        let offer = exchange.lease(Kind::Offer, address, &boot);
        effects.push(Effect::Report(EventKind::Offered { address: Some(address), file: boot.label, client }));
        effects.push(offer);
        effects
    }

    /// RFC 2131 §4.3.2. A REQUEST that could simply be granted is granted, whatever was or was not offered
    /// before: after a restart nothing is known of the offers (QUIRKS 7).
    fn request(&mut self, now: Now, exchange: Exchange<'_>) -> Vec<Effect> {
        let (request, key) = (exchange.request, key_of(exchange));
        if let Some(server) = request.server_id.filter(|id| *id != exchange.server_id()) {
            // QUIRKS 9: the machine has chosen another server.
            self.book.offers.remove(key);
            let taken = EventKind::ForeignOfferTaken { server, known: String::new() };
            return request.is_boot_class().then_some(Effect::Report(taken)).into_iter().collect();
        }
        let Some(wanted) = request.requested.or(request.ciaddr) else { return Vec::new() };
        if self.book.may_take(wanted, exchange) {
            return self.acknowledge(now, exchange, wanted);
        }
        // QUIRKS 7: a ROM gives up at a NAK; without an answer it asks anew. RFC 2131 §3.2: so do others.
        // A full disk is no fault of the address.
        let told = !request.is_boot_class() && !self.book.would_be_free(wanted, exchange);
        let nak = told.then(|| exchange.nak("address not available"));
        self.report_refusal(now, exchange, wanted, told).into_iter().chain(nak).collect()
    }

    /// Machines ask again and again: told once a minute of each.
    fn report_refusal(
        &mut self,
        now: Now,
        exchange: Exchange<'_>,
        address: Ipv4Addr,
        told: bool,
    ) -> Option<Effect> {
        let request = exchange.request;
        self.alarms.raise(now.mono, Subject::Request(request.mac)).then(|| {
            let why = self.book.why_not(address, exchange);
            Effect::Report(EventKind::AddressRefused { address, client: request.client, told, why })
        })
    }

    fn acknowledge(&mut self, now: Now, exchange: Exchange<'_>, address: Ipv4Addr) -> Vec<Effect> {
        let (request, key) = (exchange.request, key_of(exchange));
        let there = Exchange { subnet: exchange.subnet_with(address).unwrap_or(exchange.subnet), ..exchange };
        // What a machine's system was promised stays promised when its ROM passes by (QUIRKS 11).
        let promised =
            self.book.leases.of(key).filter(|lease| there.is_passing() && lease.address == address);
        let until =
            now.wall.plus(there.lease_time()).max(promised.map_or(Wall::default(), |lease| lease.until));
        let mut effects = Vec::new();
        for former in self.book.displaced(key, address) {
            effects.extend(ended(&former, LeaseEnd::Released));
        }
        let lease = Lease { key, address, until };
        self.probes.is_given(address);
        self.book.offers.remove(key);
        self.book.leases.insert(lease);
        effects.push(Effect::Persist(Record::Lease(lease)));
        // A renewal is no stage of a boot.
        let told = match request.ciaddr {
            None => Some(EventKind::Leased { address, until, client: request.client }),
            Some(_) => Told::is_due(self.book.leases.told(key), &lease, now.wall)
                .then_some(EventKind::LeaseRenewed { address, until }),
        };
        effects.extend(told.map(Effect::Report));
        effects.push(exchange.lease(Kind::Ack, address, &exchange.boot()));
        effects
    }

    /// RFC 2131 §4.3.3: only what we gave or offered to this machine can be declined by it.
    fn decline(&mut self, now: Now, exchange: Exchange<'_>) -> Vec<Effect> {
        let (request, key) = (exchange.request, key_of(exchange));
        let Some(address) = request.requested.filter(|_| is_for_us(exchange)) else { return Vec::new() };
        let leased = self.book.leases.of(key).copied().filter(|lease| lease.address == address);
        let fixed = exchange.context.host.is_some_and(|host| host.address == Some(address));
        if leased.is_none() && !fixed && self.book.offers.of(key) != Some(address) {
            return Vec::new();
        }
        let quarantine = Quarantine { address, until: now.wall.plus(self.book.rest(address, QUARANTINE)) };
        self.probes.is_given(address);
        self.book.offers.remove(key);
        self.book.quarantined.insert(quarantine);
        let mut effects = vec![Effect::Persist(Record::Quarantine(quarantine))];
        if let Some(lease) = leased {
            self.book.leases.remove(key);
            effects.extend(ended(&lease, LeaseEnd::Declined));
        }
        let detail = format!("{} declined {address}: another machine uses it", request.mac);
        effects.extend(self.alarm(now, Subject::Address(address), AlarmKind::AddressInUse, detail));
        if fixed {
            effects.extend(self.probe_declined(now, exchange, address));
        }
        effects
    }

    /// RFC 2131 §4.3.4.
    fn release(&mut self, exchange: Exchange<'_>) -> Vec<Effect> {
        let key = key_of(exchange);
        let held = self.book.leases.of(key).copied();
        match held.filter(|lease| is_for_us(exchange) && exchange.request.ciaddr == Some(lease.address)) {
            Some(lease) => {
                self.book.leases.remove(key);
                ended(&lease, LeaseEnd::Released).into()
            }
            None => Vec::new(),
        }
    }

    /// RFC 1534 §2: BOOTP knows no lease, so only a fixed address can be given.
    fn bootp(&mut self, exchange: Exchange<'_>) -> Vec<Effect> {
        let Some(address) = self.book.fixed(exchange) else { return Vec::new() };
        let (client, boot) = (exchange.request.client, exchange.boot());
        let reply = exchange.bootp(address, &boot);
        let offered = EventKind::Offered { address: Some(address), file: boot.label, client };
        vec![Effect::Report(offered), reply]
    }

    /// A host's fixed address is with somebody else, or in quarantine.
    fn report_conflict(&mut self, now: Now, exchange: Exchange<'_>) -> Vec<Effect> {
        let Some(host) = exchange.context.host else { return Vec::new() };
        let Some(address) = host.address.filter(|a| exchange.subnet_with(*a).is_some()) else {
            return Vec::new();
        };
        if self.book.fixed(exchange).is_some() {
            return Vec::new();
        }
        let detail = match self.book.leases.holder(address) {
            Some(mac) => {
                let holder =
                    exchange.context.plan.host_of(mac).map(|holder| format!(", host {}", holder.name));
                let holder = holder.unwrap_or_default();
                format!("the fixed address {address} of {} is leased to {mac}{holder}", host.name)
            }
            None => format!("the fixed address {address} of {} is in use", host.name),
        };
        self.alarm(now, Subject::Address(address), AlarmKind::AddressInUse, detail)
    }

    fn report_empty_pool(&mut self, now: Now, exchange: Exchange<'_>) -> Vec<Effect> {
        let network = exchange.link();
        let (kind, detail) = match exchange.context.grants_allowed {
            true => {
                let pools = pool::in_words(exchange.subnets());
                (AlarmKind::PoolEmpty, format!("no address of {network} is free: {pools}"))
            }
            false => (AlarmKind::DiskLow, POOLS_WAIT.to_owned()),
        };
        self.alarm(now, Subject::Pool(network, exchange.request.mac), kind, detail)
    }

    pub(super) fn alarm(
        &mut self,
        now: Now,
        subject: Subject,
        kind: AlarmKind,
        detail: String,
    ) -> Vec<Effect> {
        if self.alarms.raise(now.mono, subject) {
            vec![Effect::Report(EventKind::Alarm { kind, detail })]
        } else {
            Vec::new()
        }
    }
}

/// RFC 2131 §4.3.5: the address is the client's own affair, but it is to be one of the link.
fn inform(exchange: Exchange<'_>) -> Vec<Effect> {
    let on_link = |address: &Ipv4Addr| exchange.subnet_with(*address).is_some();
    if exchange.request.ciaddr.as_ref().is_none_or(on_link) { vec![exchange.inform()] } else { Vec::new() }
}

/// Whose lease it is about: one machine's on one link (QUIRKS 4: never the client identifier's). Every machine here is on
/// Ethernet; messages of other hardware types are not read.
pub(super) fn key_of(exchange: Exchange<'_>) -> LeaseKey {
    LeaseKey { mac: exchange.request.mac, network: exchange.link() }
}

/// The subnet that the machine stands on: what its relay agent says (RFC 3527) or it itself (RFC 3011), else the relay agent's own
/// (QUIRKS 1), else where a routed renewal comes from, else our own.
pub(super) fn subnet_of<'a>(request: &Request, context: &Context<'a>) -> Option<&'a Subnet> {
    let network = context.network;
    if let Some(relayed) = request.selected_link().or(request.giaddr) {
        return network.subnet_of(relayed);
    }
    let routed = request.ciaddr.and_then(|address| network.subnet_of(address));
    routed.or_else(|| network.subnet_of(context.server))
}

/// RFC 2131 table 5: DECLINE and RELEASE name their server.
pub(super) fn is_for_us(exchange: Exchange<'_>) -> bool {
    exchange.request.server_id.is_none_or(|id| id == exchange.server_id())
}

pub(super) fn ended(lease: &Lease, how: LeaseEnd) -> [Effect; 2] {
    [
        Effect::Persist(Record::LeaseRemoved(lease.key)),
        Effect::Report(EventKind::LeaseEnded { address: lease.address, how }),
    ]
}
