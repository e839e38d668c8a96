//! The packet socket of an interface.

use std::io::{self, Read};

use proto::Mac;
use tokio::io::{Interest, unix::AsyncFd};

use super::filter;
use crate::sys::packet;

/// Longer than any frame that is answered; what is longer is cut, and then malformed.
const LONGEST: usize = 2048;

/// Why the socket of an interface could not be had.
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
    /// The packet socket there.
    #[error("open a packet socket for IPv6 on interface {interface}")]
    Packet {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
    /// The runtime does not take it.
    #[error("watch the packet socket for IPv6 of interface {interface}")]
    Watch {
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
}

/// An open socket, not yet watched by a runtime. Made before privileges are dropped (S16).
#[derive(Debug)]
pub struct Bound {
    interface: String,
    packet: socket2::Socket,
    mac: Mac,
}

impl Bound {
    /// Opens the socket of an interface; needs CAP_NET_RAW.
    ///
    /// # Errors
    /// [`OpenError`] names the interface.
    pub fn open(interface: &str) -> Result<Self, OpenError> {
        let name = || interface.to_owned();
        let index =
            packet::index(interface).map_err(|source| OpenError::Interface { interface: name(), source })?;
        let (packet, mac) = packet::ipv6(index, &netboot::ipv6::groups(), &filter::program())
            .map_err(|source| OpenError::Packet { interface: name(), source })?;
        Ok(Self { interface: name(), packet, mac })
    }

    /// Hands the socket to the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn watch(self) -> Result<Socket, OpenError> {
        let Self { interface, packet, mac } = self;
        match packet::watch(packet) {
            Ok(packet) => Ok(Socket { interface, packet, mac }),
            Err(source) => Err(OpenError::Watch { interface, source }),
        }
    }
}

/// The socket of an interface at work.
#[derive(Debug)]
pub struct Socket {
    interface: String,
    packet: AsyncFd<socket2::Socket>,
    mac: Mac,
}

impl Socket {
    /// The interface's name.
    #[must_use]
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The interface's own link address.
    #[must_use]
    pub fn mac(&self) -> Mac {
        self.mac
    }

    /// Waits for the next frame. Safe to drop and call again.
    ///
    /// # Errors
    /// What the socket says, such as that the interface is down; the next call may succeed.
    pub async fn recv(&self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; LONGEST];
        let length = self
            .packet
            .async_io(Interest::READABLE, |mut packet: &socket2::Socket| packet.read(&mut frame))
            .await?;
        frame.truncate(length);
        Ok(frame)
    }

    /// Never waits: a full queue is an error like any other.
    ///
    /// # Errors
    /// What the socket says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.packet.get_ref().send(frame).map(drop)
    }
}
