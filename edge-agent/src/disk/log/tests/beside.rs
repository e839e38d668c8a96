//! Snapshots that are written beside a ledger that goes on.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use super::super::error::CompactError;
use super::*;

fn live() -> Vec<Vec<u8>> {
    vec![b"live a".to_vec(), b"live b".to_vec()]
}

fn tagged(records: &[Vec<u8>]) -> impl Iterator<Item = (Tag, &[u8])> {
    records.iter().map(|record| (TAG, record.as_slice()))
}

#[test]
fn what_was_committed_meanwhile_stands_behind_the_snapshot() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read(dir.path()).expect("new");
    numbered(0..30).iter().for_each(|body| commit_one(&mut ledger, body));
    let mut snapshot = ledger.begin_snapshot().expect("begun");
    assert!(!ledger.needs_snapshot(), "one is under way");
    numbered(30..60).iter().for_each(|body| commit_one(&mut ledger, body));
    snapshot.write_beside(tagged(&live())).expect("written");
    commit_one(&mut ledger, b"last");
    ledger.finish_snapshot(snapshot).expect("in its place");
    assert_eq!(segment_count(dir.path()), 1);
    commit_one(&mut ledger, b"after");
    drop(ledger);
    let mut expected = [live(), numbered(30..60)].concat();
    expected.extend([b"last".to_vec(), b"after".to_vec()]);
    assert_eq!(read_records(dir.path()), expected);
}

#[test]
fn there_is_one_at_a_time_and_none_that_was_given_up_counts() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read(dir.path()).expect("new");
    let snapshot = ledger.begin_snapshot().expect("begun");
    assert!(matches!(ledger.begin_snapshot(), Err(CompactError::UnderWay)));
    assert!(matches!(ledger.compact(tagged(&live())), Err(CompactError::UnderWay)));
    commit_one(&mut ledger, b"one");
    ledger.give_up_snapshot(snapshot);
    numbered(0..30).iter().for_each(|body| commit_one(&mut ledger, body));
    assert!(ledger.needs_snapshot() && segment_count(dir.path()) > 2, "segments follow each other again");
    drop(ledger);
    assert_eq!(read_records(dir.path()), [&[b"one".to_vec()][..], &numbered(0..30)].concat());
}

#[test]
fn a_crash_leaves_the_ledger_or_the_snapshot() {
    for fatal in 0.. {
        let dir = tempfile::tempdir().expect("tempdir");
        write_ledger(dir.path(), 20, false);
        let steps = Arc::new(AtomicU32::new(0));
        let count = steps.clone();
        let faults = Faults::hooked(move |_| match count.fetch_add(1, Ordering::Relaxed) {
            step if step >= fatal => Err(std::io::Error::other("the power is gone")),
            _ => Ok(()),
        });
        let done = live_on(dir.path(), with_faults(faults));
        let found = read_records(dir.path());
        let whole = [numbered(0..20), numbered(20..23)].concat();
        let compacted = [live(), numbered(20..23)].concat();
        let is_old = whole.starts_with(&found) && found.len() >= 20;
        assert!(is_old || found == compacted, "at step {fatal}: {found:?}");
        if done {
            assert_eq!(found, compacted);
            assert!(steps.load(Ordering::Relaxed) > 10, "each step was fatal once");
            return;
        }
    }
}

/// Until the first failure: commits beside a snapshot, which then takes its place. True: nothing failed.
fn live_on(directory: &Path, options: Options) -> bool {
    let Ok((mut ledger, _)) = Ledger::open(directory, options, &mut |_| Ok(())) else { return false };
    let Ok(mut snapshot) = ledger.begin_snapshot() else { return false };
    for body in numbered(20..23) {
        if ledger.append(TAG, &body).is_err() || ledger.commit().is_err() {
            return false;
        }
    }
    snapshot.write_beside(tagged(&live())).is_ok() && ledger.finish_snapshot(snapshot).is_ok()
}
