//! The HTTP server for machines: images, rendered files and what installers report.
//!
//! HTTP/1.1 without TLS on the interfaces that the agent's file lists: machines are not served over TLS. What a path stands
//! for is the [`Desk`](crate::desk::Desk)'s to say; there is no file system behind it. Every length is announced and nothing
//! is chunked (QUIRKS 34), but files of mirrors whose length nobody knows; single ranges are served (QUIRKS 59); what is still arriving is sent as it arrives.
//!
//! ```text
//!  server ─accepts─► connection ─asks─► desk
//!                      │    │ GET, HEAD: given ─► body: memory, or file to socket by sendfile
//!                      │    └ sending: tells the desk how it went
//!                      ├ mirrored: files of package mirrors
//!                      └ all else: odd, on hyper
//! ```
//!
//! docs/adr/0011 says why files have a way of their own.
//!
//! Assumes a tokio runtime and listeners that were bound before privileges were dropped. Leaves to others: which
//! files exist, where blobs come from, and what is done with reports.

mod admission;
mod body;
mod connection;
mod given;
mod memory;
mod mirrored;
mod odd;
mod path;
mod reply;
mod report;
mod request;
mod sending;
mod server;
#[cfg(test)]
mod tests;
mod wire;

use std::{sync::Arc, time::Duration};

use crate::{Tap, images::Images, mirror::Mirrors};

pub use server::{ServeError, Server, Serving};

/// What the server allows itself and others.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at one time, over all listeners of a [`Server`].
    pub connections: usize,
    /// Of these, to one address.
    pub connections_per_address: usize,
    /// How long a client may take to send a request's head, from its first byte or from the connection's start.
    pub head: Duration,
    /// The bytes of a request's head, at most; at least 8,192.
    pub head_bytes: usize,
    /// Header fields in it.
    pub head_fields: usize,
    /// How long a client may take to send a report's body.
    pub report: Duration,
    /// How long a connection may wait for another request.
    pub idle: Duration,
    /// A client that takes no byte for so long is cut off.
    pub stall: Duration,
    /// How long a request waits for a blob that is not in the cache.
    pub blob_patience: Duration,
    /// How long an arriving blob may stand still before those that wait for it are cut off.
    pub arrival_stall: Duration,
    /// How long bodies may go on after the server was told to stop.
    pub drain: Duration,
}

/// What all connections have in common.
#[derive(Debug)]
struct Shared<D> {
    desk: Arc<D>,
    images: Images,
    mirrors: Option<Mirrors>,
    limits: Arc<Limits>,
    reads: body::Reads,
    memory: memory::Memory,
    tap: Tap,
}

impl<D> Shared<D> {
    fn new(desk: Arc<D>, images: Images, mirrors: Option<Mirrors>, limits: Limits) -> Self {
        let (reads, memory) = (body::Reads::new(), memory::Memory::new());
        Self { desk, images, mirrors, limits: Arc::new(limits), reads, memory, tap: Tap::default() }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 4_096,
            connections_per_address: 64,
            head: Duration::from_secs(10),
            head_bytes: 16 << 10,
            head_fields: 64,
            report: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            blob_patience: Duration::from_secs(15),
            arrival_stall: Duration::from_secs(60),
            drain: Duration::from_secs(5),
        }
    }
}
