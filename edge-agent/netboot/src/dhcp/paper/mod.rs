//! A site on paper: a plan, machines that speak as the lab's did, and a server to answer them.

mod ahead;
mod beside;
mod golden;
mod links;
mod prefix;
mod probes;
mod recorded;
mod rules;
mod sequences;
mod unrecorded;

use std::{net::Ipv4Addr, time::Duration};

use proto::{
    Generation, HostId, Mac, Wall,
    ledger::Record,
    plan::{
        DhcpMode, HostPlan, Network, PlanDocument, ReplySettings, SitePlan, Subnet, UnknownMachines,
        host_entry, network_entry,
    },
};

use super::{BootAnswer, Context, Destination, Effect, Message, Operation, Options, Request, Server};
use crate::time::{Mono, Now};

const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const FIXED: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
const LEASE: Duration = Duration::from_secs(3600);

/// The one known host, `web-1`, with two cards.
const KNOWN: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
const KNOWN_TOO: Mac = Mac([0x52, 0x54, 0, 0, 0, 2]);
const STRANGER: Mac = Mac([0x52, 0x54, 0, 0, 0xff, 1]);

fn subnet(network: &str, pool: &str) -> Subnet {
    let network: ipnet::Ipv4Net = network.parse().expect("a network");
    Subnet {
        network,
        pools: vec![pool.parse().expect("a range")],
        router: network.hosts().next(),
        dns: vec![[10, 1, 0, 1].into(), [10, 1, 0, 3].into()],
        ntp: vec![[10, 1, 0, 4].into()],
        domain: Some("lyon.example".into()),
        lease: LEASE,
        shared: None,
    }
}

fn host(id: u8, name: &str, macs: Vec<Mac>, address: Option<Ipv4Addr>) -> HostPlan {
    let (id, name) = (HostId([id; 16]), name.into());
    HostPlan {
        id,
        name,
        macs,
        uuid: None,
        serial: None,
        address,
        locked: false,
        boot: None,
        tftp_single_port: false,
        reply: ReplySettings::default(),
    }
}

/// A plan with these hosts; `revision` makes its identity.
fn plan(revision: u64, pool: &str, hosts: &[HostPlan]) -> SitePlan {
    let network = Network {
        dhcp: DhcpMode::Authoritative,
        subnets: vec![subnet("10.1.0.0/24", pool), subnet("10.9.0.0/24", "10.9.0.100-10.9.0.199")],
        unknown: UnknownMachines::Lease,
        ..Network::default()
    };
    let entries = [network_entry(&network)].into_iter().chain(hosts.iter().map(host_entry));
    let generation = Generation { epoch: 1, revision };
    let document = PlanDocument::assemble("acme", "lyon", generation, 1, entries);
    SitePlan::decode(&document).expect("a legal plan")
}

/// A site with its server.
struct Site {
    /// Our own address, and where we serve files.
    address: Ipv4Addr,
    base_url: String,
    plan: SitePlan,
    server: Server,
    now: Now,
    answer: BootAnswer,
    grants_allowed: bool,
    probes: bool,
    /// What was persisted, in order.
    ledger: Vec<Record>,
}

impl Site {
    fn new() -> Self {
        let hosts = [host(1, "web-1", vec![KNOWN, KNOWN_TOO], Some(FIXED))];
        Self::of(plan(1, "10.1.0.8-10.1.0.12", &hosts))
    }

    fn of(plan: SitePlan) -> Self {
        let now = Now { mono: Mono(Duration::ZERO), wall: Wall(1_000_000) };
        let (server, answer, ledger) = (Server::new(), BootAnswer::AddressOnly, Vec::new());
        let (address, base_url) = (SERVER, format!("http://{SERVER}:8080"));
        let (grants_allowed, probes) = (true, false);
        Self { address, base_url, plan, server, now, answer, grants_allowed, probes, ledger }
    }

    /// Hands a datagram in and notes what is persisted.
    fn hear(&mut self, message: &Message) -> Vec<Effect> {
        self.hear_request(&Request::parse(&message.emit()).expect("a legal request"))
    }

    fn hear_request(&mut self, request: &Request) -> Vec<Effect> {
        let context = Context {
            network: &self.plan.network,
            host: self.plan.host_of(request.mac),
            plan: &self.plan,
            server: self.address,
            base_url: &self.base_url,
            answer: &self.answer,
            form: self.plan.pinned_form(request.mac).unwrap_or_default(),
            wire: self.probes.then_some(0),
            grants_allowed: self.grants_allowed,
        };
        let effects = self.server.handle(self.now, request, &context);
        self.note(&effects);
        effects
    }

    fn wait(&mut self, by: Duration) -> Vec<Effect> {
        self.now = self.now.plus(by);
        let effects = self.server.handle_timeout(self.now);
        self.note(&effects);
        effects
    }

    /// A new process that has the ledger and nothing else.
    fn restart(&mut self) {
        self.server = Server::new();
        for record in &self.ledger {
            self.server.restore(record);
        }
    }

    fn note(&mut self, effects: &[Effect]) {
        self.ledger.extend(effects.iter().filter_map(|effect| match effect {
            Effect::Persist(record) => Some(record.clone()),
            Effect::Report(_)
            | Effect::Send { .. }
            | Effect::Probe(_)
            | Effect::ProbeAhead { .. }
            | Effect::Wait { .. } => None,
        }));
    }

    /// The one reply to a message, and where it goes.
    fn reply(&mut self, message: &Message) -> (Message, Destination) {
        sent(&self.hear(message)).expect("a reply")
    }

    /// DISCOVER, REQUEST: the address that was acknowledged.
    fn boot(&mut self, mac: Mac) -> Ipv4Addr {
        let (offer, _) = self.reply(&discover(mac));
        let (ack, _) = self.reply(&select(&discover(mac), &offer));
        assert_eq!(kind(&ack), Some(5));
        ack.yiaddr
    }
}

/// The one datagram among the effects.
fn sent(effects: &[Effect]) -> Option<(Message, Destination)> {
    let mut replies = effects.iter().filter_map(|effect| match effect {
        Effect::Send { datagram, to } => Some((Message::parse(datagram).expect("legal"), *to)),
        Effect::Persist(_)
        | Effect::Report(_)
        | Effect::Probe(_)
        | Effect::ProbeAhead { .. }
        | Effect::Wait { .. } => None,
    });
    let reply = replies.next();
    assert!(replies.next().is_none(), "one reply to one request");
    reply
}

fn options(pairs: &[(u8, &[u8])]) -> Options {
    let mut options = Options::default();
    for (code, value) in pairs {
        options.set(*code, *value);
    }
    options
}

fn message(mac: Mac, pairs: &[(u8, &[u8])]) -> Message {
    let mut message = Message::new(Operation::Request, mac, 0x1234_5678);
    message.options = Some(options(pairs));
    message
}

fn discover(mac: Mac) -> Message {
    message(mac, &[(53, &[1])])
}

/// The REQUEST with which a client that sent `discover` takes `offer`.
fn select(discover: &Message, offer: &Message) -> Message {
    let mut request = discover.clone();
    let options = request.options.get_or_insert_default();
    options.set(53, [3]);
    options.set(50, offer.yiaddr.octets());
    options.set(54, option(offer, 54).expect("a server identifier"));
    request
}

/// INIT-REBOOT (RFC 2131 §4.3.2).
fn reboot(mac: Mac, address: Ipv4Addr) -> Message {
    message(mac, &[(53, &[3]), (50, &address.octets())])
}

/// RENEWING (RFC 2131 §4.3.2).
fn renew(mac: Mac, address: Ipv4Addr) -> Message {
    let mut request = message(mac, &[(53, &[3])]);
    request.ciaddr = address;
    request
}

fn option(message: &Message, code: u8) -> Option<&[u8]> {
    message.options.as_ref()?.get(code)
}

fn kind(message: &Message) -> Option<u8> {
    option(message, 53).and_then(|value| value.first().copied())
}

fn codes(message: &Message) -> Vec<u8> {
    message.options.iter().flat_map(Options::iter).map(|(code, _)| code).collect()
}
