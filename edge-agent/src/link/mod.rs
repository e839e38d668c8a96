//! Whole Ethernet frames of one interface: packet sockets with a filter, opened before privileges drop (S16).
//!
//! Each is bound to one protocol: one for all of them would also be handed a copy of everything that is sent. Who uses
//! a socket says what the kernel is to queue; the rest of a busy segment never reaches the process.

pub(crate) mod bpf;

use std::io::{self, Read};

use proto::Mac;
use socket2::SockFilter;
use tokio::io::{Interest, unix::AsyncFd};

use crate::sys::packet;

/// Longer than any frame that is looked at; what is longer is cut, and then malformed.
const LONGEST: usize = 2048;

/// Why the packet socket of an interface could not be had.
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
    #[error("open a packet socket for {what} on interface {interface}")]
    Packet {
        /// The protocol.
        what: &'static str,
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
    /// The runtime does not take it.
    #[error("watch the packet socket for {what} of interface {interface}")]
    Watch {
        /// The protocol.
        what: &'static str,
        /// Its name.
        interface: String,
        /// Why not.
        source: io::Error,
    },
}

/// Which frames.
#[derive(Debug)]
pub(crate) struct Frames<'a> {
    /// The protocol's name, for messages.
    pub(crate) what: &'static str,
    /// Its number in the frame.
    pub(crate) protocol: u16,
    /// Groups whose frames the card is to take up.
    pub(crate) groups: &'a [Mac],
    /// What the kernel is to queue, of frames for us.
    pub(crate) filter: Vec<SockFilter>,
}

/// An open socket, not yet watched by a runtime.
#[derive(Debug)]
pub struct Bound {
    what: &'static str,
    interface: String,
    packet: socket2::Socket,
    mac: Mac,
}

impl Bound {
    /// Opens a socket at an interface; needs CAP_NET_RAW.
    ///
    /// # Errors
    /// [`OpenError`] names the interface.
    pub(crate) fn open(interface: &str, frames: Frames<'_>) -> Result<Self, OpenError> {
        let (what, name) = (frames.what, || interface.to_owned());
        let index =
            packet::index(interface).map_err(|source| OpenError::Interface { interface: name(), source })?;
        let filter: Vec<_> = bpf::for_us(index).into_iter().chain(frames.filter).collect();
        let (packet, mac) = packet::open(index, frames.protocol, frames.groups, &filter)
            .map_err(|source| OpenError::Packet { what, interface: name(), source })?;
        Ok(Self { what, interface: name(), packet, mac })
    }

    /// Hands the socket to the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn watch(self) -> Result<Socket, OpenError> {
        let Self { what, interface, packet, mac } = self;
        match packet::watch(packet) {
            Ok(packet) => Ok(Socket { interface, packet, mac }),
            Err(source) => Err(OpenError::Watch { what, interface, source }),
        }
    }
}

/// Is there an interface of this name?
pub(crate) fn is_interface(name: &str) -> bool {
    packet::index(name).is_ok()
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
        // Nothing is set aside before there is a frame.
        let read = |mut packet: &socket2::Socket| {
            let mut frame = vec![0; LONGEST];
            let length = packet.read(&mut frame)?;
            frame.truncate(length);
            Ok(frame)
        };
        self.packet.async_io(Interest::READABLE, read).await
    }

    /// Never waits: a full queue is an error like any other.
    ///
    /// # Errors
    /// What the socket says.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        self.packet.get_ref().send(frame).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_is_not_there_is_named() {
        let frames = Frames { what: "ARP", protocol: 0x0806, groups: &[], filter: Vec::new() };
        let error = Bound::open("none0", frames).expect_err("no such interface");
        assert!(matches!(&error, OpenError::Interface { interface, .. } if interface == "none0"), "{error}");
    }
}
