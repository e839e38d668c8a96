//! The sites of a fleet, a page at a time.

use super::{AgentLine, Day, Unreadable, agents};
use crate::app::App;

/// Sites of one page.
pub(crate) const SITES: usize = 200;

/// A site in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SiteLine {
    /// Its name.
    pub(crate) name: String,
    /// How much its plan lacks.
    pub(crate) problems: usize,
    /// Its agents.
    pub(crate) agents: Vec<AgentLine>,
    /// Boots that go on there.
    pub(crate) under_way: usize,
    /// Boots of the last day that came to nothing.
    pub(crate) failed: usize,
}

/// A page of sites.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SitePage {
    /// By name.
    pub(crate) sites: Vec<SiteLine>,
    /// How many there are in all.
    pub(crate) all: usize,
    /// More follow the last of them.
    pub(crate) more: bool,
}

/// The sites after this name, with what `day` knows of the whole fleet.
///
/// # Errors
/// [`Unreadable`].
pub(crate) async fn sites(app: &App, after: &str, day: &Day) -> Result<SitePage, Unreadable> {
    let plans = app.planner.sites();
    let all = plans.len();
    let mut rest = plans.into_iter().filter(|(name, _)| name.as_str() > after);
    let mut sites = Vec::new();
    for (name, plan) in rest.by_ref().take(SITES) {
        let there = |lines: &[super::BootLine]| lines.iter().filter(|line| line.boot.site == name).count();
        let (under_way, failed) = (there(&day.under_way), there(&day.failed));
        let agents = agents(app, &name).await?;
        sites.push(SiteLine { name, problems: plan.problems.len(), agents, under_way, failed });
    }
    Ok(SitePage { sites, all, more: rest.next().is_some() })
}
