//! Plans across restarts, crashes and damage.

use proto::{
    Generation,
    plan::{Entry, Network},
};

use super::*;

fn plan(revision: u64, secret: Option<&str>) -> PlanDocument {
    let entry = |body: &str| Entry { body: body.to_owned().into(), level: 1 };
    let mut entries =
        vec![("host/1".to_owned(), entry(&revision.to_string())), ("network".to_owned(), network())];
    entries.extend(secret.map(|secret| (format!("secret/{}", OrderId([7; 16])), entry(secret))));
    PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision }, 1, entries)
}

/// What a plan needs to be understood.
fn network() -> Entry {
    let network = Network::default();
    Entry { body: v1::Network::from(&network).encode_to_vec().into(), level: 1 }
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
    assert_eq!(store.current().expect("the rest is there").entries().count(), 2);
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
    store.settle(plan(1, None).id()).expect("it ran well");
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
        store.settle(plan(1, None).id()).expect("it ran well");
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

#[test]
fn a_rejected_plan_stays_rejected_over_restarts() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    store.settle(plan(1, None).id()).expect("it ran well");
    store.adopt(plan(2, None)).expect("new");
    (0..3).for_each(|_| drop(open(folder.path())));
    for _ in 0..5 {
        let (mut store, found) = open(folder.path());
        assert_eq!(found.rejected, None, "it is told once");
        assert_eq!(store.current(), Some(&plan(1, None)));
        assert!(matches!(store.adopt(plan(2, None)), Err(AdoptError::Rejected(_))));
    }
}

#[test]
fn a_crash_between_the_note_and_the_return_returns_at_the_next_start() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    store.adopt(plan(2, None)).expect("new");
    let note = format!("{} {}\n", plan(2, None).id().digest, proto::VERSION);
    fs::write(folder.path().join(REJECTED), note).expect("written");
    let (store, found) = open(folder.path());
    assert_eq!(found.rejected, Some(plan(2, None).id()));
    assert_eq!(store.current(), Some(&plan(1, None)));
}

#[test]
fn another_version_of_the_agent_may_try_a_rejected_plan() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    store.adopt(plan(2, None)).expect("new");
    (0..3).for_each(|_| drop(open(folder.path())));
    let note = format!("{} 0.0.0-other\n", plan(2, None).id().digest);
    fs::write(folder.path().join(REJECTED), note).expect("written");
    assert!(open(folder.path()).0.adopt(plan(2, None)).expect("tried anew"));
}

#[test]
fn settling_one_plan_does_not_settle_the_next() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    store.adopt(plan(2, None)).expect("new");
    store.settle(plan(1, None).id()).expect("too late");
    (0..2).for_each(|_| drop(open(folder.path())));
    assert_eq!(open(folder.path()).1.rejected, Some(plan(2, None).id()));
}

#[test]
fn the_good_former_plan_outlives_the_next_adoption() {
    let damage = |bytes: &mut Vec<u8>| bytes[40] ^= 1;
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    store.adopt(plan(2, None)).expect("new");
    let path = folder.path().join(CURRENT);
    for revision in [3, 4] {
        let mut bytes = fs::read(&path).expect("written");
        damage(&mut bytes);
        fs::write(&path, bytes).expect("written");
        let (mut store, _) = open(folder.path());
        assert_eq!(store.current(), Some(&plan(1, None)));
        store.adopt(plan(revision, None)).expect("new");
        let mut damaged = Vec::new();
        assert_eq!(store.load(FORMER, &mut damaged), Some(plan(1, None)));
    }
}

#[test]
fn a_plan_that_is_not_understood_gives_way_to_the_former() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    let generation = Generation { epoch: 1, revision: 2 };
    store
        .adopt(PlanDocument::assemble("acme", "lyon", generation, 1, []))
        .expect("the caller understands plans");
    let (store, found) = open(folder.path());
    assert!(matches!(found.damaged[..], [PlanError::Content { .. }]));
    assert_eq!(store.current(), Some(&plan(1, None)));
}

#[test]
fn a_disk_that_takes_no_notes_does_not_keep_the_agent_from_starting() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, None)).expect("new");
    // A folder in the temporary file's place: as on a full disk, nothing can be written.
    fs::create_dir(folder.path().join(".trial.tmp")).expect("made");
    let (store, found) = open(folder.path());
    assert_eq!(store.current(), Some(&plan(1, None)));
    assert!(matches!(found.damaged[..], [PlanError::Note(_)]));
}

#[test]
fn destroyed_secrets_do_not_come_back_with_the_next_plan() {
    let folder = folder();
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, Some("hunter2"))).expect("new");
    store.destroy_secrets(OrderId([7; 16])).expect("destroyed");
    assert_eq!(store.current().expect("in force").entries().count(), 2, "nor do they stay in memory");
    store.adopt(plan(2, Some("hunter2"))).expect("new");
    assert_eq!(store.current().expect("in force").id(), plan(2, Some("hunter2")).id());
    assert_eq!(store.current().expect("in force").entries().count(), 2);
    assert_eq!(walk(&folder.path().join("secrets")), Vec::<PathBuf>::new());
    assert_eq!(open(folder.path()).0.current().expect("in force").entries().count(), 2);
}

#[test]
fn unchanged_secrets_are_not_sealed_again_and_leftovers_go() {
    let folder = folder();
    let secret = folder.path().join(format!("secrets/{}.secret", OrderId([7; 16])));
    let (mut store, _) = open(folder.path());
    store.adopt(plan(1, Some("hunter2"))).expect("new");
    let sealed = fs::read(&secret).expect("sealed");
    store.adopt(plan(2, Some("hunter2"))).expect("new");
    assert_eq!(fs::read(&secret).expect("sealed"), sealed);
    let (mut store, _) = open(folder.path());
    store.adopt(plan(3, Some("hunter2"))).expect("new");
    assert_eq!(fs::read(&secret).expect("sealed"), sealed, "nor after a restart");
    fs::write(folder.path().join("secrets/.half.tmp"), b"a crash left it").expect("written");
    store.adopt(plan(4, Some("hunter3"))).expect("new");
    assert_ne!(fs::read(&secret).expect("sealed"), sealed);
    assert_eq!(walk(&folder.path().join("secrets")), [secret]);
    assert_eq!(open(folder.path()).0.current(), Some(&plan(4, Some("hunter3"))));
}
