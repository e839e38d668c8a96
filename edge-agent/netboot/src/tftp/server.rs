//! The engine's four verbs: which transfer a datagram belongs to, and what a transfer's steps mean as actions.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use super::admission::{Admission, Place};
use super::config::Config;
use super::event::{EventKind, TftpEvent, Why};
use super::interface::{Action, Blocks, Counters, Input, Local, Refusal, Terms};
use super::linger::Lingering;
use super::name::Name;
use super::options::BlockSize;
use super::packet::{ErrorCode, Malformed, Mode, Packet, Request, printable};
use super::table::{Table, TransferId};
use super::transfer::{Asked, Step, Transfer};
use crate::time::{Mono, Now};

/// Sources remembered for their loss of large blocks.
const MAX_NARROW: usize = 1024;

/// The TFTP server.
#[derive(Debug)]
pub struct Server {
    config: Config,
    transfers: Table,
    /// One valid entry for each transfer, never later than its deadline; others are stale.
    timers: BinaryHeap<Reverse<(Mono, TransferId)>>,
    admission: Admission,
    lingering: Lingering,
    /// Sources that get small blocks, and until when.
    narrow: BTreeMap<IpAddr, Mono>,
    actions: VecDeque<Action>,
    counters: Counters,
}

impl Server {
    /// A server without transfers.
    #[must_use]
    pub fn new(config: Config) -> Self {
        Self {
            admission: Admission::new(&config),
            config,
            transfers: Table::default(),
            timers: BinaryHeap::new(),
            lingering: Lingering::default(),
            narrow: BTreeMap::new(),
            actions: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    /// Takes in one input. Poll the actions and the time-out afterwards.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        let now = now.mono;
        match input {
            Input::Datagram { local, peer, bytes } => self.datagram(now, local, peer, bytes),
            Input::Opened { transfer, size, available, terms } => {
                self.opened(now, transfer, size, available, terms);
            }
            Input::Refused { transfer, refusal, terms } => self.refused(now, transfer, refusal, terms),
            Input::Available { transfer, available } => {
                self.step(now, transfer, |transfer, config| transfer.arrived(now, available, config));
            }
            Input::SourceFailed { transfer, why } => self.fail(now, transfer, Why::SourceFailed(why)),
        }
    }

    /// The next thing to do. Poll until `None` after each [`Self::handle`] and [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Self::handle_timeout`], at the latest; may be earlier than anything is due. Poll after each
    /// [`Self::handle`] and [`Self::handle_timeout`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Mono> {
        self.timers.peek().map(|Reverse((at, _))| *at)
    }

    /// Does what is due. Poll the actions and the time-out afterwards.
    pub fn handle_timeout(&mut self, now: Now) {
        let now = now.mono;
        while let Some(Reverse((at, id))) = self.timers.peek().copied() {
            if at > now {
                break;
            }
            self.timers.pop();
            self.timer_fired(now, at, id);
        }
    }

    /// What was dropped in silence.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Transfers that have not ended.
    #[must_use]
    pub fn transfers(&self) -> usize {
        self.transfers.len()
    }

    fn datagram(&mut self, now: Mono, local: Local, peer: SocketAddr, bytes: &[u8]) {
        match (Packet::parse(bytes), local) {
            (Ok(Packet::ReadRequest(request)), Local::Listener) => self.read_request(now, peer, &request),
            (Ok(Packet::WriteRequest(request)), Local::Listener) => {
                let text = "this server is read-only";
                self.turn_away(now, peer, request.name(), ErrorCode::ACCESS_VIOLATION, text);
            }
            (Err(Malformed::Mode), Local::Listener) => {
                self.turn_away(now, peer, b"", ErrorCode::ILLEGAL_OPERATION, "unknown transfer mode");
            }
            (Ok(Packet::Ack { block }), _) => self.acknowledged(now, local, peer, block),
            (Ok(Packet::Error { code, message }), _) => self.peer_error(now, local, peer, code, &message),
            (Ok(Packet::Data { .. } | Packet::OptionAck(_)), _)
            | (Ok(Packet::ReadRequest(_) | Packet::WriteRequest(_)), Local::Ephemeral(_))
            | (Err(_), _) => self.counters.malformed += 1,
        }
    }

    fn read_request(&mut self, now: Mono, peer: SocketAddr, request: &Request<'_>) {
        if let Some(id) = self.in_progress(now, peer, request) {
            return self.requested_again(now, id);
        }
        if request.mode() != Mode::Octet {
            let text = "only octet mode is served";
            return self.turn_away(now, peer, request.name(), ErrorCode::ILLEGAL_OPERATION, text);
        }
        match Name::clean(request.name()) {
            // Shim takes nothing but error 1 as "there is none" (QUIRKS 44).
            Err(error) => {
                self.turn_away(now, peer, request.name(), ErrorCode::FILE_NOT_FOUND, &error.to_string());
            }
            Ok(name) => self.begin(now, Asked { peer, name, options: request.options() }),
        }
    }

    /// The peer's live transfer of just this request. Another request from its port, or the same after it fell
    /// silent in the middle, means that it began anew: the old transfer ends.
    fn in_progress(&mut self, now: Mono, peer: SocketAddr, request: &Request<'_>) -> Option<TransferId> {
        let id = self.transfers.of(peer)?;
        let transfer = self.transfers.get(id)?;
        let same = Name::clean(request.name()).as_ref() == Ok(&transfer.asked.name)
            && request.options() == transfer.asked.options;
        if same && !transfer.is_abandoned(now, &self.config) {
            return Some(id);
        }
        let bytes = transfer.flight().acknowledged();
        self.end(now, id, EventKind::Aborted { bytes });
        None
    }

    /// An answer costs a token, whether it is the first or not.
    fn requested_again(&mut self, now: Mono, id: TransferId) {
        self.counters.duplicate_requests += 1;
        let Some(transfer) = self.transfers.get(id).filter(|transfer| !transfer.established) else { return };
        if self.admission.answer(now, transfer.ip(), &self.config) {
            self.step(now, id, |transfer, config| transfer.requested_again(now, config));
        }
    }

    fn begin(&mut self, now: Mono, asked: Asked) {
        let ip = asked.peer.ip();
        let place = self.admission.place(ip, &self.config);
        if place == Place::SourceFull {
            return self.refuse_another(now, &asked);
        }
        // Whoever comes while all places are taken is served at its next try, so it hears nothing that ends its boot.
        if place == Place::Full || !self.admission.answer(now, ip, &self.config) {
            self.counters.over_limit += 1;
            return;
        }
        self.admission.began(now, ip, &self.config);
        let local = self.slot(now, asked.peer);
        let (peer, name) = (asked.peer, asked.name.clone());
        let transfer = Transfer::new(now, asked, local, &self.config);
        let timer = transfer.timer;
        let transfer = self.transfers.insert(transfer);
        self.timers.push(Reverse((timer, transfer)));
        self.actions.push_back(Action::Open { transfer, peer, name });
    }

    fn refuse_another(&mut self, now: Mono, asked: &Asked) {
        if !self.admission.refusal(now, asked.peer.ip(), &self.config) {
            self.counters.over_limit += 1;
            return;
        }
        let text = "too many transfers from this address";
        self.turn_away(now, asked.peer, asked.name.to_string().as_bytes(), ErrorCode::NOT_DEFINED, text);
    }

    /// The first socket on which no transfer of this peer has just ended. That is nearly always the same one: what many
    /// peers send to one socket is received with one call.
    fn slot(&mut self, now: Mono, peer: SocketAddr) -> Local {
        let slots = (0..self.config.slots.get()).map(Local::Ephemeral);
        let free = |slot: &Local| !self.lingering.contains(now, *slot, peer);
        slots.clone().find(free).unwrap_or_else(|| self.lingering.longest_ago(slots, peer))
    }

    fn opened(&mut self, now: Mono, id: TransferId, size: u64, available: u64, terms: Terms) {
        let Some(ip) = self.answered(id, terms) else { return };
        let on_path = terms.path_mtu.map_or(BlockSize::MAX, |mtu| BlockSize::on_path(mtu, ip));
        let most = self.largest_block(now, ip).min(on_path);
        self.step(now, id, |transfer, config| transfer.opened(now, size, available, most, config));
        let Some(transfer) = self.transfers.get(id) else { return };
        let (block_size, window) = (transfer.block_size().get(), transfer.window());
        self.report(id, EventKind::Began { size, block_size, window });
    }

    /// Takes in the terms of a transfer that waits for the shell's answer; gives the peer's address.
    fn answered(&mut self, id: TransferId, terms: Terms) -> Option<IpAddr> {
        let transfer = self.transfers.get_mut(id).filter(|transfer| transfer.is_opening())?;
        if terms.single_port {
            transfer.local = Local::Listener;
        }
        Some(transfer.ip())
    }

    fn largest_block(&mut self, now: Mono, ip: IpAddr) -> BlockSize {
        match self.narrow.get(&ip) {
            Some(until) if *until > now => BlockSize::DEFAULT.min(self.config.max_block_size),
            Some(_) | None => self.config.max_block_size,
        }
    }

    fn refused(&mut self, now: Mono, id: TransferId, refusal: Refusal, terms: Terms) {
        if self.answered(id, terms).is_none() {
            return;
        }
        match refusal {
            Refusal::Silence => self.forget(now, id),
            Refusal::Answer { code, message } => {
                self.farewell(id, code, &message);
                self.end(now, id, EventKind::Refused { code, message });
            }
        }
    }

    fn acknowledged(&mut self, now: Mono, local: Local, peer: SocketAddr, block: u16) {
        let Some(id) = self.find(local, peer) else { return self.unknown(now, local, peer) };
        self.step(now, id, |transfer, config| {
            let was_pending = !transfer.established;
            let step = transfer.acknowledged(now, block, config);
            (step, was_pending && transfer.established)
        });
    }

    fn find(&self, local: Local, peer: SocketAddr) -> Option<TransferId> {
        let id = self.transfers.of(peer)?;
        self.transfers.get(id).is_some_and(|transfer| transfer.local == local).then_some(id)
    }

    /// RFC 1350 §4: a packet from elsewhere gets error 5 and disturbs no transfer.
    fn unknown(&mut self, now: Mono, local: Local, peer: SocketAddr) {
        if self.lingering.contains(now, local, peer) {
            self.counters.late += 1;
            return;
        }
        self.counters.unknown_transfer += 1;
        if self.admission.answer(now, peer.ip(), &self.config) {
            self.send_error(local, peer, ErrorCode::UNKNOWN_TRANSFER, "unknown transfer ID");
        }
    }

    /// Never answered (S4).
    fn peer_error(&mut self, now: Mono, local: Local, peer: SocketAddr, code: ErrorCode, message: &str) {
        let Some(id) = self.find(local, peer) else { return };
        let Some(transfer) = self.transfers.get(id) else { return };
        let flight = transfer.flight();
        let (bytes, retransmissions) = (flight.acknowledged(), flight.repeats());
        // PXELINUX 6 knows the size, and instead of acknowledging the last byte says "No error, file close" where the
        // size is a multiple of the block's (seen in the lab).
        if code == ErrorCode::NOT_DEFINED && transfer.flight().has_given_all() && !transfer.is_probe() {
            return self.finish(now, id);
        }
        // QUIRKS 38, 39: 8 and 0 are how firmware says "that is all I wanted".
        let kind = match code {
            ErrorCode::NOT_DEFINED | ErrorCode::OPTION_NEGOTIATION if transfer.is_probe() => {
                EventKind::Probed
            }
            ErrorCode::NOT_DEFINED | ErrorCode::OPTION_NEGOTIATION => EventKind::Aborted { bytes },
            ErrorCode(_) => {
                let why = Why::PeerError { code, message: message.to_owned() };
                EventKind::Failed { why, bytes, retransmissions }
            }
        };
        self.end(now, id, kind);
    }

    fn timer_fired(&mut self, now: Mono, at: Mono, id: TransferId) {
        let Some(transfer) = self.transfers.get_mut(id) else { return };
        if transfer.timer != at {
            return;
        }
        transfer.timer = Mono(std::time::Duration::MAX);
        if transfer.deadline > now {
            return self.set_timer(id);
        }
        self.step(now, id, |transfer, config| transfer.timed_out(now, config));
        self.note_narrow(now, id);
    }

    fn note_narrow(&mut self, now: Mono, id: TransferId) {
        let Some(transfer) = self.transfers.get(id).filter(|transfer| transfer.loses_large_blocks()) else {
            return;
        };
        let ip = transfer.ip();
        if self.narrow.len() >= MAX_NARROW {
            self.narrow.retain(|_, until| *until > now);
        }
        if self.narrow.len() < MAX_NARROW {
            self.narrow.insert(ip, now.plus(self.config.narrow));
        }
    }

    /// Lets a transfer decide and does what it decided.
    fn step<D: Into<Decision>>(
        &mut self,
        now: Mono,
        id: TransferId,
        decide: impl FnOnce(&mut Transfer, &Config) -> D,
    ) {
        let Some(transfer) = self.transfers.get_mut(id) else { return };
        let Decision { step, first_heard } = decide(transfer, &self.config).into();
        if first_heard {
            self.admission.acknowledged(transfer.asked.peer.ip());
        }
        match step {
            Step::Nothing => {}
            Step::Negotiate => {
                let bytes = Packet::OptionAck(transfer.granted()).to_vec();
                self.actions.push_back(Action::Send {
                    local: transfer.local,
                    peer: transfer.asked.peer,
                    bytes,
                });
            }
            Step::Send(range) => {
                let (local, peer) = (transfer.local, transfer.asked.peer);
                let block_size = transfer.block_size().get();
                self.actions.push_back(Action::SendBlocks(Blocks {
                    transfer: id,
                    local,
                    peer,
                    block_size,
                    range,
                }));
            }
            Step::Finish => return self.finish(now, id),
            Step::Fail(why) => return self.fail(now, id, why),
        }
        self.set_timer(id);
    }

    /// Timers only move earlier here; a later deadline is found when the earlier timer fires.
    fn set_timer(&mut self, id: TransferId) {
        let Some(transfer) = self.transfers.get_mut(id) else { return };
        if transfer.deadline < transfer.timer {
            transfer.timer = transfer.deadline;
            self.timers.push(Reverse((transfer.timer, id)));
        }
        if self.timers.len() > 2 * self.transfers.len() + 1024 {
            let valid = self.transfers.iter().map(|(id, transfer)| Reverse((transfer.timer, id)));
            self.timers = valid.collect();
        }
    }

    fn finish(&mut self, now: Mono, id: TransferId) {
        let Some(transfer) = self.transfers.get(id) else { return };
        let flight = transfer.flight();
        let kind = EventKind::Completed {
            bytes: flight.size(),
            blocks: flight.total(),
            retransmissions: flight.repeats(),
            duration: now.since(transfer.began),
        };
        self.end(now, id, kind);
    }

    fn fail(&mut self, now: Mono, id: TransferId, why: Why) {
        let Some(transfer) = self.transfers.get(id) else { return };
        let flight = transfer.flight();
        let (bytes, retransmissions) = (flight.acknowledged(), flight.repeats());
        match &why {
            Why::Silent | Why::NeverAcknowledged | Why::PeerError { .. } => {}
            Why::OpenTimedOut | Why::SourceStalled | Why::SourceFailed(_) | Why::TooLong => {
                self.farewell(id, ErrorCode::NOT_DEFINED, "the file cannot be served now");
            }
        }
        self.end(now, id, EventKind::Failed { why, bytes, retransmissions });
    }

    /// Tells the machine that its transfer is over.
    fn farewell(&mut self, id: TransferId, code: ErrorCode, message: &str) {
        if let Some(transfer) = self.transfers.get(id).filter(|transfer| transfer.may_be_told()) {
            let (local, peer) = (transfer.local, transfer.asked.peer);
            self.send_error(local, peer, code, message);
        }
    }

    fn end(&mut self, now: Mono, id: TransferId, kind: EventKind) {
        self.report(id, kind);
        self.forget(now, id);
    }

    fn forget(&mut self, now: Mono, id: TransferId) {
        let Some(transfer) = self.transfers.remove(id) else { return };
        self.admission.ended(transfer.ip(), !transfer.established);
        self.lingering.add(now.plus(self.config.linger), transfer.local, transfer.asked.peer);
        self.actions.push_back(Action::Close { transfer: id });
    }

    /// Answers a request that begins no transfer, from the port that was asked: whether the peer insists on that is not
    /// known yet (QUIRKS 43), and any port may say what begins nothing (RFC 1350 §4).
    fn turn_away(&mut self, now: Mono, peer: SocketAddr, name: &[u8], code: ErrorCode, message: &str) {
        if !self.admission.answer(now, peer.ip(), &self.config) {
            self.counters.over_limit += 1;
            return;
        }
        self.send_error(Local::Listener, peer, code, message);
        let kind = EventKind::Refused { code, message: message.to_owned() };
        self.actions.push_back(Action::Report(TftpEvent { peer, name: printable(name).into_owned(), kind }));
    }

    fn send_error(&mut self, local: Local, peer: SocketAddr, code: ErrorCode, message: &str) {
        let bytes = Packet::Error { code, message: message.into() }.to_vec();
        self.actions.push_back(Action::Send { local, peer, bytes });
    }

    fn report(&mut self, id: TransferId, kind: EventKind) {
        let Some(transfer) = self.transfers.get(id) else { return };
        let (peer, name) = (transfer.asked.peer, transfer.asked.name.to_string());
        self.actions.push_back(Action::Report(TftpEvent { peer, name, kind }));
    }
}

/// A step, and whether the peer was heard for the first time.
struct Decision {
    step: Step,
    first_heard: bool,
}

impl From<Step> for Decision {
    fn from(step: Step) -> Self {
        Self { step, first_heard: false }
    }
}

impl From<(Step, bool)> for Decision {
    fn from((step, first_heard): (Step, bool)) -> Self {
        Self { step, first_heard }
    }
}
