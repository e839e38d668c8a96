//! One boot attempt in a line: a pure fold of its events.

use proto::event::{Answer, Event, EventKind, OrderPhase};
use proto::{AttemptId, HostId, Mac, Wall};
use serde::{Deserialize, Serialize};

use super::Source;

/// How a boot ended, as far as it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Under way, or silent before its end.
    Running,
    /// The machine was told to boot its disk.
    LocalDisk,
    /// The installer said that it is done.
    Installed,
    /// The installer said that it failed, or its order ended otherwise.
    Failed,
    /// The system that it booted has come up.
    Up,
}

impl Outcome {
    /// The word of `boot list`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::LocalDisk => "local disk",
            Self::Installed => "installed",
            Self::Failed => "failed",
            Self::Up => "up",
        }
    }
}

/// One boot attempt, as far as it has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootSummary {
    /// Which.
    pub attempt: AttemptId,
    /// The known host, by its id: names are labels.
    pub host: Option<HostId>,
    /// Where.
    pub site: String,
    /// The agent that served it.
    pub agent: String,
    /// The machine.
    pub mac: Option<Mac>,
    /// The first event's time, by the agent's clock.
    pub began_ms: Wall,
    /// The time of the last event but that its packets are kept.
    pub last_ms: Wall,
    /// How it ended.
    pub outcome: Outcome,
    /// How far it came, in words: `address`, `loader`, `kernel`, `answer file`, `installing 40 %`.
    pub stage: String,
    /// How many events it has.
    pub events: u64,
    /// It has taken a lease since it was told to boot its disk: it is on its way there.
    #[serde(default)]
    pub left_for_disk: bool,
}

impl BootSummary {
    /// Of an attempt whose first event this is, before it is taken in.
    #[must_use]
    pub fn new(attempt: AttemptId, source: &Source, first: &Event) -> Self {
        Self {
            attempt,
            host: None,
            site: source.site.clone(),
            agent: source.agent.clone(),
            mac: None,
            began_ms: first.at,
            last_ms: first.at,
            outcome: Outcome::Running,
            stage: String::new(),
            events: 0,
            left_for_disk: false,
        }
    }

    /// Is nothing more expected of the attempt? The first boot of what it installed is another attempt.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        match self.outcome {
            Outcome::Installed | Outcome::Failed | Outcome::Up => true,
            Outcome::LocalDisk => self.left_for_disk,
            Outcome::Running => false,
        }
    }

    /// Takes the next event in.
    pub fn take(&mut self, event: &Event) {
        self.events += 1;
        self.host = self.host.or(event.host);
        self.mac = self.mac.or(event.mac);
        // That the agent keeps its packets is no word of the machine.
        if !matches!(event.kind, EventKind::CaptureKept { .. }) {
            self.last_ms = self.last_ms.max(event.at);
        }
        if let Some(stage) = stage(&event.kind) {
            self.stage = stage;
        }
        if let Some(outcome) = outcome(&event.kind) {
            self.outcome = self.outcome.then(outcome);
        }
        let lease = matches!(event.kind, EventKind::Leased { .. });
        self.left_for_disk = self.outcome == Outcome::LocalDisk && (self.left_for_disk || lease);
    }
}

impl Outcome {
    /// What came later counts, but that a machine told to boot its disk after an installation was installed.
    fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::Installed | Self::Failed, Self::LocalDisk) => self,
            (Self::Running | Self::LocalDisk | Self::Installed | Self::Failed | Self::Up, next) => next,
        }
    }
}

/// How far the attempt has come by this event; None where it says nothing of that.
fn stage(kind: &EventKind) -> Option<String> {
    Some(match kind {
        EventKind::AttemptBegan { .. } => "began".into(),
        EventKind::Offered { .. } => "offered".into(),
        EventKind::Leased { .. } => "address".into(),
        EventKind::FileServed { stage, .. } => stage.word().into(),
        EventKind::FileBroken { stage, .. } => format!("{} broken off", stage.word()),
        EventKind::OrderMoved { phase, .. } => order_stage(*phase)?.into(),
        EventKind::Progress { percent: Some(percent), .. } => format!("installing {percent} %"),
        EventKind::Progress { percent: None, .. } => "installing".into(),
        EventKind::OsUp { .. } => "up".into(),
        EventKind::ForeignOfferTaken { server, .. } => format!("took the offer of {server}"),
        EventKind::Decided { .. }
        | EventKind::LeaseEnded { .. }
        | EventKind::LeaseRenewed { .. }
        | EventKind::AddressRefused { .. }
        | EventKind::LeaseReleaseAnswered { .. }
        | EventKind::FileRefused { .. }
        | EventKind::FileProbed { .. }
        | EventKind::Alarm { .. }
        | EventKind::PlanAdopted(_)
        | EventKind::PlanRefused { .. }
        | EventKind::FormMoved { .. }
        | EventKind::CaptureKept { .. }
        | EventKind::SyslogLine { .. }
        | EventKind::Gap { .. } => return None,
    })
}

fn order_stage(phase: OrderPhase) -> Option<&'static str> {
    match phase {
        OrderPhase::Armed | OrderPhase::Offered => None,
        OrderPhase::Started => Some("started"),
        OrderPhase::Installed => Some("installed"),
        OrderPhase::Failed => Some("failed"),
        OrderPhase::Expired => Some("expired"),
        OrderPhase::Revoked => Some("revoked"),
    }
}

/// What this event makes of the attempt; None where it leaves it as it is.
fn outcome(kind: &EventKind) -> Option<Outcome> {
    match kind {
        EventKind::AttemptBegan { .. } => Some(Outcome::Running),
        EventKind::Decided { answer, .. } => match answer {
            Answer::LocalDisk => Some(Outcome::LocalDisk),
            Answer::Loader | Answer::Script => Some(Outcome::Running),
            Answer::Silence | Answer::AddressOnly => None,
        },
        EventKind::OrderMoved { phase, .. } => match phase {
            OrderPhase::Armed => None,
            OrderPhase::Offered | OrderPhase::Started => Some(Outcome::Running),
            OrderPhase::Installed => Some(Outcome::Installed),
            OrderPhase::Failed | OrderPhase::Expired | OrderPhase::Revoked => Some(Outcome::Failed),
        },
        EventKind::OsUp { .. } => Some(Outcome::Up),
        EventKind::Offered { .. }
        | EventKind::ForeignOfferTaken { .. }
        | EventKind::Leased { .. }
        | EventKind::LeaseEnded { .. }
        | EventKind::LeaseRenewed { .. }
        | EventKind::AddressRefused { .. }
        | EventKind::LeaseReleaseAnswered { .. }
        | EventKind::FileServed { .. }
        | EventKind::FileRefused { .. }
        | EventKind::FileProbed { .. }
        | EventKind::FileBroken { .. }
        | EventKind::Progress { .. }
        | EventKind::Alarm { .. }
        | EventKind::PlanAdopted(_)
        | EventKind::PlanRefused { .. }
        | EventKind::FormMoved { .. }
        | EventKind::CaptureKept { .. }
        | EventKind::SyslogLine { .. }
        | EventKind::Gap { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use proto::event::{Client, Transport};
    use proto::plan::Stage;
    use proto::{HostId, Mac, OrderId};

    use super::*;

    fn event(at: u64, kind: EventKind) -> Event {
        let (attempt, host, mac) = (Some(AttemptId([1; 16])), Some(HostId([2; 16])), Some(Mac([3; 6])));
        Event { at: Wall(at), attempt, host, mac, kind }
    }

    fn fold(kinds: Vec<EventKind>) -> BootSummary {
        let events: Vec<_> = kinds.into_iter().zip(10..).map(|(kind, at)| event(at, kind)).collect();
        let source = Source { site: "lyon".into(), agent: "lyon-1".into() };
        let mut summary = BootSummary::new(AttemptId([1; 16]), &source, &events[0]);
        events.iter().for_each(|event| summary.take(event));
        summary
    }

    fn began() -> EventKind {
        EventKind::AttemptBegan {
            platform: None,
            client: Client::PxeRom,
            vendor_class: String::new(),
            uuid: None,
            relay: None,
            architecture: None,
        }
    }

    fn decided(answer: Answer) -> EventKind {
        EventKind::Decided { answer, reason: String::new(), order: None, because: None }
    }

    fn leased() -> EventKind {
        let address = std::net::Ipv4Addr::new(10, 1, 0, 9);
        EventKind::Leased { address, until: Wall(1_000), client: Client::PxeRom }
    }

    fn moved(phase: OrderPhase) -> EventKind {
        EventKind::OrderMoved { order: OrderId([4; 16]), number: 1, phase, reason: String::new() }
    }

    fn served(stage: Stage) -> EventKind {
        EventKind::FileServed {
            transport: Transport::Http,
            stage,
            name: "linux".into(),
            bytes: 1,
            took_ms: 1,
            retransmissions: 0,
            repeats: 0,
        }
    }

    #[test]
    fn a_machine_that_is_told_to_boot_its_disk() {
        let summary = fold(vec![began(), decided(Answer::LocalDisk)]);
        assert_eq!((summary.outcome, summary.events), (Outcome::LocalDisk, 2));
        assert_eq!((summary.began_ms, summary.last_ms), (Wall(10), Wall(11)));
        assert_eq!((summary.host, summary.mac), (Some(HostId([2; 16])), Some(Mac([3; 6]))));
        assert!(!summary.has_ended(), "it may still ask again");
        assert!(fold(vec![began(), decided(Answer::LocalDisk), leased()]).has_ended());
        let early = fold(vec![began(), leased(), decided(Answer::LocalDisk)]);
        assert!(!early.has_ended(), "that lease was taken before it was told");
        let on = fold(vec![began(), decided(Answer::LocalDisk), leased(), decided(Answer::Script)]);
        assert_eq!((on.outcome, on.has_ended()), (Outcome::Running, false));
    }

    #[test]
    fn an_installation_from_its_first_packet_to_its_end() {
        let progress = EventKind::Progress { percent: Some(40), text: String::new() };
        let mut kinds =
            vec![began(), moved(OrderPhase::Offered), decided(Answer::Script), served(Stage::Kernel)];
        assert_eq!(
            (fold(kinds.clone()).outcome, fold(kinds.clone()).stage),
            (Outcome::Running, "kernel".into())
        );
        assert!(!fold(kinds.clone()).has_ended());
        kinds.extend([moved(OrderPhase::Started), served(Stage::Answer), progress]);
        assert_eq!(fold(kinds.clone()).stage, "installing 40 %");
        kinds.push(moved(OrderPhase::Installed));
        assert_eq!(
            (fold(kinds.clone()).outcome, fold(kinds.clone()).stage),
            (Outcome::Installed, "installed".into())
        );
        assert!(fold(kinds.clone()).has_ended(), "the next boot is another attempt");
        kinds.push(decided(Answer::LocalDisk));
        assert_eq!(
            fold(kinds.clone()).outcome,
            Outcome::Installed,
            "the reboot into the disk changes nothing"
        );
        kinds.push(EventKind::OsUp { address: None });
        assert_eq!(fold(kinds).outcome, Outcome::Up);
    }

    #[test]
    fn what_the_agent_does_with_its_packets_is_no_word_of_the_machine() {
        let kept = EventKind::CaptureKept { packets: 4, bytes: 900, why: "it fell silent".into() };
        let summary = fold(vec![began(), leased(), kept]);
        assert_eq!((summary.last_ms, summary.events, summary.stage.as_str()), (Wall(11), 3, "address"));
    }

    #[test]
    fn an_order_that_ended_badly_is_a_failure() {
        for phase in [OrderPhase::Failed, OrderPhase::Expired, OrderPhase::Revoked] {
            assert_eq!(
                fold(vec![began(), moved(phase), decided(Answer::LocalDisk)]).outcome,
                Outcome::Failed
            );
        }
    }
}
