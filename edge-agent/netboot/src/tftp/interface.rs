//! What goes into the engine and what comes out of it.

use std::net::SocketAddr;

use super::event::TftpEvent;
use super::flight::Range;
use super::name::Name;
use super::packet::ErrorCode;
use super::table::TransferId;

/// One of the shell's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Local {
    /// The one on port 69.
    Listener,
    /// One on an ephemeral port, counted from 0 to [`Config::slots`](super::Config::slots).
    Ephemeral(u8),
}

/// Something for [`Server::handle`](super::Server::handle).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// A datagram arrived.
    Datagram {
        /// On this socket.
        local: Local,
        /// From here.
        peer: SocketAddr,
        /// Its payload.
        bytes: &'a [u8],
    },
    /// [`Action::Open`] found the file.
    Opened {
        /// The transfer of that action.
        transfer: TransferId,
        /// The file's whole size in bytes.
        size: u64,
        /// How many bytes, from its start, can be read already.
        available: u64,
        /// How to send it.
        terms: Terms,
    },
    /// [`Action::Open`] found no file that this peer may have.
    Refused {
        /// The transfer of that action.
        transfer: TransferId,
        /// What to answer.
        refusal: Refusal,
        /// How to send that.
        terms: Terms,
    },
    /// More of an opened file can be read.
    Available {
        /// The transfer that reads it.
        transfer: TransferId,
        /// How many bytes, from its start.
        available: u64,
    },
    /// An opened file can no longer be read.
    SourceFailed {
        /// The transfer that reads it.
        transfer: TransferId,
        /// Why, for the report; the machine is not told.
        why: String,
    },
}

/// What is known of a peer and the way to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Answer from the listening port instead of an ephemeral one: the peer, or a firewall before it, insists on that
    /// (QUIRKS 43).
    pub single_port: bool,
    /// The largest IP datagram on the path to it, in bytes; None: not known (QUIRKS 40).
    pub path_mtu: Option<u16>,
}

/// How a request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// With an ERROR.
    Answer {
        /// Its code; a file that does not exist must be [`ErrorCode::FILE_NOT_FOUND`] (QUIRKS 44).
        code: ErrorCode,
        /// Its text.
        message: String,
    },
    /// With silence: this peer is none of ours (S4).
    Silence,
}

/// Something for the shell to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Find this file and answer with [`Input::Opened`] or [`Input::Refused`].
    Open {
        /// To be named in the answer.
        transfer: TransferId,
        /// Who asks.
        peer: SocketAddr,
        /// For what.
        name: Name,
    },
    /// Send this packet.
    Send {
        /// From this socket.
        local: Local,
        /// To here.
        peer: SocketAddr,
        /// The payload.
        bytes: Vec<u8>,
    },
    /// Read these bytes of the transfer's file and send them as DATA packets.
    SendBlocks(Blocks),
    /// The transfer is over: let go of its file. Comes once for each `Open`.
    Close {
        /// The transfer.
        transfer: TransferId,
    },
    /// Tell this.
    Report(TftpEvent),
}

/// DATA packets, described. Packet `i` has the number `range.first + i` modulo 65536, and the next `block_size`
/// bytes from `range.offset` on; the last has what is left of `range.len`, possibly nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocks {
    /// Whose file.
    pub transfer: TransferId,
    /// From this socket.
    pub local: Local,
    /// To here.
    pub peer: SocketAddr,
    /// Bytes of file in a full packet.
    pub block_size: u16,
    /// Which blocks.
    pub range: Range,
}

/// What was dropped in silence, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Datagrams that are no TFTP, or no TFTP that a client may send here.
    pub malformed: u64,
    /// Requests over a limit of rate or number (S4).
    pub over_limit: u64,
    /// Requests that repeated one in progress.
    pub duplicate_requests: u64,
    /// Packets of transfers that had ended.
    pub late: u64,
    /// Packets with a wrong transfer ID, answered or not.
    pub unknown_transfer: u64,
}

impl Counters {
    /// Those of two servers together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self {
            malformed: self.malformed + other.malformed,
            over_limit: self.over_limit + other.over_limit,
            duplicate_requests: self.duplicate_requests + other.duplicate_requests,
            late: self.late + other.late,
            unknown_transfer: self.unknown_transfer + other.unknown_transfer,
        }
    }
}
