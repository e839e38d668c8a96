//! The driver of the machines: cards, clocks and transfers for [`rom`].

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use netboot::time::{Mono, Now};
use tokio::task::JoinSet;

use super::super::drain;
use super::super::ground::LOADING;
use super::{Booted, Member};
use crate::kills::card::{Cards, Inbox, inbox};
use crate::kills::fetch::Fetched;
use crate::kills::tftp::{self, Patience};
use rom::{Action, End, Input, Machine, Source};

/// What firmware is told to load first.
pub(super) const BIOS_LOADER: &str = "undionly.kpxe";
/// The same for UEFI.
pub(super) const UEFI_LOADER: &str = "snponly.efi";
/// What the script boots.
pub(super) const KERNEL: &str = "linux";
/// Its initial RAM disk.
pub(super) const INITRD: &str = "initrd.img";

/// What PXE ROMs ask for beside a file (Intel's Boot Agent, EDK2): the size first, and blocks that fill a frame.
const OPTIONS: &[(&str, &str)] = &[("tsize", "0"), ("blksize", "1468")];

/// Switches all of them on, and waits until each has ended or the time is up.
pub(super) async fn boot_all(members: &[Member], bound: Duration) -> io::Result<Vec<Booted>> {
    let cards = Arc::new(Cards::open(LOADING)?);
    let (mut queues, mut boots) = (BTreeMap::new(), JoinSet::new());
    let began = Instant::now();
    for member in members {
        let (queue, inbox) = inbox();
        queues.insert(member.identity.mac, queue);
        let machine = Running { member: *member, cards: cards.clone(), inbox, began };
        boots.spawn(async move {
            let end = tokio::time::timeout(bound, machine.boot()).await.ok();
            Booted { end, took: began.elapsed() }
        });
    }
    let delivery = tokio::spawn(cards.deliver(queues));
    let booted = boots.join_all().await;
    delivery.abort();
    Ok(booted)
}

struct Running {
    member: Member,
    cards: Arc<Cards>,
    inbox: Inbox,
    began: Instant,
}

impl Running {
    async fn boot(mut self) -> End {
        let mut machine = Machine::power_on(self.now(), self.member.identity, self.member.seed);
        loop {
            while let Some(action) = machine.poll_action() {
                match action {
                    // A message that is lost is sent again.
                    Action::Broadcast(datagram) => drop(self.cards.broadcast(datagram).await),
                    Action::Fetch { from, source } => {
                        let file = fetch(from, &source).await;
                        machine.handle(self.now(), Input::Fetched(file.as_deref()));
                    }
                    Action::Ask { .. } => unreachable!("no machine here stands beside another server"),
                    Action::End(end) => return end,
                }
            }
            let due = machine.poll_timeout().map_or(Duration::ZERO, |due| due.since(self.now().mono));
            tokio::select! {
                Some(datagram) = self.inbox.recv() => machine.handle(self.now(), Input::Datagram(&datagram)),
                () = tokio::time::sleep(due) => machine.handle_timeout(self.now()),
            }
        }
    }

    fn now(&self) -> Now {
        Now { mono: Mono(self.began.elapsed()), ..Now::default() }
    }
}

/// The file, or the beginning of one whose bytes no machine looks at; None: it did not come.
async fn fetch(from: std::net::Ipv4Addr, source: &Source) -> Option<Vec<u8>> {
    match source {
        Source::Tftp { server, name, .. } => {
            match tftp::get(from, *server, name, OPTIONS, Patience::FIRMWARE).await {
                Ok(Fetched::Whole(file)) => Some(file),
                Ok(Fetched::Refused | Fetched::Broken(_)) | Err(_) => None,
            }
        }
        Source::Http { url } => drain::get(from, url).await.ok(),
    }
}
