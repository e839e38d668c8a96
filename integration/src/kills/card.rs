//! The network cards of many machines: one UDP socket on port 68 that tells replies apart by their MAC.
//!
//! The broadcast flag is set in whatever machines send, so that replies reach a socket of the kernel: which replies go
//! out as frames to machines without an address is the business of other tests.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use proto::Mac;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

/// Replies that may wait at one machine; a card with a full queue drops what comes.
const QUEUE: usize = 16;
/// Where the flags stand in a BOOTP message (RFC 951), and the broadcast flag in them (RFC 1542).
const FLAGS: usize = 10;
const BROADCAST: u8 = 0x80;
/// Where the client's hardware address stands.
const CHADDR: std::ops::Range<usize> = 28..34;
/// Longer than any reply.
const LONGEST: usize = 2_048;

/// The socket that machines share.
#[derive(Debug)]
pub struct Cards {
    socket: UdpSocket,
}

/// Replies to one machine.
pub type Inbox = mpsc::Receiver<Vec<u8>>;

impl Cards {
    /// Opens the socket at an interface of the namespace that the calling thread is in.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(interface: &str) -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec().nonblocking(), Some(Protocol::UDP))?;
        socket.bind_device(Some(interface.as_bytes()))?;
        socket.set_reuse_address(true)?;
        socket.set_broadcast(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 68)).into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())? })
    }

    /// Sends a machine's message.
    ///
    /// # Errors
    /// What the socket says.
    pub async fn broadcast(&self, mut datagram: Vec<u8>) -> io::Result<()> {
        if let Some(flags) = datagram.get_mut(FLAGS) {
            *flags |= BROADCAST;
        }
        self.socket.send_to(&datagram, (Ipv4Addr::BROADCAST, 67)).await.map(drop)
    }

    /// Hands replies to the machines that they are for, until all of them have gone or the future is dropped.
    pub async fn deliver(self: Arc<Self>, machines: BTreeMap<Mac, mpsc::Sender<Vec<u8>>>) {
        let mut buffer = vec![0; LONGEST];
        loop {
            let Ok(length) = self.socket.recv(&mut buffer).await else { continue };
            let datagram = &buffer[..length];
            let mac = datagram.get(CHADDR).and_then(|mac| mac.try_into().ok()).map(Mac);
            if let Some(machine) = mac.and_then(|mac| machines.get(&mac)) {
                // A card drops what its machine does not take.
                drop(machine.try_send(datagram.to_vec()));
            }
        }
    }
}

/// The two ends of a machine's queue.
#[must_use]
pub fn inbox() -> (mpsc::Sender<Vec<u8>>, Inbox) {
    mpsc::channel(QUEUE)
}
