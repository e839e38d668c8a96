//! What an agent holds of its plan, told by what it lacks: as it travels, in changes, and as both ends keep it.

use std::collections::BTreeMap;

use prost::bytes::Bytes;

use crate::{
    Digest, PlanId, v1,
    wire::{WireError, array, required, twin},
};

/// What an agent lacks of the plan that it obeys. Nothing awaited: it holds everything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// Of which plan this speaks.
    pub plan: PlanId,
    /// Blobs that are not here as a whole: those that are needed first, [`NAMED`] at most.
    pub awaited: BTreeMap<Digest, Awaited>,
    /// As many more are awaited.
    pub unnamed: u32,
    /// Their bytes.
    pub unnamed_bytes: u64,
    /// What came from outside the site's agents of late; 0: nothing comes.
    pub bytes_per_second: u64,
    /// Why nothing is fetched at all; empty: it may be.
    pub held_up: String,
}

/// A blob that is not here as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// In bytes.
    pub size: u64,
    /// Bytes of it that are here.
    pub arrived: u64,
    /// What is being done about it.
    pub state: BlobState,
    /// Of one that failed: why. Of one that is fetched again: what was wrong. Otherwise empty.
    pub reason: String,
}

/// What is being done about a blob that is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlobState {
    /// Its turn has not come.
    Queued,
    /// It is being fetched.
    Arriving,
    /// The last try failed; it is tried again.
    Failed,
}

twin!(BlobState, BlobState, Queued, Arriving, Failed);

/// Blobs that reports name; of what is awaited beyond them only number and bytes are told.
pub const NAMED: usize = 2_000;
/// Characters of a reason.
const REASON: usize = 300;

impl Holding {
    /// Of a plan that nothing is known of yet.
    #[must_use]
    pub fn of(plan: PlanId) -> Self {
        let (unnamed, unnamed_bytes, bytes_per_second) = (0, 0, 0);
        Self {
            plan,
            awaited: BTreeMap::new(),
            unnamed,
            unnamed_bytes,
            bytes_per_second,
            held_up: String::new(),
        }
    }

    /// Notes a blob that is not here; call it in order of need, once for each blob.
    pub fn lacks(&mut self, digest: Digest, awaited: Awaited) {
        if self.awaited.len() < NAMED {
            self.awaited.insert(digest, awaited);
        } else {
            self.unnamed = self.unnamed.saturating_add(1);
            self.unnamed_bytes =
                self.unnamed_bytes.saturating_add(awaited.size - awaited.arrived.min(awaited.size));
        }
    }

    /// Is nothing awaited?
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.awaited.is_empty() && self.unnamed == 0
    }

    /// What is to be told to who knows `told`; None: that is everything there is to say.
    #[must_use]
    pub fn report(&self, told: Option<&Self>) -> Option<v1::HoldingReport> {
        if told == Some(self) {
            return None;
        }
        let known = |digest: &Digest| told.and_then(|told| told.awaited.get(digest));
        let news = self.awaited.iter().filter(|(digest, awaited)| known(digest) != Some(*awaited));
        let before = told.into_iter().flat_map(|told| told.awaited.keys());
        let gone = before.filter(|digest| !self.awaited.contains_key(*digest));
        Some(v1::HoldingReport {
            plan: Some(self.plan.into()),
            whole: told.is_none(),
            awaited: news.map(|(digest, awaited)| awaited.to_wire(*digest)).collect(),
            gone: gone.map(|digest| Bytes::copy_from_slice(&digest.0)).collect(),
            unnamed: self.unnamed,
            unnamed_bytes: self.unnamed_bytes,
            bytes_per_second: self.bytes_per_second,
            held_up: self.held_up.clone(),
        })
    }

    /// What is known after a report, of who said `before` until then. Reports that name more than is kept are counted.
    ///
    /// # Errors
    /// Names the field that cannot be taken; a change without anything before it.
    pub fn after(before: Option<Self>, report: v1::HoldingReport) -> Result<Self, WireError> {
        let plan = PlanId::try_from(required("plan", report.plan)?).map_err(|error| error.within("plan"))?;
        let mut awaited = match (report.whole, before) {
            (true, _) => BTreeMap::new(),
            (false, Some(before)) => before.awaited,
            (false, None) => return Err(WireError::new("whole", "is missing in a first report")),
        };
        for digest in &report.gone {
            awaited.remove(&Digest(array("gone", digest)?));
        }
        for message in report.awaited {
            let (digest, blob) = Awaited::from_wire(message)?;
            awaited.insert(digest, blob);
        }
        if awaited.len() > NAMED {
            return Err(WireError::new(
                "awaited",
                format!("are {}, expected at most {NAMED}", awaited.len()),
            ));
        }
        Ok(Self {
            plan,
            awaited,
            unnamed: report.unnamed,
            unnamed_bytes: report.unnamed_bytes,
            bytes_per_second: report.bytes_per_second,
            held_up: plain(&report.held_up),
        })
    }
}

impl Awaited {
    /// Bytes that are still to come.
    #[must_use]
    pub fn rest(&self) -> u64 {
        self.size.saturating_sub(self.arrived)
    }

    fn to_wire(&self, digest: Digest) -> v1::AwaitedBlob {
        v1::AwaitedBlob {
            sha256: Bytes::copy_from_slice(&digest.0),
            size: self.size,
            arrived: self.arrived,
            state: self.state.into(),
            reason: self.reason.clone(),
        }
    }

    fn from_wire(message: v1::AwaitedBlob) -> Result<(Digest, Self), WireError> {
        let digest = Digest(array("awaited.sha256", &message.sha256)?);
        let awaited = Self {
            size: message.size,
            arrived: message.arrived.min(message.size),
            // A state that is not known here says no more than that it is awaited.
            state: BlobState::from_wire("awaited.state", message.state).unwrap_or(BlobState::Queued),
            reason: plain(&message.reason),
        };
        Ok((digest, awaited))
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(REASON).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Generation;

    fn plan(revision: u64) -> PlanId {
        PlanId { generation: Generation { epoch: 1, revision }, planner: 1, digest: Digest::of(b"plan") }
    }

    fn awaited(arrived: u64) -> Awaited {
        Awaited { size: 100, arrived, state: BlobState::Arriving, reason: String::new() }
    }

    fn holding(blobs: &[(u8, u64)]) -> Holding {
        let mut holding = Holding::of(plan(1));
        blobs.iter().for_each(|(name, arrived)| holding.lacks(Digest([*name; 32]), awaited(*arrived)));
        holding
    }

    #[test]
    fn changes_lead_from_one_state_to_the_next() {
        let states = [
            holding(&[(1, 0), (2, 0), (3, 0)]),
            holding(&[(1, 50), (2, 0), (3, 0)]),
            Holding { plan: plan(2), bytes_per_second: 9, ..holding(&[(2, 0), (3, 1), (4, 0)]) },
            Holding { held_up: "no link".into(), ..holding(&[]) },
        ];
        let (mut told, mut known) = (None, None);
        for state in states {
            let report = state.report(told.as_ref()).expect("news");
            known = Some(Holding::after(known, report).expect("legal"));
            assert_eq!(known.as_ref(), Some(&state));
            assert_eq!(state.report(Some(&state)), None, "nothing is said twice");
            told = Some(state);
        }
    }

    #[test]
    fn a_change_holds_what_has_changed_alone() {
        let report = holding(&[(1, 50), (2, 0)]).report(Some(&holding(&[(1, 0), (2, 0), (3, 0)])));
        let report = report.expect("news");
        assert_eq!((report.whole, report.awaited.len(), report.gone.len()), (false, 1, 1));
    }

    #[test]
    fn what_is_beyond_the_bound_is_counted() {
        let mut holding = Holding::of(plan(1));
        for number in 0..NAMED + 3 {
            holding.lacks(Digest::of(&number.to_le_bytes()), awaited(40));
        }
        assert_eq!((holding.awaited.len(), holding.unnamed, holding.unnamed_bytes), (NAMED, 3, 180));
        assert!(!holding.is_complete());
    }

    #[test]
    fn reports_that_cannot_be_taken_are_refused() {
        let report = holding(&[(1, 0)]).report(None).expect("news");
        let later = v1::HoldingReport { whole: false, ..report.clone() };
        Holding::after(None, later.clone()).expect_err("a change of nothing");
        Holding::after(Some(holding(&[])), later).expect("a change");
        let nameless = v1::HoldingReport { plan: None, ..report.clone() };
        Holding::after(None, nameless).expect_err("of no plan");
        let mut short = report.clone();
        short.awaited[0].sha256 = Bytes::from_static(b"short");
        Holding::after(None, short).expect_err("no digest");
        let blob = |number: usize| awaited(0).to_wire(Digest::of(&number.to_le_bytes()));
        let flood = v1::HoldingReport { awaited: (0..=NAMED).map(blob).collect(), ..report };
        Holding::after(None, flood).expect_err("too many");
    }
}
