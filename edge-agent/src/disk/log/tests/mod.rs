//! The ledger as its owner sees it, with the disk failing in every way that a test can arrange.

mod beside;
mod crash;
mod damage;
mod full;
mod kill;
mod model;
mod zeros;

use std::path::Path;

use proto::Incarnation;

use super::fault::Faults;
use super::{Ledger, OpenError, Opened, Options, Tag};

const TAG: Tag = Tag::new(1).expect("below the marks");

/// Small segments, no reserve unless a test sets one, blocks claimed by the page.
fn options() -> Options {
    Options {
        segment_bytes: 200,
        snapshot_after_bytes: 400,
        reserve_bytes: 0,
        growth_bytes: 4096,
        zeros_bytes: 0,
        ..Options::new(Incarnation([7; 16]))
    }
}

fn with_faults(faults: Faults) -> Options {
    Options { faults, ..options() }
}

/// The same with zeros ahead of the records, for three segments of them.
fn ahead() -> Options {
    Options { zeros_bytes: 600, ..options() }
}

/// Opens and gathers all records.
fn read(directory: &Path) -> Result<(Ledger, Opened, Vec<Vec<u8>>), OpenError> {
    read_with(directory, options())
}

fn read_with(directory: &Path, options: Options) -> Result<(Ledger, Opened, Vec<Vec<u8>>), OpenError> {
    let mut records = Vec::new();
    let (ledger, opened) = Ledger::open(directory, options, &mut |record| {
        records.push(record.body.to_vec());
        Ok(())
    })?;
    Ok((ledger, opened, records))
}

fn read_records(directory: &Path) -> Vec<Vec<u8>> {
    read(directory).expect("the ledger opens").2
}

fn commit_one(ledger: &mut Ledger, body: &[u8]) {
    ledger.append(TAG, body).expect("append");
    ledger.commit().expect("commit");
}

fn numbered(range: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    range.map(|n| format!("record number {n}").into_bytes()).collect()
}

/// A closed or dropped ledger of `count` records, each with its own commit.
fn write_ledger(directory: &Path, count: u32, close: bool) {
    let (mut ledger, opened, _) = read(directory).expect("new");
    assert!(opened.created);
    numbered(0..count).iter().for_each(|body| commit_one(&mut ledger, body));
    if close {
        ledger.close().expect("close");
    }
}

#[test]
fn records_come_back_in_order_with_their_tags() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read(dir.path()).expect("new");
    let other = Tag::new(9).expect("below the marks");
    ledger.append(TAG, b"one").expect("append");
    ledger.append(other, b"").expect("append");
    ledger.commit().expect("commit");
    ledger.append(TAG, b"never committed").expect("append");
    drop(ledger);
    let mut seen = Vec::new();
    let (ledger, opened) = Ledger::open(dir.path(), Options::new(Incarnation([8; 16])), &mut |record| {
        seen.push((record.tag, record.body.to_vec()));
        Ok(())
    })
    .expect("opens");
    assert_eq!(seen, [(TAG, b"one".to_vec()), (other, Vec::new())]);
    assert_eq!(opened, Opened { records: 2, torn_bytes: 0, created: false });
    assert_eq!(ledger.incarnation(), Incarnation([7; 16]), "made once, with the ledger");
}

#[test]
fn segments_follow_each_other_until_a_snapshot_replaces_them() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read(dir.path()).expect("new");
    assert!(!ledger.needs_snapshot());
    numbered(0..30).iter().for_each(|body| commit_one(&mut ledger, body));
    assert!(ledger.needs_snapshot());
    assert!(segment_count(dir.path()) > 2);
    ledger.append(TAG, b"pending, and part of the snapshot").expect("append");
    ledger.compact([(TAG, b"live a"), (TAG, b"live b")]).expect("compact");
    assert!(!ledger.needs_snapshot());
    assert_eq!(segment_count(dir.path()), 1);
    commit_one(&mut ledger, b"after");
    drop(ledger);
    assert_eq!(read_records(dir.path()), [&b"live a"[..], b"live b", b"after"]);
}

#[test]
fn a_large_snapshot_does_not_ask_for_the_next_at_once_also_after_a_restart() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read(dir.path()).expect("new");
    ledger.compact(numbered(0..100).into_iter().map(|body| (TAG, body))).expect("compact");
    commit_one(&mut ledger, b"little");
    assert!(!ledger.needs_snapshot());
    drop(ledger);
    let (ledger, _, records) = read(dir.path()).expect("opens");
    assert_eq!(records.len(), 101);
    assert!(!ledger.needs_snapshot());
}

#[test]
fn a_second_owner_is_refused() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (_ledger, ..) = read(dir.path()).expect("new");
    assert!(matches!(read(dir.path()), Err(OpenError::Locked { .. })));
}

#[test]
fn limits_are_kept_and_leave_the_batch_alone() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read(dir.path()).expect("new");
    let longest = vec![1; super::MAX_RECORD_BYTES - 1];
    let error = ledger.append(TAG, &[&longest[..], b"x"].concat()).expect_err("too long");
    assert_eq!(error.to_string(), "a record of 1048577 bytes exceeds the limit of 1048576");
    let taken = (0..100).take_while(|_| ledger.append(TAG, &longest).is_ok()).count();
    assert_eq!(taken, 7, "eight frames with their prefixes exceed 8 MiB");
    ledger.commit().expect("commit");
    drop(ledger);
    assert_eq!(read_records(dir.path()), vec![longest; 7]);
}

#[test]
fn a_record_that_the_owner_refuses_stops_the_opening_and_is_named() {
    let dir = tempfile::tempdir().expect("tempdir");
    write_ledger(dir.path(), 2, false);
    let error = Ledger::open(dir.path(), options(), &mut |_| Err("from the future".into()));
    let error = error.expect_err("refused");
    let place = super::segment::HEADER_BYTES + 17;
    assert!(matches!(&error, OpenError::Refused { offset, .. } if *offset == place as u64), "{error:?}");
    assert_eq!(read_records(dir.path()), numbered(0..2), "nothing was changed");
}

fn segment_count(directory: &Path) -> usize {
    super::segment::list(directory).expect("list").segments.len()
}

/// The bytes of format 1, recorded once: every later build reads them, and this one writes the same.
#[test]
fn the_recorded_ledger_of_format_1_is_read_and_written_alike() {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/disk/log/tests/format-1");
    let dir = tempfile::tempdir().expect("tempdir");
    let (mut ledger, ..) = read(dir.path()).expect("new");
    ledger.compact([(TAG, b"live")]).expect("compact");
    numbered(0..9).iter().for_each(|body| commit_one(&mut ledger, body));
    ledger.close().expect("close");
    for number in [2, 3] {
        let name = super::segment::path_of(Path::new(""), number);
        let written = std::fs::read(dir.path().join(&name)).expect("read");
        let expected = std::fs::read(recorded.join(&name)).expect("recorded");
        assert_eq!(written, expected, "{}", name.display());
        std::fs::write(dir.path().join(&name), expected).expect("copy");
    }
    let mut records = read_records(dir.path());
    assert_eq!(records.remove(0), b"live");
    assert_eq!(records, numbered(0..9));
}
