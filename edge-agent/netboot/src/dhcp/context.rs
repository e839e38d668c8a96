//! What the server is told beside the request, and what it hands out.

use std::net::{Ipv4Addr, SocketAddrV4};

use proto::{
    Mac,
    event::EventKind,
    ledger::Record,
    plan::{HostPlan, Network, ReplyForm, SitePlan},
};

use crate::time::Mono;

/// What is true at the moment of a request. Whoever is not to be answered at all is not brought to the server.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// How the site's machines are addressed.
    pub network: &'a Network,
    /// The host that has this MAC.
    pub host: Option<&'a HostPlan>,
    /// Whose addresses are reserved.
    pub plan: &'a SitePlan,
    /// Our address on the interface that the request came in at.
    pub server: Ipv4Addr,
    /// `http://ADDRESS` or `http://ADDRESS:PORT`, for that interface.
    pub base_url: &'a str,
    /// What the machine is to boot.
    pub answer: &'a BootAnswer,
    /// How a PXE ROM is told to fetch a loader.
    pub form: ReplyForm,
    /// The number of the interface at whose wire can be asked who has an address; None: it carries no ARP.
    pub wire: Option<u32>,
    /// False while the disk is full: no new lease from a pool; fixed addresses and renewals go on (DESIGN §6).
    pub grants_allowed: bool,
}

/// What a machine is to boot, as far as DHCP says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BootAnswer {
    /// Nothing is said about booting.
    AddressOnly,
    /// Its local disk, at once.
    LocalDisk,
    /// A network bootstrap program, by the name under which TFTP and HTTP serve it.
    Loader {
        /// Safe in a URL.
        name: String,
    },
    /// What iPXE runs.
    Script {
        /// In full.
        url: String,
    },
}

/// What the shell is to do, in order: what is persisted before a `Send` is on disk before it leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Make it durable.
    Persist(Record),
    /// Number it and journal it, and say so to [`Server::told`](super::Server::told).
    Report(EventKind),
    /// Ask the wire who has this address, at the interface that the request came in at; answers go to
    /// [`Server::handle_claim`](super::Server::handle_claim).
    Probe(Ipv4Addr),
    /// The same, for nobody yet, and at the interface of this number.
    ProbeAhead {
        /// The interface.
        wire: u32,
        /// Which address.
        address: Ipv4Addr,
    },
    /// Nothing is said yet: the same request is to be handed in again then.
    Wait {
        /// When.
        until: Mono,
    },
    /// Send it.
    Send {
        /// The UDP payload.
        datagram: Vec<u8>,
        /// Where to, on the interface that the request came in at.
        to: Destination,
    },
}

/// Where a reply goes (RFC 2131 §4.1, QUIRKS 1 and 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// 255.255.255.255:68.
    Broadcast,
    /// Port 68 of a machine that has no address yet and so answers no ARP.
    Unicast {
        /// The address that it gets.
        address: Ipv4Addr,
        /// Its link address.
        mac: Mac,
    },
    /// Port 67 of a relay agent.
    Relay(Ipv4Addr),
    /// A machine that has its address, and the port.
    Address(Ipv4Addr, u16),
    /// 255.255.255.255:67 from 0.0.0.0:68, as a machine that asks for servers.
    Servers,
    /// Who asked at our port 4011, from that port (QUIRKS 21).
    BootService(SocketAddrV4),
}
