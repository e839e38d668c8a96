//! The DHCP server under a sequence of events, against a small reference of what it may do.
//!
//! Six machines on two links: a host with a fixed address and two cards, a host that has one in some plans, and strangers.
//! They boot, renew, decline and release, honestly and not, while plans change, the disk is full and the server starts anew
//! from its ledger. What every answer is held against stands in [`reference`].

mod reference;
mod site;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use netboot::arp::Claim;
use netboot::dhcp::{BootAnswer, Context, Effect, Message, Operation, Options, Request, Server};
use netboot::time::{Mono, Now, Wall};
use proto::{Mac, ledger::Lease, ledger::Record, plan::SitePlan};

use reference::{Heard, Reference};
use site::{LINK, MACHINES, OTHER_LINK, OTHER_SERVER, SERVER, plans};

/// Timers that may fire at one moment: more, and time stands still.
const TIMERS: usize = 100;

/// Plays the events that `bytes` describe.
pub fn run(bytes: &[u8]) {
    let mut model = Model::new();
    for word in bytes.chunks_exact(4) {
        model.play([word[0], word[1], word[2], word[3]], bytes);
        model.check_bounds();
    }
    model.pass(Duration::from_secs(3 * 24 * 60 * 60));
    assert_eq!(model.server.leases().count(), 0, "every lease ends");
    assert_eq!(model.server.poll_timeout(), None);
}

struct Model {
    server: Server,
    now: Now,
    plan: &'static SitePlan,
    answer: BootAnswer,
    grants_allowed: bool,
    probes: bool,
    /// What was persisted, in order.
    ledger: Vec<Record>,
    /// The address that each machine was offered or given last.
    offers: BTreeMap<Mac, Ipv4Addr>,
    reference: Reference,
}

impl Model {
    fn new() -> Self {
        Self {
            server: Server::new(),
            now: Now { mono: Mono::default(), wall: Wall(1_000_000) },
            plan: &plans()[0],
            answer: BootAnswer::LocalDisk,
            grants_allowed: true,
            probes: false,
            ledger: Vec::new(),
            offers: BTreeMap::new(),
            reference: Reference::default(),
        }
    }

    fn play(&mut self, [event, who, a, b]: [u8; 4], all: &[u8]) {
        let mac = site::machine(who % MACHINES);
        let last = self.offers.get(&mac).copied().unwrap_or(LINK);
        let any = Ipv4Addr::new(10, 1 + (b & 1) * 8, 0, a % 16);
        let named = if b & 2 == 0 { last } else { any };
        let mut message = match event % 16 {
            0 | 1 => asks(mac, 1, &[]),
            2 | 3 => asks(mac, 3, &[(50, &last.octets()), (54, &SERVER.octets())]),
            4 => asks(mac, 3, &[(50, &any.octets())]),
            5 => Message { ciaddr: named, ..asks(mac, 3, &[]) },
            6 => asks(mac, 4, &[(50, &named.octets())]),
            7 => Message { ciaddr: named, ..asks(mac, 7, &[]) },
            8 => Message { ciaddr: named, ..asks(mac, 8, &[]) },
            9 => bootp(mac),
            10 => return self.ask_boot_service(Message { ciaddr: named, ..asks(mac, 3, &[]) }, a),
            11 => return self.pass(Duration::from_secs(u64::from(u16::from_be_bytes([a, b])))),
            12 => return self.restart(a & 1 == 0),
            13 => return self.follow(&plans()[usize::from(a) % plans().len()]),
            14 if b & 1 > 0 => return self.claim(last, site::machine(b / 2 % MACHINES)),
            14 => return self.turn(a),
            _ => return self.hear_datagram(&raw(mac, &all[all.len().min(usize::from(a))..])),
        };
        flavour(&mut message, event >> 4, b);
        self.hear_datagram(&message.emit());
    }

    /// Another plan is in force.
    fn follow(&mut self, plan: &'static SitePlan) {
        self.plan = plan;
        self.server.follow(plan);
    }

    /// The site as it is otherwise: a full disk, another thing to boot.
    fn turn(&mut self, to: u8) {
        self.grants_allowed = to & 1 == 0;
        self.probes = to & 8 > 0;
        self.answer = match to / 2 % 4 {
            0 => BootAnswer::AddressOnly,
            1 => BootAnswer::LocalDisk,
            2 => BootAnswer::Loader { name: "snponly.efi".to_owned() },
            _ => BootAnswer::Script { url: format!("http://{SERVER}/boot/{}", "x".repeat(to.into())) },
        };
    }

    /// A machine answers for an address, whether or not anybody has asked.
    fn claim(&mut self, address: Ipv4Addr, mac: Mac) {
        let effects = self.server.handle_claim(self.now, Claim { address, mac });
        self.note(effects);
    }

    fn ask_boot_service(&mut self, mut message: Message, from: u8) {
        flavour(&mut message, 2, 0);
        let ip = if from & 1 == 0 { message.ciaddr } else { [192, 0, 2, from].into() };
        let request = Request::parse_boot_service(&message.emit(), SocketAddrV4::new(ip, 4011));
        self.hear(&message, &request.expect("a legal request"));
    }

    fn hear_datagram(&mut self, datagram: &[u8]) {
        if let (Ok(message), Ok(request)) = (Message::parse(datagram), Request::parse(datagram)) {
            self.hear(&message, &request);
        }
    }

    fn hear(&mut self, message: &Message, request: &Request) {
        let context = Context {
            network: &self.plan.network,
            host: self.plan.host_of(request.mac),
            plan: self.plan,
            server: SERVER,
            base_url: "http://10.1.0.2:8080",
            answer: &self.answer,
            form: self.plan.pinned_form(request.mac).unwrap_or_default(),
            wire: self.probes.then_some(0),
            grants_allowed: self.grants_allowed,
        };
        let heard = Heard { message, request, plan: self.plan, now: self.now.wall };
        if let Some((datagram, _)) = self.server.reply_from_plan(request, &context) {
            self.reference.unrecorded(heard, &Message::parse(&datagram).expect("what is sent is legal"));
        }
        let leases = self.server.leases().count();
        let effects = self.server.handle(self.now, request, &context);
        assert!(effects.len() <= 8 + 2 * leases, "{} effects of one packet", effects.len());
        if let Some(given) = self.reference.check(heard, &effects) {
            self.offers.insert(request.mac, given);
        }
        self.note(effects);
    }

    fn pass(&mut self, by: Duration) {
        let until = self.now.plus(by);
        for timer in 0.. {
            let Some(at) = self.server.poll_timeout().filter(|at| *at <= until.mono) else { break };
            assert!(timer < TIMERS, "time stands still");
            self.now = self.now.plus(at.since(self.now.mono));
            let effects = self.server.handle_timeout(self.now);
            self.note(effects);
        }
        self.now = until;
    }

    /// A new process that has the ledger, compacted or not, and nothing else.
    fn restart(&mut self, compacted: bool) {
        let effects = self.server.handle_timeout(self.now);
        self.note(effects);
        let before: Vec<Lease> = self.server.leases().copied().collect();
        if compacted {
            self.ledger = self.server.snapshot().collect();
        }
        self.server = Server::new();
        self.ledger.iter().for_each(|record| self.server.restore(record));
        self.server.handle_timeout(self.now);
        assert!(self.server.leases().eq(&before), "what the ledger brings back is what was there");
    }

    fn note(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Persist(record) => {
                    self.reference.rested(&record, self.plan, self.now.wall);
                    self.ledger.push(record);
                }
                Effect::Report(_)
                | Effect::Send { .. }
                | Effect::Probe(_)
                | Effect::ProbeAhead { .. }
                | Effect::Wait { .. } => {}
            }
        }
    }

    /// However many events: a lease for each address that can be leased, the same at rest, and a sighting of each card.
    fn check_bounds(&self) {
        let (leases, records) = (self.server.leases().count(), self.server.snapshot().count());
        assert!(leases <= site::ADDRESSES, "{leases} leases");
        assert!(records <= 2 * site::ADDRESSES + site::KNOWN_CARDS, "{records} records");
    }
}

fn bootp(mac: Mac) -> Message {
    Message::new(Operation::Request, mac, 7)
}

fn asks(mac: Mac, kind: u8, pairs: &[(u8, &[u8])]) -> Message {
    let mut options = Options::default();
    options.set(53, [kind]);
    for (code, value) in pairs {
        options.set(*code, *value);
    }
    Message { options: Some(options), ..bootp(mac) }
}

/// A machine's message with any options.
fn raw(mac: Mac, options: &[u8]) -> Vec<u8> {
    let mut datagram = asks(mac, 1, &[]).emit();
    datagram.truncate(240);
    datagram.extend_from_slice(options);
    datagram
}

/// The same message otherwise: relayed, of a boot ROM, to another server, with long values to echo.
fn flavour(message: &mut Message, flavour: u8, b: u8) {
    let options = message.options.get_or_insert_default();
    if flavour & 1 > 0 {
        message.giaddr = [LINK, OTHER_LINK, OTHER_LINK, [192, 0, 2, 1].into()][usize::from(b >> 2) % 4];
    }
    if flavour & 2 > 0 {
        options.set(60, *b"PXEClient:Arch:00007:UNDI:003016");
        options.set(93, [0, 7]);
    }
    if flavour & 4 > 0 && b & 4 > 0 {
        options.set(54, OTHER_SERVER.octets());
    }
    if flavour & 8 > 0 {
        message.broadcast = b & 8 > 0;
        options.set(61, vec![b; b.into()]);
        options.set(82, [&[1, b.min(253)][..], &vec![b; b.min(253).into()]].concat());
    }
}
