//! The networks that cases run on: one site alone, or a controller and sites with a router between.
//!
//! ```text
//!  controller ns           router ns                        site ns
//!  wan 10.99.0.2 ───── ctl 10.99.0.1 │ siteN 10.99.N.1 ───── wan 10.99.N.2
//!                     forwards only TCP to the              br0 SUBNET.1 ─ tap0, tap1, …
//!                     controller's two ports                                  machines
//! ```
//!
//! A site's namespace forwards nothing: what a machine says never crosses it (DESIGN, opening).

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::netns::{BRIDGE, Namespace, NetworkError};
use super::run::Run;

/// The interface towards the router, in the controller's namespace and in each site's.
pub const WAN: &str = "wan";
const CONTROLLER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);
const CONTROLLER_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const WAN_PREFIX: u8 = 24;

/// A segment with machines: a bridge in its own namespace, and the agent's address on it.
#[derive(Debug)]
pub struct Site {
    namespace: Namespace,
    address: Ipv4Net,
}

impl Site {
    /// Makes the site. Its server side has `address` on the bridge; the prefix is the segment's.
    ///
    /// # Errors
    /// When the network cannot be changed.
    pub fn create(run: &Run, label: &str, address: Ipv4Net) -> Result<Self, NetworkError> {
        let namespace = Namespace::create(run, label)?;
        namespace.add_bridge(BRIDGE)?;
        namespace.add_address(BRIDGE, address)?;
        Ok(Self { namespace, address })
    }

    /// The site's namespace, to run an agent or a peer in.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The server side's address on the segment, with the segment's prefix length.
    #[must_use]
    pub fn address(&self) -> Ipv4Net {
        self.address
    }

    /// Makes a TAP on the segment for one machine and returns its name.
    ///
    /// # Errors
    /// When the name is longer than 15 bytes, is taken, or `ip` refuses.
    pub fn add_tap(&self, tap: &str) -> Result<(), NetworkError> {
        self.namespace.add_tap(tap, BRIDGE)
    }

    /// Cuts or restores the site's link to the router.
    ///
    /// # Errors
    /// When the site has no link, or `ip` refuses.
    pub fn set_upstream(&self, up: bool) -> Result<(), NetworkError> {
        self.namespace.set_link(WAN, up)?;
        if up {
            // The kernel forgot the routes when the link went down.
            if let Some(gateway) = self.upstream_gateway()? {
                self.namespace.set_default_route(gateway)?;
            }
        }
        Ok(())
    }

    fn upstream_gateway(&self) -> Result<Option<Ipv4Addr>, NetworkError> {
        let listed = self.namespace.shell(&format!("ip -4 -o address show dev {WAN}"))?;
        Ok(listed
            .split_ascii_whitespace()
            .find_map(|word| word.parse::<Ipv4Net>().ok())
            .and_then(|address| address.hosts().next()))
    }
}

/// What a fleet's network is made of.
#[derive(Debug, Clone)]
pub struct SitePlan {
    /// The site's short name.
    pub label: String,
    /// The agent's address on its segment, with the segment's prefix length.
    pub address: Ipv4Net,
}

/// A controller, sites, and a router that lets only TCP to the controller's ports through.
#[derive(Debug)]
pub struct FleetNetwork {
    /// Where the controller runs.
    pub controller: Namespace,
    /// Between them.
    pub router: Namespace,
    /// In the order they were asked for.
    pub sites: Vec<Site>,
}

impl FleetNetwork {
    /// Makes the namespaces, the cables and the router's rules.
    ///
    /// # Errors
    /// When the network cannot be changed, or `nft` is not there.
    ///
    /// # Panics
    /// With more than 250 sites: the lab's addresses end there.
    pub fn create(run: &Run, ports: [u16; 2], plans: &[SitePlan]) -> Result<Self, NetworkError> {
        assert!(plans.len() <= 250, "the lab has addresses for 250 sites");
        let controller = Namespace::create(run, "controller")?;
        let router = Namespace::create(run, "router")?;
        router.shell("echo 1 > /proc/sys/net/ipv4/ip_forward")?;
        let mut network = Self { controller, router, sites: Vec::new() };
        network.connect_controller()?;
        for (plan, number) in plans.iter().zip(1_u8..) {
            let site = Site::create(run, &plan.label, plan.address)?;
            network.connect_site(&site, number)?;
            network.sites.push(site);
        }
        network.install_rules(ports)?;
        Ok(network)
    }

    /// Where agents find the controller.
    #[must_use]
    pub fn controller_address(&self) -> Ipv4Addr {
        CONTROLLER
    }

    /// How many packets the router has refused so far.
    ///
    /// # Errors
    /// When `nft` refuses.
    pub fn refused_packets(&self) -> Result<u64, NetworkError> {
        let listed = self.router.shell("nft list counter inet lab refused")?;
        let mut words = listed.split_ascii_whitespace();
        words.find(|word| *word == "packets");
        Ok(words.next().and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    fn connect_controller(&self) -> Result<(), NetworkError> {
        self.controller.connect(WAN, &self.router, "ctl")?;
        self.controller.add_address(WAN, on_wan(CONTROLLER))?;
        self.router.add_address("ctl", on_wan(CONTROLLER_GATEWAY))?;
        self.controller.set_default_route(CONTROLLER_GATEWAY)
    }

    fn connect_site(&self, site: &Site, number: u8) -> Result<(), NetworkError> {
        let cable = format!("site{number}");
        let gateway = Ipv4Addr::new(10, 99, number, 1);
        let namespace = site.namespace();
        namespace.connect(WAN, &self.router, &cable)?;
        namespace.add_address(WAN, on_wan(Ipv4Addr::new(10, 99, number, 2)))?;
        self.router.add_address(&cable, on_wan(gateway))?;
        namespace.set_default_route(gateway)
    }

    fn install_rules(&self, ports: [u16; 2]) -> Result<(), NetworkError> {
        let rules = router_rules(ports);
        self.router.shell(&format!("nft -f - <<'END'\n{rules}END\n")).map(drop)
    }
}

fn on_wan(address: Ipv4Addr) -> Ipv4Net {
    Ipv4Net::new_assert(address, WAN_PREFIX)
}

/// Nothing reaches the router itself, and only the controller's ports are reached through it.
fn router_rules([one, other]: [u16; 2]) -> String {
    format!(
        "table inet lab {{
  counter refused {{ }}
  chain forwarded {{
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ip daddr {CONTROLLER} tcp dport {{ {one}, {other} }} accept
    counter name refused drop
  }}
  chain to_router {{
    type filter hook input priority 0; policy drop;
    counter name refused drop
  }}
}}
"
    )
}
