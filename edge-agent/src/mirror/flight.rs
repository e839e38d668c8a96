//! One question to the upstreams for all machines that ask the same.

use std::{net::Ipv4Addr, sync::Arc};

use tokio::sync::watch;

use super::arriving::Arriving;

/// What came of asking.
#[derive(Debug, Clone)]
pub(super) enum Outcome {
    /// The file is on its way.
    Arriving(Arc<Arriving>),
    /// What is held is the version that the upstream has.
    Unchanged,
    /// There is no such file.
    Absent,
    /// No upstream answered, or what it answered cannot be used.
    Failed(Failure),
}

/// Why there is nothing.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    pub(super) kind: FailureKind,
    /// For people.
    pub(super) why: Arc<str>,
}

/// What a machine may make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    /// The upstreams: status 504.
    Upstream,
    /// Too much is being done, or the disk has no room: status 503.
    Here,
    /// It is larger than the mirror takes, or no upstream gives it though one answers: status 502.
    Refused,
}

impl Failure {
    pub(super) fn new(kind: FailureKind, why: impl Into<Arc<str>>) -> Self {
        Self { kind, why: why.into() }
    }
}

/// A question that was asked, and those who wait for what comes of it.
#[derive(Debug)]
pub(super) struct Flight {
    /// The machine that asked first.
    pub(super) asker: Ipv4Addr,
    landed: watch::Sender<Option<Outcome>>,
}

impl Flight {
    pub(super) fn new(asker: Ipv4Addr) -> Arc<Self> {
        Arc::new(Self { asker, landed: watch::Sender::new(None) })
    }

    /// The first outcome counts.
    pub(super) fn land(&self, outcome: Outcome) {
        self.landed.send_if_modified(|landed| {
            let first = landed.is_none();
            landed.get_or_insert(outcome);
            first
        });
    }

    pub(super) async fn outcome(&self) -> Outcome {
        let mut waiting = self.landed.subscribe();
        let landed = waiting.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
        // The sender is ours and lives as long as we do.
        landed.unwrap_or_else(|| Outcome::Failed(Failure::new(FailureKind::Here, "nobody asks any more")))
    }
}
