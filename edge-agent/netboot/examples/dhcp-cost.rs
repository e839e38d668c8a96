//! What an exchange of DHCP costs the engine, by how many leases stand: `dhcp-cost [LEASES…]`.
//!
//! No socket and no disk: parse, decide, lease, events and records of a whole exchange (DISCOVER to ACK) of a PXE ROM behind a
//! relay agent, on one core. Beside it: memory for each lease, a renewal, a nearly full pool, a snapshot, a replay, and the
//! end of all leases at once. Figures of one machine and minute; their growth with the number of leases is what counts.

#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement: it reads the clock and prints"
)]

use std::{
    net::Ipv4Addr,
    sync::Arc,
    time::{Duration, Instant},
};

use netboot::{
    dhcp::{Message, Operation, Options, Request},
    site::{Action, Arrival, Config, Input, Site},
    time::{Mono, Now, Wall},
};
use proto::{
    Generation, Incarnation, Mac,
    ledger::Record,
    plan::{DhcpMode, Network, PlanDocument, SitePlan, Subnet, UnknownMachines, network_entry},
};

const RELAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 2);
const POOL: u32 = 0x0a01_0000;
/// Exchanges that are timed at each step.
const SAMPLE: u32 = 500;
const LEASE: Duration = Duration::from_secs(7 * 86_400);

fn main() {
    let asked: Vec<u32> = std::env::args().skip(1).filter_map(|word| word.parse().ok()).collect();
    let steps = if asked.is_empty() { vec![1_000, 10_000, 100_000, 1_000_000] } else { asked };
    println!("{:>10} {:>10} {:>10} {:>10} {:>9}", "leases", "new ns", "known ns", "renew ns", "B/lease");
    let mut bench = Bench::new(steps.iter().max().copied().unwrap_or(1_000) + 2 * SAMPLE);
    let before = resident();
    for leases in steps {
        bench.fill(leases.saturating_sub(SAMPLE));
        let new = bench.timed(|bench, n| bench.exchange(leases - SAMPLE + n));
        let known = bench.timed(|bench, n| bench.exchange(n * (leases / SAMPLE)));
        let renewal = bench.timed(|bench, n| bench.renew(n * (leases / SAMPLE)));
        let bytes = (resident() - before) as f64 / f64::from(leases);
        println!("{leases:>10} {new:>10.0} {known:>10.0} {renewal:>10.0} {bytes:>9.0}");
    }
    bench.rest();
}

struct Bench {
    site: Site,
    now: Now,
    arrival: Arrival,
    machines: u32,
    records: usize,
    engine: Duration,
}

impl Bench {
    fn new(pool: u32) -> Self {
        let mut bench = Self {
            site: site(),
            now: Now { mono: Mono::default(), wall: Wall(1_700_000_000_000) },
            arrival: Arrival { interface: 0, server: SERVER, base_url: "http://10.0.0.2".into() },
            machines: 0,
            records: 0,
            engine: Duration::ZERO,
        };
        bench.site.handle(bench.now, Input::Plan(Arc::new(plan(pool))));
        bench
    }

    fn fill(&mut self, leases: u32) {
        while self.machines < leases {
            self.exchange(self.machines);
        }
    }

    /// The engine's nanoseconds for one, the mean of many.
    fn timed(&mut self, mut each: impl FnMut(&mut Self, u32)) -> f64 {
        self.engine = Duration::ZERO;
        (0..SAMPLE).for_each(|n| each(self, n));
        self.engine.as_nanos() as f64 / f64::from(SAMPLE)
    }

    fn exchange(&mut self, machine: u32) {
        self.machines = self.machines.max(machine + 1);
        let offered = self.ask(&message(machine, 1, &[])).expect("an OFFER").yiaddr;
        let taken = self.ask(&message(machine, 3, &[(50, offered), (54, SERVER)])).expect("an ACK").yiaddr;
        assert_eq!(taken, offered);
    }

    fn renew(&mut self, machine: u32) {
        let held = self.ask(&message(machine, 1, &[])).expect("an OFFER").yiaddr;
        let mut renewal = message(machine, 3, &[]);
        renewal.ciaddr = held;
        self.ask(&renewal).expect("an ACK");
    }

    /// Everything from the datagram to the encoded records and the reply.
    fn ask(&mut self, message: &Message) -> Option<Message> {
        let datagram = message.emit();
        self.now = self.now.plus(Duration::from_micros(5));
        let began = Instant::now();
        let request = Request::parse(&datagram).expect("legal");
        self.site.handle(self.now, Input::Dhcp(self.arrival.clone(), Box::new(request)));
        let mut reply = None;
        while let Some(action) = self.site.poll_action() {
            match action {
                Action::Persist(record) => self.records += record.encode().len(),
                Action::Send { datagram, .. } => reply = Some(datagram),
                Action::Probe { .. }
                | Action::Answer { .. }
                | Action::DestroySecrets(_)
                | Action::KeepCapture(_)
                | Action::Replied { .. } => {}
            }
        }
        self.engine += began.elapsed();
        reply.map(|datagram| Message::parse(&datagram).expect("legal"))
    }

    /// The leases of a snapshot as the agent takes them, between which machines are answered.
    fn pieces(&self) {
        let (mut place, mut count, mut longest) = (None, 0, Duration::ZERO);
        loop {
            let (began, mut bytes) = (Instant::now(), Vec::new());
            place = self.site.dhcp().leases_behind(place, 1_024, |record| record.encode_to(&mut bytes));
            (count, longest) = (count + 1, longest.max(began.elapsed()));
            if place.is_none() {
                break;
            }
        }
        println!("its leases in {count} pieces: {longest:?} for the longest");
    }

    /// What does not belong to an exchange.
    fn rest(mut self) {
        let began = Instant::now();
        let records: Vec<Vec<u8>> = self.site.snapshot().map(|record| record.encode()).collect();
        println!("snapshot of {} records: {:?}", records.len(), began.elapsed());
        self.pieces();
        let began = Instant::now();
        let mut again = site();
        for record in &records {
            again.restore(&Record::decode(record).expect("our own"));
        }
        println!("replay: {:?}; {} leases", began.elapsed(), again.dhcp().leases().count());
        drop(again);
        self.now = self.now.plus(LEASE);
        let began = Instant::now();
        self.site.handle_timeout(self.now);
        let mut actions = 0;
        while self.site.poll_action().is_some() {
            actions += 1;
        }
        println!("end of all leases: {:?}, {actions} actions", began.elapsed());
    }
}

fn site() -> Site {
    let config = Config { agent: "bench".into(), journal_limit: 70_000, stations: vec![] };
    Site::new(config, Incarnation([1; 16]), [7; 32])
}

fn plan(pool: u32) -> SitePlan {
    let last = Ipv4Addr::from_bits(POOL + pool);
    let subnet = Subnet {
        network: "10.0.0.0/8".parse().expect("a network"),
        pools: vec![format!("{}-{last}", Ipv4Addr::from_bits(POOL)).parse().expect("a range")],
        router: Some(RELAY),
        dns: vec![RELAY],
        ntp: vec![],
        domain: None,
        lease: LEASE,
        shared: None,
    };
    let network = Network {
        dhcp: DhcpMode::Authoritative,
        subnets: vec![subnet],
        unknown: UnknownMachines::Lease,
        ..Network::default()
    };
    let entries = [network_entry(&network)];
    let document = PlanDocument::assemble("acme", "bench", Generation { epoch: 1, revision: 1 }, 1, entries);
    SitePlan::decode(&document).expect("a legal plan")
}

/// As a UEFI PXE ROM sends it, by way of a relay agent.
fn message(machine: u32, kind: u8, addresses: &[(u8, Ipv4Addr)]) -> Message {
    let [a, b, c, d] = machine.to_be_bytes();
    let mut message = Message::new(Operation::Request, Mac([0x52, 0x54, a, b, c, d]), machine);
    message.giaddr = RELAY;
    let mut options = Options::default();
    options.set(53, [kind]);
    options.set(57, 1472_u16.to_be_bytes());
    options
        .set(55, [1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60]);
    options.set(97, [&[0][..], &[7; 12], &machine.to_be_bytes()].concat());
    options.set(94, [1, 3, 0]);
    options.set(93, [0, 7]);
    options.set(60, *b"PXEClient:Arch:00007:UNDI:003000");
    for (code, address) in addresses {
        options.set(*code, address.octets());
    }
    message.options = Some(options);
    message
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4_096
}
