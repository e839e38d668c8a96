//! Whether every contender does its work at all: a file from each by TFTP and HTTP, over the cable and from beside it, looked at
//! byte by byte; and a lease from each by DHCP. To be run before an hour of measuring; its figures mean nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use proto::{Mac, Range};

use super::ground::{Ground, LOAD, LOADING, Place, SERVER};
use super::load::Load;
use super::rounds::{self, Cell, Contenders, Work};
use super::{Goal, Offer, Ours, Report, Server, Setting, Unit, lease, peers};
use crate::kills::card::{Cards, inbox};
use crate::kills::fetch::{Fetched, http};
use crate::kills::tftp::{self, Patience};
use rom::{Firmware, Identity};

const MTU: u16 = 1_500;
/// The file, and its bytes: no multiple of any block.
const FILE: (&str, u64) = ("trial", 1_000_003);
/// What every TFTP server here grants.
const OPTIONS: &[(&str, &str)] = &[("blksize", "1468")];
/// How long a machine may take to an address.
const BOUND: Duration = Duration::from_secs(30);

/// By which protocol, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Tftp,
    Http,
    Dhcp,
}

struct Trial(Protocol);

impl Work for Trial {
    type Piece = Place;

    fn name(&self) -> &'static str {
        "trial"
    }

    fn title(&self) -> String {
        "Whether all contenders work".into()
    }

    fn cells(&self) -> Vec<Cell<Place>> {
        let cell = |name: &str, piece| {
            let name = format!("{:?}-{name}", self.0).to_lowercase();
            Cell { name, unit: Unit::Requests, goals: vec![Goal::none_failed()], piece }
        };
        match self.0 {
            Protocol::Tftp | Protocol::Http => {
                vec![cell("cable", Place::Cable), cell("beside", Place::Beside)]
            }
            Protocol::Dhcp => vec![cell("cable", Place::Cable)],
        }
    }

    fn place(&self, place: &Place) -> Place {
        *place
    }

    fn warm_up(&self, _: &Ground, _: &Server, _: &Place) -> anyhow::Result<()> {
        Ok(())
    }

    fn load(&self, ground: &Ground, _: &Server, place: &Place) -> anyhow::Result<Load> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let began = Instant::now();
        let from = if *place == Place::Cable { LOAD } else { SERVER };
        runtime.block_on(async {
            match self.0 {
                Protocol::Tftp => {
                    file(ground, tftp::get(from, SERVER, FILE.0, OPTIONS, Patience::SHORT).await?)
                }
                Protocol::Http => {
                    file(ground, http("GET", from, &format!("http://{SERVER}/{}", FILE.0)).await)
                }
                Protocol::Dhcp => {
                    tokio::time::timeout(BOUND, leased()).await.context("no address in time")?
                }
            }
        })?;
        let mut load = Load::new(1, began.elapsed());
        load.latencies.record(began.elapsed());
        Ok(load)
    }
}

fn file(ground: &Ground, fetched: Fetched) -> anyhow::Result<()> {
    match fetched {
        Fetched::Whole(bytes) => {
            let expected = fs::read(ground.files().join(FILE.0))?;
            ensure!(bytes == expected, "another file came, of {} bytes", bytes.len());
            Ok(())
        }
        other @ (Fetched::Refused | Fetched::Broken(_)) => bail!("the file did not come: {other:?}"),
    }
}

/// A machine that nobody knows asks for an address.
async fn leased() -> anyhow::Result<()> {
    let mac = Mac([0x52, 0x54, 0, 0xab, 0xcd, 0xef]);
    let cards = Arc::new(Cards::open(LOADING)?);
    let (queue, mut inbox) = inbox();
    let delivery = tokio::spawn(cards.clone().deliver(BTreeMap::from([(mac, queue)])));
    let identity = Identity { mac, uuid: [7; 16], firmware: Firmware::BIOS };
    let outcome = lease::ask(identity, 7, &cards, &mut inbox).await;
    delivery.abort();
    outcome
}

/// Tries all of them.
///
/// # Errors
/// When nothing can be set up.
pub fn run(setting: &Setting<'_>) -> anyhow::Result<Report> {
    let Setting { lab, say, options, .. } = setting;
    peers::install(say)?;
    let ground = Ground::create(lab, setting.cores, MTU)?;
    ground.make_file(FILE.0, FILE.1)?;
    let mut whole: Option<Report> = None;
    for protocol in [Protocol::Tftp, Protocol::Http, Protocol::Dhcp] {
        let trial = Trial(protocol);
        if !trial.cells().iter().any(|cell| options.takes(&cell.name)) {
            continue;
        }
        let mut contenders = contenders(setting, &ground, protocol)?;
        let report = rounds::run(&trial, &mut contenders, &ground, options, say)?;
        match &mut whole {
            Some(whole) => whole.cells.extend(report.cells),
            None => whole = Some(report),
        }
    }
    whole.context("no cell has such a name; there are tftp-, http- and dhcp-")
}

fn contenders(
    setting: &Setting<'_>,
    ground: &Ground,
    protocol: Protocol,
) -> anyhow::Result<Contenders<Place>> {
    let Setting { lab, say, .. } = setting;
    let at = |last| Ipv4Addr::new(10, 68, 0, last);
    let pool = Range::new(at(10), at(250)).context("a pool begins before it ends")?;
    let leases = (protocol == Protocol::Dhcp).then_some(pool);
    let offer = Offer { files: vec![FILE.0.into()], pool: leases, ..Offer::default() };
    let ours = Box::new(Ours::lay_down(ground, setting.binaries.agent.clone(), offer)?);
    Ok(match protocol {
        Protocol::Tftp => vec![
            ours,
            Box::new(peers::dnsmasq_tftp()),
            Box::new(peers::hpa(lab, say)),
            Box::new(peers::atftpd(lab, say)),
            Box::new(peers::rs_tftpd(lab, say)),
        ],
        Protocol::Http => {
            vec![ours, Box::new(peers::nginx()), Box::new(peers::lighttpd()), Box::new(peers::apache())]
        }
        Protocol::Dhcp => vec![
            ours,
            Box::new(peers::kea(pool, None)),
            Box::new(peers::kea(pool, Some(2))),
            Box::new(peers::dnsmasq_dhcp(pool)),
        ],
    })
}
