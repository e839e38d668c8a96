//! The agents of a site, as they are now.

use proto::catalog::{AgentSpec, AgentStatus, AnyResource, Kind};

use super::Unreadable;
use crate::agents::status::with_presence;
use crate::app::App;

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

/// Which plan an agent obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Following {
    /// The newest of its site.
    Newest,
    /// An older one.
    Behind,
    /// It never said, or its site has none.
    Unknown,
}

/// The agents of a site, by name.
///
/// # Errors
/// [`Unreadable`].
pub(crate) async fn agents(app: &App, site: &str) -> Result<Vec<AgentLine>, Unreadable> {
    let newest = app.planner.latest(site).map(|plan| plan.document.id().to_string());
    let listed = app.catalog.list::<AgentSpec>(Some(site)).await?;
    let mut lines = Vec::with_capacity(listed.items.len());
    for agent in listed.items {
        let status = status(app, &agent.name).await?;
        let following = following(newest.as_deref(), status.as_ref().map(|status| status.applied.as_str()));
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

/// Plans of the same content follow each other under newer numbers: what an agent obeys is told by epoch and digest.
fn following(newest: Option<&str>, applied: Option<&str>) -> Following {
    match (newest.and_then(content), applied.and_then(content)) {
        (Some(newest), Some(applied)) if newest == applied => Following::Newest,
        (Some(_), Some(_)) => Following::Behind,
        (None, _) | (_, None) => Following::Unknown,
    }
}

/// Epoch and digest of `EPOCH.REVISION/DIGEST`.
fn content(id: &str) -> Option<(&str, &str)> {
    let (generation, digest) = id.split_once('/')?;
    let (epoch, _) = generation.split_once('.')?;
    Some((epoch, digest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_the_newest_by_its_content_and_its_epoch() {
        let newest = Some("2.7/aabbccdd");
        assert_eq!(following(newest, Some("2.7/aabbccdd")), Following::Newest);
        assert_eq!(
            following(newest, Some("2.5/aabbccdd")),
            Following::Newest,
            "the same under an older number"
        );
        assert_eq!(following(newest, Some("2.5/00bbccdd")), Following::Behind);
        assert_eq!(following(newest, Some("1.7/aabbccdd")), Following::Behind, "before a restore");
        for unknown in [None, Some(""), Some("x")] {
            assert_eq!(following(newest, unknown), Following::Unknown);
        }
        assert_eq!(following(None, newest), Following::Unknown);
    }
}
