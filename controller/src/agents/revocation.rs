//! Closes the open streams of agents that were revoked, removed or enrolled anew (S12).

use futures::StreamExt as _;
use proto::catalog::{AgentSpec, Kind, Resource};

use crate::app::App;
use crate::catalog::keys::{self, Place};
use crate::store::{Change, Revision, WatchEvent};

/// How long to wait before the catalog is watched again.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

/// Watches the catalog; whatever controller wrote the change, it is seen here. Never ends by itself.
pub(crate) async fn watch(app: App) {
    loop {
        match app.store.revision().await {
            Ok(revision) => follow(&app, revision).await,
            Err(error) => tracing::error!(%error, "cannot watch for revoked agents"),
        }
        // What was revoked between two watches is found by asking for everyone who has a stream open.
        tokio::time::sleep(PAUSE).await;
        check_all(&app).await;
    }
}

async fn follow(app: &App, revision: Revision) {
    let mut events = app.store.watch(keys::SITES, revision.next());
    check_all(app).await;
    while let Some(event) = events.next().await {
        match event {
            WatchEvent::Batch(batch) => batch.changes.iter().for_each(|change| look(app, change)),
            WatchEvent::Progress(_) => {}
            WatchEvent::Compacted(_) => return,
        }
    }
}

fn look(app: &App, change: &Change) {
    let Some(place) = Place::parse(&change.key).filter(|place| place.kind == Kind::Agent) else { return };
    let read = |value: &[u8]| serde_json::from_slice::<Resource<AgentSpec>>(value).ok();
    let now = change.now.as_ref().and_then(|version| read(&version.value));
    let before = change.before.as_ref().and_then(|version| read(&version.value));
    let same_key =
        |now: &Resource<AgentSpec>| before.as_ref().is_none_or(|before| before.spec.key == now.spec.key);
    if !now.is_some_and(|now| !now.spec.revoked && same_key(&now)) {
        close(app, place.name);
    }
}

async fn check_all(app: &App) {
    for agent in app.sessions.agents() {
        let found = app.catalog.get_agent(&agent).await;
        if let Ok(found) = found
            && found.is_none_or(|agent| agent.spec.revoked)
        {
            close(app, &agent);
        }
    }
}

fn close(app: &App, agent: &str) {
    let closed = app.sessions.close(agent);
    tracing::info!(agent, closed, "closed the streams of a revoked agent");
}
