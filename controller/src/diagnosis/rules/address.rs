//! From the first DISCOVER to the first request for a file.

use std::net::Ipv4Addr;

use proto::event::{AlarmKind, Answer, Client, EventKind};

use crate::diagnosis::case::{Case, is_loader, is_rom};
use crate::diagnosis::cause::Cause;
use crate::diagnosis::context::{Holder, Pool};
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::neighbour::{Neighbour, Others};
use crate::diagnosis::stage::Step;
use crate::diagnosis::standing::Standing;
use crate::diagnosis::words::{ago, length, times};
use crate::events::Outcome;

/// It went with another DHCP server, and what the agent had for it was a file or its disk.
pub(super) fn foreign_offer_taken(case: &Case<'_>) -> Option<Finding> {
    let (server, known) = gone_elsewhere(case)?;
    let known = if known.is_empty() { String::new() } else { format!(" ({known})") };
    Some(Finding {
        cause: Cause::ForeignOfferTaken,
        stopped_at: format!("it was {} and accepted the offer of another DHCP server", to_boot(case)),
        expected: "its REQUEST for what the agent offered".into(),
        likely: format!("{server}{known} answers machines here too, and this one chose its offer"),
        remedy: format!(
            "stop the DHCP server {server}; or, if it is to give the addresses here, let it say nothing of booting (no \
             file name, no next server) and set the site's `dhcp: proxy`"
        ),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// The agent's disk is full, and it writes no new lease down.
pub(super) fn pool_waits_for_room(case: &Case<'_>) -> Option<Finding> {
    let detail = alarmed(case, AlarmKind::DiskLow).filter(|_| offers(case) == 0)?;
    Some(Finding {
        cause: Cause::PoolEmpty,
        stopped_at: "it asked for an address and got none".into(),
        expected: "an OFFER".into(),
        likely: detail.to_owned(),
        remedy: "make room on the agent's disk".into(),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// The pool has no address for it.
pub(super) fn pool_empty(case: &Case<'_>) -> Option<Finding> {
    let detail = alarmed(case, AlarmKind::PoolEmpty).filter(|_| offers(case) == 0)?;
    Some(Finding {
        cause: Cause::PoolEmpty,
        stopped_at: "it asked for an address and was offered none".into(),
        expected: "an OFFER".into(),
        likely: detail.to_owned(),
        remedy: "give the site's subnet a larger pool or shorter leases, or the host a fixed `address`; `bootlane lease \
                 list` shows who has them"
            .into(),
        certainty: Certainty::Seen,
        evidence: case.context.pools.iter().map(in_words).collect(),
    })
}

/// Its address is somebody else's.
pub(super) fn address_in_use(case: &Case<'_>) -> Option<Finding> {
    let detail = alarmed(case, AlarmKind::AddressInUse).filter(|_| case.leased(is_rom).is_none())?;
    // It may yet take another one that it was offered.
    if offers(case) > 0 {
        stopped_before_loader(case)?;
    }
    Some(Finding {
        cause: Cause::AddressInUse,
        stopped_at: "it asked for an address, and the one that it should have is another machine's".into(),
        expected: "an address that nobody else uses".into(),
        likely: detail.to_owned(),
        remedy: match &case.context.holder {
            Some(holder) => format!(
                "give the host another `address`, or have {} give {} back (`bootlane lease release` frees it once that \
                 machine is off)",
                name(holder),
                holder.address
            ),
            None => "find the machine that uses the address without having asked for it (its MAC address is in the \
                     switch's table), or give the host another `address`"
                .into(),
        },
        certainty: Certainty::Seen,
        evidence: case.context.holder.iter().map(|holder| held(case, holder)).collect(),
    })
}

/// It was offered an address again and again.
pub(super) fn offer_not_taken(case: &Case<'_>) -> Option<Finding> {
    let asker = Asker::of(case)?;
    let is_offer =
        |kind: &&EventKind| matches!(kind, EventKind::Offered { client, .. } if (asker.is)(*client));
    let offers = case.kinds().filter(is_offer).count();
    if offers == 0 || case.leased(asker.is).is_some() || has_gone_elsewhere(case) {
        return None;
    }
    Some(request_refused(case, &asker).unwrap_or_else(|| offers_in_vain(case, &asker, offers)))
}

fn offers_in_vain(case: &Case<'_>, asker: &Asker, offers: usize) -> Finding {
    let (likely, certainty) = match offers {
        1 => ("the agent's OFFER does not reach it, or it was turned off", Certainty::Possible),
        // RFC 2131 §4.4.1: who has chosen says so by broadcast, to all servers, and asks no more.
        _ => ("the agent's OFFERs do not reach it, for it asks again after each", Certainty::Likely),
    };
    let others = Others::of(case);
    let remedy = match others.any(Neighbour::accepted) {
        true => {
            "look at what is between it and the machines that pass: its switch port (DHCP snooping: trust the port of the \
             agent), its VLAN, its cable; its screen shows whether it got an address"
        }
        false => {
            "look whether the switch filters DHCP replies (DHCP snooping: trust the port of the agent) and whether the \
             relay agent hands replies on; its screen shows whether it got an address"
        }
    };
    let passed = others.say("accepted the agent's OFFER", Neighbour::accepted);
    let times = times(offers);
    Finding {
        cause: Cause::OfferNotTaken,
        stopped_at: format!("{} was sent an OFFER {times} and accepted none", asker.whose),
        expected: "its REQUEST for the address or the file that it was offered".into(),
        likely: likely.into(),
        remedy: remedy.into(),
        certainty,
        evidence: [passed].into_iter().chain(foreign_unheard(case)).chain(itself_before(case)).collect(),
    }
}

/// Another server answers there, and this machine has not gone with it.
fn foreign_unheard(case: &Case<'_>) -> Option<String> {
    let other = case.context.foreign_servers.first()?;
    Some(format!(
        "another DHCP server was heard at the site ({other}), but no REQUEST of this machine to it, which would be a broadcast"
    ))
}

/// It asked for an address that the agent does not give it.
fn request_refused(case: &Case<'_>, asker: &Asker) -> Option<Finding> {
    let (address, why) = case.kinds().rev().find_map(|kind| {
        let EventKind::AddressRefused { address, client, why, .. } = kind else { return None };
        (asker.is)(*client).then_some((address, why))
    })?;
    Some(Finding {
        cause: Cause::OfferNotTaken,
        stopped_at: format!("{} asked for the address {address} and was not given it", asker.whose),
        expected: "its DHCPDISCOVER for another address, or its REQUEST for the one that it was offered".into(),
        likely: why.clone(),
        remedy: "boot it again: firmware that is not answered asks for any address; if it insists, give the host that \
                 `address`, or free it (`bootlane lease release`)"
            .into(),
        certainty: Certainty::Likely,
        evidence: Vec::new(),
    })
}

/// It has its address and does not come for what it was told to fetch.
pub(super) fn nothing_asked(case: &Case<'_>) -> Option<Finding> {
    let asker = Asker::of(case)?;
    let address = case.leased(asker.is)?;
    let file = asker.offered_file(case).unwrap_or("what it is to load");
    let ports = if file.starts_with("http://") { "TCP port 80" } else { "UDP ports 69 and 4011" };
    let others = Others::of(case);
    let suspicion = Suspicion::of(&asker, &others);
    let evidence = match suspicion {
        Suspicion::Path(alike) => {
            vec![others.say_alike(alike, "fetched its loader by the same kind of OFFER")]
        }
        Suspicion::Either | Suspicion::Port => vec![others.say_of(asker.fetches)],
    };
    Some(Finding {
        cause: Cause::NothingAsked,
        stopped_at: format!("{} took the address {address} and then asked for no file", asker.whose),
        expected: format!("a request for {file}"),
        likely: suspicion.likely(ports),
        remedy: suspicion.remedy(ports),
        certainty: Certainty::Likely,
        evidence: evidence.into_iter().chain(itself_before(case)).collect(),
    })
}

/// What keeps a program that has its address from fetching.
enum Suspicion<'a> {
    /// This machine with the same firmware fetches: it is no matter of the reply.
    Path(&'a Neighbour),
    /// A ROM's firmware, or the path.
    Either,
    /// A loader has fetched already, so the one port that it needs is closed.
    Port,
}

impl<'a> Suspicion<'a> {
    fn of(asker: &Asker, others: &Others<'a>) -> Self {
        if asker.step != Step::RomAddress {
            return Self::Port;
        }
        others.alike(Neighbour::fetched).map_or(Self::Either, Self::Path)
    }

    fn likely(&self, ports: &str) -> String {
        match self {
            Self::Path(_) => format!(
                "its requests did not reach {ports} of the agent: a firewall or filter between them, at that time or still; \
                 firmware like it understands the agent's reply"
            ),
            Self::Either => format!(
                "its requests did not reach {ports} of the agent (a firewall or filter between them), or its firmware does \
                 not understand the agent's reply"
            ),
            Self::Port => {
                format!("its requests do not reach {ports} of the agent: a firewall or filter between them")
            }
        }
    }

    fn remedy(&self, ports: &str) -> String {
        match self {
            Self::Path(_) | Self::Port => format!(
                "let {ports} pass between it and the agent, in the firewall of the agent's machine, too, and boot it again"
            ),
            Self::Either => format!(
                "look at its screen: a timeout (PXE-E32, on UEFI PXE-E18) means that {ports} must be let pass; no boot file \
                 name (PXE-E53), or no word at all, that it did not understand: boot it again, since the agent tries \
                 another form of reply each time (`bootlane form list` shows what others of its model took)"
            ),
        }
    }
}

/// The machine's own attempt before this one, if that came further.
fn itself_before(case: &Case<'_>) -> Option<String> {
    let further =
        |stage: &str| !matches!(stage, "" | "began" | "offered" | "address") && !stage.starts_with("took ");
    let former = case.context.former.iter().find(|former| further(&former.stage))?;
    let ago = ago(case.context.now.since(former.began_ms));
    Some(format!("the machine itself came further {ago}: to {}", former.stage))
}

fn in_words(pool: &Pool) -> String {
    let Pool { subnet, ranges, size, leased } = pool;
    if ranges.is_empty() {
        return format!(
            "subnet {subnet} has no pool now: only hosts with a fixed `address` are given one there"
        );
    }
    let ranges: Vec<_> = ranges.iter().map(|(first, last)| format!("{first} to {last}")).collect();
    format!(
        "of the {size} addresses of the pool of {subnet} ({}), {leased} are leased now",
        ranges.join(", ")
    )
}

fn name(holder: &Holder) -> String {
    holder.host.clone().unwrap_or_else(|| holder.mac.to_string())
}

fn held(case: &Case<'_>, holder: &Holder) -> String {
    let Holder { address, host, mac, since, until } = holder;
    let who =
        host.as_ref().map_or_else(|| format!("{mac}, which is no host,"), |host| format!("{host} ({mac})"));
    let now = case.context.now;
    let rest = match until.since(now) {
        rest if rest.is_zero() => "and it has ended".to_owned(),
        rest => format!("for another {}", length(rest)),
    };
    format!("{who} has {address} by a lease since {}, {rest}", ago(now.since(*since)))
}

/// Who asked for an address last, with nothing after it.
struct Asker {
    whose: &'static str,
    is: fn(Client) -> bool,
    step: Step,
    /// The stage that follows.
    fetches: Step,
}

impl Asker {
    fn of(case: &Case<'_>) -> Option<Self> {
        let step = case.last_step().filter(|_| case.is_silent())?;
        match step {
            Step::RomAddress => Some(Self { whose: "its ROM", is: is_rom, step, fetches: Step::Loader }),
            Step::LoaderAddress => {
                Some(Self { whose: "its loader", is: is_loader, step, fetches: Step::Script })
            }
            Step::Loader
            | Step::Script
            | Step::Kernel
            | Step::System
            | Step::AnswerFile
            | Step::Installation => None,
        }
    }

    fn offered_file<'a>(&self, case: &Case<'a>) -> Option<&'a str> {
        let file = case.kinds().rev().find_map(|kind| {
            let EventKind::Offered { file, client, .. } = kind else { return None };
            (self.is)(*client).then_some(file.as_str())
        });
        file.filter(|file| !file.is_empty())
    }
}

/// Nothing more will be heard, and it did not come further than its address.
fn stopped_before_loader(case: &Case<'_>) -> Option<()> {
    (case.is_silent() && case.last_step() == Some(Step::RomAddress)).then_some(())
}

fn offers(case: &Case<'_>) -> usize {
    case.kinds().filter(|kind| matches!(kind, EventKind::Offered { client, .. } if is_rom(*client))).count()
}

/// The other server that it took its offer of, with what is known of that one, if it took and fetched nothing here since.
fn gone_elsewhere<'a>(case: &Case<'a>) -> Option<(Ipv4Addr, &'a str)> {
    let stays = match (case.standing, case.boot.outcome) {
        (Standing::Silent, _) | (Standing::Ended, Outcome::LocalDisk) => true,
        (Standing::UnderWay | Standing::Ended, _) => false,
    };
    let came_far = case.stages.iter().any(|stage| stage.step > Step::RomAddress);
    let taken = |kind: &EventKind| {
        matches!(
            kind,
            EventKind::ForeignOfferTaken { .. }
                | EventKind::Leased { .. }
                | EventKind::FileServed { .. }
                | EventKind::FileBroken { .. }
        )
    };
    let last = case.kinds().rev().find(|kind| taken(kind)).filter(|_| stays && !came_far)?;
    let EventKind::ForeignOfferTaken { server, known } = last else { return None };
    Some((*server, known))
}

/// What it was told last.
fn to_boot(case: &Case<'_>) -> &'static str {
    let told = case.kinds().rev().find_map(|kind| {
        let EventKind::Decided { answer, .. } = kind else { return None };
        Some(*answer)
    });
    match told {
        Some(Answer::LocalDisk) => "told to boot its disk",
        Some(Answer::Silence | Answer::AddressOnly | Answer::Loader | Answer::Script) | None => {
            "offered what to boot"
        }
    }
}

fn has_gone_elsewhere(case: &Case<'_>) -> bool {
    case.kinds().any(|kind| matches!(kind, EventKind::ForeignOfferTaken { .. }))
}

fn alarmed<'a>(case: &Case<'a>, of: AlarmKind) -> Option<&'a str> {
    case.kinds().rev().find_map(|kind| {
        let EventKind::Alarm { kind, detail } = kind else { return None };
        (*kind == of).then_some(detail.as_str())
    })
}
