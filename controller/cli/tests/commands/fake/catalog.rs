//! What the fake controller holds, and how it judges a change.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use proto::Digest;
use proto::catalog::{AnyResource, Kind, Problem};
use proto::v1;
use serde_json::Value;
use tonic::Status;

/// What the fake controller holds.
#[derive(Default)]
pub(crate) struct Catalog {
    pub(crate) documents: Mutex<BTreeMap<(Kind, String), Value>>,
    pub(crate) blobs: Mutex<BTreeMap<Digest, Vec<u8>>>,
    /// How many uploads there were.
    pub(crate) uploads: Mutex<usize>,
    /// What Write was asked, the last last.
    pub(crate) writes: Mutex<Vec<v1::WriteRequest>>,
    /// What the next calls are refused with; None lets one pass.
    pub(crate) refusals: Mutex<VecDeque<Option<Status>>>,
    /// Documents that are refused with this problem.
    pub(crate) problems: Mutex<BTreeMap<(Kind, String), Problem>>,
    pub(crate) boots: Mutex<Vec<v1::BootSummary>>,
    pub(crate) events: Mutex<Vec<v1::BootEvent>>,
    pub(crate) leases: Mutex<Vec<v1::LeaseEntry>>,
    pub(crate) readiness: Mutex<Vec<v1::Readiness>>,
    pub(crate) alarms: Mutex<Vec<v1::KnownAlarm>>,
    pub(crate) warnings: Mutex<Vec<v1::PlanWarning>>,
    /// The `traceparent` of each call; "" where it had none.
    pub(crate) traces: Mutex<Vec<String>>,
}

impl Catalog {
    pub(crate) fn get(&self, kind: Kind, name: &str) -> Option<Value> {
        self.documents.lock().expect("whole").get(&(kind, name.to_owned())).cloned()
    }

    pub(super) fn warnings(&self) -> Vec<v1::PlanWarning> {
        self.warnings.lock().expect("whole").clone()
    }

    pub(crate) fn put(&self, json: Value) {
        let kind = json["kind"].as_str().expect("a kind").parse().expect("known");
        let name = json["name"].as_str().expect("a name").to_owned();
        self.documents.lock().expect("whole").insert((kind, name), json);
    }

    pub(crate) fn refuse(&self, status: Status) {
        self.refusals.lock().expect("whole").push_back(Some(status));
    }

    pub(crate) fn pass(&self) {
        self.refusals.lock().expect("whole").push_back(None);
    }

    pub(super) fn permit(&self) -> Result<(), Status> {
        self.refusals.lock().expect("whole").pop_front().flatten().map_or(Ok(()), Err)
    }

    pub(super) fn change(&self, change: v1::Change, write: bool) -> v1::Outcome {
        use v1::change::Change as Wire;
        use v1::outcome::Effect;
        let (kind, name, after) = match change.change.expect("a change") {
            Wire::Apply(sent) | Wire::Put(sent) => (sent.kind, sent.name, Some(sent.json)),
            Wire::Remove(removal) => (removal.kind, removal.name, None),
        };
        let kind: Kind = kind.parse().expect("known");
        let before = self.get(kind, &name);
        let mut outcome = v1::Outcome {
            kind: kind.word().into(),
            name: name.clone(),
            before: bytes(before.as_ref()),
            ..v1::Outcome::default()
        };
        let after = after.map(|json| AnyResource::from_json(&json).map(|any| any.to_value()));
        let problem = match &after {
            Some(Err(error)) => Some(Problem::new("", error.to_string())),
            Some(Ok(_)) | None => self.problems.lock().expect("whole").get(&(kind, name.clone())).cloned(),
        };
        if let Some(Problem { field, message }) = problem {
            outcome.set_effect(Effect::Refused);
            outcome.problems.push(v1::Problem { field, message });
            return outcome;
        }
        let after = after.and_then(Result::ok);
        outcome.set_effect(match (&before, &after) {
            (None, Some(_)) => Effect::Created,
            (Some(before), Some(after)) if before["spec"] == after["spec"] => Effect::Unchanged,
            (Some(_), Some(_)) => Effect::Changed,
            (_, None) => Effect::Removed,
        });
        outcome.after = bytes(after.as_ref());
        if write {
            let mut documents = self.documents.lock().expect("whole");
            match after {
                Some(after) => drop(documents.insert((kind, name), after)),
                None => drop(documents.remove(&(kind, name))),
            }
        }
        outcome
    }
}

pub(super) fn bytes(json: Option<&Value>) -> bytes::Bytes {
    json.map(|json| json.to_string().into_bytes().into()).unwrap_or_default()
}
