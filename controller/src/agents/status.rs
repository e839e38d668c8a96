//! What was last heard of an agent: `/status/agent/NAME`.

use proto::catalog::{AgentStatus, Kind};

use crate::app::App;
use crate::catalog::keys;
use crate::store::{Key, Revision, Scan, Txn, TxnError};

/// How often a status is written anew when the agent's other stream writes it meanwhile.
const TRIES: usize = 8;

/// Changes an agent's status. A status that cannot be written is logged and lost: the next one replaces it.
pub(crate) async fn note(app: &App, agent: &str, change: impl Fn(&mut AgentStatus) + Send + Sync) {
    let Ok(key) = keys::status(Kind::Agent, agent) else { return };
    for _ in 0..TRIES {
        match write(app, &key, &change).await {
            Err(TxnError::Conflict { .. }) => {}
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(agent, %error, "cannot write an agent's status");
                return;
            }
        }
    }
}

async fn write(
    app: &App,
    key: &Key,
    change: &(impl Fn(&mut AgentStatus) + Send + Sync),
) -> Result<(), TxnError> {
    let found = app.store.get(key).await.unwrap_or_default();
    let at = found.as_ref().map_or(Revision::ZERO, |found| found.mod_revision);
    let mut status: AgentStatus =
        found.and_then(|found| serde_json::from_slice(&found.value).ok()).unwrap_or_default();
    change(&mut status);
    status.last_contact_ms = app.clock.wall();
    put(app, key, at, &status).await
}

async fn put(app: &App, key: &Key, at: Revision, status: &AgentStatus) -> Result<(), TxnError> {
    let json = serde_json::to_vec(status).expect("plain fields");
    app.store.txn(Txn::new().expect(key.clone(), at).put(key.clone(), json)).await.map(drop)
}

/// After a start no stream is open, whatever a controller that was killed has left.
pub(crate) async fn disconnect_all(app: &App) {
    let Ok(page) = app.store.scan(Scan::prefix("/status/agent/")).await else { return };
    for entry in page.entries {
        let Ok(mut status) = serde_json::from_slice::<AgentStatus>(&entry.version.value) else { continue };
        if std::mem::take(&mut status.connected)
            && let Err(error) = put(app, &entry.key, entry.version.mod_revision, &status).await
        {
            tracing::warn!(key = %entry.key, %error, "cannot write an agent's status");
        }
    }
}
