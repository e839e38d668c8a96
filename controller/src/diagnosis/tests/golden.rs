//! Boots as their events tell of them, for tests: each step a second after the one before.

use std::net::Ipv4Addr;

use proto::event::{Answer, Because, Client, Event, EventKind, NumberedEvent, OrderPhase, Transport};
use proto::plan::Stage;
use proto::{AttemptId, HostId, Incarnation, Mac, OrderId, Platform, Wall};

use crate::events::{BootSummary, Source, StoredEvent};

pub(crate) const ATTEMPT: AttemptId = AttemptId([1; 16]);
pub(crate) const HOST: HostId = HostId([2; 16]);
pub(crate) const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
pub(crate) const ORDER: OrderId = OrderId([4; 16]);
pub(crate) const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
/// 2026-03-01 12:00 UTC.
pub(crate) const BEGAN: Wall = Wall(1_772_366_400_000);

/// A boot so far.
#[derive(Clone)]
pub(crate) struct Story {
    pub(crate) events: Vec<StoredEvent>,
    at: Wall,
}

impl Story {
    /// A UEFI machine's ROM says DISCOVER and is to fetch a loader.
    pub(crate) fn pxe() -> Self {
        Self::of(Platform::UefiX64, 7, Client::PxeRom)
    }

    pub(crate) fn of(platform: Platform, architecture: u16, client: Client) -> Self {
        let began = EventKind::AttemptBegan {
            platform: Some(platform),
            client,
            vendor_class: format!("PXEClient:Arch:{architecture:05}"),
            uuid: None,
            relay: None,
            architecture: Some(architecture),
        };
        Self { events: Vec::new(), at: BEGAN }.then(began)
    }

    /// A second later.
    pub(crate) fn then(self, kind: EventKind) -> Self {
        self.after(1_000, kind)
    }

    pub(crate) fn after(mut self, millis: u64, kind: EventKind) -> Self {
        let number = self.events.len() as u64 + 1;
        let event = Event { at: self.at, attempt: Some(ATTEMPT), host: Some(HOST), mac: Some(MAC), kind };
        let event = Event { at: Wall(event.at.0 + if number == 1 { 0 } else { millis }), ..event };
        self.at = event.at;
        let source = Source { site: "lyon".into(), agent: "lyon-1".into() };
        let numbered = NumberedEvent { number, event };
        self.events.push(StoredEvent { source, incarnation: Incarnation([3; 16]), numbered });
        self
    }

    /// As far as its first events.
    pub(crate) fn until(&self, length: usize) -> Self {
        Self { events: self.events[..length].to_vec(), at: self.at }
    }

    pub(crate) fn boot(&self) -> BootSummary {
        let first = &self.events[0];
        let mut boot = BootSummary::new(ATTEMPT, &first.source, &first.numbered.event);
        self.events.iter().for_each(|event| boot.take(&event.numbered.event));
        boot
    }

    pub(crate) fn decided(self, answer: Answer, reason: &str) -> Self {
        let because = Some(match answer {
            Answer::LocalDisk => Because::NothingStands,
            Answer::Silence | Answer::AddressOnly | Answer::Loader | Answer::Script => Because::Order,
        });
        self.then(EventKind::Decided { answer, reason: reason.into(), order: None, because })
    }

    pub(crate) fn offered(self, client: Client, file: &str) -> Self {
        self.then(EventKind::Offered { address: Some(ADDRESS), file: file.into(), client })
    }

    pub(crate) fn leased_to(self, client: Client) -> Self {
        self.then(EventKind::Leased { address: ADDRESS, until: Wall(u64::MAX), client })
    }

    /// Its ROM has its address.
    pub(crate) fn leased(self) -> Self {
        self.decided(Answer::Loader, "order 1 installs web")
            .offered(Client::PxeRom, "ipxe.efi")
            .leased_to(Client::PxeRom)
    }

    pub(crate) fn served(self, stage: Stage, name: &str, bytes: u64, took_ms: u64) -> Self {
        let transport = if stage == Stage::Loader { Transport::Tftp } else { Transport::Http };
        let (retransmissions, repeats) = (0, 0);
        let name = name.into();
        self.after(
            took_ms + 1_000,
            EventKind::FileServed { transport, stage, name, bytes, took_ms, retransmissions, repeats },
        )
    }

    /// It has its loader.
    pub(crate) fn loaded(self) -> Self {
        self.leased().served(Stage::Loader, "ipxe.efi", 1_000_000, 500)
    }

    /// Its loader has its script.
    pub(crate) fn scripted(self) -> Self {
        self.loaded()
            .decided(Answer::Script, "order 1 installs web")
            .offered(Client::Ipxe, "http://10.1.0.1/a/…/boot.ipxe")
            .leased_to(Client::Ipxe)
            .served(Stage::Script, "boot.ipxe", 400, 2)
    }

    /// It has its kernel.
    pub(crate) fn handed_over(self) -> Self {
        self.scripted().served(Stage::Kernel, "linux", 8_000_000, 400).served(
            Stage::Initrd,
            "initrd.gz",
            40_000_000,
            2_000,
        )
    }

    pub(crate) fn moved(self, phase: OrderPhase, reason: &str) -> Self {
        self.then(EventKind::OrderMoved { order: ORDER, number: 1, phase, reason: reason.into() })
    }

    /// Its installer has its answers.
    pub(crate) fn installing(self) -> Self {
        self.handed_over()
            .after(20_000, EventKind::Leased { address: ADDRESS, until: Wall(u64::MAX), client: Client::Os })
            .moved(OrderPhase::Started, "")
            .served(Stage::Answer, "preseed.cfg", 3_000, 1)
    }

    pub(crate) fn progress(self, percent: u8) -> Self {
        self.then(EventKind::Progress { percent: Some(percent), text: "copying".into() })
    }
}
