//! What is told of blobs that come, are cut, and come again; the pace on paper time.

use std::time::SystemTime;

use netboot::site;
use proto::{
    Generation,
    plan::{BlobRef, Need, Network, PlanDocument, Prefetch, network_entry, prefetch_entry},
};
use tokio::sync::mpsc;

use super::*;

fn paces(seen: impl IntoIterator<Item = (u64, u64)>) -> Vec<u64> {
    let (mut pace, began) = (Pace::default(), Instant::now());
    seen.into_iter()
        .map(|(second, received)| pace.seen(began + Duration::from_secs(second), received))
        .collect()
}

#[test]
fn the_pace_is_what_comes() {
    assert_eq!(paces([(0, 7_000_000), (1, 7_001_000), (2, 7_002_000)]), [0, 1_000, 1_000]);
    let slower = paces([(0, 0), (1, 1_000), (2, 1_500)])[2];
    assert!((500..1_000).contains(&slower), "{slower}");
}

#[test]
fn a_link_that_is_cut_has_no_pace_soon_and_its_new_one_at_once() {
    let mut seen: Vec<_> = (0..20).map(|second| (second, second * 1_000_000)).collect();
    seen.extend((20..30).map(|second| (second, 19_000_000)));
    seen.extend([(30, 19_100_000)]);
    let paces = paces(seen);
    assert!(paces[19] > 900_000 && paces[22] > 0, "{paces:?}");
    assert_eq!(paces[23..30], [0; 7], "{paces:?}");
    assert_eq!(paces[30], 100_000, "the one before the cut plays no part");
}

#[test]
fn what_comes_at_long_intervals_comes_all_the_same() {
    let every_six = (0..60).map(|second| (second, second / 6 * 60_000));
    let paces = paces(every_six);
    assert!(paces[18..].iter().all(|pace| *pace > 0), "{paces:?}");
}

struct Scene {
    _dir: tempfile::TempDir,
    survey: Survey,
    plan: Arc<SitePlan>,
    blob: BlobRef,
    pace: Pace,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let cache = Cache::open(&dir.path().join("cache"), SystemTime::now(), Duration::from_secs(60));
        let options = crate::core::Options {
            ledger: dir.path().join("ledger"),
            site: site::Config { agent: "a-1".into(), journal_limit: 1_000, stations: vec![] },
            low_disk_bytes: 0,
            interfaces: Vec::new(),
            ended_orders: mpsc::channel(1).0,
            tap: crate::Tap::default(),
            failed_boots: mpsc::channel(1).0,
            snapshots: crate::core::Snapshots::default(),
        };
        let blob = BlobRef { digest: Digest::of(&[7; 100_000]), size: 100_000 };
        let prefetch = Prefetch { name: "image/x".into(), need: Need::Site, rank: 0, blobs: vec![blob] };
        let entries = [network_entry(&Network::default()), prefetch_entry(&prefetch)];
        let document =
            PlanDocument::assemble("acme", "lyon", Generation { epoch: 1, revision: 1 }, 1, entries);
        let plan = Arc::new(SitePlan::decode(&document).expect("a plan"));
        let survey = Survey {
            cache: Arc::new(cache.expect("opens").0),
            plan: watch::channel(Some(plan.clone())).1,
            core: Core::start(options).expect("it starts").0,
            arrivals: Arrivals::default(),
            out: watch::channel(None).0,
        };
        Self { _dir: dir, survey, plan, blob, pace: Pace::default() }
    }

    /// What is told of the blob; None: it is here.
    fn told(&mut self) -> Option<Awaited> {
        let partials = self.survey.cache.partials();
        let holding = self.survey.look(&self.plan, partials, &mut self.pace);
        holding.awaited.get(&self.blob.digest).cloned()
    }
}

#[tokio::test]
async fn what_lies_on_disk_of_a_blob_has_arrived_also_between_two_tries() {
    let mut scene = Scene::new();
    let mut fill = scene.survey.cache.fill(scene.blob.digest, scene.blob.size).expect("begins");
    fill.write(&[7; 72_000]).expect("writes");
    let told = scene.told().expect("awaited");
    assert_eq!((told.arrived, told.state), (72_000, BlobState::Arriving));
    drop(fill);
    scene.survey.arrivals.failed(scene.blob.digest, "the link is down".into());
    let told = scene.told().expect("awaited");
    assert_eq!(
        (told.arrived, told.state, told.reason.as_str()),
        (72_000, BlobState::Failed, "the link is down")
    );
    let fill = scene.survey.cache.fill(scene.blob.digest, scene.blob.size).expect("resumes");
    let told = scene.told().expect("awaited");
    assert_eq!((told.arrived, told.state, told.reason.as_str()), (72_000, BlobState::Arriving, ""));
    drop(fill);
    scene.survey.core.stop().await;
}

#[tokio::test]
async fn why_a_blob_comes_again_is_told_while_it_comes() {
    let mut scene = Scene::new();
    scene.survey.arrivals.anew(scene.blob.digest, "cdn gave bytes with digest 00".into());
    let fill = scene.survey.cache.fill(scene.blob.digest, scene.blob.size).expect("begins");
    let told = scene.told().expect("awaited");
    assert_eq!(
        (told.arrived, told.state, told.reason.as_str()),
        (0, BlobState::Arriving, "cdn gave bytes with digest 00")
    );
    drop(fill);
    scene.survey.core.stop().await;
}
