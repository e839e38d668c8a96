//! What one agent's word means for one set of blobs.

use std::collections::BTreeMap;

use proto::holding::{Awaited, BlobState, Holding};
use proto::plan::{BlobRef, Wan};
use proto::{Digest, Wall};

use super::eta::eta;

/// Where a set of blobs stands at an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// All are there.
    Ready,
    /// Some of them are on their way.
    Arriving,
    /// Their turn has not come, or nothing is fetched.
    Waiting,
    /// The last try for some has failed.
    Failed,
    /// The agent is away.
    Silent,
    /// The agent never said anything.
    Unknown,
}

impl State {
    /// As it travels and is shown.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Arriving => "arriving",
            Self::Waiting => "waiting",
            Self::Failed => "failed",
            Self::Silent => "silent",
            Self::Unknown => "unknown",
        }
    }
}

/// What is known of one agent, as of now.
#[derive(Debug, Clone)]
pub(crate) struct Facts<'a> {
    /// What it said last.
    pub(super) holding: Option<&'a Holding>,
    /// Did it speak of the site's newest plan?
    pub(super) current: bool,
    /// Is it there?
    pub(super) connected: bool,
    /// The plan's blobs in order of need.
    pub(super) queue: &'a [BlobRef],
    /// How fast it may fetch.
    pub(super) wan: &'a Wan,
    /// The present.
    pub(super) now: Wall,
}

const MAKE_ROOM: &str = "make room on the agent's disk";

/// The judgement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Judged {
    pub(crate) state: State,
    pub(crate) blobs: usize,
    pub(crate) missing: usize,
    pub(crate) bytes: u64,
    pub(crate) held: u64,
    pub(crate) bytes_per_second: u64,
    /// When all of it is expected; None: nobody knows.
    pub(crate) done: Option<Wall>,
    pub(crate) why: String,
    pub(crate) remedy: String,
}

/// Judges these blobs, given with their sizes in bytes.
pub(crate) fn judge(blobs: &BTreeMap<Digest, u64>, facts: &Facts<'_>) -> Judged {
    let bytes = blobs.values().sum();
    let mut judged = Judged {
        state: State::Unknown,
        blobs: blobs.len(),
        missing: blobs.len(),
        bytes,
        held: 0,
        bytes_per_second: 0,
        done: None,
        why: String::new(),
        remedy: String::new(),
    };
    let Some(holding) = facts.holding else {
        (judged.why, judged.remedy) = never_heard(facts.connected);
        return judged;
    };
    let missing: Vec<_> = blobs.keys().filter_map(|digest| holding.awaited.get(digest)).collect();
    judged.missing = missing.len();
    judged.held = bytes.saturating_sub(missing.iter().map(|blob| blob.rest()).sum());
    (judged.state, judged.why, judged.remedy) = state_of(&missing, holding, facts);
    let moves = match judged.state {
        State::Arriving | State::Waiting => holding.held_up.is_empty(),
        State::Ready | State::Failed | State::Silent | State::Unknown => false,
    };
    if facts.connected && moves {
        judged.bytes_per_second = holding.bytes_per_second;
        judged.done = ahead(blobs, holding, facts.queue)
            .and_then(|rest| eta(rest, holding.bytes_per_second, facts.wan, facts.now))
            .map(|length| facts.now.plus(length));
    }
    judged
}

fn never_heard(connected: bool) -> (String, String) {
    match connected {
        true => ("its agent does not say what it holds".into(), "update the agent".into()),
        false => {
            ("its agent has not said what it holds yet".into(), "start the agent, or mend its link".into())
        }
    }
}

fn state_of(missing: &[&Awaited], holding: &Holding, facts: &Facts<'_>) -> (State, String, String) {
    let nothing = String::new;
    if !facts.connected {
        let is_whole = missing.is_empty() && holding.unnamed == 0 && facts.current;
        let state = if is_whole { State::Ready } else { State::Silent };
        return (state, "its agent is away".into(), "start the agent, or mend its link".into());
    }
    if !facts.current {
        return (State::Waiting, "its agent does not obey the newest plan yet".into(), nothing());
    }
    if missing.is_empty() {
        return match holding.unnamed {
            0 => (State::Ready, nothing(), nothing()),
            more => {
                (State::Waiting, format!("{more} blobs are awaited that its agent does not name"), nothing())
            }
        };
    }
    let arriving: Vec<_> = missing.iter().filter(|blob| blob.state == BlobState::Arriving).collect();
    if !arriving.is_empty() {
        // Such as who gave wrong bytes before.
        let why = arriving.iter().map(|blob| &blob.reason).find(|reason| !reason.is_empty());
        return (State::Arriving, why.cloned().unwrap_or_default(), nothing());
    }
    if !holding.held_up.is_empty() {
        return (State::Waiting, holding.held_up.clone(), MAKE_ROOM.into());
    }
    match missing.iter().find(|blob| blob.state == BlobState::Failed) {
        Some(failed) => (State::Failed, failed.reason.clone(), remedy_of(&failed.reason).into()),
        None if holding.awaited.values().any(|blob| blob.state == BlobState::Arriving) => {
            (State::Waiting, "other images are fetched before it".into(), nothing())
        }
        None => (State::Waiting, "its agent has not begun to fetch it yet".into(), nothing()),
    }
}

/// What helps against a failure, by its words.
fn remedy_of(reason: &str) -> &'static str {
    // As the agent's `FetchError::Absent` and `SourceError::Absent` say it.
    if reason.contains("not have it") || reason.contains("not have the blob") {
        "no source has it: import the image again"
    } else if reason.contains("within its budget") {
        "raise the site's `cache`, or name less in its `prefetch`"
    } else if reason.contains("space") || reason.contains("room") || reason.contains("full") {
        MAKE_ROOM
    } else {
        "the agent tries again by itself; its log says more"
    }
}

/// The bytes that come until the last of these blobs is there; None: that cannot be told.
fn ahead(blobs: &BTreeMap<Digest, u64>, holding: &Holding, queue: &[BlobRef]) -> Option<u64> {
    let (mut sum, mut last) = (0u64, None);
    let mut seen = std::collections::BTreeSet::new();
    for blob in queue.iter().filter(|blob| seen.insert(blob.digest)) {
        let Some(awaited) = holding.awaited.get(&blob.digest) else { continue };
        sum = sum.saturating_add(awaited.rest());
        if blobs.contains_key(&blob.digest) {
            last = Some(sum);
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use proto::{Generation, PlanId};

    use super::*;

    const NOW: Wall = Wall(1_000_000);

    fn digest(name: u8) -> Digest {
        Digest([name; 32])
    }

    fn blobs(names: &[u8]) -> BTreeMap<Digest, u64> {
        names.iter().map(|name| (digest(*name), 1_000)).collect()
    }

    fn awaited(arrived: u64, state: BlobState, reason: &str) -> Awaited {
        Awaited { size: 1_000, arrived, state, reason: reason.into() }
    }

    fn holding(lacks: &[(u8, Awaited)], rate: u64) -> Holding {
        let generation = Generation { epoch: 1, revision: 1 };
        let mut holding = Holding::of(PlanId { generation, planner: 1, digest: digest(0) });
        lacks.iter().for_each(|(name, awaited)| holding.lacks(digest(*name), awaited.clone()));
        holding.bytes_per_second = rate;
        holding
    }

    fn judged(names: &[u8], holding: Option<&Holding>, connected: bool, current: bool) -> Judged {
        let queue: Vec<_> = (1..=9).map(|name| BlobRef { digest: digest(name), size: 1_000 }).collect();
        let wan = Wan::default();
        judge(&blobs(names), &Facts { holding, current, connected, queue: &queue, wan: &wan, now: NOW })
    }

    #[test]
    fn what_is_there_is_ready_whatever_else_is_awaited() {
        let others = holding(&[(9, awaited(0, BlobState::Arriving, ""))], 100);
        let ready = judged(&[1, 2], Some(&others), true, true);
        assert_eq!((ready.state, ready.held, ready.missing, ready.done), (State::Ready, 2_000, 0, None));
        assert_eq!(judged(&[1], Some(&others), true, false).state, State::Waiting, "of an older plan");
        assert_eq!(judged(&[1], None, true, true).state, State::Unknown);
    }

    #[test]
    fn what_comes_before_it_counts_into_the_time_it_takes() {
        let lacks = [
            (1, awaited(400, BlobState::Arriving, "")),
            (2, awaited(500, BlobState::Arriving, "x gave wrong bytes")),
            (5, awaited(0, BlobState::Queued, "")),
            (7, awaited(0, BlobState::Queued, "")),
        ];
        let holding = holding(&lacks, 100);
        let second = judged(&[2, 3], Some(&holding), true, true);
        assert_eq!((second.state, second.held, second.bytes), (State::Arriving, 1_500, 2_000));
        assert_eq!(second.done, Some(NOW.plus(std::time::Duration::from_secs(11))), "600 and 500 bytes");
        assert_eq!(second.why, "x gave wrong bytes");
        let last = judged(&[5], Some(&holding), true, true);
        assert_eq!((last.state, last.why.as_str()), (State::Waiting, "other images are fetched before it"));
        assert_eq!(last.done, Some(NOW.plus(std::time::Duration::from_secs(21))));
    }

    #[test]
    fn a_failure_says_what_to_do() {
        let why = "failed to fetch it: the controller does not have it, and no other source can be asked now";
        let lacks = [(1, awaited(0, BlobState::Failed, why))];
        let failed = judged(&[1, 2], Some(&holding(&lacks, 0)), true, true);
        assert_eq!((failed.state, failed.done), (State::Failed, None));
        assert!(failed.why == why && failed.remedy.contains("import"), "{failed:?}");
        let full = Holding { held_up: "the agent's disk is low on space".into(), ..holding(&lacks, 0) };
        let full = judged(&[1], Some(&full), true, true);
        assert!(full.state == State::Waiting && full.remedy.contains("make room"), "{full:?}");
    }

    #[test]
    fn an_agent_that_is_away_is_silent_unless_it_held_everything() {
        let lacks = [(1, awaited(500, BlobState::Arriving, ""))];
        let silent = judged(&[1], Some(&holding(&lacks, 100)), false, true);
        assert_eq!((silent.state, silent.held, silent.done), (State::Silent, 500, None));
        assert_eq!(judged(&[2], Some(&holding(&lacks, 100)), false, true).state, State::Ready);
        assert_eq!(judged(&[2], Some(&holding(&lacks, 100)), false, false).state, State::Silent);
    }

    #[test]
    fn what_an_agent_does_not_name_is_not_taken_for_held() {
        let holding = Holding { unnamed: 3, ..holding(&[], 0) };
        assert_eq!(judged(&[1], Some(&holding), true, true).state, State::Waiting);
        assert_eq!(judged(&[1], Some(&holding), false, true).state, State::Silent);
    }
}
