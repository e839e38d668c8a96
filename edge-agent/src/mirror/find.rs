//! From a request to what there is for it: what is held, what arrives, or why there is nothing.

use std::sync::Arc;

use http::request::Parts;
use netboot::mirror::ObjectPath;
use proto::plan::MirrorPlan;

use super::{
    Mirrors,
    answer::{Found, How},
    fetch::blocking,
    flight::{Failure, FailureKind, Flight, Outcome},
    kept::{Asker, Flying, Kept, Step, wall_now},
};
use crate::disk::DiskError;

/// A file that is asked for.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) mirror: &'a MirrorPlan,
    pub(super) kept: &'a Arc<Kept>,
    pub(super) object: &'a ObjectPath,
    pub(super) asker: Asker,
}

impl Mirrors {
    /// What there is for who asks; None: there is no such file.
    pub(super) async fn find(&self, wish: Wish<'_>, request: &Parts) -> Result<Option<Found>, Failure> {
        let counters = &wish.kept.counters;
        // A second look for what was evicted between two steps, and a third for what was damaged.
        for _ in 0..3 {
            let (outcome, first) = match wish.kept.step(wish.mirror, wish.object, wish.asker, wall_now()) {
                Step::Give => match self.held(wish, How::Held).await? {
                    None => continue,
                    found => return Ok(found),
                },
                Step::Known(outcome) => (outcome, false),
                Step::Busy => return Err(Failure::new(FailureKind::Here, "too many files are asked for")),
                Step::Wait { flight, first } => {
                    if first {
                        self.ask(wish, &flight);
                    }
                    (flight.outcome().await, first)
                }
            };
            match outcome {
                Outcome::Arriving(arriving) => {
                    let how = if first { How::Fetched } else { How::Joined };
                    if first { &counters.fetched } else { &counters.joined }.one();
                    return Found::arriving(arriving, how, request, &self.0.limits).await.map(Some);
                }
                Outcome::Unchanged => match self.held(wish, How::Checked).await? {
                    None => continue,
                    found => return Ok(found),
                },
                Outcome::Absent => return Ok(None),
                Outcome::Failed(failure) => return self.stale(wish, failure).await.map(Some),
            }
        }
        Err(Failure::new(FailureKind::Here, "the file is not kept: the budget may be too small"))
    }

    fn ask(&self, wish: Wish<'_>, flight: &Arc<Flight>) {
        let (kept, object) = (Arc::clone(wish.kept), wish.object.clone());
        let flying = Flying { kept, object, flight: Arc::clone(flight) };
        // It goes on when the machine goes away: others have joined, or will ask.
        tokio::spawn(Arc::clone(&self.0.fetches).run(wish.mirror.clone(), flying));
    }

    /// What is held, if it came from an upstream that is still declared.
    async fn held(&self, wish: Wish<'_>, how: How) -> Result<Option<Found>, Failure> {
        let declared: Vec<String> = wish.mirror.upstreams.iter().map(ToString::to_string).collect();
        let (kept, path) = (Arc::clone(wish.kept), wish.object.as_str().to_owned());
        let held = blocking(move || {
            let held = kept.store.get(&path)?;
            if held.as_ref().is_some_and(|held| !declared.contains(&held.known.upstream)) {
                return kept.store.remove(&path).map(|()| None);
            }
            Ok(held)
        });
        let held = held.await.map_err(|error: DiskError| {
            tracing::warn!(error = &error as &dyn std::error::Error, "failed to read a file of a mirror");
            Failure::new(FailureKind::Here, "the disk fails")
        })?;
        let Some(held) = held else { return Ok(None) };
        let counters = &wish.kept.counters;
        match how {
            How::Held => counters.held.one(),
            How::Checked => counters.checked.one(),
            How::Stale => counters.stale.one(),
            How::Fetched | How::Joined => {}
        }
        Ok(Some(Found::held(&held, how, &self.0.limits)))
    }

    /// What is held is better than nothing, as long as it fits what else is given away.
    async fn stale(&self, wish: Wish<'_>, failure: Failure) -> Result<Found, Failure> {
        let path = wish.object.as_str();
        if wish.kept.store.seen(path).is_none() {
            return Err(failure);
        }
        if !wish.kept.is_coherent(wish.mirror, wish.object) {
            let why =
                format!("{}, and what is held is older than the release that it belongs to", failure.why);
            return Err(Failure::new(failure.kind, why));
        }
        tracing::debug!(mirror = wish.mirror.name, path, why = &*failure.why, "served stale");
        self.held(wish, How::Stale).await?.ok_or(failure)
    }
}
