//! Random histories against a model that is too simple to be wrong: a list of whole maps.
//!
//! The model keeps one `BTreeMap` for each revision. Both engines run each history, and must give
//! the model's answer to every transaction, scan, watch and compaction; sled also after restarts.

use std::collections::BTreeMap;
use std::time::Duration;

use controller::store::{
    Batch, Compare, Key, LocalStore, Operation, ReadError, Revision, Scan, Store, Tuning, Txn, TxnError,
    WatchEvent, WatchStream,
};
use futures::StreamExt;
use proptest::prelude::*;
use tempfile::TempDir;

/// What is in a store at one revision: value, modification, creation.
type Map = BTreeMap<String, (Vec<u8>, u64, u64)>;

/// Every revision that ever was.
struct Model {
    maps: Vec<Map>,
    compacted: u64,
}

#[derive(Debug, Clone)]
enum Step {
    /// Compares with the key's true revision plus an error, which is mostly none.
    Txn {
        compare: Vec<(u8, u64)>,
        operations: Vec<(u8, Option<Vec<u8>>)>,
    },
    Scan {
        prefix: u8,
        back: u64,
        after: Option<u8>,
        limit: Option<usize>,
    },
    Watch {
        prefix: u8,
        back: u64,
    },
    Compact {
        back: u64,
    },
    Reopen,
}

const PREFIXES: [&str; 4] = ["/", "/a/", "/b/", "/a/1"];
const KEYS: [&str; 8] = ["/a/1", "/a/10", "/a/2", "/a/é", "/b", "/b/1", "/b/2", "/c"];

fn step() -> impl Strategy<Value = Step> {
    let compare = prop::collection::vec((0..8u8, prop_oneof![9 => Just(0u64), 1 => 1..3u64]), 0..3);
    let value = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..8).prop_map(Some),
        1 => (4000..9000usize).prop_map(|len| Some(vec![7; len])),
        3 => Just(None),
    ];
    let operations = prop::collection::vec((0..8u8, value), 0..5);
    let limit = prop::option::of(0..5usize);
    prop_oneof![
        10 => (compare, operations).prop_map(|(compare, operations)| Step::Txn { compare, operations }),
        4 => (0..4u8, 0..8u64, prop::option::of(0..8u8), limit)
            .prop_map(|(prefix, back, after, limit)| Step::Scan { prefix, back, after, limit }),
        2 => (0..4u8, 0..8u64).prop_map(|(prefix, back)| Step::Watch { prefix, back }),
        1 => (0..6u64).prop_map(|back| Step::Compact { back }),
        1 => Just(Step::Reopen),
    ]
}

fn key(index: u8) -> Key {
    Key::parse(KEYS[usize::from(index)]).expect("the model uses good keys")
}

impl Model {
    fn newest(&self) -> u64 {
        self.maps.len() as u64 - 1
    }

    fn now(&self) -> &Map {
        self.maps.last().expect("revision 0 is always there")
    }

    fn mod_revision(&self, key: &str) -> u64 {
        self.now().get(key).map_or(0, |(_, modified, _)| *modified)
    }

    fn txn(&mut self, txn: &Txn) -> Result<Revision, TxnError> {
        let mut seen = Vec::new();
        for operation in &txn.operations {
            if seen.contains(&operation.key()) {
                return Err(TxnError::DuplicateKey { key: operation.key().clone() });
            }
            seen.push(operation.key());
        }
        for Compare { key, expected } in &txn.compare {
            let actual = Revision(self.mod_revision(key));
            if actual != *expected {
                return Err(TxnError::Conflict { key: key.clone(), expected: *expected, actual });
            }
        }
        let (next, mut map, mut changed) = (self.newest() + 1, self.now().clone(), false);
        for operation in &txn.operations {
            match operation {
                Operation::Put { key, value } => {
                    let created = map.get(key.as_str()).map_or(next, |(_, _, created)| *created);
                    map.insert(key.to_string(), (value.to_vec(), next, created));
                    changed = true;
                }
                Operation::Delete { key } => changed |= map.remove(key.as_str()).is_some(),
            }
        }
        if changed {
            self.maps.push(map);
        }
        Ok(Revision(self.newest()))
    }

    fn scan(&self, at: u64, prefix: &str, after: Option<&str>) -> Map {
        let wanted = |key: &str| key.starts_with(prefix) && after.is_none_or(|after| key > after);
        self.maps[at as usize]
            .iter()
            .filter(|(key, _)| wanted(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect()
    }

    /// What changed below a prefix in one revision: key, before, now.
    fn changes(&self, revision: u64, prefix: &str) -> BTreeMap<String, [Option<u64>; 2]> {
        let (before, now) = (&self.maps[revision as usize - 1], &self.maps[revision as usize]);
        let modified = |map: &Map, key: &str| map.get(key).map(|(_, modified, _)| *modified);
        let keys = before.keys().chain(now.keys()).filter(|key| key.starts_with(prefix));
        let pairs = keys.map(|key| (key.clone(), [modified(before, key), modified(now, key)]));
        pairs.filter(|(_, [before, now])| before != now).collect()
    }
}

/// A store under test, and how to restart it.
struct Subject {
    store: LocalStore,
    folder: Option<TempDir>,
}

impl Subject {
    fn in_memory() -> Self {
        Self { store: LocalStore::in_memory(Tuning::default()), folder: None }
    }

    fn on_sled() -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is writable");
        let store = LocalStore::open(folder.path(), Tuning::default()).expect("the folder is ours");
        Self { store, folder: Some(folder) }
    }

    async fn reopen(&mut self) {
        if let Some(folder) = &self.folder {
            self.store.close().await;
            self.store = LocalStore::open(folder.path(), Tuning::default()).expect("the folder is ours");
        }
    }

    async fn run(mut self, steps: &[Step]) {
        let mut model = Model { maps: vec![Map::new()], compacted: 0 };
        for step in steps {
            match step {
                Step::Txn { compare, operations } => self.txn(&mut model, compare, operations).await,
                Step::Scan { prefix, back, after, limit } => {
                    let after = after.map(key);
                    self.scan(&model, PREFIXES[usize::from(*prefix)], *back, after, *limit).await;
                }
                Step::Watch { prefix, back } => {
                    self.watch(&model, PREFIXES[usize::from(*prefix)], *back).await
                }
                Step::Compact { back } => {
                    let through = model.newest().saturating_sub(*back);
                    assert_eq!(self.store.compact(Revision(through)).await, Ok(()));
                    model.compacted = model.compacted.max(through);
                }
                Step::Reopen => self.reopen().await,
            }
        }
        self.watch(&model, "/", model.newest() - model.compacted).await;
        self.store.close().await;
    }

    async fn txn(&self, model: &mut Model, compare: &[(u8, u64)], operations: &[(u8, Option<Vec<u8>>)]) {
        let mut txn = Txn::new();
        for (index, error) in compare {
            txn = txn.expect(key(*index), Revision(model.mod_revision(KEYS[usize::from(*index)]) + error));
        }
        for (index, value) in operations {
            txn = match value {
                Some(value) => txn.put(key(*index), value.clone()),
                None => txn.delete(key(*index)),
            };
        }
        let expected = model.txn(&txn);
        assert_eq!(self.store.txn(txn).await, expected);
    }

    async fn scan(&self, model: &Model, prefix: &str, back: u64, after: Option<Key>, limit: Option<usize>) {
        let at = model.newest().saturating_sub(back);
        let mut scan = Scan::prefix(prefix).at(Revision(at));
        (scan.after, scan.limit) = (after.clone(), limit);
        let answer = self.store.scan(scan).await;
        if at < model.compacted {
            let (requested, compacted) = (Revision(at), Revision(model.compacted));
            assert_eq!(answer, Err(ReadError::Compacted { requested, compacted }));
            return;
        }
        let page = answer.expect("the revision is kept");
        let expected = model.scan(at, prefix, after.as_deref());
        let limit = limit.unwrap_or(usize::MAX);
        assert_eq!((page.revision, page.more), (Revision(at), expected.len() > limit));
        let entries = page.entries.into_iter().map(|entry| {
            let version = entry.version;
            (
                entry.key.to_string(),
                (version.value.to_vec(), version.mod_revision.0, version.create_revision.0),
            )
        });
        assert!(entries.eq(expected.into_iter().take(limit)), "at {at} below {prefix}");
    }

    async fn watch(&self, model: &Model, prefix: &str, back: u64) {
        let from = model.newest().saturating_sub(back) + 1;
        let mut watch = self.store.watch(prefix, Revision(from));
        if from <= model.compacted {
            assert_eq!(next(&mut watch).await, Some(WatchEvent::Compacted(Revision(model.compacted))));
            assert_eq!(next(&mut watch).await, None);
            return;
        }
        let mut last = None;
        for revision in from..=model.newest() {
            let expected = model.changes(revision, prefix);
            if expected.is_empty() {
                continue;
            }
            let event = next(&mut watch).await;
            let Some(WatchEvent::Batch(batch)) = event else { panic!("at {revision}: {event:?}") };
            assert_eq!((batch.revision, changes(&batch)), (Revision(revision), expected));
            last = Some(revision);
        }
        if last != Some(model.newest()) && from <= model.newest() {
            assert_eq!(next(&mut watch).await, Some(WatchEvent::Progress(Revision(model.newest()))));
        }
    }
}

/// The next event; a watch that stays silent fails its history.
async fn next(watch: &mut WatchStream) -> Option<WatchEvent> {
    tokio::time::timeout(Duration::from_secs(60), watch.next()).await.expect("the watch reports in time")
}

fn changes(batch: &Batch) -> BTreeMap<String, [Option<u64>; 2]> {
    let pairs = batch.changes.iter().map(|change| {
        let modified =
            [&change.before, &change.now].map(|side| side.as_ref().map(|version| version.mod_revision.0));
        (change.key.to_string(), modified)
    });
    let map: BTreeMap<_, _> = pairs.collect();
    assert_eq!(map.len(), batch.changes.len(), "a batch names each key once");
    map
}

fn check(subject: Subject, steps: &[Step]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime starts");
    runtime.block_on(subject.run(steps));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn in_memory_agrees_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        check(Subject::in_memory(), &steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn on_sled_agrees_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        check(Subject::on_sled(), &steps);
    }
}
