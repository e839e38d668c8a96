//! A read-only TFTP server as a pure engine: RFC 1350, 2347 (options), 2348 (`blksize`), 2349 (`tsize`,
//! `timeout`) and 7440 (`windowsize`), with what real firmware needs (QUIRKS 24, 37-47) and what an open
//! network demands (S3, S4).
//!
//! [`Server`] has the four verbs of DESIGN §3. It holds no file and copies no file byte: it asks for a name
//! with [`Action::Open`], and describes DATA as [`Blocks`], which the shell reads and sends. The shell owns
//! the sockets: one listener (port 69), and a few on ephemeral ports that all transfers share, told apart by
//! the peer's address and port.
//!
//! Left to others: which names exist and who may ask (the shell's answer to `Open`), reading, sending.

mod admission;
mod config;
mod event;
mod flight;
mod interface;
mod linger;
mod name;
mod options;
mod packet;
#[cfg(test)]
mod paper;
mod rtt;
mod server;
mod table;
mod transfer;

pub use admission::Rate;
pub use config::Config;
pub use event::{EventKind, TftpEvent, Why};
pub use flight::Range;
pub use interface::{Action, Blocks, Counters, Input, Local, Refusal, Terms};
pub use name::{MAX_NAME, Name, NameError};
pub use options::{BlockSize, MicroTimeout, Options};
pub use packet::{DATA_HEADER, ErrorCode, Malformed, Mode, Packet, Request, data_header};
pub use server::Server;
pub use table::TransferId;
