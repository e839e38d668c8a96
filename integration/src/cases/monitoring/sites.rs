//! Three sites with an agent each, a package mirror whose upstream is away, and a namespace at each site for its machines.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use proto::event::OrderPhase;

use super::super::Bench;
use super::super::guest::CARD;
use super::super::setting::{catalog, mac};
use super::machines::{SCENES, Scene};
use crate::fleet::{Fleet, Interrupt, METRICS_PORT, Stock};
use crate::lab::netns::BRIDGE;
use crate::lab::qemu::Firmware;
use crate::lab::site::SitePlan;
use crate::lab::{MachineSpec, Namespace};

/// Their names, and the networks of their segments. The agent is the first of each.
pub(super) const SITES: [(&str, &str); 3] =
    [("lyon", "192.168.71"), ("oslo", "192.168.72"), ("rome", "192.168.73")];
/// The interface of the machines' namespace, in the site's.
const PLUG: &str = "guest0";
/// How long images may take to the edge, and an agent to obey.
const FETCHED: Duration = Duration::from_secs(120);
const OBEYED: Duration = Duration::from_secs(60);
/// Nothing listens there.
const UPSTREAM: &str = "http://10.99.0.2:8009/";
/// Of a machine that asks the mirror.
const ASKER: u8 = 50;

/// A fleet that is watched.
pub(super) struct Watched {
    // Dropped first: they are plugged into the fleet's network.
    guests: Vec<Namespace>,
    fleet: Fleet,
}

impl Watched {
    pub(super) fn start(bench: &Bench<'_>) -> anyhow::Result<Self> {
        let stock = Stock::prepare(bench.lab, &bench.run, &mut |line| (bench.say)(line))?;
        let plan = |(label, network): &(&str, &str)| {
            let address = format!("{network}.1/24").parse().context("an address with its prefix")?;
            anyhow::Ok(SitePlan { label: (*label).to_owned(), address })
        };
        let plans = SITES.iter().map(plan).collect::<anyhow::Result<Vec<_>>>()?;
        let mut fleet = Fleet::start(&bench.run, bench.binaries, &plans, &Interrupt::default())?;
        fill_catalog(bench, &fleet, &stock)?;
        let mut guests = Vec::new();
        for (number, (site, _)) in SITES.iter().enumerate() {
            let agent = fleet.enrol(number, &format!("{site}-1"))?;
            fleet.wait_applied(agent)?;
            guests.push(plug_in(bench, &fleet, number)?);
        }
        (bench.say)("three sites are up");
        Ok(Self { guests, fleet })
    }

    /// Where Prometheus runs: beside the controller.
    pub(super) fn controller(&self) -> &Namespace {
        &self.fleet.network().controller
    }

    /// Where the controller serves its metrics, there.
    pub(super) fn metrics(&self) -> (Ipv4Addr, u16) {
        (Ipv4Addr::LOCALHOST, METRICS_PORT)
    }

    /// The namespace of a site's machines.
    pub(super) fn guests(&self, site: usize) -> &Namespace {
        &self.guests[site]
    }

    /// Adds all machines that are hosts, and makes the orders of those that have one.
    pub(super) fn add_hosts(&mut self) -> anyhow::Result<()> {
        for scene in SCENES.iter().filter(|scene| scene.is_host) {
            let spec = scene.spec();
            let (mac, uuid) = (mac(&spec).to_string(), spec.uuid.to_string());
            let site = SITES[scene.site].0;
            let cli = self.fleet.cli();
            cli.run(&["host", "add", scene.name, "--site", site, "--mac", &mac, "--uuid", &uuid])?;
        }
        for scene in SCENES.iter().filter(|scene| scene.has_order) {
            self.fleet.wait_applied(scene.site)?;
            let order = self.fleet.cli().json(&["order", "create", scene.name, "--profile", "probe"])?;
            let order = order["name"].as_str().context("the order has no name")?.to_owned();
            self.fleet.wait_order(&order, OrderPhase::Armed.word(), OBEYED)?;
        }
        for site in 0..SITES.len() {
            self.fleet.wait_applied(site)?;
            self.fleet.wait_files(site, "probe", FETCHED)?;
        }
        Ok(())
    }

    /// A call that is answered, and one that is refused.
    pub(super) fn call(&self) -> anyhow::Result<()> {
        let cli = self.fleet.cli();
        cli.run(&["agent", "list"])?;
        let taken = mac(&SCENES[0].spec()).to_string();
        let refused = cli.run(&["host", "add", "twin", "--site", SITES[0].0, "--mac", &taken]);
        ensure!(refused.is_err(), "two hosts have one MAC");
        Ok(())
    }

    /// A machine asks the mirror for what is not held, and its upstream is away.
    pub(super) fn ask_mirror(&self) -> anyhow::Result<()> {
        let (guests, network) = (&self.guests[0], SITES[0].1);
        guests.ip(["address", "replace", &format!("{network}.{ASKER}/24"), "dev", CARD])?;
        guests.set_link(CARD, true)?;
        let url = format!("http://{network}.1/mirror/debian/dists/stable/Release");
        guests.shell(&format!("curl -s -o /dev/null --max-time 30 {url} || true"))?;
        Ok(())
    }
}

fn fill_catalog(bench: &Bench<'_>, fleet: &Fleet, stock: &Stock) -> anyhow::Result<()> {
    let cli = fleet.cli();
    let text = |path: &Path| path.to_str().map(str::to_owned).context("a folder's name is no UTF-8");
    let (loaders, installer) = (text(&stock.loaders)?, text(&stock.installer)?);
    cli.run(&["image", "import", &loaders, "--family", "loaders", "--name", "ipxe"])?;
    cli.run(&["image", "import", &installer, "--family", "linux", "--name", "installer-1"])?;
    for (site, network) in SITES {
        let (subnet, router) = (format!("{network}.0/24"), format!("{network}.1"));
        let pool = format!("{network}.100-{network}.119");
        let place = ["--network", &subnet, "--pool", &pool, "--router", &router, "--dns", &router];
        cli.run(
            &[&["site", "add", site], &place[..], &["--loaders", "ipxe", "--unknown", "lease"]].concat(),
        )?;
    }
    let mirror = bench.run.folder().join("mirror.yaml");
    let document =
        format!("kind: Mirror\nname: debian\nspec:\n  family: debian\n  upstreams: ['{UPSTREAM}']\n");
    fs::write(&mirror, document).context("failed to write the mirror")?;
    for file in [mirror, catalog("probe.yaml")] {
        cli.run(&["apply", "-f", &text(&file)?])?;
    }
    Ok(())
}

fn plug_in(bench: &Bench<'_>, fleet: &Fleet, number: usize) -> anyhow::Result<Namespace> {
    let namespace = Namespace::create(&bench.run, &format!("guests{number}"))?;
    let site = fleet.site(number).namespace();
    namespace.connect(CARD, site, PLUG)?;
    site.ip(["link", "set", PLUG, "master", BRIDGE])?;
    Ok(namespace)
}

impl Scene {
    /// The machine's identities.
    pub(super) fn spec(&self) -> MachineSpec {
        MachineSpec::new(self.name, Firmware::BiosIpxe)
    }
}
