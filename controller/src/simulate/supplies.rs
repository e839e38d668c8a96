//! Where the blobs of a boot are: at the agent, on their way, at the controller, or nowhere.

use std::collections::{BTreeMap, BTreeSet};

use proto::holding::{BlobState, Holding};
use proto::plan::BlobRef;
use proto::{Digest, Wall};

use super::scenario::Held;
use crate::app::App;
use crate::readiness::SiteReadiness;
use crate::status::last_heard;

/// What is known of blobs, and those that the agent can neither give nor fetch now.
pub(super) type Supplies = (BTreeMap<Digest, Held>, BTreeSet<Digest>);

/// What is known of these blobs, and which of them the agent can neither give nor fetch now.
pub(super) async fn of(app: &App, site: &str, agent: &str, blobs: &[BlobRef]) -> Supplies {
    let holding = app.holdings.known(app.store.as_ref(), agent).await.map(|known| known.holding);
    let away = last_heard(app, agent).await.is_some();
    let (mut held, mut out_of_reach) = (BTreeMap::new(), BTreeSet::new());
    for blob in blobs {
        if held.contains_key(&blob.digest) {
            continue;
        }
        let mut one = at_agent(agent, *blob, holding.as_deref());
        if one.waits {
            one = await_it(app, site, agent, *blob, one).await;
        }
        // Of one that never said what it holds, nothing follows.
        if one.waits && away && holding.is_some() {
            out_of_reach.insert(blob.digest);
        }
        held.insert(blob.digest, one);
    }
    (held, out_of_reach)
}

fn at_agent(agent: &str, blob: BlobRef, holding: Option<&Holding>) -> Held {
    let waits = |words: String| Held { words, waits: true, at: None, lost: false };
    let Some(holding) = holding else {
        return waits(format!("agent {agent} has not said what it holds"));
    };
    match holding.awaited.get(&blob.digest) {
        None => Held { words: format!("held by {agent}"), waits: false, at: None, lost: false },
        Some(awaited) => waits(match awaited.state {
            BlobState::Queued => format!("not at {agent} yet"),
            BlobState::Arriving => {
                format!("on its way to {agent}: {} of {} bytes are there", awaited.arrived, awaited.size)
            }
            BlobState::Failed => format!("not at {agent}: {}", awaited.reason),
        }),
    }
}

/// The controller gives what is missing, unless it does not hold it either.
async fn await_it(app: &App, site: &str, agent: &str, blob: BlobRef, held: Held) -> Held {
    if let Ok(false) = app.blobs.contains(blob.digest).await {
        let words = format!("{}, and not at the controller", held.words);
        return Held { words, lost: true, ..held };
    }
    Held { at: expected(app, site, agent, blob).await, ..held }
}

async fn expected(app: &App, site: &str, agent: &str, blob: BlobRef) -> Option<Wall> {
    let mut readiness = SiteReadiness::of(app, site)?;
    let blobs: BTreeMap<Digest, u64> = BTreeMap::from([(blob.digest, blob.size)]);
    let message = readiness.message(agent, "", &blobs).await;
    Some(Wall(message.done_ms)).filter(|done| done.0 != 0)
}
