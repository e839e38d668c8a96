//! The contract of a Bootlane fleet: the messages of `bootlane.v1` and the domain model that both ends share.
//!
//! Protobuf and JSON become domain types here and nowhere else; what has passed this border is legal and is not
//! checked again. The generated types of [`v1`] travel no further than the gRPC clients and servers. No I/O.

#![forbid(unsafe_code)]

pub mod catalog;
pub mod chunks;
pub mod event;
pub mod hint;
pub mod holding;
pub mod ledger;
pub mod mirror;
pub mod plan;
pub mod words;

mod address;
mod architecture;
mod blob_source;
mod digest;
mod efi;
mod firmware;
mod generation;
mod id;
mod name;
mod platform;
mod program;
mod quantity;
mod rate;
mod redacted;
mod release;
mod schedule;
mod text;
mod wall;
mod wire;
mod zone;

pub use address::{Mac, Range};
pub use architecture::{Architecture, REGISTRY};
pub use blob_source::{BlobSource, NotASource};
pub use digest::Digest;
pub use efi::EfiProgram;
pub use firmware::{FirmwareModel, NotAModel};
pub use generation::{Following, Generation, PlanId};
pub use id::{AttemptId, HostId, ImageId, Incarnation, OrderId, ReleaseId, Token128, Uid};
pub use platform::Platform;
pub use program::Program;
pub use quantity::{ByteSize, Span};
pub use rate::{NotARate, RateLimit};
pub use release::LeaseRelease;
pub use schedule::{Days, TimeOfDay};
pub use wall::Wall;
pub use wire::WireError;
pub use zone::{LocalTime, ZoneName, ZoneRule};

/// The generated messages, clients and servers.
pub mod v1 {
    #![allow(
        missing_docs,
        unreachable_pub,
        clippy::wildcard_enum_match_arm,
        clippy::allow_attributes_without_reason,
        reason = "generated code; the .proto files carry the documentation"
    )]
    tonic::include_proto!("bootlane.v1");
}

/// The encoded descriptors of `bootlane.v1`, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/bootlane.v1.bin"));

/// The largest gRPC message that either end takes, in bytes: the largest plan of a site of 500 hosts is well below it.
pub const MESSAGE_LIMIT: usize = 16 * 1024 * 1024;

/// What `bootlane-… --version` says and agents report.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
