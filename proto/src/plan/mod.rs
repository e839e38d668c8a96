//! A site's plan: what its agents are to do (DESIGN §4 "Planning").
//!
//! [`PlanDocument`] is the plan as it is signed off, sent and stored: opaque entries under one digest.
//! [`SitePlan`] is what an agent understands of it. Decoding never refuses a whole plan for one host's part:
//! what is not understood becomes a [`Doubt`], and doubt means the local disk.

mod chunks;
mod document;
mod loaders;
mod mirror;
mod prefetch;
mod reply;
mod site;
mod wan;
mod wire;

pub use chunks::{ChunkListRef, ChunkLists};
pub use document::{DeltaError, Entry, PlanDocument};
pub use loaders::LoaderSet;
pub use mirror::MirrorPlan;
pub use prefetch::{Need, Peer, Prefetch};
pub use reply::{CustomOption, LearnedForm, ReplyForm, ReplySettings, is_reserved};
pub use site::{
    BlobRef, Boot, Content, DhcpMode, Doubt, Guard, HostPlan, Loader, Network, OrderPlan, Part, PlannedFile,
    SitePlan, Slot, Stage, Subnet, UnknownMachines,
};
pub use wan::{InForce, Wan, WanWindow};
pub use wire::{
    chunks_entry, host_entry, loaders_entry, mirror_entry, network_entry, order_entry, prefetch_entry,
    secrets_entry,
};

/// The plan level that this build understands. Raise it with every addition that an older agent must not ignore.
///
/// 2: loader sets, boots that name some, and the slot of the MAC with hyphens.
pub const LEVEL: u32 = 2;
