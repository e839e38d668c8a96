//! Events become stages.

use std::time::Duration;

use proto::Wall;
use proto::event::{Answer, Client, EventKind, OrderPhase};
use proto::plan::Stage;

use super::stage::{End, StageSpan, Step};
use super::standing::Standing;
use crate::events::StoredEvent;

/// The most spans of one attempt: a machine that asks for its files over and over makes no more of them.
const SPANS: usize = 64;

/// The stages of an attempt, in order; the last may be open.
pub(super) fn fold(events: &[StoredEvent]) -> Vec<StageSpan> {
    let mut fold = Fold::default();
    for event in events {
        fold.take(event.numbered.event.at, &event.numbered.event.kind);
    }
    if let Some(at) = fold.handed_over() {
        fold.mark(Mark::at(Step::System, at, at, End::Open));
    }
    fold.spans
}

/// A stage that is open at the end of what was heard is over if nothing more will be.
pub(super) fn settle(stages: &mut [StageSpan], standing: Standing) {
    let Some(last) = stages.last_mut().filter(|last| last.end == End::Open) else { return };
    match standing {
        Standing::UnderWay => {}
        Standing::Ended => last.end = End::Done,
        Standing::Silent => last.end = End::Silent,
    }
}

#[derive(Default)]
struct Fold {
    spans: Vec<StageSpan>,
    /// A kernel was fetched, or the machine was told to boot its disk, and nothing was heard of what runs then.
    awaits_system: bool,
    /// It took another server's offer, and no lease of the agent's since: what it runs then is not awaited.
    gone_elsewhere: bool,
}

/// What an event says of a stage.
struct Mark {
    step: Step,
    began: Wall,
    at: Wall,
    end: End,
    bytes: u64,
    took: Duration,
    retransmissions: u64,
    detail: String,
}

impl Mark {
    fn at(step: Step, began: Wall, at: Wall, end: End) -> Self {
        let (bytes, took, retransmissions, detail) = (0, Duration::ZERO, 0, String::new());
        Self { step, began, at, end, bytes, took, retransmissions, detail }
    }

    fn with(self, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), ..self }
    }
}

impl Fold {
    fn take(&mut self, at: Wall, kind: &EventKind) {
        let point = |step, end| Mark::at(step, at, at, end);
        match kind {
            EventKind::AttemptBegan { client, .. } | EventKind::Offered { client, .. } => {
                self.asks(point(address_of(*client), End::Open));
            }
            EventKind::Leased { address, client, .. } if address_of(*client) != Step::System => {
                self.gone_elsewhere = false;
                self.mark(point(address_of(*client), End::Done).with(address.to_string()));
            }
            EventKind::Leased { .. } => {
                self.gone_elsewhere = false;
                self.sign_of_life(at);
            }
            EventKind::ForeignOfferTaken { server, .. } => {
                let why = format!("took the offer of {server}");
                self.mark(point(Step::RomAddress, End::Broken(why)));
                self.gone_elsewhere = true;
            }
            EventKind::Decided { answer: Answer::LocalDisk, .. } => self.awaits_system = true,
            EventKind::Decided { answer: Answer::Loader | Answer::Script, .. } => self.awaits_system = false,
            EventKind::FileServed { stage, name, bytes, took_ms, retransmissions, .. } => {
                let took = Duration::from_millis(*took_ms);
                let began = Wall(at.0.saturating_sub(*took_ms));
                let mark = Mark::at(step_of(*stage), began, at, End::Done).with(name.clone());
                let retransmissions = u64::from(*retransmissions);
                self.file(*stage, Mark { bytes: *bytes, took, retransmissions, ..mark });
            }
            EventKind::FileBroken { stage, name, bytes, why, retransmissions, took_ms, .. } => {
                let took = Duration::from_millis(*took_ms);
                let began = Wall(at.0.saturating_sub(*took_ms));
                let mark = Mark::at(step_of(*stage), began, at, End::Broken(why.clone())).with(name.clone());
                let retransmissions = u64::from(*retransmissions);
                self.file(*stage, Mark { bytes: *bytes, took, retransmissions, ..mark });
            }
            EventKind::FileProbed { name, .. } => {
                self.mark(point(Step::Loader, End::Open).with(name.clone()))
            }
            EventKind::Progress { percent, text } => {
                self.sign_of_life(at);
                let detail = percent.map_or_else(|| text.clone(), |percent| format!("{percent} %"));
                self.mark(point(Step::Installation, End::Open).with(detail));
            }
            EventKind::OrderMoved { phase, reason, .. } => self.order(at, *phase, reason),
            EventKind::OsUp { .. } => self.sign_of_life(at),
            EventKind::Decided { answer: Answer::Silence | Answer::AddressOnly, .. }
            | EventKind::LeaseEnded { .. }
            | EventKind::LeaseRenewed { .. }
            | EventKind::AddressRefused { .. }
            | EventKind::LeaseReleaseAnswered { .. }
            | EventKind::FileRefused { .. }
            | EventKind::Alarm { .. }
            | EventKind::PlanAdopted(_)
            | EventKind::PlanRefused { .. }
            | EventKind::FormMoved { .. }
            | EventKind::CaptureKept { .. }
            | EventKind::SyslogLine { .. }
            | EventKind::Gap { .. } => {}
        }
    }

    /// A system that asks for an address is heard when it has one.
    fn asks(&mut self, mark: Mark) {
        if mark.step != Step::System {
            self.mark(mark);
        }
    }

    fn order(&mut self, at: Wall, phase: OrderPhase, reason: &str) {
        match phase {
            OrderPhase::Armed | OrderPhase::Offered => {}
            OrderPhase::Started => self.sign_of_life(at),
            OrderPhase::Installed => self.end_installation(at, End::Done),
            OrderPhase::Failed | OrderPhase::Expired | OrderPhase::Revoked => {
                let why = if reason.is_empty() { phase.word() } else { reason };
                self.end_installation(at, End::Broken(why.to_owned()));
            }
        }
    }

    /// Of one that has begun.
    fn end_installation(&mut self, at: Wall, end: End) {
        if self.spans.iter().any(|span| span.step == Step::Installation) {
            self.mark(Mark::at(Step::Installation, at, at, end));
        }
    }

    fn file(&mut self, stage: Stage, mark: Mark) {
        let at = mark.at;
        match stage {
            Stage::Answer | Stage::Image => self.sign_of_life(mark.began),
            Stage::Kernel | Stage::Initrd => self.awaits_system = true,
            Stage::Loader | Stage::Script | Stage::Other => {}
        }
        let answered = stage == Stage::Answer && mark.end == End::Done;
        let under_way = self.spans.last().is_some_and(|last| last.step == Step::Installation);
        // What an installer fetches while it runs belongs to its work.
        let step = if under_way { Step::Installation } else { mark.step };
        let end =
            if step == Step::Installation && mark.end == End::Done { End::Open } else { mark.end.clone() };
        self.mark(Mark { step, end, ..mark });
        if answered && !under_way {
            self.mark(Mark::at(Step::Installation, at, at, End::Open));
        }
    }

    /// Something of what runs after the hand-over is heard.
    fn sign_of_life(&mut self, at: Wall) {
        if let Some(from) = self.handed_over() {
            self.mark(Mark::at(Step::System, from.min(at), at, End::Done));
            self.awaits_system = false;
        }
    }

    /// When the machine was left to a kernel or to its disk, if nothing of that was heard yet.
    fn handed_over(&self) -> Option<Wall> {
        let awaited = self.awaits_system && !self.gone_elsewhere;
        awaited.then(|| self.spans.iter().map(|span| span.last).max())?
    }

    fn mark(&mut self, mark: Mark) {
        let full = self.spans.len() >= SPANS;
        match self.spans.last_mut() {
            Some(last) if last.step == mark.step || full => last.go_on(mark),
            last => {
                // What comes next shows that the stage before was passed, as when another server gives the address.
                if let Some(last) = last.filter(|last| last.end == End::Open) {
                    last.end = End::Done;
                }
                self.spans.push(mark.into());
            }
        }
    }
}

impl StageSpan {
    fn go_on(&mut self, mark: Mark) {
        self.began = self.began.min(mark.began);
        self.last = self.last.max(mark.at);
        self.bytes = self.bytes.saturating_add(mark.bytes);
        self.transfer = self.transfer.saturating_add(mark.took);
        self.retransmissions = self.retransmissions.saturating_add(mark.retransmissions);
        // A ROM that has its address may ask at the boot service, which opens nothing anew.
        if mark.end != End::Open || self.end != End::Done {
            self.end = mark.end;
        }
        if !mark.detail.is_empty() {
            self.detail = mark.detail;
        }
    }
}

impl From<Mark> for StageSpan {
    fn from(mark: Mark) -> Self {
        let Mark { step, began, at, end, bytes, took, retransmissions, detail } = mark;
        Self { step, began, last: at, end, bytes, transfer: took, retransmissions, detail }
    }
}

/// The stage at which a program asks for an address.
const fn address_of(client: Client) -> Step {
    match client {
        Client::PxeRom | Client::HttpRom | Client::Bootp => Step::RomAddress,
        Client::Ipxe | Client::Gpxe => Step::LoaderAddress,
        Client::Os => Step::System,
    }
}

const fn step_of(stage: Stage) -> Step {
    match stage {
        Stage::Loader => Step::Loader,
        Stage::Script => Step::Script,
        // Files of no other kind are what a boot lists beside its kernel.
        Stage::Kernel | Stage::Initrd | Stage::Other => Step::Kernel,
        Stage::Answer => Step::AnswerFile,
        Stage::Image => Step::Installation,
    }
}
