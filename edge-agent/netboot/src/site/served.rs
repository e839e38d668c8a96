//! What machines ask for, what they are given, and how that went: between the site and the servers of files.

use std::{fmt, net::Ipv4Addr, time::Duration};

use prost::bytes::Bytes;
use proto::{
    AttemptId, HostId, Mac, Token128,
    event::{Breakage, Transport, clean},
    plan::{BlobRef, Stage},
};

use super::Arrival;
use crate::{capture::mask_tokens, forms::Expected};

/// The longest name that an event shows, in characters.
const SHOWN_NAME: usize = 128;

/// A machine asks for a file.
#[derive(Clone)]
pub struct FileRequest {
    /// Numbers the request; the answer bears it.
    pub ask: u64,
    /// By which protocol.
    pub transport: Transport,
    /// Where it came in.
    pub arrival: Arrival,
    /// Who asks.
    pub from: Ipv4Addr,
    /// Without a leading slash.
    pub name: String,
    /// Nothing but the size is asked for (HTTP HEAD): begins no installation.
    pub probe: bool,
}

impl fmt::Debug for FileRequest {
    /// Without the token that the name may hold, which opens an order's files.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ask, transport, arrival, from, name, probe } = self;
        out.debug_struct("FileRequest")
            .field("ask", ask)
            .field("transport", transport)
            .field("arrival", arrival)
            .field("from", from)
            .field("name", &shown(name))
            .field("probe", probe)
            .finish()
    }
}

/// The answer to a [`FileRequest`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileAnswer {
    /// Send this, and tell how it went with the same `served`.
    Send {
        /// The bytes.
        source: Source,
        /// For [`FileTold`].
        served: Served,
    },
    /// There is no such file: HTTP 404, TFTP error 1. Never says more to the machine.
    NotFound,
}

/// Where a file's bytes are.
#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// In the image cache.
    Blob(BlobRef),
    /// Here.
    Bytes(Bytes),
}

impl Source {
    /// How many bytes all of it has.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Blob(blob) => blob.size,
            Self::Bytes(bytes) => bytes.len() as u64,
        }
    }
}

impl fmt::Debug for Source {
    /// Bytes that were made here may hold secrets and tokens: their number alone.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(blob) => out.debug_tuple("Blob").field(blob).finish(),
            Self::Bytes(bytes) => write!(out, "Bytes({} of them)", bytes.len()),
        }
    }
}

/// What is being sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Its name in the plan.
    pub name: String,
    /// What it is to the machine.
    pub stage: Stage,
    pub(super) attempt: Option<AttemptId>,
    pub(super) host: Option<HostId>,
    pub(super) mac: Option<Mac>,
    /// What it proves of the ROM that asked for it, once so many bytes of it have arrived.
    pub(super) proves: Option<(Expected, u64)>,
    pub(super) stands: bool,
}

impl Served {
    /// The machine may be given the same again without a question here, as long as [`Site::changes`](super::Site::changes) stays what it is.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.stands
    }
}

/// How the sending of a file went.
#[derive(Debug, Clone)]
pub struct FileTold {
    /// From the answer.
    pub served: Served,
    /// By which protocol.
    pub transport: Transport,
    /// How many bytes left; of one that was probed, its size.
    pub bytes: u64,
    /// From request to last byte.
    pub took: Duration,
    /// TFTP blocks sent more than once.
    pub retransmissions: u32,
    /// How often it was sent whole again in that time, unasked, since the answer stood: bytes and time are those of all.
    pub repeats: u32,
    /// How it ended.
    pub end: FileEnd,
}

/// How the sending of a file ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileEnd {
    /// All of it was sent.
    Whole,
    /// The machine wanted its size alone (QUIRKS 38).
    Probed,
    /// Not all of it was sent.
    Broken(Broken),
}

/// Why a file was not sent in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// For people.
    pub why: String,
    /// The same for programs.
    pub breakage: Breakage,
    /// TFTP's, in bytes; 0: not by TFTP, or no block was sent.
    pub block_size: u16,
}

/// A name fit for events and log lines: whatever might be a token in it is left out (S2), and whatever stands where one belongs.
/// Only behind `a/` stands an attempt, which may be shown.
#[must_use]
pub fn shown(name: &str) -> String {
    let mut before = "";
    let mut word = |word| match std::mem::replace(&mut before, word) {
        "a" => word.to_owned(),
        "o" | "O" => "...".to_owned(),
        _ if word.parse::<Token128>().is_ok() => "...".to_owned(),
        _ => masked(word),
    };
    let words: Vec<_> = name.split(['/', '\\']).map(&mut word).collect();
    clean(words.join("/").as_bytes(), SHOWN_NAME)
}

fn masked(word: &str) -> String {
    let mut bytes = word.as_bytes().to_vec();
    mask_tokens(&mut bytes);
    // Stars stand for what was ASCII.
    String::from_utf8(bytes).unwrap_or_default()
}
