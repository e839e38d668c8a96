//! The TFTP server's shell: sockets, files and time around the engine `netboot::tftp`.
//!
//! One task owns the engine and all sockets. It receives what has arrived, hands it in, performs the actions in
//! order and sleeps until the engine's time-out. File bytes are read by position, straight from the page cache,
//! in the task itself: one read for a window. What a name means is asked of the [`Library`], in a task of its
//! own, so that a slow answer holds nobody up.
//!
//! Assumes a tokio runtime. Leaves to others: which names exist (the agent's core), where events go.

mod driver;
mod library;
mod path;
mod segments;
mod sockets;
#[cfg(test)]
mod tests;

pub use driver::{Dropped, ServeError, Serving, serve};
pub use library::{Answer, Library, Source};
pub use netboot::tftp::{BlockSize, Config, ErrorCode, EventKind, Name, Refusal, TftpEvent, Why};
pub use sockets::{BindError, Sockets};
