//! What people look at first: the sites with their agents, the boots that are under way, and what failed of late and why. One
//! reading of catalog, plans, streams and events, for whoever shows it.

mod agents;
mod boots;
mod sites;

pub(crate) use agents::{AgentLine, agents};
pub(crate) use boots::{BootLine, Day, day, lines};
pub(crate) use sites::{SITES, SiteLine, SitePage, sites};

use crate::explain::Unreadable;
