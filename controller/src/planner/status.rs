//! Notes in each site's status which plan it has and what that plan lacks, off the path of publishing.

use std::collections::HashMap;
use std::sync::Arc;

use proto::catalog::Kind;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::Published;
use crate::catalog::keys;
use crate::plan::PlanProblem;
use crate::store::{Store, Txn};

/// What was seen of a site: `/status/site/NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteStatus {
    /// The newest plan: `EPOCH.REVISION/DIGEST`.
    pub plan: String,
    /// What the plan lacks, and why.
    #[serde(default)]
    pub problems: Vec<PlanProblem>,
}

/// Plans whose status waits to be written; further ones are noted by the next plan of their site.
const QUEUE: usize = 1_024;

pub(super) struct StatusWriter(mpsc::Sender<(String, Arc<Published>)>);

impl StatusWriter {
    pub(super) fn start(store: Arc<dyn Store>) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        tokio::spawn(write_all(store, queue));
        Self(sender)
    }

    pub(super) fn note(&self, site: &str, plan: Arc<Published>) {
        // A full queue costs a line of a status, and must not hold up plans.
        if self.0.try_send((site.to_owned(), plan)).is_err() {
            tracing::debug!(site, "the status of a plan is not noted: too many wait");
        }
    }
}

async fn write_all(store: Arc<dyn Store>, mut queue: mpsc::Receiver<(String, Arc<Published>)>) {
    let mut waiting = HashMap::new();
    while let Some((site, plan)) = queue.recv().await {
        waiting.insert(site, plan);
        while let Ok((site, plan)) = queue.try_recv() {
            waiting.insert(site, plan);
        }
        for (site, plan) in waiting.drain() {
            write(store.as_ref(), &site, &plan).await;
        }
    }
}

async fn write(store: &dyn Store, site: &str, plan: &Published) {
    let Ok(key) = keys::status(Kind::Site, site) else { return };
    let status = SiteStatus { plan: plan.document.id().to_string(), problems: plan.problems.clone() };
    let json = serde_json::to_vec(&status).expect("plain fields");
    if let Err(error) = store.txn(Txn::new().put(key, json)).await {
        tracing::warn!(site, %error, "cannot write the status of a site");
    }
}
