//! The sockets and the clock of a machine of paper, in its namespace.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail, ensure};
use netboot::time::{Mono, Now};
use tokio::net::UdpSocket;

use super::super::guest::{CARD, Guest};
use crate::kills::card::{Cards, Inbox, inbox};
use crate::kills::fetch::{Fetched, fetch};
use crate::kills::inside;
use crate::lab::Namespace;
use rom::{Action, End, Identity, Input, Machine, Source};

/// Nobody's address on the segment: from an interface that has none the kernel sends nothing.
pub(in crate::cases) const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 250);
/// Longer than any boot here.
const BOUND: Duration = Duration::from_secs(90);
const LONGEST: usize = 2_048;

/// What came of a boot.
#[derive(Debug)]
pub(in crate::cases) struct Told {
    pub(in crate::cases) end: End,
    /// What was fetched, by its name or URL.
    pub(in crate::cases) files: BTreeMap<String, Vec<u8>>,
    /// What the kernel's arguments name, as the probe fetches it.
    pub(super) answer: Vec<u8>,
}

impl Told {
    pub(in crate::cases) fn end_in_words(&self) -> String {
        match &self.end {
            End::LocalDisk => "its local disk".to_owned(),
            End::NextDevice { why } => format!("the next device: {why}"),
            End::Files(found) => format!("a loader with {} files", found.len()),
            End::Kernel { .. } => "a kernel".to_owned(),
        }
    }
}

/// How far a machine comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cases) enum Fate {
    /// To its end; what the kernel runs fetches its order's file.
    Whole,
    /// It hears nothing.
    Deaf,
    /// Its firmware refuses the loader that it has fetched.
    LoaderRefused,
    /// It has its kernel, and nothing runs there.
    KernelAlone,
}

/// Switches the machine on, and follows it to its end.
pub(in crate::cases) fn boot(guest: &Guest, identity: Identity) -> anyhow::Result<Told> {
    boot_in(&guest.namespace, identity)
}

/// The same, with a card of this namespace.
pub(in crate::cases) fn boot_in(namespace: &Namespace, identity: Identity) -> anyhow::Result<Told> {
    boot_as(namespace, identity, Fate::Whole)
}

/// The same, as far as it is to come.
pub(in crate::cases) fn boot_as(
    namespace: &Namespace,
    identity: Identity,
    fate: Fate,
) -> anyhow::Result<Told> {
    live(namespace, identity, fate, BOUND)?
        .with_context(|| format!("it has not ended within {} s", BOUND.as_secs()))
}

/// Switches on a machine that hears nothing, and off again after this time.
pub(in crate::cases) fn boot_deaf(
    namespace: &Namespace,
    identity: Identity,
    bound: Duration,
) -> anyhow::Result<()> {
    live(namespace, identity, Fate::Deaf, bound).map(drop)
}

/// None: it has not ended within this time.
fn live(
    namespace: &Namespace,
    identity: Identity,
    fate: Fate,
    bound: Duration,
) -> anyhow::Result<Option<Told>> {
    // Who has an address from the boot before would answer who looks whether it is free.
    namespace.ip(["address", "flush", "dev", CARD])?;
    namespace.ip(["address", "replace", &format!("{NOBODY}/24"), "dev", CARD])?;
    let life = async move || tokio::time::timeout(bound, Drive::live(identity, fate)).await;
    let thread = inside::spawn(namespace, life)?;
    let ended = thread.join().map_err(|_| anyhow!("the machine has panicked"))?;
    ended.ok().transpose()
}

/// A machine that has its kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cases) struct Kernel {
    arguments: String,
    /// Its loader's.
    pub(in crate::cases) address: Ipv4Addr,
}

impl Kernel {
    /// Of a boot that ended with one.
    pub(in crate::cases) fn of(end: End) -> anyhow::Result<Self> {
        let End::Kernel { arguments, address } = end else { bail!("it runs no kernel: {end:?}") };
        Ok(Self { arguments, address })
    }

    /// Where the order's file is that the profile `probe` fetches.
    pub(in crate::cases) fn file(&self) -> anyhow::Result<&str> {
        self.argument("bootlane.url")
    }

    /// Where its installer reports this.
    pub(in crate::cases) fn report(&self, word: &str) -> anyhow::Result<String> {
        Ok(format!("{}/{word}", self.argument("bootlane.report")?.trim_end_matches('/')))
    }

    fn argument(&self, name: &str) -> anyhow::Result<&str> {
        let said = self.arguments.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        said.with_context(|| format!("the kernel's arguments name no {name}"))
    }
}

/// Asks for a URL from one of the machine's addresses: an order's files and reports are its host's alone.
pub(in crate::cases) fn ask(guest: &Guest, from: Ipv4Addr, url: &str) -> anyhow::Result<()> {
    let asked = format!("curl -sSf --max-time 20 --output /dev/null --interface {from} '{url}'");
    guest.namespace.shell(&asked)?;
    Ok(())
}

struct Drive {
    cards: Arc<Cards>,
    inbox: Inbox,
    /// Port 4011, once it asks a boot service.
    service: Option<UdpSocket>,
    began: Instant,
    fate: Fate,
    files: BTreeMap<String, Vec<u8>>,
}

impl Drive {
    async fn live(identity: Identity, fate: Fate) -> anyhow::Result<Told> {
        let cards = Arc::new(Cards::open(CARD)?);
        let (queue, inbox) = inbox();
        let heard = (fate != Fate::Deaf).then_some((identity.mac, queue));
        let delivery = tokio::spawn(cards.clone().deliver(heard.into_iter().collect()));
        let began = Instant::now();
        let mut drive = Self { cards, inbox, service: None, began, fate, files: BTreeMap::new() };
        let seed = u64::from(std::process::id());
        let end = drive.boot(Machine::power_on(drive.now(), identity, seed)).await;
        delivery.abort();
        let (end, files) = (end?, drive.files);
        let runs = fate != Fate::KernelAlone && matches!(end, End::Kernel { .. });
        let answer = if runs { probe(Kernel::of(end.clone())?).await? } else { Vec::new() };
        Ok(Told { end, files, answer })
    }

    async fn boot(&mut self, mut machine: Machine) -> anyhow::Result<End> {
        loop {
            while let Some(action) = machine.poll_action() {
                match action {
                    Action::Broadcast(datagram) => self.cards.broadcast(datagram).await?,
                    Action::Ask { from, to, datagram } => {
                        if self.service.is_none() {
                            take_address(*from.ip())?;
                            self.service = Some(UdpSocket::bind(from).await?);
                        }
                        let service = self.service.as_ref().context("it was bound")?;
                        service.send_to(&datagram, to).await?;
                    }
                    Action::Fetch { from, source } => {
                        take_address(from)?;
                        let file = self.fetch(from, &source).await?;
                        if self.fate == Fate::LoaderRefused {
                            return Ok(End::NextDevice { why: "its firmware refuses the loader" });
                        }
                        machine.handle(self.now(), Input::Fetched(file.as_deref()));
                    }
                    Action::End(end) => return Ok(end),
                }
            }
            self.wait(&mut machine).await?;
        }
    }

    async fn fetch(&mut self, from: Ipv4Addr, source: &Source) -> anyhow::Result<Option<Vec<u8>>> {
        match fetch(from, source).await {
            Fetched::Whole(file) => {
                let name = match source {
                    Source::Tftp { name, .. } => name,
                    Source::Http { url } => url,
                };
                self.files.insert(name.clone(), file.clone());
                Ok(Some(file))
            }
            Fetched::Refused => Ok(None),
            Fetched::Broken(length) => bail!("{source:?} broke off after {length} bytes"),
        }
    }

    async fn wait(&mut self, machine: &mut Machine) -> anyhow::Result<()> {
        let due = machine.poll_timeout().map_or(Duration::ZERO, |due| due.since(self.now().mono));
        let mut buffer = vec![0; LONGEST];
        let asked = async {
            match &self.service {
                Some(service) => service.recv(&mut buffer).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(datagram) = self.inbox.recv() => machine.handle(self.now(), Input::Datagram(&datagram)),
            length = asked => {
                let length = length?;
                machine.handle(self.now(), Input::Datagram(&buffer[..length]));
            }
            () = tokio::time::sleep(due) => machine.handle_timeout(self.now()),
        }
        Ok(())
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.began.elapsed()), ..Now::default() }
    }
}

/// What the kernel of the profile `probe` fetches.
async fn probe(kernel: Kernel) -> anyhow::Result<Vec<u8>> {
    let url = kernel.file()?.to_owned();
    match fetch(kernel.address, &Source::Http { url }).await {
        Fetched::Whole(answer) => Ok(answer),
        other @ (Fetched::Refused | Fetched::Broken(_)) => bail!("the order's file: {other:?}"),
    }
}

/// Once it is leased, and not before: whoever probes for the address must find it free.
fn take_address(address: Ipv4Addr) -> anyhow::Result<()> {
    let words = ["address", "replace", &format!("{address}/24"), "dev", CARD];
    let status = Command::new("ip").args(words).status().context("failed to run ip")?;
    ensure!(status.success(), "the machine cannot take the address {address}");
    Ok(())
}
