//! The sockets of an interface: ports 67 and 4011, and one for whole frames.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdSocket},
};

use netboot::dhcp::{Destination, Malformed, Request};
use proto::Mac;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::frame::{Ends, udp_frame};
use crate::sys::packet;

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// The boot service of PXE 2.1 §2.4.
const BOOT_PORT: u16 = 4011;

/// Longer than any request; what is longer is cut, and then malformed.
const LONGEST: usize = 2048;

/// Room for a burst of requests while a commit is under way; the kernel grants what it allows.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Why the sockets of an interface could not be had.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is none of this name.
    #[error("find interface {interface}")]
    Interface {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
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
    /// The packet socket there.
    #[error("open a packet socket on interface {interface}")]
    Packet {
        /// Its name.
        interface: String,
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
    packet: Socket,
    mac: Mac,
}

impl Bound {
    /// Opens the sockets of an interface; needs CAP_NET_BIND_SERVICE and CAP_NET_RAW.
    ///
    /// # Errors
    /// [`OpenError`] names the interface and the socket.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        let name = || interface.to_owned();
        let index =
            packet::index(interface).map_err(|source| OpenError::Interface { interface: name(), source })?;
        let udp =
            |port| bind(interface, port).map_err(|source| OpenError::Udp { interface: name(), port, source });
        let (dhcp, boot) = (udp(SERVER_PORT)?, udp(BOOT_PORT)?);
        let (packet, mac) =
            packet::sender(index).map_err(|source| OpenError::Packet { interface: name(), source })?;
        Ok(Self { interface: name(), dhcp, boot, packet, mac })
    }

    /// Hands the sockets to the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take them.
    pub fn watch(self) -> Result<Sockets, OpenError> {
        let Self { interface, dhcp, boot, packet, mac } = self;
        match (UdpSocket::from_std(dhcp), UdpSocket::from_std(boot)) {
            (Ok(dhcp), Ok(boot)) => Ok(Sockets { interface, dhcp, boot, packet, mac }),
            (Err(source), _) | (_, Err(source)) => Err(OpenError::Watch { interface, source }),
        }
    }
}

/// Is there an interface of this name?
pub(crate) fn is_interface(name: &str) -> bool {
    packet::index(name).is_ok()
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
    packet: Socket,
    mac: Mac,
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
        let (mut to_dhcp, mut to_boot) = (Vec::with_capacity(LONGEST), Vec::with_capacity(LONGEST));
        let (bytes, from, to_boot_service) = tokio::select! {
            came = self.dhcp.recv_buf_from(&mut to_dhcp) => (to_dhcp, came?.1, false),
            came = self.boot.recv_buf_from(&mut to_boot) => (to_boot, came?.1, true),
        };
        match from {
            SocketAddr::V4(from) => Ok(Datagram { bytes, from, to_boot_service }),
            SocketAddr::V6(_) => Err(io::ErrorKind::Unsupported.into()),
        }
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
            Destination::Unicast { address, mac } => match self.send_frame(datagram, address, mac) {
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

    /// Never waits: a full queue is an error like any other.
    fn send_frame(&self, datagram: &[u8], address: Ipv4Addr, mac: Mac) -> io::Result<()> {
        let from = SocketAddrV4::new(self.address()?, SERVER_PORT);
        let ends = Ends { from: (self.mac, from), to: (mac, SocketAddrV4::new(address, CLIENT_PORT)) };
        let frame = udp_frame(ends, datagram).ok_or(io::ErrorKind::InvalidInput)?;
        self.packet.send(&frame).map(drop)
    }
}
