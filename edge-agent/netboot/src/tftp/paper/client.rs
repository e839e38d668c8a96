//! A reference client as RFC 1350 and RFC 7440 describe it, and a network between it and the server that loses,
//! repeats and delays by a seeded generator.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use super::*;

/// What the network does, both ways.
#[derive(Debug, Clone, Copy)]
pub(super) struct Network {
    pub(super) seed: u64,
    pub(super) loss: f64,
    pub(super) repeat: f64,
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    /// From one packet to the next on the line.
    pub(super) spacing: Duration,
}

impl Network {
    pub(super) const PERFECT: Self = Self {
        seed: 0,
        loss: 0.0,
        repeat: 0.0,
        delay: Duration::from_micros(100),
        jitter: Duration::ZERO,
        spacing: Duration::from_micros(12),
    };
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Parcel {
    ToServer { local: Local, bytes: Vec<u8> },
    ToClient { local: Local, bytes: Vec<u8> },
    Data { local: Local, block: u16, offset: u64, len: u64 },
    ClientTimer { generation: u64 },
}

/// How a transfer went.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) received: u64,
    pub(super) data_packets: u64,
    /// DATA packets that brought what the client had.
    pub(super) duplicates: u64,
    pub(super) took: Duration,
    pub(super) done: bool,
}

/// One transfer of `file` over `network`.
pub(super) struct Run {
    bench: Bench,
    network: Network,
    random: SmallRng,
    parcels: BinaryHeap<Reverse<(Mono, u64, Parcel)>>,
    sequence: u64,
    /// When the line to the client, and that to the server, is free again.
    line_free: [Mono; 2],
    client: Client,
    data_packets: u64,
}

/// The client's side.
#[derive(Debug)]
struct Client {
    asked: (u16, u16),
    with_options: bool,
    server: Option<Local>,
    block_size: u64,
    window: u16,
    expected: u16,
    in_window: u16,
    received: u64,
    /// DATA packets that brought what was there.
    duplicates: u64,
    last_sent: (Local, Vec<u8>),
    generation: u64,
    done: bool,
}

/// Fetches a file of `size` bytes; block size 512 and window 1 are asked for by asking nothing.
pub(super) fn fetch(size: u64, block_size: u16, window: u16, network: Network) -> Outcome {
    let mut run = Run::new(size, block_size, window, network);
    let began = run.bench.now.mono;
    let deadline = began.plus(Duration::from_secs(1000));
    while !(run.client.done && run.bench.server.transfers() == 0) && run.bench.now.mono < deadline {
        run.turn();
    }
    Outcome {
        received: run.client.received,
        data_packets: run.data_packets,
        duplicates: run.client.duplicates,
        took: run.bench.now.mono.since(began),
        done: run.client.done,
    }
}

impl Run {
    fn new(size: u64, block_size: u16, window: u16, network: Network) -> Self {
        let with_options = (block_size, window) != (512, 1);
        let (asked_size, asked_window) = (block_size.to_string(), window.to_string());
        let options = [("blksize", asked_size.as_str()), ("windowsize", asked_window.as_str())];
        let bytes = request("file", if with_options { &options } else { &[] });
        let client = Client {
            asked: (block_size, window),
            with_options,
            server: None,
            block_size: 512,
            window: 1,
            expected: 1,
            in_window: 0,
            received: 0,
            duplicates: 0,
            last_sent: (Local::Listener, bytes),
            generation: 0,
            done: false,
        };
        let random = SmallRng::seed_from_u64(network.seed);
        let parcels = BinaryHeap::new();
        let mut run = Self {
            bench: Bench::with_file(size),
            network,
            random,
            parcels,
            sequence: 0,
            line_free: [Mono::default(); 2],
            client,
            data_packets: 0,
        };
        run.client_sends();
        run
    }

    /// Moves to the next thing that happens, on the wire or at the server.
    fn turn(&mut self) {
        let arrival = self.parcels.peek().map(|Reverse((at, ..))| *at);
        let timer = self.bench.server.poll_timeout();
        let next = arrival.into_iter().chain(timer).min().expect("somebody always has a timer");
        let sent = self.bench.pass(next.since(self.bench.now.mono));
        self.server_sent(sent);
        while let Some(Reverse((at, ..))) = self.parcels.peek() {
            if *at > self.bench.now.mono {
                break;
            }
            let Some(Reverse((.., parcel))) = self.parcels.pop() else { break };
            self.deliver(parcel);
        }
    }

    fn deliver(&mut self, parcel: Parcel) {
        match parcel {
            Parcel::ToServer { local, bytes } => {
                let sent = self.bench.receive(local, machine(), &bytes);
                self.server_sent(sent);
            }
            Parcel::ToClient { local, bytes } => self.control(local, &bytes),
            Parcel::Data { local, block, offset, len } => self.data(local, block, offset, len),
            Parcel::ClientTimer { generation } => {
                if generation == self.client.generation && !self.client.done {
                    self.client_sends();
                }
            }
        }
    }

    fn server_sent(&mut self, sent: Vec<Sent>) {
        for sent in sent {
            match sent {
                Sent::Packet { local, bytes, .. } => self.ship(Parcel::ToClient { local, bytes }),
                Sent::Blocks(blocks) => self.ship_blocks(&blocks),
            }
        }
    }

    fn ship_blocks(&mut self, blocks: &Blocks) {
        let Range { first, count, offset, len } = blocks.range;
        let size = u64::from(blocks.block_size);
        for index in 0..count {
            let skipped = u64::from(index) * size;
            let len = (len - skipped).min(size);
            self.data_packets += 1;
            assert!(self.data_packets < 500_000, "a storm of repeats");
            let block = first.wrapping_add(index);
            self.ship(Parcel::Data { local: blocks.local, block, offset: offset + skipped, len });
        }
    }

    fn ship(&mut self, parcel: Parcel) {
        let copies = 1 + u32::from(self.random.random_bool(self.network.repeat));
        let line = usize::from(matches!(parcel, Parcel::ToServer { .. }));
        for _ in 0..copies {
            let departs = self.line_free[line].max(self.bench.now.mono);
            self.line_free[line] = departs.plus(self.network.spacing);
            if !self.random.random_bool(self.network.loss) {
                let jitter = self.network.jitter.mul_f64(self.random.random());
                self.schedule(departs.plus(self.network.delay + jitter), parcel.clone());
            }
        }
    }

    fn schedule(&mut self, at: Mono, parcel: Parcel) {
        self.sequence += 1;
        self.parcels.push(Reverse((at, self.sequence, parcel)));
    }

    fn control(&mut self, local: Local, bytes: &[u8]) {
        let Ok(Packet::OptionAck(granted)) = Packet::parse(bytes) else { panic!("unexpected: {bytes:?}") };
        assert!(self.client.with_options, "options that were not asked for");
        if self.client.server.is_none() {
            self.client.server = Some(local);
            self.client.take_options(&granted);
        }
        if self.client.server == Some(local) && self.client.received == 0 {
            self.acknowledge();
        }
    }

    fn data(&mut self, local: Local, block: u16, offset: u64, len: u64) {
        let client = &mut self.client;
        if *client.server.get_or_insert(local) != local {
            return;
        }
        let behind = client.expected.wrapping_sub(block);
        client.duplicates += u64::from((1..0x8000).contains(&behind));
        if client.done || block != client.expected {
            // What came out of order, or again, is answered with what is there (RFC 7440 §4, RFC 1350 §2).
            client.in_window = 0;
            return self.acknowledge();
        }
        assert_eq!(offset, client.received, "block {block} carries other bytes");
        client.received += len;
        client.expected = client.expected.wrapping_add(1);
        client.in_window += 1;
        client.done = len < client.block_size;
        if client.done || client.in_window == client.window {
            client.in_window = 0;
            self.acknowledge();
        }
    }

    fn acknowledge(&mut self) {
        let to = self.client.server.expect("acknowledges what came");
        let block = self.client.expected.wrapping_sub(1);
        self.client.last_sent = (to, Packet::Ack { block }.to_vec());
        self.client_sends();
    }

    fn client_sends(&mut self) {
        self.client.generation += 1;
        let (local, bytes) = self.client.last_sent.clone();
        self.ship(Parcel::ToServer { local, bytes });
        let timer = Parcel::ClientTimer { generation: self.client.generation };
        self.schedule(self.bench.now.mono.plus(Duration::from_secs(1)), timer);
    }
}

impl Client {
    fn take_options(&mut self, granted: &Options) {
        let block_size = granted.block_size.expect("was asked for").get();
        let window = granted.window_size.expect("was asked for").get();
        assert!(block_size <= self.asked.0 && window <= self.asked.1, "more than was asked for");
        assert!(granted.timeout.is_none() && granted.transfer_size.is_none(), "was not asked for");
        (self.block_size, self.window) = (u64::from(block_size), window);
    }
}
