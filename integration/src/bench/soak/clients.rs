//! Clients of all kinds at once, on one thread, each as quick as it is answered, but for leases, which a site of this size
//! would never ask for so often.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proto::Mac;
use tokio::task::LocalSet;

use super::super::drain;
use super::super::ground::{LOADING, SERVER, machine_address};
use super::super::lease;
use super::super::load::Latencies;
use crate::kills::card::{Cards, Inbox, inbox};
use crate::kills::fetch::Fetched;
use crate::kills::tftp::{self, Patience};
use rom::{Firmware, Identity};

/// By TFTP.
pub(super) const LOADER: &str = "loader";
/// By HTTP.
pub(super) const IMAGE: &str = "image";
/// By HTTP, small.
pub(super) const SCRIPT: &str = "script";

/// By HTTP, and not in the cache.
pub(super) const COLD: &str = "cold";

/// Clients of each kind.
const LOCKSTEP: u32 = 8;
const WINDOWED: u32 = 4;
const LARGE: u32 = 8;
const SMALL: u32 = 8;
const LEASING: u32 = 32;
/// Machines that each of the last kind is, by turns.
const MACHINES_EACH: u32 = 64;
/// How long each of the last kind waits after a lease.
const BETWEEN_LEASES: Duration = Duration::from_millis(100);
/// Clients that ask for the cold file at one time, and how long it then stays where it is.
const ASKING: u32 = 4;
const BETWEEN_FILLS: Duration = Duration::from_secs(1);
/// How often who waits for the end is asked to look at memory.
const LOOK: Duration = Duration::from_millis(250);

/// Options of the two kinds of TFTP clients.
const PLAIN: &[(&str, &str)] = &[("blksize", "1468")];
const WINDOWS: &[(&str, &str)] = &[("blksize", "1468"), ("windowsize", "16")];

/// What clients did until the time was up.
#[derive(Debug, Default)]
pub(super) struct Done {
    /// Of whole files.
    pub(super) bytes: u64,
    pub(super) leases: u64,
    /// How often the cold file came.
    pub(super) fills: u64,
    pub(super) failed: u64,
    /// Of files and leases.
    pub(super) latencies: Latencies,
}

type Shared = Rc<RefCell<Done>>;

/// Runs all of them for `time`, in the namespace of this thread; `cold` is where the agent has the cold file, and `look` is called with the time passed, often.
pub(super) fn run(time: Duration, cold: &Path, look: &mut dyn FnMut(Duration)) -> anyhow::Result<Done> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let clients = LocalSet::new();
    let done = Shared::default();
    let watch = async {
        let began = Instant::now();
        start(&clients, &done)?;
        clients.spawn_local(losing(cold.to_owned(), done.clone()));
        while began.elapsed() < time {
            tokio::time::sleep(LOOK).await;
            look(began.elapsed());
        }
        anyhow::Ok(())
    };
    runtime.block_on(clients.run_until(watch))?;
    // Whoever is still at it is cut off with this, and counts for nothing.
    drop(clients);
    Ok(done.take())
}

fn start(clients: &LocalSet, done: &Shared) -> anyhow::Result<()> {
    let options = (0..LOCKSTEP).map(|_| PLAIN).chain((0..WINDOWED).map(|_| WINDOWS));
    for (from, options) in by_tftp_from().zip(options) {
        clients.spawn_local(by_tftp(from, options, done.clone()));
    }
    for (count, name) in [(LARGE, IMAGE), (SMALL, SCRIPT)] {
        for _ in 0..count {
            clients.spawn_local(by_http(name, done.clone()));
        }
    }
    let cards = Arc::new(Cards::open(LOADING)?);
    let mut queues = BTreeMap::new();
    for client in 0..LEASING {
        let machines =
            (0..MACHINES_EACH).map(|number| identity(client * MACHINES_EACH + number)).map(|identity| {
                let (queue, inbox) = inbox();
                queues.insert(identity.mac, queue);
                (identity, inbox)
            });
        clients.spawn_local(leasing(machines.collect(), cards.clone(), done.clone()));
    }
    clients.spawn_local(cards.deliver(queues));
    Ok(())
}

fn identity(number: u32) -> Identity {
    let [a, b, c, d] = number.to_be_bytes();
    Identity { mac: Mac([0x52, 0x54, a, b, c, d]), uuid: [d; 16], firmware: Firmware::BIOS }
}

/// The addresses of those that load by TFTP: each has its own, as machines have, since the agent has limits for one.
pub(super) fn by_tftp_from() -> impl Iterator<Item = Ipv4Addr> {
    (1..=LOCKSTEP + WINDOWED).map(machine_address)
}

async fn by_tftp(from: Ipv4Addr, options: &'static [(&'static str, &'static str)], done: Shared) {
    loop {
        let began = Instant::now();
        let fetched = tftp::get(from, SERVER, LOADER, options, Patience::FIRMWARE).await;
        let bytes = match fetched {
            Ok(Fetched::Whole(file)) => Some(file.len() as u64),
            Ok(Fetched::Refused | Fetched::Broken(_)) | Err(_) => None,
        };
        note(&done, bytes, began.elapsed());
    }
}

async fn by_http(name: &'static str, done: Shared) {
    let url = format!("http://{SERVER}/{name}");
    loop {
        let began = Instant::now();
        let fetched = drain::fetch(Ipv4Addr::UNSPECIFIED, &url).await;
        note(&done, fetched.ok().map(|(_, bytes)| bytes), began.elapsed());
    }
}

async fn leasing(mut machines: Vec<(Identity, Inbox)>, cards: Arc<Cards>, done: Shared) {
    let mut seed = 0;
    loop {
        for (identity, inbox) in &mut machines {
            seed += 1;
            let began = Instant::now();
            let leased = lease::ask(*identity, seed, &cards, inbox).await;
            done.borrow_mut().leases += u64::from(leased.is_ok());
            note(&done, leased.ok().map(|()| 0), began.elapsed());
            tokio::time::sleep(BETWEEN_LEASES).await;
        }
    }
}

/// Takes the cold file away under the agent, has it asked for, and waits until it lies there again.
async fn losing(cold: PathBuf, done: Shared) {
    let url = format!("http://{SERVER}/{COLD}");
    loop {
        // What is not there was lost before.
        drop(fs::remove_file(&cold));
        let began = Instant::now();
        let asking = (0..ASKING).map(|_| drain::fetch(Ipv4Addr::UNSPECIFIED, &url));
        for fetched in futures::future::join_all(asking).await {
            note(&done, fetched.ok().map(|(_, bytes)| bytes), began.elapsed());
        }
        while !cold.exists() {
            tokio::time::sleep(LOOK).await;
        }
        done.borrow_mut().fills += 1;
        tokio::time::sleep(BETWEEN_FILLS).await;
    }
}

fn note(done: &Shared, bytes: Option<u64>, took: Duration) {
    let mut done = done.borrow_mut();
    match bytes {
        Some(bytes) => {
            done.bytes += bytes;
            done.latencies.record(took);
        }
        None => done.failed += 1,
    }
}
