//! The TFTP server's shell: sockets, files and time around the engine `netboot::tftp`.
//!
//! ```text
//!  port 69, one socket a shard            shard: a thread, an engine, sockets of its own
//!   source address mod shards ──► poll ► recvmmsg ► engine ► preadv into the outbox ► sendmmsg
//!                                  ▲                  │ Open                           (windows cut by the kernel)
//!                                  └── notices ◄── Library, in tasks of the runtime
//! ```
//!
//! A shard takes what has arrived of many machines with one call, hands it in, and sends what the engine decided with one
//! call: a window is one message that the kernel cuts into blocks, and blocks of many machines share a call. File bytes
//! are read by position, from the page cache to where they are sent from. What a name means is asked of the [`Library`],
//! in a task of its own, so that a slow answer holds nobody up. docs/adr/0010 says why so.
//!
//! Assumes a tokio runtime. Leaves to others: which names exist (the agent's core), where events go.

mod ahead;
mod library;
mod notice;
mod outbox;
mod path;
mod serving;
mod shard;
mod sockets;
#[cfg(test)]
mod tests;

pub use library::{Answer, Library, Source};
pub use netboot::tftp::{BlockSize, Config, ErrorCode, EventKind, Name, Refusal, TftpEvent, Why};
pub use outbox::Means;
pub use serving::{Dropped, ServeError, Serving, serve};
pub use sockets::{BindError, Sockets};
