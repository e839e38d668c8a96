//! What was last heard of an agent: `/status/agent/NAME`, and whether it is there now.
//!
//! The store keeps what an agent said and when it was last heard. Whether it is there is never stored: only this
//! controller's open streams know, and only for as long as bytes arrive on them ([`with_presence`]).

use std::time::Duration;

use proto::Wall;
use proto::catalog::{AgentStatus, AnyResource, Kind};

use crate::app::App;
use crate::catalog::keys;
use crate::sessions::Contact;
use crate::store::{Key, Revision, Txn, TxnError};

/// How often a status is written anew when the agent's other stream writes it meanwhile.
const TRIES: usize = 8;
/// An agent that was not heard for so long is away, whatever `limits.keep_alive` is: agents send pings of their own every
/// 10 s. A shorter `keep_alive` ends the connection of a silent one, and with it its presence, sooner.
const SILENCE: Duration = Duration::from_secs(15);

/// Changes an agent's status. A status that cannot be written is logged and lost: the next one replaces it.
pub(crate) async fn note(
    app: &App,
    agent: &str,
    contact: &Contact,
    change: impl Fn(&mut AgentStatus) + Send + Sync,
) {
    let Ok(key) = keys::status(Kind::Agent, agent) else { return };
    // The agent may have another connection by now.
    let ago = app.sessions.heard(agent).map_or(contact.ago(), |other| other.min(contact.ago()));
    let heard = at(app, ago);
    for _ in 0..TRIES {
        match write(app, &key, heard, &change).await {
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
    heard: Wall,
    change: &(impl Fn(&mut AgentStatus) + Send + Sync),
) -> Result<(), TxnError> {
    let found = app.store.get(key).await.unwrap_or_default();
    let at = found.as_ref().map_or(Revision::ZERO, |found| found.mod_revision);
    let mut status: AgentStatus =
        found.and_then(|found| serde_json::from_slice(&found.value).ok()).unwrap_or_default();
    change(&mut status);
    status.connected = false;
    status.last_contact_ms = heard;
    let json = serde_json::to_vec(&status).expect("plain fields");
    app.store.txn(Txn::new().expect(key.clone(), at).put(key.clone(), json)).await.map(drop)
}

/// Is the agent there, and when was it last heard on a stream that is open, if there is one?
pub(crate) fn heard(app: &App, agent: &str) -> (bool, Option<Wall>) {
    let ago = app.sessions.heard(agent);
    (ago.is_some_and(|ago| ago < SILENCE), ago.map(|ago| at(app, ago)))
}

/// When an agent that is away was last heard, the epoch if never; None: it is there.
pub(crate) async fn last_heard(app: &App, agent: &str) -> Option<Wall> {
    let ago = app.sessions.heard(agent);
    if ago.is_some_and(|ago| ago < SILENCE) {
        return None;
    }
    let stored = app.catalog.status(Kind::Agent, agent).await.unwrap_or_default();
    let stored = stored.and_then(|stored| serde_json::from_value::<AgentStatus>(stored).ok());
    let stored = stored.map(|status| status.last_contact_ms).unwrap_or_default();
    Some(ago.map_or(stored, |ago| stored.max(at(app, ago))))
}

/// A document as callers see it: an agent's says whether it is there, and when it was last heard.
pub(crate) fn with_presence(app: &App, mut any: AnyResource) -> AnyResource {
    if any.kind() != Kind::Agent {
        return any;
    }
    let stored = any.to_value().get("status").cloned();
    let heard = app.sessions.heard(any.name());
    if stored.is_none() && heard.is_none() {
        return any;
    }
    let mut status: AgentStatus =
        stored.and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_default();
    status.connected = heard.is_some_and(|ago| ago < SILENCE);
    if let Some(ago) = heard {
        status.last_contact_ms = at(app, ago);
    }
    any.set_status(Some(serde_json::to_value(status).expect("plain fields")));
    any
}

fn at(app: &App, ago: Duration) -> Wall {
    let ago = u64::try_from(ago.as_millis()).unwrap_or(u64::MAX);
    Wall(app.clock.wall().0.saturating_sub(ago))
}
