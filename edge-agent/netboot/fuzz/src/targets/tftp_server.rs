//! The TFTP server under a sequence of events, against a small model of what it may do.
//!
//! The model: every opened file is let go of once; a packet goes only to a peer that has sent one; who has never
//! acknowledged anything gets no more packets than it sent, and one for each file that broke; transfers are bounded, and
//! all end when time passes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netboot::tftp::{Action, Config, ErrorCode, Input, Local, Packet, Refusal, Server, Terms, TransferId};
use netboot::time::Now;

/// Sources, each with two ports.
const SOURCES: u8 = 4;
const OPTIONS: &[&[u8]] = &[
    b"",
    b"tsize\x000\0",
    b"blksize\x001468\0windowsize\x004\0",
    b"blksize\x008\0windowsize\x0064\0",
    b"timeout\x001\0utimeout\x0010000\0",
];

/// Plays the events that `bytes` describe.
pub fn run(bytes: &[u8]) {
    let mut model = Model::new();
    let mut words = bytes.chunks_exact(4);
    for word in words.by_ref() {
        model.play([word[0], word[1], word[2], word[3]], bytes);
        model.check();
    }
    model.pass(Duration::from_secs(3 * 60 * 60));
    assert_eq!((model.server.transfers(), model.open.len()), (0, 0), "everything ends");
    assert_eq!(model.server.poll_timeout(), None);
}

struct Model {
    server: Server,
    now: Now,
    open: BTreeSet<TransferId>,
    order: Vec<TransferId>,
    heard: BTreeMap<SocketAddr, Peer>,
    broken: u64,
}

#[derive(Default)]
struct Peer {
    /// Datagrams from it, and to it.
    sent: u64,
    received: u64,
    /// It has sent something else than requests.
    answered: bool,
}

impl Model {
    fn new() -> Self {
        Self {
            server: Server::new(Config::default()),
            now: Now::default().plus(Duration::from_secs(1000)),
            open: BTreeSet::new(),
            order: Vec::new(),
            heard: BTreeMap::new(),
            broken: 0,
        }
    }

    fn play(&mut self, [event, who, a, b]: [u8; 4], all: &[u8]) {
        let number = u16::from_be_bytes([a, b]);
        let which = self.order.iter().rev().nth(usize::from(a % 8)).copied();
        match (event % 8, which) {
            (0, _) => {
                let options = OPTIONS[usize::from(b) % OPTIONS.len()];
                let bytes = [b"\0\x01", &[b'a' + a % 3][..], b"\0octet\0", options].concat();
                self.hear(Local::Listener, who, &bytes, false);
            }
            (1, _) => self.hear(local(who), who, &Packet::Ack { block: u16::from(a % 8) }.to_vec(), true),
            (2, _) => self.hear(local(who), who, &Packet::Ack { block: number }.to_vec(), true),
            (3, _) => self.hear(local(who), who, &all[..all.len().min(usize::from(a))], true),
            (4, _) => self.pass(Duration::from_millis(u64::from(number))),
            (5, Some(transfer)) => {
                let size = u64::from(b) * 100;
                let terms = Terms { single_port: a & 16 > 0, path_mtu: (a & 32 > 0).then_some(576) };
                self.input(Input::Opened {
                    transfer,
                    size,
                    available: size / (1 + u64::from(a >> 6)),
                    terms,
                });
            }
            (6, Some(transfer)) if b & 1 == 0 => {
                self.broken += 1;
                self.input(Input::SourceFailed { transfer, why: "broken".to_owned() });
            }
            (6, Some(transfer)) => {
                let refusal = match b & 2 {
                    0 => Refusal::Silence,
                    _ => Refusal::Answer { code: ErrorCode::FILE_NOT_FOUND, message: "none".to_owned() },
                };
                self.input(Input::Refused { transfer, refusal, terms: Terms::default() });
            }
            (7, Some(transfer)) => self.input(Input::Available { transfer, available: u64::from(b) * 100 }),
            (_, None) | (_, Some(_)) => {}
        }
    }

    fn hear(&mut self, local: Local, who: u8, bytes: &[u8], answer: bool) {
        let peer = peer(who);
        let known = self.heard.entry(peer).or_default();
        known.sent += 1;
        known.answered |= answer;
        self.input(Input::Datagram { local, peer, bytes });
    }

    fn pass(&mut self, by: Duration) {
        let until = self.now.plus(by);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= until.mono) {
            self.now = self.now.plus(at.since(self.now.mono));
            self.server.handle_timeout(self.now);
            self.perform();
        }
        self.now = until;
    }

    fn input(&mut self, input: Input<'_>) {
        self.server.handle(self.now, input);
        self.perform();
    }

    fn perform(&mut self) {
        while let Some(action) = self.server.poll_action() {
            match action {
                Action::Open { transfer, .. } => {
                    assert!(self.open.insert(transfer), "opened twice");
                    self.order.push(transfer);
                }
                Action::Close { transfer } => {
                    assert!(self.open.remove(&transfer), "closed what was not open")
                }
                Action::Send { peer, .. } => self.sent(peer, 1),
                Action::SendBlocks(blocks) => {
                    assert!(self.open.contains(&blocks.transfer), "blocks of a file that is not open");
                    self.sent(blocks.peer, u64::from(blocks.range.count));
                }
                Action::Report(_) => {}
            }
        }
    }

    fn sent(&mut self, peer: SocketAddr, packets: u64) {
        self.heard.get_mut(&peer).expect("nobody is sent what did not ask").received += packets;
    }

    fn check(&self) {
        let ports = usize::from(SOURCES) * 2;
        assert!(self.server.transfers() <= ports, "one transfer for each address and port");
        assert_eq!(self.server.transfers(), self.open.len());
        for (address, peer) in self.heard.iter().filter(|(_, peer)| !peer.answered) {
            assert!(peer.received <= peer.sent + self.broken, "{address} never answered: {}", peer.received);
        }
    }
}

fn peer(who: u8) -> SocketAddr {
    SocketAddr::new(IpAddr::from([10, 0, 0, 1 + who % SOURCES]), 2000 + u16::from(who / SOURCES % 2))
}

fn local(who: u8) -> Local {
    match who / 8 % 5 {
        0 => Local::Listener,
        slot => Local::Ephemeral(slot - 1),
    }
}
