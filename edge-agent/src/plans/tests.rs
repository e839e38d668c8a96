//! Plans across restarts, crashes and damage.

use proto::{Generation, plan::Entry};

use super::*;

fn plan(revision: u64, secret: Option<&str>) -> PlanDocument {
    let entry = |body: &str| Entry { body: body.to_owned().into(), level: 1 };
    let mut entries = vec![("host/1".to_owned(), entry(&revision.to_string()))];
    entries.extend(secret.map(|secret| (format!("secret/{}", OrderId([7; 16])), entry(secret))));
    PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision }, 1, entries)
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn open(folder: &Path) -> (PlanStore, Found) {
    PlanStore::open(folder).expect("it opens")
}

#[test]
fn the_plan_in_force_survives_a_restart() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    assert!(store.adopt(plan(1, Some("hunter2"))).expect("new"));
    assert!(!store.adopt(plan(1, Some("hunter2"))).expect("equal is a no-op"));
    assert_eq!(open(folder.path()).0.current(), Some(&plan(1, Some("hunter2"))));
}

#[test]
fn an_older_plan_is_refused() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(5, None)).expect("new");
    assert!(matches!(store.adopt(plan(4, None)), Err(AdoptError::Older { .. })));
}

#[test]
fn no_secret_lies_open_on_the_disk_and_a_destroyed_one_is_gone() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, Some("hunter2"))).expect("new");
    for file in walk(folder.path()) {
        let bytes = fs::read(&file).expect("readable");
        assert!(!bytes.windows(7).any(|window| window == b"hunter2"), "{}", file.display());
    }
    store.destroy_secrets(OrderId([7; 16])).expect("destroyed");
    let (store, found) = open(folder.path());
    assert_eq!(found.damaged.len(), 0);
    assert_eq!(store.current().expect("the rest is there").entries().count(), 1);
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn three_runs_that_do_not_last_return_to_the_former_plan() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    store.settle().expect("it ran well");
    store.adopt(plan(2, None)).expect("new");
    for _ in 0..2 {
        let (store, found) = open(folder.path());
        assert_eq!(store.current().map(PlanDocument::id), Some(plan(2, None).id()));
        assert_eq!(found.rejected, None);
    }
    let (mut store, found) = open(folder.path());
    assert_eq!(found.rejected, Some(plan(2, None).id()));
    assert_eq!(store.current().map(PlanDocument::id), Some(plan(1, None).id()));
    assert!(matches!(store.adopt(plan(2, None)), Err(AdoptError::Rejected(_))));
    store.adopt(plan(3, None)).expect("a newer one is another matter");
}

#[test]
fn without_a_former_plan_the_current_one_stays() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    for _ in 0..9 {
        assert_eq!(open(folder.path()).0.current(), Some(&plan(1, None)));
    }
}

#[test]
fn a_plan_that_settled_is_never_given_up() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    for _ in 0..10 {
        let (store, found) = open(folder.path());
        assert_eq!((store.current().is_some(), found.rejected), (true, None));
        store.settle().expect("it ran well");
    }
}

#[test]
fn every_damaged_byte_is_noticed_and_the_former_plan_is_taken() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    store.adopt(plan(2, None)).expect("new");
    let path = folder.path().join("current.plan");
    let bytes = fs::read(&path).expect("written");
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        fs::write(&path, damaged).expect("written");
        let (store, found) = open(folder.path());
        assert!(matches!(found.damaged[..], [PlanError::Checksum { .. }]));
        assert_eq!(store.current().map(PlanDocument::id), Some(plan(1, None).id()));
    }
}
