//! What people look at first: the sites with their agents, the boots that are under way, and what failed of late and why. One
//! reading of catalog, plans, streams and events, for whoever shows it.

mod agents;
mod boots;
mod sites;

pub(crate) use agents::{AgentLine, Following, agents};
pub(crate) use boots::{BootLine, Day, day, line_of, lines};
pub(crate) use sites::{SITES, SiteLine, SitePage, sites};

use crate::{catalog, events};

/// What is stored could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// The catalog.
    #[error(transparent)]
    Catalog(#[from] catalog::ReadError),
    /// The events.
    #[error(transparent)]
    Events(#[from] events::ReadError),
}
