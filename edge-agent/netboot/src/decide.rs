//! The boot decision: the one place that knows the chain ROM → loader → script → kernel (DESIGN §6).
//!
//! In doubt (clock, identity, plan, order) the answer is the local disk.

use std::{borrow::Cow, collections::BTreeSet};

use proto::{
    AttemptId, Digest, Platform, Wall,
    event::{AlarmKind, Answer, Because, Client},
    plan::{Boot, HostPlan, OrderPlan, SitePlan, UnknownMachines},
};

use crate::{no_loader, orders::Orders};

/// Why no order starts while the agent's disk is full, as machines' boots are told and as the controller says it ahead.
pub const ORDERS_WAIT: &str = "the agent's disk is full: orders wait until there is room";

/// What a machine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Which program speaks.
    pub client: Client,
    /// None: its architecture is not known to us.
    pub platform: Option<Platform>,
    /// The first number of option 93.
    pub architecture: Option<u16>,
    /// The SMBIOS UUID in the order it is written.
    pub uuid: Option<[u8; 16]>,
    /// An iPXE that cannot fetch by HTTP, as everything after it is fetched.
    pub lacks_http: bool,
    /// It has fetched the loader that it was sent to.
    pub loaded: bool,
}

/// What else the answer rests on.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'plan, 'a> {
    /// The plan in force.
    pub plan: &'plan SitePlan,
    /// The machine, if the plan knows it.
    pub host: Option<&'plan HostPlan>,
    /// How far each order has come here.
    pub orders: &'a Orders,
    /// Our own name.
    pub agent: &'a str,
    /// The attempt under way.
    pub attempt: Option<AttemptId>,
    /// The time.
    pub now: Wall,
    /// The clock is behind what was seen before a restart, and nobody has set it right yet.
    pub clock_in_doubt: bool,
    /// No room for new orders.
    pub disk_full: bool,
    /// Blobs of the plan that are not here and cannot be fetched now.
    pub out_of_reach: &'a BTreeSet<Digest>,
}

/// What a machine is answered, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<'plan> {
    /// The answer.
    pub answer: Answer,
    /// For people.
    pub reason: Cow<'static, str>,
    /// The same for programs.
    pub because: Because,
    /// The order that it rests on.
    pub order: Option<&'plan OrderPlan>,
    /// What is booted; None for the local disk and for silence.
    pub boot: Option<&'plan Boot>,
    /// Something that an operator should look at.
    pub alarm: Option<(AlarmKind, String)>,
}

/// What this machine is to do now.
#[must_use]
pub fn decide<'plan>(facts: &Facts, at: &Circumstances<'plan, '_>) -> Decision<'plan> {
    let Some(host) = at.host else { return unknown_machine(facts, at.plan) };
    if facts.client == Client::Os {
        return plain(Answer::AddressOnly, Because::System, "an operating system asks for an address");
    }
    if let Some(detail) = disagreement(facts, host) {
        let alarm = Some((AlarmKind::IdentityDisagrees, detail.clone()));
        return Decision { alarm, ..plain(Answer::LocalDisk, Because::Identity, detail) };
    }
    let (boot, order, reason) = match (standing_order(host, at), &host.boot) {
        (Err((because, why)), _) => return plain(Answer::LocalDisk, because, why),
        (Ok(Some(order)), _) => {
            let reason = format!("order {} installs {}", order.number, order.boot.profile);
            (&order.boot, Some(order), Cow::from(reason))
        }
        (Ok(None), Some(boot)) if boot.menu => (boot, None, "it is shown a menu".into()),
        (Ok(None), Some(boot)) => (boot, None, format!("profile {} is what it runs", boot.profile).into()),
        (Ok(None), None) => {
            return plain(Answer::LocalDisk, Because::NothingStands, nothing_stands(host, at));
        }
    };
    if boot.blobs().any(|blob| at.out_of_reach.contains(&blob.digest)) {
        let image = &boot.image;
        return plain(
            Answer::LocalDisk,
            Because::ImageIncomplete,
            format!("image {image} is not complete here and the controller is out of reach"),
        );
    }
    match first_step(facts, at.plan, boot) {
        Ok(answer) => {
            let because = if order.is_some() { Because::Order } else { Because::Profile };
            Decision { answer, reason, because, order, boot: Some(boot), alarm: None }
        }
        Err(NoLoader(why)) => {
            let alarm = Some((AlarmKind::NoLoader, why.clone()));
            Decision { alarm, ..plain(Answer::LocalDisk, Because::NoLoader, why) }
        }
    }
}

fn plain<'plan>(answer: Answer, because: Because, reason: impl Into<Cow<'static, str>>) -> Decision<'plan> {
    Decision { answer, reason: reason.into(), because, order: None, boot: None, alarm: None }
}

fn unknown_machine<'plan>(facts: &Facts, plan: &SitePlan) -> Decision<'plan> {
    let (answer, reason) = match plan.network.unknown {
        UnknownMachines::Ignore => {
            (Answer::Silence, "no host has this address, and the site ignores such machines")
        }
        UnknownMachines::Lease if facts.client == Client::Os => {
            (Answer::AddressOnly, "no host has this address")
        }
        UnknownMachines::Lease => (Answer::LocalDisk, "no host has this address"),
    };
    plain(answer, Because::UnknownMachine, reason)
}

/// The order that the host boots under; an error says why the one that is there is not obeyed.
fn standing_order<'plan>(
    host: &HostPlan,
    at: &Circumstances<'plan, '_>,
) -> Result<Option<&'plan OrderPlan>, (Because, String)> {
    let Some(order) = at.plan.orders_of(host.id).next() else { return Ok(None) };
    if host.locked {
        return Err((Because::Locked, "the host is locked: no order is obeyed".into()));
    }
    match at.orders.stands(order, at.agent, at.attempt, at.now) {
        Ok(()) => {}
        Err(why) if why.is_over() => return Ok(None),
        Err(why) => return Err((Because::OrderDoubt, why.to_string())),
    }
    if at.clock_in_doubt {
        let why = "the agent's clock is behind what it has seen: orders wait until the controller is reached";
        return Err((Because::Clock, why.into()));
    }
    if at.disk_full {
        return Err((Because::DiskFull, ORDERS_WAIT.into()));
    }
    Ok(Some(order))
}

/// Whoever looks at the boot after an installation sees that it is that one.
fn nothing_stands(host: &HostPlan, at: &Circumstances<'_, '_>) -> String {
    match at.orders.newest_of(host.id) {
        Some(last) if last.phase.is_end() => {
            format!("no order stands; order {} is done: {}", last.number, last.phase.word())
        }
        Some(_) | None => "no order stands".into(),
    }
}

/// Nothing of the plan can begin the boot on this machine; for people.
struct NoLoader(String);

fn first_step(facts: &Facts, plan: &SitePlan, boot: &Boot) -> Result<Answer, NoLoader> {
    match facts.client {
        Client::Ipxe | Client::Gpxe if replaces_rom(facts, plan, boot) => return Ok(Answer::Loader),
        Client::Ipxe | Client::Gpxe => return Ok(Answer::Script),
        Client::PxeRom | Client::HttpRom | Client::Bootp | Client::Os => {}
    }
    match facts.platform.and_then(|platform| plan.loader_of(boot, platform)) {
        Some(_) => Ok(Answer::Loader),
        None => Err(NoLoader(no_loader::explain(facts.platform, facts.architecture, plan, boot))),
    }
}

/// What a host or its profile names takes the place of the iPXE that a ROM brings along, once: when it has been fetched, who
/// speaks is that one (QUIRKS 25). The site's default is for ROMs that are no iPXE, or one without HTTP (QUIRKS 26).
fn replaces_rom(facts: &Facts, plan: &SitePlan, boot: &Boot) -> bool {
    let set = facts.platform.and_then(|platform| plan.loader_of(boot, platform));
    !facts.loaded && set.is_some_and(|(set, _)| !set.site_default || facts.lacks_http)
}

/// A recorded UUID that the machine contradicts, in both byte orders (QUIRKS 16); a machine that shows a dummy or none
/// contradicts nothing.
fn disagreement(facts: &Facts, host: &HostPlan) -> Option<String> {
    let (shown, recorded) = (facts.uuid?, host.uuid?);
    let dummy = is_dummy(&shown);
    (!dummy && shown != recorded && swapped(shown) != recorded).then(|| {
        format!("it shows UUID {}, the host's recorded one is {}", written(&shown), written(&recorded))
    })
}

/// Values that vendors leave in many machines (QUIRKS 55).
fn is_dummy(uuid: &[u8; 16]) -> bool {
    let vendor_default = [0x03, 0, 0x02, 0, 0x04, 0, 0x05, 0, 0, 0x06, 0, 0x07, 0, 0x08, 0, 0x09];
    uuid.iter().all(|byte| *byte == uuid[0]) || *uuid == vendor_default || swapped(*uuid) == vendor_default
}

/// The first three fields in the other byte order.
pub(crate) fn swapped(mut uuid: [u8; 16]) -> [u8; 16] {
    uuid[0..4].reverse();
    uuid[4..6].reverse();
    uuid[6..8].reverse();
    uuid
}

fn written(uuid: &[u8; 16]) -> String {
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    [&hex[0..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..32]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::paper;

    fn facts(client: Client) -> Facts {
        let (platform, architecture) = (Some(Platform::UefiX64), Some(7));
        Facts { client, platform, architecture, uuid: None, lacks_http: false, loaded: false }
    }

    static NOTHING: BTreeSet<Digest> = BTreeSet::new();

    fn at<'a>(plan: &'a SitePlan, orders: &'a Orders) -> Circumstances<'a, 'a> {
        Circumstances {
            plan,
            host: plan.host_of(paper::MAC),
            orders,
            agent: paper::AGENT,
            attempt: None,
            now: Wall(1_000),
            clock_in_doubt: false,
            disk_full: false,
            out_of_reach: &NOTHING,
        }
    }

    #[test]
    fn the_chain_of_an_order() {
        let (plan, orders) = (paper::plan_with_order(), Orders::default());
        let at = at(&plan, &orders);
        assert_eq!(decide(&facts(Client::PxeRom), &at).answer, Answer::Loader);
        assert_eq!(decide(&facts(Client::HttpRom), &at).answer, Answer::Loader);
        let decision = decide(&facts(Client::Ipxe), &at);
        assert_eq!((decision.answer, decision.order.map(|o| o.number)), (Answer::Script, Some(1)));
        assert_eq!(decide(&facts(Client::Os), &at).answer, Answer::AddressOnly);
    }

    #[test]
    fn quirk_26_an_ipxe_without_http_is_replaced_once() {
        let (plan, orders) = (paper::plan_with_order(), Orders::default());
        let poor = Facts { lacks_http: true, ..facts(Client::Ipxe) };
        assert_eq!(decide(&poor, &at(&plan, &orders)).answer, Answer::Loader);
        let again = Facts { loaded: true, ..poor.clone() };
        assert_eq!(decide(&again, &at(&plan, &orders)).answer, Answer::Script, "never in a circle");
        let elsewhere = Facts { platform: Some(Platform::UefiArm64), ..poor };
        assert_eq!(decide(&elsewhere, &at(&plan, &orders)).answer, Answer::Script, "there is none for it");
    }

    #[test]
    fn without_an_order_the_local_disk() {
        let (plan, orders) = (paper::plan(), Orders::default());
        let decision = decide(&facts(Client::PxeRom), &at(&plan, &orders));
        assert_eq!((decision.answer, &*decision.reason), (Answer::LocalDisk, "no order stands"));
    }

    #[test]
    fn the_boot_after_an_installation_says_that_it_is_that() {
        let (plan, mut orders) = (paper::plan(), Orders::default());
        let host = at(&plan, &Orders::default()).host.expect("known").id;
        orders.restore(&proto::ledger::Record::Order(proto::ledger::OrderState {
            order: proto::OrderId([9; 16]),
            host,
            number: 4,
            phase: proto::event::OrderPhase::Installed,
            attempts: 1,
            attempt: None,
            token: None,
            started: None,
            not_after: Wall(9),
        }));
        let decision = decide(&facts(Client::PxeRom), &at(&plan, &orders));
        assert_eq!(decision.reason, "no order stands; order 4 is done: installed");
    }

    #[test]
    fn every_doubt_is_the_local_disk() {
        let (plan, orders) = (paper::plan_with_order(), Orders::default());
        let good = at(&plan, &orders);
        let answer = |at: &Circumstances<'_, '_>| decide(&facts(Client::Ipxe), at).answer;
        assert_eq!(answer(&good), Answer::Script);
        assert_eq!(answer(&Circumstances { clock_in_doubt: true, ..good }), Answer::LocalDisk);
        assert_eq!(answer(&Circumstances { disk_full: true, ..good }), Answer::LocalDisk);
        assert_eq!(answer(&Circumstances { agent: "lyon-2", ..good }), Answer::LocalDisk);
        let kernel = BTreeSet::from([Digest::of(b"linux")]);
        assert_eq!(answer(&Circumstances { out_of_reach: &kernel, ..good }), Answer::LocalDisk);
        assert_eq!(answer(&Circumstances { now: Wall(u64::MAX), ..good }), Answer::LocalDisk);
        let locked = HostPlan { locked: true, ..good.host.expect("known").clone() };
        assert_eq!(answer(&Circumstances { host: Some(&locked), ..good }), Answer::LocalDisk);
    }

    #[test]
    fn another_uuid_is_a_doubt_and_an_alarm() {
        let (plan, orders) = (paper::plan_with_order(), Orders::default());
        let good = at(&plan, &orders);
        let mut recorded = [0; 16];
        recorded.iter_mut().zip(1..).for_each(|(byte, value)| *byte = value);
        let host = HostPlan { uuid: Some(recorded), ..good.host.expect("known").clone() };
        let at = Circumstances { host: Some(&host), ..good };
        let shows = |uuid| decide(&Facts { uuid, ..facts(Client::Ipxe) }, &at);
        for agreeing in [None, Some(recorded), Some(swapped(recorded)), Some([0; 16]), Some([0xff; 16])] {
            assert_eq!(shows(agreeing).answer, Answer::Script, "{agreeing:?}");
        }
        let other = shows(Some([9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 8]));
        assert_eq!(other.answer, Answer::LocalDisk);
        assert_eq!(other.alarm.map(|(kind, _)| kind), Some(AlarmKind::IdentityDisagrees));
    }

    #[test]
    fn a_platform_without_a_loader_says_so() {
        let (plan, orders) = (paper::plan_with_order(), Orders::default());
        let arm =
            Facts { platform: Some(Platform::UefiArm64), architecture: Some(0x0b), ..facts(Client::PxeRom) };
        let decision = decide(&arm, &at(&plan, &orders));
        assert_eq!(decision.answer, Answer::LocalDisk);
        let reason = "profile debian-12 has no loader for uefi-arm64 (architecture 0x000b, ARM 64-bit UEFI): \
                      looked in the site's own; import one (`bootlane image import`, family loaders) and name \
                      it in the site, the profile or the host";
        assert_eq!(decision.reason, reason);
        assert_eq!(decision.alarm, Some((AlarmKind::NoLoader, reason.into())));

        let mainframe = Facts { platform: None, architecture: Some(0x1f), ..facts(Client::PxeRom) };
        let decision = decide(&mainframe, &at(&plan, &orders));
        let reason =
            "profile debian-12 has no loader for architecture 0x001f, S390 Basic, and none is known to exist";
        assert_eq!((decision.answer, &*decision.reason), (Answer::LocalDisk, reason));
    }
}
