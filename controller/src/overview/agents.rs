//! The agents of a site, as they are now.

use proto::Following;
use proto::catalog::{AgentSpec, AgentStatus, AnyResource, Kind};

use super::Unreadable;
use crate::app::App;
use crate::status::with_presence;

/// An agent in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AgentLine {
    /// Its name.
    pub(crate) name: String,
    /// No call of its is answered any more.
    pub(crate) revoked: bool,
    /// What was last heard of it, and whether it is there; None: it never was.
    pub(crate) status: Option<AgentStatus>,
    /// Which plan it obeys.
    pub(crate) following: Following,
}

/// The agents of a site, by name.
///
/// # Errors
/// [`Unreadable`].
pub(crate) async fn agents(app: &App, site: &str) -> Result<Vec<AgentLine>, Unreadable> {
    let newest = app.planner.latest(site).map(|plan| plan.document.id().to_string()).unwrap_or_default();
    let listed = app.catalog.list::<AgentSpec>(Some(site)).await?;
    let mut lines = Vec::with_capacity(listed.items.len());
    for agent in listed.items {
        let status = status(app, &agent.name).await?;
        let applied = status.as_ref().map(|status| status.applied.as_str()).unwrap_or_default();
        let following = Following::of(&newest, applied);
        lines.push(AgentLine { name: agent.name, revoked: agent.spec.revoked, status, following });
    }
    Ok(lines)
}

async fn status(app: &App, name: &str) -> Result<Option<AgentStatus>, Unreadable> {
    let Some(found) = app.catalog.get_with_status(Kind::Agent, name).await? else { return Ok(None) };
    let AnyResource::Agent(agent) = with_presence(app, found) else { return Ok(None) };
    // What another version has written and this one does not understand is as if it were not there.
    Ok(agent.status.and_then(|status| serde_json::from_value(status).ok()))
}
