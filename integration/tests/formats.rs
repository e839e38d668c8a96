//! Every recorded set of stored and sent formats is read by this build, and holds what was written.
//!
//! See `integration::formats`. What fails here would fail for somebody's fleet at their next update.

use std::fs;
use std::path::{Path, PathBuf};

use certs::{OperatorCredential, TrustBundle};
use controller::backup::restore;
use controller::catalog::Catalog;
use controller::events::{BootFilter, EventStore};
use controller::store::{LocalStore, Snapshot, Store, Tuning};
use edge_agent::disk::log::{Ledger, Options};
use edge_agent::plans::PlanStore;
use integration::formats::samples::{self, Samples};
use integration::formats::{PASSPHRASE, copy_private, fixtures, sets};
use proto::chunks::ChunkList;
use proto::event::NumberedEvent;
use proto::holding::Holding;
use proto::ledger::Record;
use proto::plan::{PlanDocument, Prefetch, SitePlan};
use proto::{Incarnation, Wall, v1};

/// Runs a check on each set: on a private copy of it, and on what it is to hold.
fn in_each_set(check: impl Fn(&Path, Samples)) {
    let sets = sets(&fixtures()).expect("the folder is there");
    assert!(!sets.is_empty(), "at least one set is recorded");
    for (number, set) in sets {
        let copy = tempfile::tempdir().expect("a temporary folder");
        copy_private(&set, copy.path()).expect("copied");
        check(copy.path(), Samples::of(number));
    }
}

fn message<M: prost::Message + Default>(set: &Path, name: &str) -> M {
    let bytes = fs::read(set.join(name)).expect("recorded");
    M::decode(&bytes[..]).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn check_plan(plan: &PlanDocument, samples: Samples) {
    assert_eq!(plan, &samples.plan());
    let plan = SitePlan::decode(plan).expect("understood");
    assert_eq!(plan.doubts, []);
    assert_eq!(plan.network, samples.network());
    for set in samples.loaders() {
        assert_eq!(plan.loaders.get(&set.name), Some(&set));
    }
    assert_eq!(plan.mirrors.values().collect::<Vec<_>>(), samples.mirrors().iter().collect::<Vec<_>>());
    let prefetch = |prefetch: &Prefetch| (prefetch.name.clone(), prefetch.clone());
    assert_eq!(plan.prefetch, samples.prefetch().iter().map(prefetch).collect());
    assert_eq!(plan.chunk_lists, samples.chunk_lists());
    assert_eq!(plan.hosts.values().collect::<Vec<_>>(), [&samples.host()]);
    assert_eq!(plan.orders.values().collect::<Vec<_>>(), [&samples.order()]);
}

#[test]
fn messages() {
    in_each_set(|set, samples| {
        let plan: v1::Plan = message(set, "plan.pb");
        check_plan(&PlanDocument::try_from(plan).expect("its digest holds"), samples);

        let delta: v1::PlanDelta = message(set, "plan-delta.pb");
        check_plan(&samples.former_plan().apply(delta).expect("it fits"), samples);

        let batch: v1::EventBatch = message(set, "event-batch.pb");
        let events = batch.events.into_iter().map(NumberedEvent::try_from);
        assert_eq!(events.collect::<Result<Vec<_>, _>>().expect("legal"), samples.events());

        if let Some(holding) = samples.holding() {
            let report: v1::HoldingReport = message(set, "holding.pb");
            assert_eq!(Holding::after(None, report), Ok(holding));
        }
        if let Some(list) = samples.chunk_list() {
            let bytes = fs::read(set.join("chunks.list")).expect("recorded");
            assert_eq!(ChunkList::parse(&bytes), Ok(list));
        }

        let given: v1::Credentials = message(set, "credentials.pb");
        assert_eq!((given.fleet.as_str(), given.site.as_str()), ("recorded", "lab"));
        assert_eq!((given.agent.as_str(), given.chain_der.len()), ("one", 2));
        TrustBundle::from_der(given.bundle_der).expect("roots");
    });
}

#[test]
fn plans_on_an_agents_disk() {
    in_each_set(|set, samples| {
        let (store, found) = PlanStore::open(&set.join("plans")).expect("it opens");
        assert_eq!((found.damaged.len(), found.rejected), (0, None));
        check_plan(store.current().expect("it is there"), samples);

        fs::remove_file(set.join("plans/current.plan")).expect("it was there");
        let (store, found) = PlanStore::open(&set.join("plans")).expect("it opens");
        // The newer plan's secrets are still beside it, so only its name is that of the plan as it came.
        let former = store.current().expect("it is there");
        assert_eq!((found.damaged.len(), former.id()), (0, samples.former_plan().id()));
        let plan = SitePlan::decode(former).expect("understood");
        assert_eq!((plan.hosts.len(), plan.orders.len()), (1, 0));
    });
}

#[test]
fn an_agents_ledger() {
    in_each_set(|set, samples| {
        let mut records = Vec::new();
        let mut visit = |record: edge_agent::disk::log::Record<'_>| {
            records.push(Record::decode(record.body)?);
            Ok(())
        };
        let options = Options::new(Incarnation([0; 16]));
        let (ledger, opened) = Ledger::open(&set.join("ledger"), options, &mut visit).expect("it opens");
        assert_eq!((ledger.incarnation(), opened.created), (samples::INCARNATION, false));
        assert_eq!(records, samples.records());
    });
}

#[test]
fn an_agents_journal_is_what_its_ledger_says() {
    in_each_set(|set, samples| {
        let mut site = netboot::site::Site::new(
            netboot::site::Config { agent: "one".into(), journal_limit: 1_000, stations: vec![] },
            samples::INCARNATION,
            [0; 32],
        );
        let mut visit = |record: edge_agent::disk::log::Record<'_>| {
            site.restore(&Record::decode(record.body)?);
            Ok(())
        };
        let options = Options::new(Incarnation([0; 16]));
        drop(Ledger::open(&set.join("ledger"), options, &mut visit).expect("it opens"));
        let waiting: Vec<_> = site.events_after(0).collect();
        assert_eq!(waiting, samples.events()[3..], "three are acknowledged");
        let state = site.orders().get(samples::ORDER_WITH_SECRETS).expect("it was started");
        assert_eq!(state.attempts, 2);
    });
}

#[test]
fn a_controllers_folder() {
    in_each_set(|set, samples| {
        block_on(async {
            let state = set.join("controller");
            let store = LocalStore::open(&state.join("store"), Tuning::default()).expect("it opens");
            check_catalog(store, samples).await;
            let tuning = controller::events::Tuning::default();
            let events = EventStore::open(&state.join("events"), tuning).expect("it opens");
            let filter = BootFilter { limit: 10, ..BootFilter::default() };
            let boots = events.boots(filter).await.expect("readable");
            let stored = events.boot_events(boots[0].attempt).await.expect("readable");
            let stored: Vec<_> = stored.into_iter().map(|event| event.numbered).collect();
            assert_eq!((boots.len(), stored), (1, samples.events()));
            events.close().await;
        });
        let fleet = "recorded".parse().expect("a name");
        let now = std::time::SystemTime::UNIX_EPOCH;
        let authority = certs::Authority::open(&set.join("controller/authority"), &fleet, now);
        assert!(authority.expect("readable").is_some(), "the authority is there");
        let credential = set.join("controller").join(controller::ADMIN_CREDENTIAL);
        let credential = OperatorCredential::load(&credential).expect("readable");
        assert_eq!(credential.fleet(), &fleet);
    });
}

#[test]
fn a_snapshot_and_a_backup() {
    in_each_set(|set, samples| {
        let snapshot = fs::File::open(set.join("store.snapshot")).expect("recorded");
        let snapshot = Snapshot::read_from(snapshot).expect("whole");
        assert!(snapshot.revision().0 >= samples.documents().len() as u64);

        block_on(async {
            let archive = fs::File::open(set.join("backup.archive")).expect("recorded");
            let state: PathBuf = set.join("restored");
            let restored = restore(archive, PASSPHRASE.into(), &state, Wall(1)).await.expect("restored");
            assert_eq!(restored.about.fleet, "recorded");
            assert!(restored.epoch > restored.about.epoch, "a new epoch");
            let store = LocalStore::open(&state.join("store"), Tuning::default()).expect("it opens");
            check_catalog(store, samples).await;
        });
    });
}

/// The documents that were applied are there, and findable.
async fn check_catalog(store: LocalStore, samples: Samples) {
    let store = std::sync::Arc::new(store);
    let catalog = Catalog::new(store.clone());
    for json in samples.documents() {
        let wanted: serde_json::Value = serde_json::from_str(json).expect("well-formed");
        let (kind, name) = (wanted["kind"].as_str().expect("text"), wanted["name"].as_str().expect("text"));
        let there = catalog.get_any(kind.parse().expect("a kind"), name).await.expect("readable");
        let there = there.unwrap_or_else(|| panic!("{kind} {name} is gone")).to_value();
        for (field, value) in wanted["spec"].as_object().expect("an object") {
            // A secret is sealed at rest.
            assert!(kind == "Secret" || contains(&there["spec"][field], value), "{name}: {field}: {there}");
        }
    }
    if let Some(proof) = samples.proof() {
        let forms = catalog.forms().await.expect("readable");
        assert_eq!(forms.models.get(&proof.model).map(|known| known.newest.form), Some(proof.form));
    }
    let mac = "52:54:00:00:00:01".parse().expect("an address");
    assert_eq!(catalog.host_of_mac(mac).await.expect("readable").as_deref(), Some("web-1"));
    store.close().await;
}

/// Whether everything of `part` is in `whole`, which may have defaults beside it.
fn contains(whole: &serde_json::Value, part: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Object};
    match (whole, part) {
        (Object(whole), Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Array(whole), Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(whole, part)| contains(whole, part))
        }
        (whole, part) => whole == part,
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(future)
}
