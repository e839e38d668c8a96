//! The whole fetcher: what it evicts, gives up, fetches and says under one plan and the next.

use netboot::site;
use proto::{
    Generation, PlanId,
    plan::{Need as Soon, Network, PlanDocument, Prefetch, SitePlan, network_entry, prefetch_entry},
};
use tokio::sync::mpsc;

use super::{
    super::{Fetcher, Options},
    log::Log,
    *,
};
use crate::{core, disk::cache::tests::put_blob, holding::Arrivals};

/// A fetcher that was not started: its parts are moved by hand.
struct Bench {
    dir: tempfile::TempDir,
    cache: Arc<Cache>,
    core: core::Core,
    plan: watch::Sender<Option<Arc<SitePlan>>>,
    fetcher: Fetcher,
    _wanted: mpsc::Sender<BlobRef>,
    _link: watch::Sender<Link>,
}

/// Content of this name and size.
fn image(name: u8, size: usize) -> Vec<u8> {
    vec![name; size]
}

fn blob(name: u8, size: usize) -> BlobRef {
    BlobRef { digest: Digest::of(&image(name, size)), size: size as u64 }
}

/// A plan with this budget that is to hold these, in this order; `order`: what an order waits for.
fn plan(revision: u64, budget: u64, order: &[BlobRef], blobs: &[BlobRef]) -> Arc<SitePlan> {
    plan_from(revision, budget, order, blobs, &[])
}

fn plan_from(
    revision: u64,
    budget: u64,
    order: &[BlobRef],
    blobs: &[BlobRef],
    sources: &[&Imp],
) -> Arc<SitePlan> {
    let blob_sources = sources.iter().map(|imp| imp.url.parse().expect("a URL")).collect();
    let network = Network { cache_bytes: Some(budget), blob_sources, ..Network::default() };
    let mut entries = vec![network_entry(&network)];
    let ordered =
        Prefetch { name: "order/web-1-1".into(), need: Soon::Order, rank: 0, blobs: order.to_vec() };
    entries.push(prefetch_entry(&ordered));
    for (rank, blob) in (0..).zip(blobs) {
        // By name the last is the first.
        let name = format!("image/{}", 100 - rank);
        let prefetch = Prefetch { name, need: Soon::Site, rank, blobs: vec![*blob] };
        entries.push(prefetch_entry(&prefetch));
    }
    let generation = Generation { epoch: 1, revision };
    let document = PlanDocument::assemble("acme", "lyon", generation, 1, entries);
    Arc::new(SitePlan::decode(&document).expect("a plan"))
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("tempdir");
        let cache = cache(&dir.path().join("cache"));
        let core = core::Core::start(core::Options {
            ledger: dir.path().join("ledger"),
            site: site::Config { agent: "us".into(), journal_limit: 1_000, stations: vec![] },
            low_disk_bytes: 0,
            interfaces: Vec::new(),
            ended_orders: mpsc::channel(1).0,
            tap: crate::Tap::default(),
            failed_boots: mpsc::channel(1).0,
            snapshots: crate::core::Snapshots::default(),
        });
        let core = core.expect("it starts").0;
        let (plan, seen_plan) = watch::channel(None);
        let (link, seen_link) = watch::channel(Link::default());
        let (wanted, to_fetch) = mpsc::channel(1);
        let fetcher = Fetcher::new(Options {
            cache: cache.clone(),
            controllers: Vec::new(),
            agent: "us".into(),
            core: core.clone(),
            plan: seen_plan,
            link: seen_link,
            wanted: to_fetch,
            budget: 1 << 30,
            wan: Arc::default(),
            health: watch::channel(Default::default()).0,
            arrivals: Arrivals::default(),
        });
        Self { dir, cache, core, plan, fetcher, _wanted: wanted, _link: link }
    }

    fn put(&self, name: u8, size: usize) -> BlobRef {
        put_blob(&self.cache, &image(name, size))
    }

    async fn obey(&mut self, plan: Arc<SitePlan>) -> PlanId {
        let id = plan.id;
        self.plan.send_replace(Some(plan));
        self.fetcher.take_plan().await;
        id
    }

    /// Begins what may be begun, and awaits the end of one.
    async fn fetch_one(&mut self) {
        self.fetcher.begin().await;
        let ended = tokio::time::timeout(Duration::from_secs(10), self.fetcher.work.ended()).await;
        self.fetcher.finished(ended.expect("it ends").expect("one runs")).await;
    }

    fn holds(&self, blobs: &[BlobRef]) -> Vec<bool> {
        self.cache.holds(blobs.iter().map(|blob| &blob.digest))
    }
}

#[tokio::test]
async fn a_smaller_budget_is_obeyed_at_once_and_what_is_needed_stays() {
    let mut bench = Bench::new();
    let unnamed = bench.put(1, 3_000);
    let (ordered, first, last) = (bench.put(2, 3_000), bench.put(3, 3_000), bench.put(4, 3_000));
    let all = [unnamed, ordered, first, last];
    bench.obey(plan(1, 12_000, &[ordered], &[first, last])).await;
    assert_eq!(bench.holds(&all), [true; 4]);
    bench.obey(plan(2, 11_000, &[ordered], &[first, last])).await;
    assert_eq!(bench.holds(&all), [false, true, true, true], "what the plan does not name goes first");
    bench.obey(plan(3, 6_500, &[ordered], &[first, last])).await;
    assert_eq!(bench.holds(&all), [false, true, true, false], "then what it names last");
    bench.obey(plan(4, 1, &[ordered], &[first, last])).await;
    assert_eq!(bench.holds(&all), [false, true, false, false], "and never what an order needs");
    bench.core.stop().await;
}

#[tokio::test]
async fn what_is_named_first_takes_the_place_of_what_is_named_last_and_is_here() {
    let mut bench = Bench::new();
    let (small, last) = (bench.put(1, 1_000), bench.put(2, 4_000));
    let first = blob(3, 4_000);
    let imp = Imp::new(&image(3, 4_000), &[Trick::Honest]).await;
    let named = [first, small, last];
    bench.obey(plan_from(1, 6_000, &[], &named, &[&imp])).await;
    assert_eq!(bench.holds(&named), [false, true, true]);
    bench.fetch_one().await;
    assert_eq!(bench.holds(&named), [true, true, false]);
    bench.fetcher.begin().await;
    assert_eq!((bench.fetcher.work.filling(), imp.asked()), (0, 1), "the last is not fetched again");
    bench.core.stop().await;
}

#[tokio::test]
async fn what_the_next_plan_has_no_room_for_is_given_up_while_it_comes() {
    let mut bench = Bench::new();
    let held = bench.put(1, 4_000);
    let large = blob(2, 300_000);
    let imp = Imp::new(&image(2, 300_000), &[Trick::Stall(100_000)]).await;
    bench.obey(plan_from(1, 1_000_000, &[], &[held, large], &[&imp])).await;
    bench.fetcher.begin().await;
    while bench.cache.partials().get(&large.digest).is_none_or(|bytes| *bytes < 100_000) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bench.obey(plan_from(2, 6_000, &[], &[held, large], &[&imp])).await;
    assert_eq!(bench.holds(&[held]), [true], "nothing goes for what is given up");
    bench.fetch_one().await;
    let partials = || std::fs::read_dir(bench.dir.path().join("cache/partial")).expect("a folder").count();
    for _ in 0..100 {
        if bench.cache.is_filling(&large.digest) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    bench.fetcher.remove_partials().await;
    assert_eq!((bench.fetcher.work.filling(), partials()), (0, 0));
    bench.core.stop().await;
}

#[tokio::test]
async fn the_log_says_what_was_fetched_and_from_whom() {
    let log = Log::new();
    let mut bench = Bench::new();
    let wanted = blob(3, 4_000);
    let imp = Imp::new(&image(3, 4_000), &[Trick::Honest]).await;
    bench.obey(plan_from(1, 6_000, &[], &[wanted], &[&imp])).await;
    bench.fetch_one().await;
    let said = log.with("fetched a blob");
    assert_eq!(said.len(), 1, "{said:?}");
    for part in ["INFO", "a file of image 100", &format!("{} (4000 bytes)", imp.url), "copied=0", "found=0"] {
        assert!(said[0].contains(part), "{part} is not in {said:?}");
    }
    bench.core.stop().await;
}

#[tokio::test]
async fn a_low_disk_is_said_when_it_begins_and_when_it_is_over() {
    let log = Log::new();
    let mut bench = Bench::new();
    for permitted in [true, false, false, true, true] {
        bench.fetcher.tell_disk(permitted);
    }
    let said = [log.with("the disk is low"), log.with("the disk has space again")];
    assert!(said[0].len() == 1 && said[0][0].starts_with("WARN"), "{said:?}");
    assert!(said[1].len() == 1 && said[1][0].starts_with("INFO"), "{said:?}");
    bench.core.stop().await;
}
