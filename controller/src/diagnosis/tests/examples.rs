//! One boot for each cause: golden events, and what is known beside them. The manual shows what is said of these.

use std::net::Ipv4Addr;
use std::time::Duration;

use proto::catalog::Family;
use proto::event::{AlarmKind, Answer, Because, Breakage, Client, EventKind, OrderPhase, Refusal, Transport};
use proto::plan::{DhcpMode, Stage, UnknownMachines};
use proto::{Mac, Platform, Wall};

use super::super::{
    AgentFacts, BootFacts, Cause, Context, Finding, Holder, HostFacts, LoaderFacts, Neighbour, OrderFacts,
    OrderState, Pool, Rom, Step, Supply, SupplyState, Usual, expect,
};
use super::golden::{BEGAN, MAC, Story};

/// What is found where this is wrong.
pub(super) fn of(cause: Cause) -> Vec<Finding> {
    match cause {
        Cause::NotHeard => expect(&Context { neighbours: vec![neighbour(&[Step::RomAddress])], ..waiting() }),
        Cause::AgentAway => expect(&Context { agent: Some(away()), ..waiting() }),
        Cause::PlanNotObeyed => {
            let refused = "loaders/arm: an architecture that this build does not know".to_owned();
            let agent = AgentFacts { current: false, refused, ..agent() };
            expect(&Context { agent: Some(agent), ..waiting() })
        }
        Cause::UnknownMachine => {
            let site = Some((DhcpMode::Authoritative, UnknownMachines::Ignore));
            expect(&Context { site, ..Context::at(BEGAN) })
        }
        Cause::DhcpOff => {
            let site = Some((DhcpMode::Off, UnknownMachines::Ignore));
            expect(&Context { site, host: Some(host()), ..Context::at(BEGAN) })
        }
        Cause::PoolEmpty => {
            let why = "no address of 10.1.0.0/24 is free: all 100 addresses of its pool 10.1.0.100 to 10.1.0.199 are \
                       leased, offered, kept for hosts or found in use";
            silent(&alarmed(AlarmKind::PoolEmpty, why), Context { pools: vec![pool()], ..bare() })
        }
        Cause::AddressInUse => {
            let why = "the fixed address 10.1.0.9 of web-1 is leased to 02:00:00:00:00:77, host web-2";
            silent(&alarmed(AlarmKind::AddressInUse, why), Context { holder: Some(holder()), ..bare() })
        }
        Cause::OfferNotTaken => {
            let offered = Story::pxe().offered(Client::PxeRom, "ipxe.efi");
            let offered = offered.offered(Client::PxeRom, "ipxe.efi").offered(Client::PxeRom, "ipxe.efi");
            silent(&offered, among(&[Step::RomAddress, Step::Loader]))
        }
        Cause::ForeignOfferTaken => {
            let (server, known) = (Ipv4Addr::new(10, 1, 0, 3), "it offers pxelinux.0".to_owned());
            let offered = Story::pxe().offered(Client::PxeRom, "ipxe.efi");
            silent(&offered.then(EventKind::ForeignOfferTaken { server, known }), bare())
        }
        Cause::NothingAsked => silent(&Story::pxe().leased(), among(&[Step::RomAddress, Step::Loader])),
        Cause::StoppedAtSizeProbe => silent(&Story::pxe().leased().then(probed()), bare()),
        Cause::BlockTooLarge => {
            let broken = Broken { bytes: 0, breakage: Breakage::Silent, retransmissions: 6 };
            silent(&Story::pxe().leased().then(broken.loader()), bare())
        }
        Cause::StuckRetransmitting => {
            let broken = Broken { bytes: 400_384, breakage: Breakage::Silent, retransmissions: 41 };
            silent(&Story::pxe().leased().then(broken.loader()), among(&[Step::Loader]))
        }
        Cause::TransferBroken => {
            let broken = Broken { bytes: 1_428, breakage: Breakage::MachineError, retransmissions: 0 };
            silent(&Story::pxe().leased().then(broken.loader()), bare())
        }
        Cause::NoLoader => {
            let reason = "profile web has no loader for uefi-arm64 (architecture 11: ARM 64-bit UEFI): looked in ipxe; import one";
            silent(&disk(Because::NoLoader, reason), bare())
        }
        Cause::WrongLoader => {
            let loader =
                LoaderFacts { name: "ipxe.efi".into(), runs_on: vec![Platform::UefiArm64], signed: false };
            silent(&Story::pxe().loaded(), Context { loader: Some(loader), ..bare() })
        }
        Cause::LoaderSilent => {
            let loader =
                LoaderFacts { name: "ipxe.efi".into(), runs_on: vec![Platform::UefiX64], signed: false };
            let others = among(&[Step::Loader, Step::LoaderAddress]);
            silent(&Story::pxe().loaded(), Context { loader: Some(loader), ..others })
        }
        Cause::FileMissing => {
            let refused = refused("pxe/ldlinux.c32", Refusal::NoSuchFile, "no file has this name", false);
            silent(&Story::of(Platform::Bios, 0, Client::PxeRom).loaded().then(refused), bare())
        }
        Cause::NoKernelAsked => silent(&Story::pxe().scripted(), bare()),
        Cause::KernelSilent => silent(&Story::pxe().handed_over(), bare()),
        Cause::NoAnswerAsked => silent(&Story::pxe().handed_over().leased_to(Client::Os), bare()),
        Cause::AnswerRefused => {
            let refused = refused("o/.../preseed.cfg", Refusal::OrderEnded, "the order is expired", true);
            silent(&Story::pxe().handed_over().then(refused), Context { ordered: Some(order()), ..bare() })
        }
        Cause::InstallerSilent => {
            let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
            let usual = Usual { installations: 8, median: minutes(9), longest: minutes(14) };
            silent(&Story::pxe().installing().progress(40), Context { usual: Some(usual), ..bare() })
        }
        Cause::InstallerFailed => {
            let failed =
                Story::pxe().installing().progress(40).moved(OrderPhase::Failed, "no disk of 20 GB or more");
            silent(&failed, bare())
        }
        Cause::OrderEnded => {
            let expired =
                Story::pxe().handed_over().moved(OrderPhase::Expired, "no installation started in time");
            silent(&expired, Context { ordered: Some(order()), ..bare() })
        }
        Cause::OrderNotObeyed => {
            silent(&disk(Because::Locked, "the host is locked: no order is obeyed"), bare())
        }
        Cause::IdentityDisagrees => {
            let shown = "it shows UUID 11111111-2222-3333-4444-555555555555, the host's recorded one is \
                         66666666-7777-8888-9999-aaaaaaaaaaaa";
            silent(&disk(Because::Identity, shown), bare())
        }
        Cause::ImageArriving => {
            let story = Story::pxe().scripted();
            let done = Some(Wall(story.boot().last_ms.0 + 425_000));
            let supply =
                Supply { state: SupplyState::Arriving, bytes: 3 << 30, held: 2 << 30, done, ..ready() };
            at(&story, 5, Context { supply: Some(supply), ..bare() })
        }
        Cause::Loops => {
            let boots = BootFacts { installs: false, ..web() };
            silent(&Story::pxe().handed_over(), Context { former: former(5), boots: Some(boots), ..bare() })
        }
        Cause::Unexplained => silent(&Story::pxe(), bare()),
    }
}

/// Where the finding stands among those of its example: a loop comes with what each of its attempts met.
pub(super) fn place(cause: Cause) -> usize {
    usize::from(cause == Cause::Loops)
}

fn silent(story: &Story, context: Context) -> Vec<Finding> {
    at(story, 7_200, context)
}

fn at(story: &Story, seconds_after: u64, context: Context) -> Vec<Finding> {
    super::diagnosed(story, seconds_after, context).findings
}

fn bare() -> Context {
    Context { host: Some(host()), boots: Some(web()), agent: Some(agent()), ..Context::default() }
}

/// With another machine that came so far, 4 minutes after [`BEGAN`].
fn among(seen: &[Step]) -> Context {
    Context { neighbours: vec![neighbour(seen)], ..bare() }
}

fn neighbour(seen: &[Step]) -> Neighbour {
    Neighbour {
        name: "web-2".into(),
        last: Wall(BEGAN.0 + 240_000),
        rom: Rom { platform: Some(Platform::UefiX64), class: "PXEClient:Arch:00009".into() },
        relay: None,
        leased: true,
        seen: seen.to_vec(),
        awake: false,
        loader: Some("ipxe.efi".into()),
    }
}

fn pool() -> Pool {
    let address = |last| Ipv4Addr::new(10, 1, 0, last);
    let subnet = "10.1.0.0/24".parse().expect("a subnet");
    Pool { subnet, ranges: vec![(address(100), address(199))], size: 100, leased: 98 }
}

fn holder() -> Holder {
    let (address, mac) = (Ipv4Addr::new(10, 1, 0, 9), Mac([2, 0, 0, 0, 0, 0x77]));
    let until = Wall(BEGAN.0 + 86_400_000);
    Holder { address, host: Some("web-2".into()), mac, since: Wall(BEGAN.0 - 3_600_000), until }
}

fn order() -> OrderFacts {
    OrderFacts {
        name: "web-1-3".into(),
        number: 3,
        state: OrderState::Armed,
        profile: "web".into(),
        agent: "lyon-1".into(),
        since: BEGAN,
        not_after: Wall(BEGAN.0 + 7_200_000),
    }
}

fn web() -> BootFacts {
    BootFacts {
        profile: "web".into(),
        image: "debian-13".into(),
        family: Some(Family::Debian),
        installs: true,
        entries: vec![(Platform::UefiX64, "ipxe.efi".into())],
    }
}

fn host() -> HostFacts {
    HostFacts { name: "web-1".into(), locked: false, has_address: true }
}

pub(super) fn agent() -> AgentFacts {
    let (name, last_heard, refused) = ("lyon-1".into(), Some(BEGAN), String::new());
    AgentFacts { name, connected: true, last_heard, current: true, refused, disk_low: false }
}

fn away() -> AgentFacts {
    AgentFacts { connected: false, ..agent() }
}

/// An order waits for ten minutes.
pub(super) fn waiting() -> Context {
    let site = Some((DhcpMode::Authoritative, UnknownMachines::Ignore));
    Context { order: Some(order()), site, now: Wall(BEGAN.0 + 600_000), ..bare() }
}

fn ready() -> Supply {
    Supply {
        state: SupplyState::Ready,
        bytes: 0,
        held: 0,
        done: None,
        why: String::new(),
        remedy: String::new(),
    }
}

fn former(count: u64) -> Vec<crate::events::BootSummary> {
    let boot = Story::pxe().handed_over().boot();
    (1..=count)
        .map(|number| {
            let began_ms = Wall(BEGAN.0 - number * 240_000);
            crate::events::BootSummary { began_ms, mac: Some(MAC), ..boot.clone() }
        })
        .collect()
}

fn disk(because: Because, reason: &str) -> Story {
    let answer = Answer::LocalDisk;
    Story::pxe().then(EventKind::Decided {
        answer,
        reason: reason.into(),
        order: None,
        because: Some(because),
    })
}

fn alarmed(kind: AlarmKind, detail: &str) -> Story {
    Story::pxe().then(EventKind::Alarm { kind, detail: detail.into() })
}

fn probed() -> EventKind {
    let (transport, stage, name) = (Transport::Tftp, Stage::Loader, "ipxe.efi".into());
    EventKind::FileProbed { transport, stage, name, size: 1_048_576 }
}

fn refused(name: &str, refusal: Refusal, why: &str, by_token: bool) -> EventKind {
    let (name, why, refusal) = (name.into(), why.into(), Some(refusal));
    let transport = if by_token { Transport::Http } else { Transport::Tftp };
    EventKind::FileRefused { transport, name, why, refusal, by_token }
}

struct Broken {
    bytes: u64,
    breakage: Breakage,
    retransmissions: u32,
}

impl Broken {
    fn loader(&self) -> EventKind {
        let Self { bytes, breakage, retransmissions } = *self;
        let failed = breakage == Breakage::MachineError;
        let why = if failed { "machine reported error 2: access violation" } else { "machine fell silent" };
        EventKind::FileBroken {
            transport: Transport::Tftp,
            stage: Stage::Loader,
            name: "ipxe.efi".into(),
            bytes,
            why: why.into(),
            breakage: Some(breakage),
            block_size: 1_428,
            retransmissions,
            took_ms: 31_000,
        }
    }
}
