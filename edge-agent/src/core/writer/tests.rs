//! Snapshots that find no room, or nobody to write them: the writer goes on, tries again in time, and nothing spins.

use std::{io, path::Path, sync::atomic::AtomicUsize, thread};

use proto::{Incarnation, Wall, ledger::Record};

use super::*;
use crate::disk::log::{Options, Step};

const NO_ROOM: i32 = libc::ENOSPC;

fn no_room() -> io::Result<()> {
    Err(io::Error::from_raw_os_error(NO_ROOM))
}

/// One segment, of which a snapshot is due at once. `reserve` in bytes.
fn options(reserve: u64) -> Options {
    let mut options = Options::new(Incarnation([7; 16]));
    (options.snapshot_after_bytes, options.reserve_bytes, options.growth_bytes) = (400, reserve, 4_096);
    options
}

fn writer(folder: &Path, options: Options) -> Writer {
    let (ledger, _) = Ledger::open(folder, options, &mut |_| Ok(())).expect("it opens");
    let mut writer = Writer::new(ledger, Vec::new(), 0);
    writer.start_thread().expect("a thread");
    writer
}

fn records(count: u64) -> Records {
    (0..count).map(|number| Record::Wall(Wall(number * 1_000))).collect()
}

fn some(count: u64) -> Bundle {
    Bundle { records: records(count), ..Bundle::default() }
}

fn snapshot() -> Bundle {
    Bundle { snapshot: Some(Part::Whole(records(2))), ..Bundle::default() }
}

/// A writer that has said that a snapshot is due.
fn due(folder: &Path, options: Options) -> Writer {
    let writer = writer(folder, options);
    writer.put(some(100), true);
    assert!(writer.needs_snapshot());
    writer
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// As if [`NEXT_SNAPSHOT`] were over.
fn wait_no_more(writer: &Writer) {
    writer.shared.disk.lock().expect("no panic").not_before = None;
}

fn in_ledger(folder: &Path) -> usize {
    let mut count = 0;
    let opened = Ledger::open(folder, options(0), &mut |_| {
        count += 1;
        Ok(())
    });
    opened.expect("it opens");
    count
}

fn unborn(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).expect("a folder");
    entries
        .filter(|entry| entry.as_ref().expect("an entry").path().extension().is_some_and(|e| e == "tmp"))
        .count()
}

#[test]
fn a_snapshot_without_any_room_is_not_asked_for_again_at_once() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (full, tries) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (is_full, count) = (full.clone(), tries.clone());
    let faults = options(0).with_hook(move |step| {
        let fails = step == Step::WriteSegment && is_full.load(Ordering::Relaxed);
        count.fetch_add(usize::from(fails), Ordering::Relaxed);
        if fails { no_room() } else { Ok(()) }
    });
    let writer = due(folder.path(), faults);
    full.store(true, Ordering::Relaxed);
    writer.put(snapshot(), true);
    assert_eq!(tries.load(Ordering::Relaxed), 2, "beside the ledger, and in place");
    assert!(!writer.needs_snapshot(), "the engine would turn without end");
    writer.put(some(1), true);
    assert!(!writer.needs_snapshot());
    full.store(false, Ordering::Relaxed);
    wait_no_more(&writer);
    writer.put(some(1), true);
    assert!(writer.needs_snapshot(), "in time it is");
    writer.put(snapshot(), true);
    until("it takes its place", || unborn(folder.path()) == 0 && !writer.shared.queue().busy);
    writer.close().expect("it closes");
    assert_eq!(in_ledger(folder.path()), 2);
}

#[test]
fn a_snapshot_without_room_takes_from_the_reserve_at_once() {
    let folder = tempfile::tempdir().expect("tempdir");
    let room = Arc::new(AtomicBool::new(true));
    let has_room = room.clone();
    let faults = options(64 << 10).with_hook(move |step| {
        if step == Step::GiveReserve {
            has_room.store(true, Ordering::Relaxed);
        }
        let fails = step == Step::WriteSegment && !has_room.load(Ordering::Relaxed);
        if fails { no_room() } else { Ok(()) }
    });
    let writer = due(folder.path(), faults);
    room.store(false, Ordering::Relaxed);
    writer.put(snapshot(), true);
    assert!(room.load(Ordering::Relaxed), "from the reserve");
    writer.close().expect("it closes");
    assert_eq!(in_ledger(folder.path()), 2);
}

/// The snapshot waits at its last step, until it is let go.
struct Held {
    full: Arc<AtomicBool>,
    lost: Arc<AtomicBool>,
    let_go: Arc<AtomicBool>,
    waits: Arc<AtomicBool>,
}

fn held() -> (Held, Options) {
    let [full, lost, let_go, waits] = std::array::from_fn(|_| Arc::new(AtomicBool::new(false)));
    let held = Held { full, lost, let_go, waits };
    let (full, lost, let_go, waits) =
        (held.full.clone(), held.lost.clone(), held.let_go.clone(), held.waits.clone());
    let options = options(0).with_hook(move |step| {
        if step == Step::SyncSegment && thread::current().name() == Some("snapshot") {
            waits.store(true, Ordering::Release);
            until("it is let go", || let_go.load(Ordering::Acquire));
        }
        if step == Step::Allocate && full.load(Ordering::Acquire) {
            return no_room();
        }
        let fails = step == Step::SyncBatch && lost.load(Ordering::Acquire);
        if fails { Err(io::Error::other("the disk is gone")) } else { Ok(()) }
    });
    (held, options)
}

/// More than the ledger has claimed room for.
const MUCH: u64 = 2_000;

#[test]
fn what_is_written_beside_is_given_up_when_the_disk_is_full() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (held, options) = held();
    let writer = due(folder.path(), options);
    writer.put(snapshot(), true);
    until("it is written", || held.waits.load(Ordering::Acquire));
    held.full.store(true, Ordering::Release);
    writer.put(some(MUCH), true);
    assert!(matches!(writer.state(), State::Full) && unborn(folder.path()) == 1);
    held.let_go.store(true, Ordering::Release);
    until("its file is removed", || unborn(folder.path()) == 0);
    until("nobody is at the disk", || !writer.shared.queue().busy);
    assert!(writer.shared.queue().written.is_none() && writer.has_backlog());
    held.full.store(false, Ordering::Release);
    writer.put(Bundle::default(), true);
    assert!(matches!(writer.state(), State::Fine) && !writer.has_backlog());
    assert!(writer.needs_snapshot(), "and in place there may be room");
    writer.close().expect("it closes");
    assert_eq!(in_ledger(folder.path()), 100 + usize::try_from(MUCH).expect("few"));
}

#[test]
fn a_snapshot_beside_a_ledger_that_is_lost_does_not_keep_its_thread() {
    let folder = tempfile::tempdir().expect("tempdir");
    let (held, options) = held();
    let writer = due(folder.path(), options);
    writer.put(snapshot(), true);
    until("it is written", || held.waits.load(Ordering::Acquire));
    held.lost.store(true, Ordering::Release);
    writer.put(some(1), true);
    assert!(matches!(writer.state(), State::Lost(_)));
    held.let_go.store(true, Ordering::Release);
    until("its file is removed", || unborn(folder.path()) == 0);
    writer.close().expect_err("what is lost");
}

#[test]
fn a_snapshot_whose_thread_panics_is_given_up_and_the_next_is_written_in_place() {
    let folder = tempfile::tempdir().expect("tempdir");
    let faults = options(0).with_hook(|step| {
        let theirs = thread::current().name() == Some("snapshot");
        assert!(!theirs || step != Step::WriteSegment, "as the test wants it");
        Ok(())
    });
    let writer = due(folder.path(), faults);
    writer.put(snapshot(), true);
    until("a snapshot is due again", || writer.needs_snapshot());
    writer.put(snapshot(), true);
    until("it is in its place", || in_place(&writer));
    writer.close().expect("it closes");
    assert_eq!(in_ledger(folder.path()), 2);
}

fn in_place(writer: &Writer) -> bool {
    writer.with_ledger(|ledger| !ledger.needs_snapshot()).unwrap_or(false)
}

#[test]
fn a_quick_disk_is_waited_for_and_a_slow_one_is_not() {
    let folder = tempfile::tempdir().expect("tempdir");
    let gate = Arc::new(Mutex::new(()));
    let held = gate.clone();
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let mut slow = options(0).with_hook(move |step| {
        if step == Step::SyncBatch {
            arrived.send(()).expect("the test listens");
            drop(held.lock().expect("no panic"));
        }
        Ok(())
    });
    slow.snapshot_after_bytes = 1 << 20;
    let writer = writer(folder.path(), slow);
    writer.shared.quick.store(true, Ordering::Relaxed);
    writer.put(Bundle { last_event: 1, ..some(50) }, false);
    assert_eq!(writer.durable(), 1, "on disk when the call returns");
    arrivals.recv().expect("a sync");

    writer.shared.quick.store(false, Ordering::Relaxed);
    let shut = gate.lock().expect("no panic");
    writer.put(Bundle { last_event: 2, ..some(50) }, false);
    assert_eq!(writer.durable(), 1, "it does not wait at the gate");
    arrivals.recv().expect("a sync");
    thread::sleep(2 * QUICK);
    drop(shut);
    until("it comes to disk", || writer.durable() == 2);
    assert!(!writer.shared.quick.load(Ordering::Relaxed), "that took long");
}
