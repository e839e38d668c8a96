//! The sockets of an interface: ports 67 and 4011, and two for whole frames: of IPv4, for machines without an address and
//! for what other servers say, and of ARP, for who has an address already.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdSocket},
};

use netboot::{
    arp,
    dhcp::{Destination, Malformed, Request},
};
use proto::Mac;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::{
    filter,
    frame::{Ends, udp_frame},
};
use crate::link::{self, Frames};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// The boot service of PXE 2.1 §2.4.
const BOOT_PORT: u16 = 4011;

/// Longer than any request; what is longer is cut, and then malformed.
const LONGEST: usize = 2048;

/// Room for a burst of requests while a commit is under way; the kernel grants what it allows.
const RECEIVE_BUFFER: usize = 1 << 20;

/// RFC 894.
const IPV4: u16 = 0x0800;
/// RFC 826.
const ARP: u16 = 0x0806;

/// Why the sockets of an interface could not be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The packet sockets there, or there is no such interface.
    #[error(transparent)]
    Packet(#[from] link::OpenError),
    /// Port 67 or 4011 there.
    #[error("bind UDP port {port} of interface {interface}")]
    Udp {
        /// Its name.
        interface: String,
        /// Which.
        port: u16,
        /// Why not.
        source: io::Error,
    },
    /// The runtime does not take them.
    #[error("watch the DHCP socket of interface {interface}")]
    Watch {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
}

/// Open sockets, not yet watched by a runtime. Made before privileges are dropped (S16).
#[derive(Debug)]
pub struct Bound {
    interface: String,
    dhcp: StdSocket,
    boot: StdSocket,
    ipv4: link::Bound,
    arp: link::Bound,
}

impl Bound {
    /// Opens the sockets of an interface; needs CAP_NET_BIND_SERVICE and CAP_NET_RAW.
    ///
    /// # Errors
    /// [`OpenError`] names the interface and the socket.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        let name = || interface.to_owned();
        let (messages, replies) = (filter::server_messages().into(), filter::arp_replies().into());
        let messages = Frames { what: "DHCP", protocol: IPV4, groups: &[], filter: messages };
        let replies = Frames { what: "ARP", protocol: ARP, groups: &[], filter: replies };
        let (ipv4, arp) = (link::Bound::open(interface, messages)?, link::Bound::open(interface, replies)?);
        let udp =
            |port| bind(interface, port).map_err(|source| OpenError::Udp { interface: name(), port, source });
        let (dhcp, boot) = (udp(SERVER_PORT)?, udp(BOOT_PORT)?);
        Ok(Self { interface: name(), dhcp, boot, ipv4, arp })
    }

    /// Hands the sockets to the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take them.
    pub fn watch(self) -> Result<Sockets, OpenError> {
        let Self { interface, dhcp, boot, ipv4, arp } = self;
        let (ipv4, arp) = (ipv4.watch()?, arp.watch()?);
        match (UdpSocket::from_std(dhcp), UdpSocket::from_std(boot)) {
            (Ok(dhcp), Ok(boot)) => Ok(Sockets { interface, dhcp, boot, ipv4, arp }),
            (Err(source), _) | (_, Err(source)) => Err(OpenError::Watch { interface, source }),
        }
    }
}

/// A UDP socket that hears what comes in at one interface, and broadcasts there.
fn bind(interface: &str, port: u16) -> io::Result<StdSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec().nonblocking(), Some(Protocol::UDP))?;
    socket.bind_device(Some(interface.as_bytes()))?;
    // The other interfaces' sockets stand on the same port.
    socket.set_reuse_address(true)?;
    socket.set_broadcast(true)?;
    if let Err(error) = socket.set_recv_buffer_size(RECEIVE_BUFFER) {
        tracing::debug!(%error, "failed to enlarge the receive buffer");
    }
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    Ok(socket.into())
}

/// A datagram that came to port 67 or 4011.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Datagram {
    /// The UDP payload.
    pub bytes: Vec<u8>,
    /// Who sent it; 0.0.0.0:68 before a machine has an address.
    pub from: SocketAddrV4,
    /// Which of the two.
    pub to_boot_service: bool,
}

impl Datagram {
    /// Reads it.
    ///
    /// # Errors
    /// Says why nobody is to be answered.
    pub fn parse(&self) -> Result<Request, Malformed> {
        if self.to_boot_service {
            Request::parse_boot_service(&self.bytes, self.from)
        } else {
            Request::parse(&self.bytes)
        }
    }
}

/// The sockets of an interface at work.
#[derive(Debug)]
pub struct Sockets {
    interface: String,
    dhcp: UdpSocket,
    boot: UdpSocket,
    ipv4: link::Socket,
    arp: link::Socket,
}

/// A frame that nobody sent to the agent's own ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Overheard {
    /// From a DHCP server to a machine.
    ServerMessage(Vec<u8>),
    /// An answer of ARP.
    ArpReply(Vec<u8>),
}

impl Sockets {
    /// [`Bound::open`] and [`Bound::watch`] in one.
    ///
    /// # Errors
    /// [`OpenError`] names the interface and the socket.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        Bound::open(interface)?.watch()
    }

    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The interface's own link address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.ipv4.mac()
    }

    /// The interface's own address, as it is now: what the kernel would send from. Three system calls.
    ///
    /// # Errors
    /// While the interface has no address.
    pub fn address(&self) -> io::Result<Ipv4Addr> {
        let probe = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
        probe.bind_device(Some(self.interface.as_bytes()))?;
        probe.set_broadcast(true)?;
        probe.connect(&SocketAddr::from((Ipv4Addr::BROADCAST, CLIENT_PORT)).into())?;
        let local = probe.local_addr()?.as_socket_ipv4().map(|local| *local.ip());
        local.filter(|address| !address.is_unspecified()).ok_or(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Waits for the next datagram. Safe to drop and call again.
    ///
    /// # Errors
    /// What the socket says, such as that the interface is down; the next call may succeed.
    pub async fn recv(&self) -> io::Result<Datagram> {
        loop {
            let to_boot_service = tokio::select! {
                ready = self.dhcp.readable() => ready.map(|()| false)?,
                ready = self.boot.readable() => ready.map(|()| true)?,
            };
            let socket = if to_boot_service { &self.boot } else { &self.dhcp };
            let mut bytes = Vec::with_capacity(LONGEST);
            match socket.try_recv_buf_from(&mut bytes) {
                Ok((_, SocketAddr::V4(from))) => return Ok(Datagram { bytes, from, to_boot_service }),
                Ok((_, SocketAddr::V6(_))) => return Err(io::ErrorKind::Unsupported.into()),
                // It was damaged, and is gone.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Waits for the next frame of others. Safe to drop and call again.
    ///
    /// # Errors
    /// What the socket says, such as that the interface is down; the next call may succeed.
    pub async fn overhear(&self) -> io::Result<Overheard> {
        tokio::select! {
            frame = self.ipv4.recv() => frame.map(Overheard::ServerMessage),
            frame = self.arp.recv() => frame.map(Overheard::ArpReply),
        }
    }

    /// Asks the wire who has an address, as somebody who has none (RFC 5227 §2.1.1). Never waits.
    ///
    /// # Errors
    /// What the socket says; an address that cannot be asked for counts as nobody's.
    pub fn probe(&self, address: Ipv4Addr) -> io::Result<()> {
        self.arp.send(&arp::probe(self.arp.mac(), address))
    }

    /// Sends a reply. What cannot be sent by unicast to a machine without an address is broadcast (QUIRKS 3).
    ///
    /// # Errors
    /// What the socket says; a machine that hears nothing asks again.
    pub async fn send(&self, datagram: &[u8], to: &Destination) -> io::Result<()> {
        match *to {
            Destination::Broadcast => self.send_to(datagram, Ipv4Addr::BROADCAST, CLIENT_PORT).await,
            Destination::Relay(address) => self.send_to(datagram, address, SERVER_PORT).await,
            Destination::Address(address, port) => self.send_to(datagram, address, port).await,
            Destination::BootService(to) => self.boot.send_to(datagram, to).await.map(drop),
            Destination::Servers => self.send_frame(datagram, as_client(self.mac())),
            Destination::Unicast { address, mac } => match self.send_to_mac(datagram, address, mac) {
                Ok(()) => Ok(()),
                Err(error) => {
                    let interface = &self.interface;
                    tracing::debug!(%interface, %mac, %error, "failed to send a frame; broadcasting instead");
                    self.send_to(datagram, Ipv4Addr::BROADCAST, CLIENT_PORT).await
                }
            },
        }
    }

    async fn send_to(&self, datagram: &[u8], address: Ipv4Addr, port: u16) -> io::Result<()> {
        self.dhcp.send_to(datagram, (address, port)).await.map(drop)
    }

    fn send_to_mac(&self, datagram: &[u8], address: Ipv4Addr, mac: Mac) -> io::Result<()> {
        let from = SocketAddrV4::new(self.address()?, SERVER_PORT);
        let to = SocketAddrV4::new(address, CLIENT_PORT);
        self.send_frame(datagram, Ends { from: (self.mac(), from), to: (mac, to) })
    }

    /// Never waits: a full queue is an error like any other.
    fn send_frame(&self, datagram: &[u8], ends: Ends) -> io::Result<()> {
        self.ipv4.send(&udp_frame(ends, datagram).ok_or(io::ErrorKind::InvalidInput)?)
    }
}

/// From a machine without an address to whoever is a server (RFC 2131 §4.1).
fn as_client(mac: Mac) -> Ends {
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
    Ends { from: (mac, from), to: (Mac([0xff; 6]), SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT)) }
}
