//! The engine on paper time: a bench that plays the shell, quirks by name, a lossy network with a reference
//! client, and arbitrary sequences of events.

mod client;
mod loss;
mod quirks;
mod recorded;
mod security;
mod sequences;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::*;
use crate::time::{Mono, Now};

/// The machine of most tests.
pub(super) fn machine() -> SocketAddr {
    SocketAddr::from(([10, 0, 0, 1], 2070))
}

/// Plays the shell: answers `Open` from a table of sizes, collects packets and reports.
pub(super) struct Bench {
    pub(super) server: Server,
    pub(super) now: Now,
    pub(super) files: BTreeMap<String, u64>,
    /// Leave `Open` unanswered and collect it here instead.
    pub(super) manual: bool,
    /// What is said of every peer.
    pub(super) terms: Terms,
    pub(super) opens: Vec<TransferId>,
    pub(super) open_files: usize,
    pub(super) events: Vec<EventKind>,
    pub(super) names: Vec<String>,
}

/// A packet that the server sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Sent {
    Packet { local: Local, peer: SocketAddr, bytes: Vec<u8> },
    Blocks(Blocks),
}

impl Bench {
    pub(super) fn new(config: Config) -> Self {
        Self {
            server: Server::new(config),
            now: Now::default().plus(Duration::from_secs(1000)),
            files: BTreeMap::new(),
            manual: false,
            terms: Terms::default(),
            opens: Vec::new(),
            open_files: 0,
            events: Vec::new(),
            names: Vec::new(),
        }
    }

    pub(super) fn with_file(size: u64) -> Self {
        let mut bench = Self::new(Config::default());
        bench.files.insert("file".to_owned(), size);
        bench
    }

    pub(super) fn receive(&mut self, local: Local, peer: SocketAddr, bytes: &[u8]) -> Vec<Sent> {
        self.input(Input::Datagram { local, peer, bytes })
    }

    pub(super) fn input(&mut self, input: Input<'_>) -> Vec<Sent> {
        self.server.handle(self.now, input);
        self.perform()
    }

    /// Lets `by` pass, waking the server as often as it asks for.
    pub(super) fn pass(&mut self, by: Duration) -> Vec<Sent> {
        let until = self.now.plus(by);
        let mut sent = Vec::new();
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= until.mono) {
            self.now = self.now.plus(at.since(self.now.mono));
            self.server.handle_timeout(self.now);
            assert!(
                self.server.poll_timeout().is_none_or(|next| next > self.now.mono),
                "a timer stands still"
            );
            sent.extend(self.perform());
        }
        self.now = until;
        sent
    }

    pub(super) fn pass_millis(&mut self, millis: u64) -> Vec<Sent> {
        self.pass(Duration::from_millis(millis))
    }

    fn perform(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Some(action) = self.server.poll_action() {
            match action {
                Action::Open { transfer, name, .. } => {
                    self.open_files += 1;
                    self.open(transfer, &name);
                }
                Action::Send { local, peer, bytes } => sent.push(Sent::Packet { local, peer, bytes }),
                Action::SendBlocks(blocks) => sent.push(Sent::Blocks(blocks)),
                Action::Close { .. } => self.open_files -= 1,
                Action::Report(event) => {
                    self.names.push(event.name);
                    self.events.push(event.kind);
                }
            }
        }
        sent
    }

    fn open(&mut self, transfer: TransferId, name: &Name) {
        let terms = self.terms;
        let input = match self.files.get(name.as_str()) {
            _ if self.manual => return self.opens.push(transfer),
            Some(size) => Input::Opened { transfer, size: *size, available: *size, terms },
            None => {
                let (code, message) = (ErrorCode::FILE_NOT_FOUND, format!("no file {name}"));
                Input::Refused { transfer, refusal: Refusal::Answer { code, message }, terms }
            }
        };
        self.server.handle(self.now, input);
    }

    /// A request with these option pairs; gives the packets and where the first came from.
    pub(super) fn request(&mut self, peer: SocketAddr, options: &[(&str, &str)]) -> Vec<Sent> {
        self.receive(Local::Listener, peer, &request("file", options))
    }

    pub(super) fn ack(&mut self, local: Local, peer: SocketAddr, block: u16) -> Vec<Sent> {
        self.receive(local, peer, &Packet::Ack { block }.to_vec())
    }

    pub(super) fn error(&mut self, local: Local, peer: SocketAddr, code: u16, text: &str) -> Vec<Sent> {
        let packet = Packet::Error { code: ErrorCode(code), message: text.into() };
        self.receive(local, peer, &packet.to_vec())
    }

    pub(super) fn last_event(&self) -> &EventKind {
        self.events.last().expect("an event was reported")
    }

    /// Why the last transfer failed, and how many bytes of it had arrived.
    pub(super) fn failure(&self) -> (Why, u64) {
        let EventKind::Failed { why, bytes, .. } = self.last_event() else {
            panic!("it has not failed: {:?}", self.last_event())
        };
        (why.clone(), *bytes)
    }
}

pub(super) fn request(name: &str, options: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = [b"\0\x01", name.as_bytes(), b"\0octet\0"].concat();
    for (name, value) in options {
        bytes.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    bytes
}

pub(super) fn local(sent: &[Sent]) -> Local {
    match sent.first().expect("something was sent") {
        Sent::Packet { local, .. } => *local,
        Sent::Blocks(blocks) => blocks.local,
    }
}

/// The one run of blocks that was sent, as (first number, count).
pub(super) fn blocks(sent: &[Sent]) -> (u16, u16) {
    match sent {
        [Sent::Blocks(blocks)] => (blocks.range.first, blocks.range.count),
        other => panic!("one run of blocks, not {other:?}"),
    }
}

/// The one packet that was sent.
pub(super) fn packet(sent: &[Sent]) -> Packet<'_> {
    match sent {
        [Sent::Packet { bytes, .. }] => Packet::parse(bytes).expect("the server sends TFTP"),
        other => panic!("one packet, not {other:?}"),
    }
}

pub(super) fn error_code(sent: &[Sent]) -> ErrorCode {
    let Packet::Error { code, message } = packet(sent) else { panic!("an error, not {sent:?}") };
    assert!(!message.is_empty(), "an error explains itself");
    code
}

pub(super) fn granted(sent: &[Sent]) -> Options {
    let Packet::OptionAck(options) = packet(sent) else { panic!("an option acknowledgement, not {sent:?}") };
    options
}

/// UDP payload bytes of what was sent, and packets.
pub(super) fn volume(sent: &[Sent]) -> (u64, u64) {
    sent.iter().fold((0, 0), |(bytes, packets), sent| match sent {
        Sent::Packet { bytes: payload, .. } => (bytes + payload.len() as u64, packets + 1),
        Sent::Blocks(Blocks { range, .. }) => {
            let count = u64::from(range.count);
            (bytes + range.len + count * DATA_HEADER as u64, packets + count)
        }
    })
}

fn millis(millis: u64) -> Mono {
    Mono(Duration::from_millis(millis))
}
