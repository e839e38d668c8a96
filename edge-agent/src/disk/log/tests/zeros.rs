//! Zeros that are written ahead: seen by nobody, and never behind a seal.

use std::fs;
use std::sync::{Arc, Mutex};

use super::super::fault::Step::{
    self, Allocate, CreateSegment, CutZeros, RenameSegment, SyncBatch, SyncDirectory, SyncSegment,
    WriteBatch, WriteSegment, WriteZeros,
};
use super::super::segment::path_of;
use super::*;

fn length(directory: &Path, number: u64) -> u64 {
    fs::metadata(path_of(directory, number)).expect("it is there").len()
}

#[test]
fn zeros_are_no_torn_tail_and_are_gone_after_a_clean_stop() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 1, false);
    let records = length(dir.path(), 1);
    let (mut ledger, ..) = read_with(dir.path(), ahead()).expect("opens");
    commit_one(&mut ledger, b"second");
    drop(ledger);
    let whole = records + 9 + 6;
    assert_eq!(length(dir.path(), 1), whole + 600);
    let (ledger, opened, found) = read_with(dir.path(), ahead()).expect("opens");
    assert_eq!((opened.torn_bytes, found.len()), (0, 2));
    assert_eq!(length(dir.path(), 1), whole);
    ledger.close().expect("close");
    assert_eq!(length(dir.path(), 1), whole + 9);
}

#[test]
fn what_is_torn_before_zeros_is_told_and_cut() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read_with(dir.path(), ahead()).expect("new");
    commit_one(&mut ledger, b"first");
    let end = length(dir.path(), 1) - 600;
    commit_one(&mut ledger, b"torn");
    drop(ledger);
    let mut bytes = fs::read(path_of(dir.path(), 1)).expect("read");
    bytes[end as usize + 10] ^= 1;
    fs::write(path_of(dir.path(), 1), bytes).expect("write");
    let (_ledger, opened, found) = read_with(dir.path(), ahead()).expect("opens");
    assert_eq!((opened.torn_bytes, found), (600, vec![b"first".to_vec()]));
    assert_eq!(length(dir.path(), 1), end);
}

#[test]
fn they_are_written_now_and_then_and_cut_off_durably_before_a_seal() {
    let dir = tempfile::tempdir().expect("tempdir");
    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = steps.clone();
    let options = ahead().with_hook(move |step| {
        seen.lock().expect("one thread").push(step);
        Ok(())
    });
    let (mut ledger, ..) = read_with(dir.path(), options).expect("new");
    let commit = |ledger: &mut Ledger, body: &[u8]| -> Vec<Step> {
        steps.lock().expect("one thread").clear();
        commit_one(ledger, body);
        steps.lock().expect("one thread").clone()
    };
    assert_eq!(commit(&mut ledger, b"first"), [Allocate, WriteBatch, WriteZeros, SyncBatch]);
    assert_eq!(commit(&mut ledger, b"second"), [WriteBatch, SyncBatch]);
    let sealed = commit(&mut ledger, &[1; 200]);
    let next = [CreateSegment, WriteSegment, SyncSegment];
    let seal = [CutZeros, SyncBatch, WriteBatch, SyncBatch];
    assert_eq!(
        sealed,
        [&[WriteBatch, SyncBatch], &next[..], &seal, &[RenameSegment, SyncDirectory]].concat()
    );
    drop(ledger);
    assert_eq!(read_records(dir.path()), [&b"first"[..], b"second", &[1; 200]]);
}
