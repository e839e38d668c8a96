//! A process that dies, or a disk that fails, before each step of the ledger's life.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::fault::Step;
use super::super::{AppendError, CommitError, CompactError};
use super::*;

/// Lets `passed` steps happen and none after them, as if the process had died there.
fn dies_after(passed: u32) -> (Faults, Arc<AtomicU32>) {
    let steps = Arc::new(AtomicU32::new(0));
    let counted = steps.clone();
    let faults = Faults::hooked(move |_| match counted.fetch_add(1, Ordering::Relaxed) < passed {
        true => Ok(()),
        false => Err(io::Error::other("died")),
    });
    (faults, steps)
}

fn fails_at(wanted: Step) -> Faults {
    Faults::hooked(move |step| match step == wanted {
        true => Err(io::Error::from_raw_os_error(libc::EIO)),
        false => Ok(()),
    })
}

/// Lives until a step fails: commits, seals, compacts. Returns what must and what may be found later.
fn live(directory: &Path, options: Options) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let (mut durable, mut attempted) = (Vec::new(), Vec::new());
    let Ok((mut ledger, _)) = Ledger::open(directory, options, &mut |_| Ok(())) else {
        return (durable, attempted);
    };
    for (n, body) in numbered(0..24).into_iter().enumerate() {
        attempted.push(body.clone());
        if ledger.append(TAG, &body).is_err() || ledger.commit().is_err() {
            break;
        }
        durable.push(body);
        if n % 10 == 9 && ledger.compact(durable.iter().map(|body| (TAG, body))).is_err() {
            break;
        }
    }
    (durable, attempted)
}

#[test]
fn death_before_any_step_loses_nothing_that_was_committed() {
    die_before_each_step(&options());
}

#[test]
fn nor_does_death_with_zeros_ahead() {
    die_before_each_step(&ahead());
}

fn die_before_each_step(options: &Options) {
    let with = |faults| Options { faults, ..options.clone() };
    let dir = tempfile::tempdir().expect("tempdir");
    let (faults, steps) = dies_after(u32::MAX);
    assert_eq!(live(dir.path(), with(faults)).0, numbered(0..24));
    let all = steps.load(Ordering::Relaxed);
    assert!(all > 60, "{all} steps in a whole life");
    for passed in 0..all {
        let dir = tempfile::tempdir().expect("tempdir");
        let (durable, attempted) = live(dir.path(), with(dies_after(passed).0));
        let (mut ledger, _, found) = read(dir.path()).expect("opens after any death");
        assert!(found == durable || found == attempted, "died after {passed}: {} found", found.len());
        commit_one(&mut ledger, b"goes on");
        drop(ledger);
        let again = read_records(dir.path());
        assert_eq!(again.len(), found.len() + 1, "died after {passed}");
        let strays = std::fs::read_dir(dir.path()).expect("list").count();
        let known = segment_count(dir.path()) + ["ledger.lock", "reserve"].len();
        assert_eq!(strays, known, "died after {passed}: leftovers remain");
    }
}

#[test]
fn death_while_opening_after_a_death_is_survived_too() {
    for passed in 0..40 {
        let dir = tempfile::tempdir().expect("tempdir");
        write_ledger(dir.path(), 18, false);
        let path = super::super::segment::path_of(dir.path(), segment_count(dir.path()) as u64);
        let length = std::fs::metadata(&path).expect("metadata").len();
        std::fs::File::options().write(true).open(&path).expect("open").set_len(length - 1).expect("tear");
        let _ = Ledger::open(dir.path(), with_faults(dies_after(passed).0), &mut |_| Ok(()));
        assert_eq!(read_records(dir.path()), numbered(0..17));
    }
}

#[test]
fn a_failed_sync_poisons_and_what_was_not_durable_stays_away() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 1, false);
    let faults = with_faults(fails_at(Step::SyncBatch));
    let (mut ledger, _) = Ledger::open(dir.path(), faults, &mut |_| Ok(())).expect("opens");
    ledger.append(TAG, b"x").expect("append");
    ledger.append(TAG, b"y").expect("append");
    let error = ledger.commit().expect_err("sync fails");
    assert!(matches!(error, CommitError::Lost { records: 2, .. }), "{error:?}");
    assert!(ledger.is_poisoned());
    assert!(matches!(ledger.append(TAG, b"z"), Err(AppendError::Poisoned)));
    assert!(matches!(ledger.commit(), Err(CommitError::Poisoned)));
    assert!(matches!(ledger.compact([(TAG, b"z")]), Err(CompactError::Poisoned)));
    drop(ledger);
    assert_eq!(read_records(dir.path()), numbered(0..1));
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_the_ledger_at_work() {
    for step in [Step::CreateSegment, Step::WriteSegment, Step::SyncSegment, Step::RenameSegment] {
        let dir = tempfile::tempdir().expect("tempdir");
        write_ledger(dir.path(), 1, false);
        let faults = with_faults(fails_at(step));
        let (mut ledger, _) = Ledger::open(dir.path(), faults, &mut |_| Ok(())).expect("opens");
        ledger.append(TAG, b"pending").expect("append");
        let error = ledger.compact([(TAG, b"snapshot")]).expect_err("fails");
        assert!(matches!(error, CompactError::NotWritten(_)), "{step:?}: {error:?}");
        ledger.commit().expect("the pending batch is still there");
        drop(ledger);
        let left = super::super::segment::list(dir.path()).expect("list");
        assert!(left.temporary.is_empty(), "{step:?}");
        assert_eq!(read_records(dir.path()), [&b"record number 0"[..], b"pending"]);
    }
}

#[test]
fn a_snapshot_record_beyond_the_limit_changes_nothing() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 1, false);
    let (mut ledger, ..) = read(dir.path()).expect("opens");
    let error = ledger.compact([(TAG, vec![0; super::super::MAX_RECORD_BYTES])]).expect_err("too long");
    assert!(matches!(error, CompactError::TooLong { bytes: 1_048_577 }), "{error:?}");
    commit_one(&mut ledger, b"goes on");
    drop(ledger);
    assert_eq!(read_records(dir.path()).len(), 2);
}

#[test]
fn old_segments_that_cannot_be_removed_are_removed_by_the_next_opening() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 20, false);
    let faults = with_faults(fails_at(Step::RemoveFile));
    let (mut ledger, _) = Ledger::open(dir.path(), faults, &mut |_| Ok(())).expect("opens");
    let error = ledger.compact([(TAG, b"snapshot")]).expect_err("old ones stay");
    assert!(matches!(error, CompactError::OldRemains(_)), "{error:?}");
    commit_one(&mut ledger, b"goes on");
    drop(ledger);
    assert!(segment_count(dir.path()) > 1);
    assert_eq!(read_records(dir.path()), [&b"snapshot"[..], b"goes on"]);
    assert_eq!(segment_count(dir.path()), 1);
}

#[test]
fn each_step_is_durable_before_the_next_rests_on_it() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 1, false);
    let steps = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = steps.clone();
    let faults = with_faults(Faults::hooked(move |step| {
        seen.lock().expect("one thread").push(step);
        Ok(())
    }));
    let (mut ledger, _) = Ledger::open(dir.path(), faults, &mut |_| Ok(())).expect("opens");
    let taken = || std::mem::take(&mut *steps.lock().expect("one thread"));
    taken();
    commit_one(&mut ledger, b"x");
    assert_eq!(taken(), [Step::Allocate, Step::WriteBatch, Step::SyncBatch]);
    ledger.compact([(TAG, b"x")]).expect("compact");
    use Step::{
        Allocate, CreateSegment, RemoveFile, RenameSegment, SyncDirectory, SyncSegment, WriteSegment,
    };
    let written = [CreateSegment, WriteSegment, Allocate, WriteSegment, SyncSegment];
    let replaced = [RenameSegment, SyncDirectory, RemoveFile];
    assert_eq!(taken(), [&written[..], &replaced].concat());
    commit_one(&mut ledger, &[0; 300]);
    use Step::{SyncBatch, WriteBatch};
    let sealed = [Allocate, WriteBatch, SyncBatch, CreateSegment, WriteSegment, SyncSegment, WriteBatch];
    assert_eq!(taken(), [&sealed[..], &[SyncBatch, RenameSegment, SyncDirectory]].concat());
}
