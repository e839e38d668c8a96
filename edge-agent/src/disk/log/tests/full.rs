//! A disk that is full: by injection, and for real on a small tmpfs.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::fault::Step;
use super::super::{AppendError, CommitError, MAX_BATCH_BYTES};
use super::*;
use crate::disk::space::ReserveState;
use crate::disk::tiny_tmpfs;

const CHILD: &str = "disk::log::tests::full::child_on_a_tiny_tmpfs";

/// Blocks cannot be claimed, and writes do not fit, while the switch is on.
fn full_while(switch: &Arc<AtomicBool>) -> Faults {
    let switch = switch.clone();
    Faults::hooked(move |step| match matches!(step, Step::Allocate) && switch.load(Ordering::Relaxed) {
        true => Err(io::Error::from_raw_os_error(libc::ENOSPC)),
        false => Ok(()),
    })
}

#[test]
fn a_batch_that_found_no_room_waits_and_goes_first() {
    let dir = tempfile::tempdir().expect("tempdir");
    let full = Arc::new(AtomicBool::new(false));
    let (mut ledger, _) =
        Ledger::open(dir.path(), with_faults(full_while(&full)), &mut |_| Ok(())).expect("new");
    full.store(true, Ordering::Relaxed);
    ledger.append(TAG, b"waits").expect("append");
    let error = ledger.commit().expect_err("full");
    assert!(matches!(error, CommitError::Full { records: 1, .. }), "{error:?}");
    assert_eq!(ledger.reserve_state(), ReserveState::Exhausted);
    ledger.append(TAG, b"comes after").expect("append");
    assert!(matches!(ledger.commit(), Err(CommitError::Full { records: 2, .. })));
    full.store(false, Ordering::Relaxed);
    ledger.commit().expect("room again");
    assert_eq!(ledger.reserve_state(), ReserveState::Whole);
    drop(ledger);
    assert_eq!(read_records(dir.path()), [&b"waits"[..], b"comes after"]);
}

#[test]
fn what_waits_is_bounded() {
    let dir = tempfile::tempdir().expect("tempdir");
    let full = Arc::new(AtomicBool::new(false));
    let (mut ledger, _) =
        Ledger::open(dir.path(), with_faults(full_while(&full)), &mut |_| Ok(())).expect("new");
    full.store(true, Ordering::Relaxed);
    let body = vec![0; 1 << 19];
    let error = loop {
        if let Err(error) = ledger.append(TAG, &body) {
            break error;
        }
        ledger.commit().expect_err("full");
    };
    assert!(matches!(error, AppendError::BatchFull { bytes } if bytes <= MAX_BATCH_BYTES), "{error:?}");
}

#[test]
fn a_disk_that_is_full_for_real_keeps_records_going_from_the_reserve() {
    tiny_tmpfs::run(CHILD);
}

/// Not a test of its own: the test above runs it in a mount namespace of its own.
#[test]
fn child_on_a_tiny_tmpfs() {
    let Some(mount) = tiny_tmpfs::mounted() else { return };
    let mount = mount.as_path();
    let options =
        || Options { reserve_bytes: 256 << 10, growth_bytes: 16 << 10, segment_bytes: 64 << 10, ..options() };
    let (mut ledger, _) = Ledger::open(mount, options(), &mut |_| Ok(())).expect("new");
    assert_eq!(ledger.reserve_state(), ReserveState::Whole);
    commit_one(&mut ledger, &[0; 1000]);

    let hog = mount.join("hog");
    let filled = std::fs::write(&hog, vec![1; 2 << 20]).expect_err("fills the disk");
    assert_eq!(filled.kind(), io::ErrorKind::StorageFull);
    let (mut durable, mut from_the_reserve) = (1, 0);
    while ledger.reserve_state() != ReserveState::Exhausted {
        ledger.append(TAG, &[durable; 1000]).expect("append");
        match ledger.commit() {
            Ok(()) => durable += 1,
            Err(error) => assert!(matches!(error, CommitError::Full { records: 1, .. }), "{error:?}"),
        }
        from_the_reserve += u32::from(ledger.reserve_state() == ReserveState::InUse);
    }
    assert!(from_the_reserve >= 200, "only {from_the_reserve} records of 1000 bytes from 256 KiB");

    drop(ledger);
    let mut found = Vec::new();
    let opened = Ledger::open(mount, options(), &mut |record| {
        found.push(record.body[0]);
        Ok(())
    });
    let (mut ledger, _) = opened.expect("a full disk does not hinder the start");
    assert_eq!(found, (0..durable).collect::<Vec<u8>>());
    assert_eq!(ledger.reserve_state(), ReserveState::InUse);

    std::fs::remove_file(&hog).expect("space returns");
    assert_eq!(ledger.refill_reserve().expect("refill"), ReserveState::Whole);
    ledger.append(TAG, b"after").expect("append");
    ledger.commit().expect("commit");
    tiny_tmpfs::passed();
}
