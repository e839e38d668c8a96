//! One message and its circumstances: what the server decides by and what every reply is made from.

use std::{net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use proto::plan::Subnet;

use super::{Context, Request};

/// QUIRKS 11: firmware that is sent to its disk needs its address for minutes, and would keep a pool's for hours. The
/// system behind it asks by the same MAC address for the rest.
const PASSING_LEASE: Duration = Duration::from_secs(600);

/// Who asked what under which circumstances: what every reply is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) request: &'a Request,
    pub(super) context: &'a Context<'a>,
    pub(super) subnet: &'a Subnet,
}

impl<'a> Exchange<'a> {
    /// The subnets of the machine's link: the one that its message came from first.
    pub(super) fn subnets(self) -> impl Iterator<Item = &'a Subnet> {
        let others = self.context.network.on_link_of(self.subnet);
        let others = others.filter(move |other| other.network != self.subnet.network);
        std::iter::once(self.subnet).chain(others)
    }

    /// The subnet of the link that an address is in; None: it is not on the link.
    pub(super) fn subnet_with(self, address: Ipv4Addr) -> Option<&'a Subnet> {
        self.subnets().find(|subnet| subnet.network.contains(&address))
    }

    /// Names the link: leases are a machine's on a link.
    pub(super) fn link(self) -> Ipv4Net {
        self.context.network.link_of(self.subnet)
    }

    /// Does the firmware of a machine speak that the plan does not know?
    pub(super) fn is_passing(&self) -> bool {
        self.request.is_boot_class() && self.context.host.is_none()
    }

    /// How long the machine may use an address of this subnet. A host's firmware gets the whole time: what it fetches, it
    /// fetches by its lease.
    pub(super) fn lease_time(&self) -> Duration {
        if self.is_passing() { self.subnet.lease.min(PASSING_LEASE) } else { self.subnet.lease }
    }

    /// The address that stands in option 54 (RFC 5107).
    pub(super) fn server_id(&self) -> Ipv4Addr {
        self.request.server_id_override().unwrap_or(self.context.server)
    }
}
