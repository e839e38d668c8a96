//! How controllers are reached, and what the agent's parts know of the link to them: what stands below both the uplink and those
//! that fetch over it.

mod connect;

use std::{sync::Arc, time::SystemTime};

use certs::{SiteName, tls::ReloadableClient};

pub use connect::{ConnectError, connect_http};
pub(crate) use connect::{channel, server_name};

/// The link as others see it.
#[derive(Debug, Clone, Default)]
pub struct Link {
    /// Is a stream of updates open?
    pub up: bool,
    /// For fetching blobs; None before enrolment.
    pub tls: Option<Arc<ReloadableClient>>,
    /// The site that our certificate names; None before enrolment.
    pub site: Option<SiteName>,
    /// When our certificate ends; None before enrolment.
    pub certificate_ends: Option<SystemTime>,
}

/// What the controller is told beside events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    /// Bytes in the image cache.
    pub cache_bytes: u64,
    /// Blobs that the plan names and that are not here.
    pub missing_blobs: u32,
    /// Where machines reach us.
    pub addresses: Vec<String>,
    /// `ADDRESS:PORT` where other agents of the site may fetch blobs from us.
    pub peer_addresses: Vec<String>,
    /// Bytes that the image cache may take; 0: not known yet.
    pub cache_budget: u64,
}
