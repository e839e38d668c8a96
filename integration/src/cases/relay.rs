//! Booting behind a router that is a relay agent (ISC's dhcrelay): the machine's segment is not the agent's, and all that
//! it fetches comes routed.
//!
//! ```text
//!  site ns (agent)                       far ns
//!  br0 192.168.77.1 ──── far0 │ uplink 192.168.77.2    br0 192.168.78.1 ─ tap (machine)
//!                               dhcrelay, forwarding
//! ```

use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::ensure;
use proto::event::Transport::{self, Tftp};
use proto::plan::Stage;

use super::Bench;
use super::exchange::{Heard, Step, contains, leased_address};
use super::network::{BY_IPXE, conclude, watch_probe};
use super::setting::{Setting, catalog, mac};
use crate::lab::netns::BRIDGE;
use crate::lab::qemu::Firmware;
use crate::lab::{Machine, MachineSpec, Process, Site};

const AGENT: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);
/// The router on the agent's segment.
const NEAR: &str = "192.168.77.2";
/// The router on the machine's segment: the relay agent's giaddr.
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 78, 1);
const FAR_SEGMENT: &str = "192.168.78.0/24";
const UPLINK: &str = "uplink";
const BOUND: Duration = Duration::from_secs(600);

pub(super) fn bios(bench: &Bench<'_>) -> anyhow::Result<()> {
    let stages = [("iPXE", "the card's iPXE ROM runs")];
    boot(bench, &MachineSpec::new("bios", Firmware::BiosIpxe), &stages, &[])
}

pub(super) fn uefi(bench: &Bench<'_>) -> anyhow::Result<()> {
    let stages = [("PXE over IPv4", "OVMF boots by PXE"), ("iPXE", "iPXE runs")];
    boot(bench, &MachineSpec::new("uefi", Firmware::UefiPxe), &stages, &[(Tftp, Stage::Loader)])
}

fn boot(
    bench: &Bench<'_>,
    spec: &MachineSpec,
    first: &[(&str, &str)],
    more: &[(Transport, Stage)],
) -> anyhow::Result<()> {
    let mut setting = Setting::new(bench, false)?;
    setting.apply(&catalog("relayed.yaml"))?;
    let far = FarSegment::create(bench, &setting)?;
    setting.add_host(spec)?;
    let order = setting.order(spec, "probe")?;
    setting.say("power on, behind the router");
    let machine = Machine::power_on(&far.site, spec)?;
    watch_probe(&setting, machine, &[first, BY_IPXE].concat())?;
    must_be_relayed(&setting.wire()?.dhcp(mac(spec)))?;
    conclude(&mut setting, spec, &order, more)
}

/// Every message came from the relay agent and went back to it, and the address is one of the machine's segment.
fn must_be_relayed(exchange: &[Heard]) -> anyhow::Result<()> {
    let whole = [Step::Discover, Step::Offer, Step::Select, Step::Ack];
    ensure!(contains(exchange, &whole), "no lease through the relay agent: {exchange:#?}");
    for heard in exchange {
        let (message, answer) = (&heard.message, matches!(heard.step(), Step::Offer | Step::Ack));
        ensure!(message.giaddr == ROUTER, "giaddr is {}", message.giaddr);
        ensure!(!answer || heard.to.to_string() == format!("{ROUTER}:67"), "answered to {}", heard.to);
        ensure!(answer || message.hops == 1, "it has passed {} relay agents", message.hops);
    }
    let address = leased_address(exchange)?;
    ensure!(address.octets().starts_with(&[192, 168, 78]), "the machine got {address}");
    Ok(())
}

/// A segment behind a router, which relays.
struct FarSegment {
    // Ended before its namespace goes.
    _relay: Process,
    site: Site,
}

impl FarSegment {
    fn create(bench: &Bench<'_>, setting: &Setting<'_>) -> anyhow::Result<Self> {
        let site = Site::create(&bench.run, "far", format!("{ROUTER}/24").parse()?)?;
        let (router, near) = (site.namespace(), setting.fleet.site(0).namespace());
        router.connect(UPLINK, near, "far0")?;
        router.add_address(UPLINK, format!("{NEAR}/24").parse()?)?;
        router.shell("echo 1 > /proc/sys/net/ipv4/ip_forward")?;
        near.ip(["link", "set", "far0", "master", BRIDGE])?;
        near.ip(["route", "add", FAR_SEGMENT, "via", NEAR])?;
        let relay = router.command("dhcrelay", "dhcrelay").args(["-4", "-d", "--no-pid"]);
        // Downstream, upstream, and the server.
        let relay = relay.args(["-id", BRIDGE, "-iu", UPLINK]).arg(AGENT.to_string());
        Ok(Self { _relay: relay.bound(BOUND).spawn(&bench.run)?, site })
    }
}
