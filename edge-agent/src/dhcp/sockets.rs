//! The sockets of an interface: ports 67 and 4011, and two for whole frames: of IPv4, for machines without an address and
//! for what other servers say, and of ARP, for who has an address already.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket as StdSocket},
    os::fd::{AsFd, BorrowedFd},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use netboot::{
    arp,
    dhcp::{Destination, Malformed, Request},
    frame::{Ends, udp_frame},
};
use proto::Mac;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{io::Interest, net::UdpSocket};

use super::filter;
use crate::{
    link::{self, Frames},
    sys::datagrams::{BATCH, Inbox, Outgoing, Sender},
    tap::{Heard, Tap, Tapped, micros},
};

const SERVER_PORT: u16 = 67;
const CLIENT_PORT: u16 = 68;
/// The boot service of PXE 2.1 §2.4.
const BOOT_PORT: u16 = 4011;

/// Longer than any request; what is longer is cut, and then malformed.
const LONGEST: usize = 2048;

/// Calls to receive from a socket before the others' turn: 4, 8, 16 and 32 datagrams, then 64.
const CALLS: usize = 5;

/// Room for a burst of requests while a commit is under way; the kernel grants what it allows.
const RECEIVE_BUFFER: usize = 1 << 20;

/// How long the interface's own address is taken for what it was.
const OWN_ADDRESS: Duration = Duration::from_secs(1);

/// How long a full queue of replies is waited for, and how often.
const PAUSE: Duration = Duration::from_millis(1);
const PAUSES: u32 = 10;

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

    /// Lets the runtime that this is called in listen to the wire. The ports are for whoever answers.
    ///
    /// # Errors
    /// When the runtime does not take the sockets.
    pub fn watch(self) -> Result<(Ports, Arc<Wire>), OpenError> {
        let Self { interface, dhcp, boot, ipv4, arp } = self;
        let wire = Arc::new(Wire { ipv4: ipv4.watch()?, arp: arp.watch()? });
        Ok((Ports { interface, dhcp, boot, wire: wire.clone() }, wire))
    }
}

/// The two ports of an interface, not yet watched.
#[derive(Debug)]
pub struct Ports {
    interface: String,
    dhcp: StdSocket,
    boot: StdSocket,
    wire: Arc<Wire>,
}

impl Ports {
    /// Hands the ports to the runtime that this is called in. What passes by them is handed to `tap`, as from and to
    /// `address`.
    ///
    /// # Errors
    /// When the runtime does not take them.
    pub fn watch(self, tap: &Tap, address: Ipv4Addr) -> Result<Sockets, OpenError> {
        let Self { interface, dhcp, boot, wire } = self;
        let tapped = Tapped::new(tap, address);
        match (UdpSocket::from_std(dhcp), UdpSocket::from_std(boot)) {
            (Ok(dhcp), Ok(boot)) => {
                Ok(Sockets { interface, dhcp, boot, wire, own: Mutex::default(), tapped })
            }
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

/// The sockets for whole frames: what others say on the wire, and what goes to machines without an address.
#[derive(Debug)]
pub struct Wire {
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

impl Wire {
    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        self.ipv4.interface()
    }

    /// The interface's own link address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.ipv4.mac()
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

    /// Never waits: a full queue is an error like any other.
    fn send(&self, datagram: &[u8], ends: Ends) -> io::Result<()> {
        self.ipv4.send(&udp_frame(ends, datagram).ok_or(io::ErrorKind::InvalidInput)?)
    }
}

/// The ports of an interface at work, and its wire.
#[derive(Debug)]
pub struct Sockets {
    interface: String,
    dhcp: UdpSocket,
    boot: UdpSocket,
    wire: Arc<Wire>,
    /// The interface's own address, and when the kernel said so.
    own: Mutex<Option<(Instant, Ipv4Addr)>>,
    tapped: Tapped,
}

/// Requests in the buffers that they are received into, for one socket after the other.
#[derive(Debug)]
pub(crate) struct Requests(Inbox);

impl Default for Requests {
    fn default() -> Self {
        Self(Inbox::new(BATCH, LONGEST))
    }
}

impl Sockets {
    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// Asks the wire who has an address; see [`Wire::probe`].
    ///
    /// # Errors
    /// What the socket says.
    pub fn probe(&self, address: Ipv4Addr) -> io::Result<()> {
        self.wire.probe(address)
    }

    /// The interface's own address: what the kernel would send from, as of the last second.
    ///
    /// # Errors
    /// While the interface has no address.
    pub fn address(&self) -> io::Result<Ipv4Addr> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        match *own {
            Some((at, address)) if at.elapsed() < OWN_ADDRESS => Ok(address),
            Some(_) | None => {
                let address = self.look_up_address()?;
                *own = Some((Instant::now(), address));
                Ok(address)
            }
        }
    }

    /// Four system calls.
    fn look_up_address(&self) -> io::Result<Ipv4Addr> {
        let probe = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
        probe.bind_device(Some(self.interface.as_bytes()))?;
        probe.set_broadcast(true)?;
        probe.connect(&SocketAddr::from((Ipv4Addr::BROADCAST, CLIENT_PORT)).into())?;
        let local = probe.local_addr()?.as_socket_ipv4().map(|local| *local.ip());
        local.filter(|address| !address.is_unspecified()).ok_or(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Ready once a request may have come to either port.
    pub(crate) fn poll_readable(&self, context: &mut Context<'_>) -> Poll<()> {
        // Both are asked, so that each can wake the task.
        let dhcp = self.dhcp.poll_recv_ready(context).is_ready();
        let boot = self.boot.poll_recv_ready(context).is_ready();
        if dhcp || boot { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Takes some of what has come to both ports.
    pub(crate) fn receive(
        &self,
        requests: &mut Requests,
        mut take: impl FnMut(Result<Request, Malformed>, Heard<'_>),
    ) {
        let at = micros();
        requests.take(&self.dhcp, &self.interface, |from, bytes| {
            take(Request::parse(bytes), Heard { at, from, port: SERVER_PORT, bytes });
        });
        requests.take(&self.boot, &self.interface, |from, bytes| {
            take(Request::parse_boot_service(bytes, from), Heard { at, from, port: BOOT_PORT, bytes });
        });
    }

    /// Where what is received and sent here is handed over.
    pub(crate) fn tapped(&self) -> &Tapped {
        &self.tapped
    }

    /// Sends replies, many at a time. What cannot be sent by unicast to a machine without an address is broadcast
    /// (QUIRKS 3); what cannot be sent at all is lost, and asked for again.
    pub(crate) fn send<'a>(
        &self,
        sender: &mut Sender,
        replies: impl Iterator<Item = (&'a [u8], &'a Destination)> + Clone,
    ) {
        let (mut from_dhcp, mut from_boot) = (Vec::new(), Vec::new());
        self.tapped.send(replies.clone());
        for (datagram, to) in replies {
            let ip = |address, port| to_port(datagram, address, port);
            match *to {
                Destination::Broadcast => from_dhcp.push(ip(Ipv4Addr::BROADCAST, CLIENT_PORT)),
                Destination::Relay(address) => from_dhcp.push(ip(address, SERVER_PORT)),
                Destination::Address(address, port) => from_dhcp.push(ip(address, port)),
                Destination::BootService(to) => from_boot.push(ip(*to.ip(), to.port())),
                Destination::Servers => self.send_as_client(datagram),
                Destination::Unicast { address, mac } => {
                    if let Err(error) = self.send_to_mac(datagram, address, mac) {
                        let interface = &self.interface;
                        tracing::debug!(%interface, %mac, %error, "failed to send a frame; broadcasting instead");
                        from_dhcp.push(ip(Ipv4Addr::BROADCAST, CLIENT_PORT));
                    }
                }
            }
        }
        self.send_all(sender, self.dhcp.as_fd(), &from_dhcp);
        self.send_all(sender, self.boot.as_fd(), &from_boot);
    }

    fn send_all(&self, sender: &mut Sender, socket: BorrowedFd<'_>, mut datagrams: &[Outgoing<'_>]) {
        let mut pauses = 0;
        while let Some(first) = datagrams.first() {
            let sent = match sender.send(socket, datagrams.iter().copied()) {
                Ok(sent) => sent.max(1),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && pauses < PAUSES => {
                    pauses += 1;
                    std::thread::sleep(PAUSE);
                    0
                }
                Err(error) => {
                    let (interface, to) = (&self.interface, first.to);
                    tracing::warn!(%interface, %to, %error, "failed to send a DHCP reply");
                    1
                }
            };
            datagrams = datagrams.get(sent..).unwrap_or_default();
        }
    }

    fn send_as_client(&self, datagram: &[u8]) {
        if let Err(error) = self.wire.send(datagram, as_client(self.wire.mac())) {
            tracing::debug!(interface = self.interface, %error, "failed to ask for other servers");
        }
    }

    fn send_to_mac(&self, datagram: &[u8], address: Ipv4Addr, mac: Mac) -> io::Result<()> {
        let from = SocketAddrV4::new(self.address()?, SERVER_PORT);
        let to = SocketAddrV4::new(address, CLIENT_PORT);
        self.wire.send(datagram, Ends { from: (self.wire.mac(), from), to: (mac, to) })
    }
}

impl Requests {
    /// What has come to a socket: a few calls' worth of it, since a call makes room for few at first.
    fn take(&mut self, socket: &UdpSocket, interface: &str, mut take: impl FnMut(SocketAddrV4, &[u8])) {
        for _ in 0..CALLS {
            let received = self.receive(socket, interface);
            for (from, bytes) in self.0.datagrams().take(received) {
                // The sockets are IPv4's.
                if let SocketAddr::V4(from) = from {
                    take(from, bytes);
                }
            }
            if received == 0 || !self.0.is_full() {
                return;
            }
        }
    }

    /// How many have come with one call.
    fn receive(&mut self, socket: &UdpSocket, interface: &str) -> usize {
        let Self(inbox) = self;
        let mut received = 0;
        let taken = socket.try_io(Interest::READABLE, || {
            received = inbox.receive(socket.as_fd())?;
            // Fewer than there was room for: nothing more waits. Saves the call that would say so.
            if inbox.is_full() { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
        });
        match taken {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                tracing::warn!(interface, %error, "failed to receive DHCP messages");
            }
            Ok(()) | Err(_) => {}
        }
        received
    }
}

fn to_port(payload: &[u8], address: Ipv4Addr, port: u16) -> Outgoing<'_> {
    Outgoing { to: SocketAddr::from((address, port)), payload, segment: None }
}

/// From a machine without an address to whoever is a server (RFC 2131 §4.1).
fn as_client(mac: Mac) -> Ends {
    let from = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, CLIENT_PORT);
    Ends { from: (mac, from), to: (Mac([0xff; 6]), SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER_PORT)) }
}
