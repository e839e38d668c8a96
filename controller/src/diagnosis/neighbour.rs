//! What other machines of the site did of late: where they pass and this one does not, the fault is its own.

use std::net::Ipv4Addr;

use proto::event::EventKind;
use proto::plan::Stage;
use proto::{Platform, Wall};

use super::case::Case;
use super::context::Context;
use super::stage::{End, Step};
use super::stages;
use super::words::ago;
use crate::events::StoredEvent;

/// Another machine, by its latest attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// The host's name, or the address of a machine that is no host.
    pub name: String,
    /// When it was last heard.
    pub last: Wall,
    /// What its ROM says of itself.
    pub rom: Rom,
    /// The relay agent that it came through.
    pub relay: Option<Ipv4Addr>,
    /// It has an address by the agent.
    pub leased: bool,
    /// The stages that were seen of it.
    pub seen: Vec<Step>,
    /// Something of what runs after the hand-over was heard.
    pub awake: bool,
    /// The loader that it fetched last.
    pub loader: Option<String>,
}

/// Firmware by what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rom {
    /// None: its architecture is not known to us.
    pub platform: Option<Platform>,
    /// Option 60.
    pub class: String,
}

impl Neighbour {
    /// By the events of its latest attempt.
    #[must_use]
    pub fn of(name: String, last: Wall, events: &[StoredEvent]) -> Self {
        let stages = stages::fold(events);
        let (rom, relay) = began(events);
        Self {
            name,
            last,
            rom,
            relay,
            leased: events.iter().any(|event| matches!(event.numbered.event.kind, EventKind::Leased { .. })),
            awake: stages.iter().any(|stage| stage.step == Step::System && stage.end == End::Done),
            seen: stages.iter().map(|stage| stage.step).collect(),
            loader: events.iter().rev().find_map(loader),
        }
    }

    /// The agent's OFFER reached it, and it went on with that.
    pub(super) fn accepted(&self) -> bool {
        self.leased || self.fetched()
    }

    /// It came to the agent for files.
    pub(super) fn fetched(&self) -> bool {
        [Step::Loader, Step::Script, Step::Kernel].into_iter().any(|step| self.has(step))
    }

    /// The loader that it fetched was heard.
    pub(super) fn runs_loader(&self) -> bool {
        [Step::LoaderAddress, Step::Script, Step::Kernel].into_iter().any(|step| self.has(step))
    }

    /// What its kernel runs was heard.
    pub(super) fn runs_kernel(&self) -> bool {
        self.awake && self.has(Step::Kernel)
    }

    fn has(&self, step: Step) -> bool {
        self.seen.contains(&step)
    }
}

/// Other machines that come to the agent by the same way.
pub(super) struct Others<'a> {
    context: &'a Context,
    rom: Rom,
    relay: Option<Ipv4Addr>,
    machines: Vec<&'a Neighbour>,
}

impl<'a> Others<'a> {
    /// Those of the attempt's site that came through the same relay agent, or through none as it.
    pub(super) fn of(case: &Case<'a>) -> Self {
        let (rom, relay) = began(case.events);
        let machines = case.context.neighbours.iter().filter(|other| other.relay == relay).collect();
        Self { context: case.context, rom, relay, machines }
    }

    /// The latest that passed a place with firmware that says the same of itself.
    pub(super) fn alike(&self, passed: fn(&Neighbour) -> bool) -> Option<&'a Neighbour> {
        self.machines.iter().copied().find(|other| other.rom == self.rom && passed(other))
    }

    /// Has any passed this place?
    pub(super) fn any(&self, passed: fn(&Neighbour) -> bool) -> bool {
        self.machines.iter().any(|other| passed(other))
    }

    /// `2 of 3 other machines heard here last did so, the latest web-2, 4 min ago`.
    pub(super) fn say(&self, did: &str, passed: impl Fn(&Neighbour) -> bool) -> String {
        let way = self.relay.map_or_else(String::new, |relay| format!(" through the relay agent {relay}"));
        let all = self.machines.len();
        if all == 0 {
            return format!("no other machine was heard here{way} in the last day");
        }
        let passed: Vec<_> = self.machines.iter().filter(|other| passed(other)).collect();
        let latest = passed.first().map_or_else(String::new, |latest| {
            format!(", the latest {}, {}", latest.name, ago(self.context.now.since(latest.last)))
        });
        let machines = if all == 1 { "machine" } else { "machines" };
        format!("{} of {all} other {machines} heard here last{way} {did}{latest}", passed.len())
    }

    /// The same of a stage that is seen by what is fetched.
    pub(super) fn say_of(&self, step: Step) -> String {
        self.say(deed(step), |other| other.has(step))
    }

    /// Of firmware that is like this one's, and passed.
    pub(super) fn say_alike(&self, other: &Neighbour, did: &str) -> String {
        let ago = ago(self.context.now.since(other.last));
        format!("{}, whose ROM says the same of itself, {did} {ago}", other.name)
    }
}

/// What a machine does at a stage, as seen by the agent.
const fn deed(step: Step) -> &'static str {
    match step {
        Step::RomAddress | Step::LoaderAddress => "asked for an address",
        Step::Loader => "fetched a loader from the agent",
        Step::Script => "fetched a script from the agent",
        Step::Kernel => "fetched a kernel from the agent",
        Step::System => "were handed over to a kernel or to their disk",
        Step::AnswerFile => "fetched an answer file from the agent",
        Step::Installation => "began an installation",
    }
}

/// `one other machine`, `3 other machines`.
pub(super) fn machines(count: usize) -> String {
    if count == 1 { "one other machine".to_owned() } else { format!("{count} other machines") }
}

fn began(events: &[StoredEvent]) -> (Rom, Option<Ipv4Addr>) {
    let began = events.iter().find_map(|event| {
        let EventKind::AttemptBegan { platform, vendor_class, relay, .. } = &event.numbered.event.kind else {
            return None;
        };
        Some((Rom { platform: *platform, class: vendor_class.clone() }, *relay))
    });
    began.unwrap_or_default()
}

fn loader(event: &StoredEvent) -> Option<String> {
    let EventKind::FileServed { stage: Stage::Loader, name, .. } = &event.numbered.event.kind else {
        return None;
    };
    Some(name.clone())
}
