//! Which boots have failed, as far as that shows here: their packets are kept for whoever asks why.
//!
//! An attempt has failed when its order has, when its machine begins anew or falls silent before it has come to an end, and
//! sooner when something went wrong before it fell silent. One that was sent to its disk has not, and under an order
//! the order alone decides once the kernel was asked for: installers are silent for long. Only machines that the plan knows
//! count: others can be made up without end (S5).

use std::{net::Ipv4Addr, time::Duration};

use proto::{
    AttemptId, HostId, Mac,
    event::{Answer, EventKind, OrderPhase},
    plan::{DhcpMode, UnknownMachines},
};

use super::{About, Action, Site};
use crate::{
    attempts::{Attempt, Reached},
    capture::Standing,
    dhcp::Request,
    time::{Mono, Now},
};

/// A machine that is silent for so long before it asks for its kernel has failed: EDK2 gives up after less.
const SILENT: Duration = Duration::from_secs(120);
/// So soon, if something went wrong before it fell silent.
const TROUBLED: Duration = Duration::from_secs(45);
/// A system that was given its kernel has come up by then, if it asks for an address at all.
const SILENT_SYSTEM: Duration = Duration::from_secs(900);

/// A boot that has come to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FailedBoot {
    /// Which.
    pub attempt: AttemptId,
    /// Whose.
    pub host: Option<HostId>,
    /// The machine.
    pub mac: Mac,
    /// Where it was last seen.
    pub address: Option<Ipv4Addr>,
    /// How long ago it began.
    pub began: Duration,
    /// What was wrong, for people.
    pub why: String,
}

/// An attempt whose packets may still be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownBoot {
    /// The machine.
    pub mac: Mac,
    /// Where it was last seen.
    pub address: Option<Ipv4Addr>,
    /// How long ago it began.
    pub began: Duration,
}

/// The packets of a failed boot were kept, or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureKept {
    /// Which boot.
    pub boot: FailedBoot,
    /// How many packets.
    pub packets: u32,
    /// Of the file.
    pub bytes: u64,
}

impl Site {
    /// Whose share of the room for packets a machine has that speaks to us: none, where it is no boot or not answered.
    #[must_use]
    pub fn standing_of(&self, request: &Request) -> Option<Standing> {
        let plan = self.plan.as_ref().filter(|plan| plan.network.dhcp != DhcpMode::Off)?;
        if !request.is_boot_class() {
            return None;
        }
        match (plan.host_of(request.mac), plan.network.unknown) {
            (Some(_), _) => Some(Standing::Host),
            (None, UnknownMachines::Ignore) => None,
            (None, _) => Some(Standing::Stranger),
        }
    }

    /// The boot of this number, if it is its machine's latest.
    #[must_use]
    pub fn known_boot(&self, now: Mono, attempt: AttemptId) -> Option<KnownBoot> {
        let known = self.attempts.by_id(attempt).or_else(|| self.strangers.by_id(attempt))?;
        Some(KnownBoot { mac: known.mac, address: known.address, began: now.since(known.began) })
    }

    pub(super) fn handle_capture_kept(&mut self, now: Now, kept: CaptureKept) {
        let CaptureKept { boot: FailedBoot { attempt, host, mac, why, .. }, packets, bytes } = kept;
        let about = About { attempt: Some(attempt), host, mac: Some(mac) };
        self.tell(now, about, EventKind::CaptureKept { packets, bytes, why });
    }

    /// What an event says of how its attempt ends.
    pub(super) fn weigh_event(&mut self, now: Mono, about: About, kind: &EventKind) {
        let Some(told) = Told::of(kind) else { return };
        let Some(id) = about.attempt else { return };
        let Some(attempt) = self.attempts.named(id, about.mac) else { return };
        match told {
            // What went wrong before was not its end.
            Told::Progress => (attempt.progress, attempt.trouble) = (now, None),
            Told::Trouble(trouble) => attempt.trouble = Some(trouble),
            Told::End => attempt.judged = true,
            Told::Failure(why) => {
                let failed = judge(attempt, now, why);
                self.actions.push_back(Action::KeepCapture(failed));
            }
        }
    }

    /// The machine has begun another attempt: what came of the one before?
    pub(super) fn judge_replaced(&mut self, now: Mono) {
        // Of strangers nothing is kept.
        drop(self.strangers.take_replaced());
        if let Some(mut former) = self.attempts.take_replaced()
            && let Some(why) = failure_of_replaced(&former)
        {
            self.actions.push_back(Action::KeepCapture(judge(&mut former, now, why)));
        }
    }

    /// Time has passed: who has fallen silent?
    pub(super) fn look_for_failures(&mut self, now: Mono) {
        for attempt in self.attempts.open() {
            match failure_by_silence(attempt, attempt.quiet(now)) {
                None => {}
                Some(why) => self.actions.push_back(Action::KeepCapture(judge(attempt, now, why))),
            }
        }
    }
}

/// What an event says of its attempt's end.
enum Told {
    Progress,
    Trouble(String),
    Failure(String),
    End,
}

impl Told {
    fn of(kind: &EventKind) -> Option<Self> {
        Some(match kind {
            EventKind::FileProbed { .. } | EventKind::FileServed { .. } | EventKind::Progress { .. } => {
                Self::Progress
            }
            EventKind::FileBroken { name, why, .. } => {
                Self::Trouble(format!("{name} was not sent whole: {why}"))
            }
            EventKind::FileRefused { name, why, .. } => Self::Trouble(format!("{name} was refused: {why}")),
            EventKind::ForeignOfferTaken { server, .. } => {
                Self::Trouble(format!("it took the offer of another DHCP server, {server}"))
            }
            EventKind::OrderMoved { phase, reason, .. } => match phase {
                OrderPhase::Failed | OrderPhase::Expired => {
                    let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
                    Self::Failure(format!("its order is {}{reason}", phase.word()))
                }
                OrderPhase::Installed | OrderPhase::Revoked => Self::End,
                OrderPhase::Armed | OrderPhase::Offered | OrderPhase::Started => return None,
            },
            EventKind::OsUp { .. } => Self::End,
            EventKind::AttemptBegan { .. }
            | EventKind::Decided { .. }
            | EventKind::Offered { .. }
            | EventKind::Leased { .. }
            | EventKind::LeaseEnded { .. }
            | EventKind::LeaseRenewed { .. }
            | EventKind::AddressRefused { .. }
            | EventKind::LeaseReleaseAnswered { .. }
            | EventKind::Alarm { .. }
            | EventKind::PlanAdopted(_)
            | EventKind::PlanRefused { .. }
            | EventKind::FormMoved { .. }
            | EventKind::CaptureKept { .. }
            | EventKind::SyslogLine { .. }
            | EventKind::Gap { .. } => return None,
        })
    }
}

fn judge(attempt: &mut Attempt, now: Mono, why: String) -> FailedBoot {
    attempt.judged = true;
    let Attempt { id, host, mac, address, began, .. } = *attempt;
    FailedBoot { attempt: id, host, mac, address, began: now.since(began), why }
}

/// None: it may still go on, or has come to an end.
fn failure_by_silence(attempt: &Attempt, quiet: Duration) -> Option<String> {
    if quiet < TROUBLED {
        return None;
    }
    let before_kernel = |expected: &str| match &attempt.trouble {
        None if quiet < SILENT => None,
        trouble => Some(trouble.clone().unwrap_or_else(|| expected.to_owned())),
    };
    match (attempt.reached, attempt.answered) {
        // Who was sent to its disk may try its other boot options for a while.
        (Reached::Ended, _) | (_, Some((_, Answer::LocalDisk, _))) => None,
        (_, None | Some((_, Answer::Silence, _))) => before_kernel("it was not answered"),
        (_, Some((_, Answer::AddressOnly, _))) if attempt.address.is_some() => None,
        (_, Some((_, Answer::AddressOnly, _))) => before_kernel("it took no address"),
        // The order's end is the attempt's.
        (Reached::Handover, Some((_, Answer::Loader | Answer::Script, Some(_)))) => None,
        (Reached::Handover, _) if quiet < SILENT_SYSTEM => None,
        (Reached::Handover, _) => before_kernel("its system did not show itself"),
        (Reached::Rom, _) if attempt.loaded => before_kernel("it fell silent after its loader"),
        (Reached::Rom, _) if attempt.address.is_some() => {
            before_kernel("it took its address and did not ask for its loader")
        }
        (Reached::Rom, _) => before_kernel("it did not take what it was offered"),
        (Reached::Loader, _) => before_kernel("its loader fell silent before it asked for a kernel"),
    }
}

/// None: it had come to its end, or nothing says that it had not.
fn failure_of_replaced(former: &Attempt) -> Option<String> {
    let began_anew = || match &former.trouble {
        Some(trouble) => format!("{trouble}; then the machine began anew"),
        None => "the machine began anew".into(),
    };
    match (former.reached, former.answered) {
        (Reached::Ended, _) | (_, Some((_, Answer::LocalDisk | Answer::AddressOnly, _))) => None,
        (Reached::Handover, Some((_, _, Some(_)))) => {
            Some("the machine began anew before its installation was told to be done".into())
        }
        (Reached::Rom | Reached::Loader | Reached::Handover, _) => Some(began_anew()),
    }
}
