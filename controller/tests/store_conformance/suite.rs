//! The cases. Each makes its own store and knows nothing about what is behind it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use controller::store::{
    Batch, CompactError, Epoch, Health, ImportAs, Key, MAX_TXN_BYTES, Page, ReadError, Revision, Scan,
    Snapshot, SnapshotError, Store, Txn, TxnError, WatchEvent, WatchStream,
};
use futures::StreamExt;
use tempfile::TempDir;

/// Makes stores of one kind.
pub(crate) trait Factory {
    /// A store in this folder: what was there before, if the kind is durable.
    fn make(&self, folder: &Path) -> Arc<dyn Store>;
    /// Whether a second store in the same folder has what the first one had.
    fn is_durable(&self) -> bool;
}

/// A store that goes away at the end of its case.
struct Fixture {
    store: Arc<dyn Store>,
    folder: TempDir,
}

fn new(factory: &dyn Factory) -> Fixture {
    let folder = TempDir::new().expect("the temporary folder is writable");
    Fixture { store: factory.make(folder.path()), folder }
}

fn key(text: &str) -> Key {
    Key::parse(text).expect("the suite uses good keys")
}

fn put(text: &str, value: &str) -> Txn {
    Txn::new().put(key(text), value.to_owned())
}

async fn write(store: &Arc<dyn Store>, text: &str, value: &str) -> Revision {
    store.txn(put(text, value)).await.expect("the write passes")
}

async fn value(store: &Arc<dyn Store>, text: &str) -> Option<Bytes> {
    Some(store.get(&key(text)).await.expect("reads pass")?.value)
}

fn listed(page: &Page) -> Vec<(&str, &str)> {
    let text = |bytes| std::str::from_utf8(bytes).expect("the suite writes text");
    page.entries.iter().map(|entry| (entry.key.as_str(), text(&entry.version.value))).collect()
}

/// The next event; a watch that stays silent fails its case.
async fn next(watch: &mut WatchStream) -> Option<WatchEvent> {
    tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("the watch reports in time")
}

async fn next_batch(watch: &mut WatchStream) -> Batch {
    match next(watch).await {
        Some(WatchEvent::Batch(batch)) => batch,
        other @ (Some(WatchEvent::Progress(_) | WatchEvent::Compacted(_)) | None) => {
            panic!("expected a batch, got {other:?}")
        }
    }
}

fn keys(batch: &Batch) -> Vec<&str> {
    batch.changes.iter().map(|change| change.key.as_str()).collect()
}

pub(crate) async fn a_new_store_is_empty_at_revision_zero(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    let page = store.scan(Scan::prefix("/")).await.expect("reads pass");
    assert_eq!(page, Page { entries: vec![], revision: Revision::ZERO, more: false });
    assert_eq!(store.get(&key("/a")).await, Ok(None));
    assert_eq!(store.epoch().await, Ok(Epoch::FIRST));
    assert_eq!(store.health(), Health::Writable);
    store.close().await;
}

pub(crate) async fn each_change_gets_the_next_revision(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    assert_eq!(write(&store, "/a", "1").await, Revision(1));
    let both = Txn::new().put(key("/a"), "2").put(key("/b"), "1");
    assert_eq!(store.txn(both).await, Ok(Revision(2)));

    let a = store.get(&key("/a")).await.expect("reads pass").expect("it was put");
    assert_eq!((a.mod_revision, a.create_revision, &a.value[..]), (Revision(2), Revision(1), &b"2"[..]));
    let b = store.get(&key("/b")).await.expect("reads pass").expect("it was put");
    assert_eq!((b.mod_revision, b.create_revision), (Revision(2), Revision(2)));

    // A key that was deleted is created anew.
    assert_eq!(store.txn(Txn::new().delete(key("/a"))).await, Ok(Revision(3)));
    assert_eq!(write(&store, "/a", "3").await, Revision(4));
    let a = store.get(&key("/a")).await.expect("reads pass").expect("it was put");
    assert_eq!((a.mod_revision, a.create_revision), (Revision(4), Revision(4)));
    assert_eq!(store.revision().await, Ok(Revision(4)));
    store.close().await;
}

pub(crate) async fn what_changes_nothing_gets_no_revision(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    write(&store, "/a", "1").await;
    assert_eq!(store.txn(Txn::new()).await, Ok(Revision(1)));
    assert_eq!(store.txn(Txn::new().delete(key("/absent"))).await, Ok(Revision(1)));
    assert_eq!(store.txn(Txn::new().expect(key("/a"), Revision(1))).await, Ok(Revision(1)));
    // The same bytes again are a change: someone wrote them.
    assert_eq!(write(&store, "/a", "1").await, Revision(2));
    store.close().await;
}

pub(crate) async fn a_failed_compare_names_the_key_and_changes_nothing(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    write(&store, "/a", "1").await;
    write(&store, "/b", "1").await;

    let txn = Txn::new().expect(key("/a"), Revision(1)).expect_absent(key("/b")).put(key("/c"), "1");
    let conflict = TxnError::Conflict { key: key("/b"), expected: Revision::ZERO, actual: Revision(2) };
    assert_eq!(store.txn(txn).await, Err(conflict));
    let txn = Txn::new().expect(key("/c"), Revision(1)).delete(key("/a"));
    let conflict = TxnError::Conflict { key: key("/c"), expected: Revision(1), actual: Revision::ZERO };
    assert_eq!(store.txn(txn).await, Err(conflict));

    assert_eq!(value(&store, "/c").await, None);
    assert_eq!(value(&store, "/a").await, Some("1".into()));
    assert_eq!(store.revision().await, Ok(Revision(2)));
    store.close().await;
}

pub(crate) async fn of_many_writers_that_expect_absence_one_wins(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    let attempt = |n: u32| {
        let own = key(&format!("/writer/{n:02}"));
        store.txn(
            Txn::new().expect_absent(key("/index/mac")).put(key("/index/mac"), n.to_string()).put(own, "won"),
        )
    };
    let outcomes = futures::future::join_all((0..64).map(attempt)).await;
    let winners: Vec<usize> = (0..64).filter(|n| outcomes[*n].is_ok()).collect();
    assert_eq!(winners.len(), 1, "{outcomes:?}");
    for lost in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        let expected =
            TxnError::Conflict { key: key("/index/mac"), expected: Revision::ZERO, actual: Revision(1) };
        assert_eq!(*lost, expected);
    }
    let page = store.scan(Scan::prefix("/writer/")).await.expect("reads pass");
    assert_eq!(listed(&page), [(&*format!("/writer/{:02}", winners[0]), "won")]);
    store.close().await;
}

pub(crate) async fn limits_are_typed_errors(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    let many = (0..129).fold(Txn::new(), |txn, n| txn.put(key(&format!("/k/{n}")), "v"));
    assert_eq!(store.txn(many).await, Err(TxnError::TooManyOperations { count: 129 }));
    let large = Txn::new().put(key("/large"), vec![7; MAX_TXN_BYTES]);
    assert!(matches!(store.txn(large).await, Err(TxnError::TooLarge { .. })));
    let twice = Txn::new().put(key("/a"), "1").put(key("/a"), "2");
    assert_eq!(store.txn(twice).await, Err(TxnError::DuplicateKey { key: key("/a") }));

    let full = (0..128).fold(Txn::new(), |txn, n| txn.put(key(&format!("/k/{n}")), "v"));
    assert_eq!(store.txn(full).await, Ok(Revision(1)));
    let value_of_the_limit = vec![7; MAX_TXN_BYTES - 100];
    assert_eq!(store.txn(Txn::new().put(key("/large"), value_of_the_limit.clone())).await, Ok(Revision(2)));
    assert_eq!(value(&store, "/large").await, Some(value_of_the_limit.into()));
    store.close().await;
}

/// Stores of the suite have a quota of 8 MiB.
pub(crate) async fn the_quota_stops_growth_and_lets_deletes_pass(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    let megabyte = Bytes::from(vec![7; 1 << 20]);
    let mut refused = None;
    for n in 0..9 {
        refused = store.txn(Txn::new().put(key(&format!("/k/{n}")), megabyte.clone())).await.err();
    }
    let Some(TxnError::QuotaExceeded { quota, .. }) = refused else {
        panic!("not a quota error: {refused:?}")
    };
    assert_eq!(quota, 8 << 20);
    assert_eq!(store.txn(Txn::new().delete(key("/k/0"))).await.err(), None);
    assert_eq!(store.txn(Txn::new().put(key("/k/1"), "small")).await.err(), None);
    assert_eq!(store.txn(Txn::new().put(key("/k/8"), megabyte)).await.err(), None);
    store.close().await;
}

pub(crate) async fn a_scan_is_ordered_bounded_and_resumable(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    for name in ["/site/b/1", "/site/a/2", "/site/a/1", "/site/ab", "/site/a/3", "/site/a", "/site/a/é"] {
        write(&store, name, "v").await;
    }
    let all = store.scan(Scan::prefix("/site/a/")).await.expect("reads pass");
    let names: Vec<&str> = all.entries.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(names, ["/site/a/1", "/site/a/2", "/site/a/3", "/site/a/é"]);
    assert_eq!((all.revision, all.more), (Revision(7), false));

    let first = store.scan(Scan::prefix("/site/a/").limit(2)).await.expect("reads pass");
    assert_eq!((first.entries.len(), first.more), (2, true));
    // What is written between two pages is in neither.
    write(&store, "/site/a/2a", "late").await;
    store.txn(Txn::new().delete(key("/site/a/3"))).await.expect("the delete passes");
    let last = first.entries[1].key.clone();
    let rest = Scan::prefix("/site/a/").after(last).at(first.revision).limit(2);
    let rest = store.scan(rest).await.expect("reads pass");
    assert_eq!([first.entries, rest.entries].concat(), all.entries);
    assert_eq!((rest.revision, rest.more), (Revision(7), false));

    let none = store.scan(Scan::prefix("/site/a/").limit(0)).await.expect("reads pass");
    assert_eq!((none.entries.len(), none.more), (0, true));
    store.close().await;
}

pub(crate) async fn a_scan_shows_the_past(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    write(&store, "/a", "1").await;
    write(&store, "/b", "1").await;
    write(&store, "/a", "2").await;
    store.txn(Txn::new().delete(key("/b")).put(key("/c"), "1")).await.expect("the change passes");

    let mut seen = Vec::new();
    for at in 0..=4 {
        let page = store.scan(Scan::prefix("/").at(Revision(at))).await.expect("reads pass");
        assert_eq!(page.revision, Revision(at));
        seen.push(
            listed(&page)
                .into_iter()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    assert_eq!(seen, ["", "/a=1", "/a=1 /b=1", "/a=2 /b=1", "/a=2 /c=1"]);
    assert_eq!(
        store.scan(Scan::prefix("/").at(Revision(5))).await,
        Err(ReadError::Future { requested: Revision(5), current: Revision(4) })
    );
    store.close().await;
}

pub(crate) async fn a_watch_replays_and_follows_without_gap(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    for n in 1..=5 {
        write(&store, "/a", &n.to_string()).await;
    }
    let mut watch = store.watch("/", Revision(3));
    for n in 3..=5 {
        assert_eq!(next_batch(&mut watch).await.revision, Revision(n));
    }
    store.txn(Txn::new().put(key("/b"), "new").delete(key("/a"))).await.expect("the change passes");
    let batch = next_batch(&mut watch).await;
    assert_eq!((batch.revision, keys(&batch)), (Revision(6), vec!["/b", "/a"]));
    let [b, a] = batch.changes.as_slice() else { panic!("two changes") };
    assert_eq!(b.before, None);
    assert_eq!(
        b.now.as_ref().map(|now| (&now.value[..], now.create_revision)),
        Some((&b"new"[..], Revision(6)))
    );
    assert_eq!(a.now, None);
    assert_eq!(
        a.before.as_ref().map(|before| (&before.value[..], before.mod_revision)),
        Some((&b"5"[..], Revision(5)))
    );
    store.close().await;
}

pub(crate) async fn a_watch_sees_its_prefix_and_progress(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    let mut watch = store.watch("/site/a/", Revision(1));
    store
        .txn(Txn::new().put(key("/site/a/1"), "v").put(key("/site/b/1"), "v"))
        .await
        .expect("the change passes");
    let batch = next_batch(&mut watch).await;
    assert_eq!((batch.revision, keys(&batch)), (Revision(1), vec!["/site/a/1"]));

    write(&store, "/site/b/2", "v").await;
    assert_eq!(next(&mut watch).await, Some(WatchEvent::Progress(Revision(2))));
    write(&store, "/site/a/2", "v").await;
    assert_eq!(next_batch(&mut watch).await.revision, Revision(3));
    store.close().await;
}

pub(crate) async fn a_watch_of_the_future_waits(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    let mut watch = store.watch("/", Revision(3));
    for n in 1..=4 {
        write(&store, "/a", &n.to_string()).await;
    }
    assert_eq!(next_batch(&mut watch).await.revision, Revision(3));
    assert_eq!(next_batch(&mut watch).await.revision, Revision(4));
    store.close().await;
}

pub(crate) async fn a_lagging_watch_reads_the_log_and_stalls_no_writer(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    // Far more than the 1,024 events that sled's own subscribers hold.
    let mut watch = store.watch("/", Revision(1));
    let writes = (0..3000).map(|n| store.txn(put(&format!("/k/{n}"), "v")));
    for outcome in futures::future::join_all(writes).await {
        outcome.expect("nobody reads the watch, and writes pass all the same");
    }
    for n in 1..=3000 {
        assert_eq!(next_batch(&mut watch).await.revision, Revision(n));
    }
    store.close().await;
}

pub(crate) async fn compaction_ends_old_watches_and_scans(factory: &dyn Factory) {
    let Fixture { store, folder } = new(factory);
    for n in 1..=10 {
        write(&store, &format!("/k/{}", n % 3), &n.to_string()).await;
    }
    let mut behind = store.watch("/", Revision(2));
    let present = store.scan(Scan::prefix("/")).await.expect("reads pass");
    assert_eq!(store.compact(Revision(7)).await, Ok(()));
    assert_eq!(store.compact(Revision(3)).await, Ok(()), "what is compacted already stays so");
    let future = CompactError::Future { requested: Revision(11), current: Revision(10) };
    assert_eq!(store.compact(Revision(11)).await, Err(future));

    let store = reopened(factory, store, &folder).await;
    assert_eq!(store.scan(Scan::prefix("/")).await, Ok(present));
    let gone = ReadError::Compacted { requested: Revision(6), compacted: Revision(7) };
    assert_eq!(store.scan(Scan::prefix("/").at(Revision(6))).await, Err(gone));
    let at_seven =
        store.scan(Scan::prefix("/").at(Revision(7))).await.expect("the compacted revision itself stays");
    assert_eq!(listed(&at_seven), [("/k/0", "6"), ("/k/1", "7"), ("/k/2", "5")]);

    // The stream that was opened before may have read ahead, but ends at the gap.
    if !factory.is_durable() {
        assert_eq!(next(&mut behind).await, Some(WatchEvent::Compacted(Revision(7))));
        assert_eq!(next(&mut behind).await, None);
    }
    let mut late = store.watch("/", Revision(7));
    assert_eq!(next(&mut late).await, Some(WatchEvent::Compacted(Revision(7))));
    assert_eq!(next(&mut late).await, None);
    let mut kept = store.watch("/", Revision(8));
    assert_eq!(next_batch(&mut kept).await.revision, Revision(8));
    assert_eq!(write(&store, "/a", "1").await, Revision(11));
    store.close().await;
}

/// Stores of the suite keep 10,000 revisions, or 64 MiB of them: these writes go over the latter.
pub(crate) async fn history_is_bounded_by_itself(factory: &dyn Factory) {
    let Fixture { store, folder } = new(factory);
    let megabyte = Bytes::from(vec![7; 1 << 20]);
    for _ in 0..70 {
        store.txn(Txn::new().put(key("/k"), megabyte.clone())).await.expect("the write passes");
    }
    let store = reopened(factory, store, &folder).await;
    assert!(matches!(next(&mut store.watch("/", Revision(1))).await, Some(WatchEvent::Compacted(_))));
    assert_eq!(value(&store, "/k").await, Some(megabyte));
    assert_eq!(store.revision().await, Ok(Revision(70)));
    store.close().await;
}

async fn with_some_history(factory: &dyn Factory) -> Fixture {
    let fixture = new(factory);
    for n in 1..=20 {
        write(&fixture.store, &format!("/k/{}", n % 4), &n.to_string()).await;
    }
    fixture.store.txn(Txn::new().delete(key("/k/1"))).await.expect("the delete passes");
    fixture.store.compact(Revision(9)).await.expect("the compaction passes");
    fixture
}

async fn file_of(store: &Arc<dyn Store>) -> Vec<u8> {
    let mut file = Vec::new();
    store.export().await.expect("reads pass").write_to(&mut file).expect("memory takes it");
    file
}

pub(crate) async fn a_snapshot_carries_everything(factory: &dyn Factory) {
    let source = with_some_history(factory).await;
    let target = new(factory);
    write(&target.store, "/gone", "v").await;

    let snapshot = Snapshot::read_from(&*file_of(&source.store).await).expect("the file is whole");
    assert_eq!((snapshot.revision(), snapshot.epoch()), (Revision(21), Epoch::FIRST));
    assert_eq!(target.store.import(snapshot, ImportAs::Moved).await, Ok(Revision(21)));
    let moved = reopened(factory, target.store, &target.folder).await;
    for at in 9..=21 {
        let scan = Scan::prefix("/").at(Revision(at));
        assert_eq!(moved.scan(scan.clone()).await, source.store.scan(scan).await, "at {at}");
    }
    assert_eq!(moved.epoch().await, Ok(Epoch::FIRST));
    assert_eq!(next_batch(&mut moved.watch("/", Revision(10))).await.revision, Revision(10));
    assert_eq!(write(&moved, "/a", "1").await, Revision(22));
    moved.close().await;
    source.store.close().await;
}

pub(crate) async fn an_import_starts_a_higher_epoch_and_ends_watches(factory: &dyn Factory) {
    let Fixture { store, folder } = with_some_history(factory).await;
    let backup = Snapshot::read_from(&*file_of(&store).await).expect("the file is whole");
    write(&store, "/after/the/backup", "v").await;
    let mut watch = store.watch("/", Revision(22));
    assert_eq!(next_batch(&mut watch).await.revision, Revision(22));

    let restored = ImportAs::Restored { at_least: Epoch(0) };
    assert_eq!(store.import(backup.clone(), restored).await, Ok(Revision(21)));
    assert_eq!(next(&mut watch).await, Some(WatchEvent::Compacted(Revision(21))));
    assert_eq!(next(&mut watch).await, None);
    assert_eq!(value(&store, "/after/the/backup").await, None);
    assert_eq!(store.epoch().await, Ok(Epoch(2)));
    // The same backup again is yet another life.
    assert_eq!(store.import(backup.clone(), restored).await, Ok(Revision(21)));
    assert_eq!(store.epoch().await, Ok(Epoch(3)));
    assert_eq!(store.import(backup, ImportAs::Restored { at_least: Epoch(77) }).await, Ok(Revision(21)));
    if factory.is_durable() {
        let store = reopened(factory, store, &folder).await;
        assert_eq!(store.epoch().await, Ok(Epoch(77)));
        store.close().await;
    }
}

pub(crate) async fn a_snapshot_may_be_damaged_anywhere_and_is_refused(factory: &dyn Factory) {
    let Fixture { store, .. } = with_some_history(factory).await;
    let file = file_of(&store).await;
    for cut in 0..file.len() {
        let error = Snapshot::read_from(&file[..cut]).expect_err("a part is not a snapshot");
        assert!(matches!(error, SnapshotError::Truncated), "cut at {cut}: {error}");
    }
    for at in 0..file.len() {
        let mut damaged = file.clone();
        damaged[at] ^= 0x20;
        Snapshot::read_from(&*damaged).expect_err("a damaged file is not a snapshot");
    }
    let longer = [file.as_slice(), b"\n"].concat();
    assert!(matches!(Snapshot::read_from(&*longer), Err(SnapshotError::Trailing)));
    assert!(matches!(Snapshot::read_from(&b"apiVersion: v1"[..]), Err(SnapshotError::Truncated)));
    assert!(matches!(
        Snapshot::read_from(&b"apiVersion: v1\nkind: Host"[..]),
        Err(SnapshotError::NotASnapshot)
    ));
    store.close().await;
}

pub(crate) async fn a_closed_store_refuses_writes_and_ends_watches(factory: &dyn Factory) {
    let Fixture { store, .. } = new(factory);
    let mut watch = store.watch("/", Revision(1));
    write(&store, "/a", "1").await;
    store.close().await;
    store.close().await;
    assert_eq!(store.health(), Health::Closed);
    assert_eq!(store.txn(put("/a", "2")).await, Err(TxnError::Closed));
    assert_eq!(store.compact(Revision(1)).await, Err(CompactError::Closed));
    assert_eq!(next_batch(&mut watch).await.revision, Revision(1));
    assert_eq!(next(&mut watch).await, None);
}

pub(crate) async fn what_was_acknowledged_is_there_after_reopening(factory: &dyn Factory) {
    let Fixture { store, folder } = with_some_history(factory).await;
    // Longer and shorter than a part of a record, so that folding has parts to remove.
    for size in [0, 1, 4095, 4096, 4097, 300_000, 5000, 3] {
        store.txn(Txn::new().put(key("/sized"), vec![7; size])).await.expect("the write passes");
        store.compact(store.revision().await.expect("reads pass")).await.expect("the compaction passes");
    }
    write(&store, "/last", "v").await;
    if factory.is_durable() {
        let before = store.scan(Scan::prefix("/")).await;
        let store = reopened(factory, store, &folder).await;
        assert_eq!(store.scan(Scan::prefix("/")).await, before);
        assert_eq!(next_batch(&mut store.watch("/", Revision(30))).await.revision, Revision(30));
        assert_eq!(write(&store, "/more", "v").await, Revision(31));
        store.close().await;
    }
}

/// The store after a restart; the same one where a restart would forget all.
async fn reopened(factory: &dyn Factory, store: Arc<dyn Store>, folder: &TempDir) -> Arc<dyn Store> {
    if !factory.is_durable() {
        return store;
    }
    store.close().await;
    factory.make(folder.path())
}
