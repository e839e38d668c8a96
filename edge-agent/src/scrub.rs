//! Reads the blobs of the cache again, by and by, so that what a disk has spoilt is found before a machine boots from it
//! (S15).
//!
//! Slowly: a round takes a week, or so long as two mebibytes a second take. Where it came to is kept on disk, so a
//! restart does not begin anew. What an order needs that has just come is read first and faster, also in the middle of another
//! blob. What is found corrupt the
//! cache takes out of service, and the fetcher, who looks for what is missing, fetches it anew.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use proto::{Digest, plan::SitePlan};
use tokio::{sync::watch, time::Instant};

use crate::disk::{
    atomic,
    cache::{Cache, Step, Verdict, Verification},
};

/// A round takes so long, if it can.
const ROUND: Duration = Duration::from_secs(7 * 86_400);
/// Bytes a second, at least and at most.
const RATES: (u64, u64) = (2 << 20, 32 << 20);
/// Bytes a second of what an order needs.
const HURRY: u64 = 64 << 20;
/// Rounds begin so long after each other, at least.
const REST: Duration = Duration::from_secs(86_400);
/// How often it is written down where a round has come to.
const NOTE: Duration = Duration::from_secs(60);

/// What reads.
#[derive(Debug)]
pub struct Scrub {
    cache: Arc<Cache>,
    plan: watch::Receiver<Option<Arc<SitePlan>>>,
    /// Where it is kept how far the round has come.
    note: PathBuf,
    noted: Instant,
    /// Read for an order already, and sound.
    trusted: BTreeSet<Digest>,
    /// From the beginning of one round to the next, at least.
    rest: Duration,
}

/// What a piece of a reading came to.
enum Stepped {
    /// So many bytes more, and there may be others.
    Read(Box<Verification>, u64),
    /// To its end, and it is what it is called.
    Sound,
    /// It is not, or cannot be read.
    Not,
}

impl Scrub {
    /// Of this cache; `note` is the file that holds where a round has come to.
    #[must_use]
    pub fn new(cache: Arc<Cache>, plan: watch::Receiver<Option<Arc<SitePlan>>>, note: &Path) -> Self {
        Self {
            cache,
            plan,
            note: note.to_owned(),
            noted: Instant::now(),
            trusted: BTreeSet::new(),
            rest: REST,
        }
    }

    /// Runs for ever.
    pub async fn run(mut self) {
        let mut behind = self.resumed().await;
        loop {
            let began = Instant::now();
            for digest in self.round(behind) {
                self.read_for_orders().await;
                self.read_in_turn(&digest).await;
                self.keep(Some(digest)).await;
            }
            (behind, self.noted) = (None, began);
            self.keep(None).await;
            self.rest_until(began + self.rest).await;
        }
    }

    /// The blobs of a round, which goes by digests. What comes meanwhile was verified as it came, and waits for the next one.
    fn round(&self, behind: Option<Digest>) -> Vec<Digest> {
        let mut digests = self.cache.digests();
        digests.retain(|digest| behind.is_none_or(|behind| *digest > behind));
        digests.sort_unstable();
        digests
    }

    /// Reads what orders need that come meanwhile.
    async fn rest_until(&mut self, until: Instant) {
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(until) => return,
                changed = self.plan.changed() => {
                    if changed.is_err() {
                        return std::future::pending().await;
                    }
                    self.read_for_orders().await;
                }
            }
        }
    }

    /// What orders need was read once since the start before it is needed.
    async fn read_for_orders(&mut self) {
        let plan = self.plan.borrow_and_update().clone();
        let needed: BTreeSet<Digest> = plan
            .iter()
            .flat_map(|plan| plan.orders.values())
            .flat_map(|order| order.boot.blobs())
            .map(|blob| blob.digest)
            .collect();
        self.trusted.retain(|digest| needed.contains(digest));
        for digest in needed.difference(&self.trusted.clone()) {
            if self.read_at_once(digest).await {
                self.trusted.insert(*digest);
            }
        }
    }

    /// Is it here and sound?
    async fn read_at_once(&self, digest: &Digest) -> bool {
        let mut verification = self.begin(digest);
        while let Some(begun) = verification {
            match self.step(digest, begun).await {
                Stepped::Read(begun, bytes) => {
                    tokio::time::sleep(pause(bytes, HURRY)).await;
                    verification = Some(begun);
                }
                Stepped::Sound => return true,
                Stepped::Not => return false,
            }
        }
        false
    }

    /// Reads a blob of a round. What orders need goes before the rest of it.
    async fn read_in_turn(&mut self, digest: &Digest) {
        let rate = rate_for(self.cache.total_bytes());
        let was_trusted = self.trusted.contains(digest);
        let mut verification = self.begin(digest);
        while let Some(begun) = verification {
            let Stepped::Read(begun, bytes) = self.step(digest, begun).await else { return };
            self.rest_until(Instant::now() + pause(bytes, rate)).await;
            let is_trusted = self.trusted.contains(digest);
            // An order has had it read meanwhile, to its end; or it is gone, and what comes in its place is another file.
            let is_done = is_trusted && !was_trusted || self.cache.size_of(digest).is_none();
            verification = (!is_done).then_some(begun);
        }
    }

    fn begin(&self, digest: &Digest) -> Option<Box<Verification>> {
        let begun = self.cache.verification(digest).unwrap_or_else(|error| {
            said(digest, &error);
            None
        });
        begun.map(Box::new)
    }

    async fn step(&self, digest: &Digest, mut verification: Box<Verification>) -> Stepped {
        let cache = Arc::clone(&self.cache);
        let stepped = tokio::task::spawn_blocking(move || {
            let step = verification.step(&cache);
            (verification, step)
        });
        match stepped.await {
            Ok((verification, Ok(Step::Read(bytes)))) => Stepped::Read(verification, bytes),
            Ok((_, Ok(Step::Done(Verdict::Sound { .. })))) => Stepped::Sound,
            Ok((_, Ok(Step::Done(Verdict::Corrupt { actual })))) => {
                tracing::error!(%digest, %actual, "a blob has been spoilt on the disk: it is set aside and fetched anew");
                Stepped::Not
            }
            Ok((_, Err(error))) => {
                said(digest, &error);
                Stepped::Not
            }
            Err(_) => Stepped::Not,
        }
    }

    async fn resumed(&self) -> Option<Digest> {
        let text = tokio::fs::read_to_string(&self.note).await.ok()?;
        text.trim().parse().ok()
    }

    /// Once in a while, and at the end of a round.
    async fn keep(&mut self, behind: Option<Digest>) {
        if behind.is_some() && self.noted.elapsed() < NOTE {
            return;
        }
        self.noted = Instant::now();
        let (note, text) = (self.note.clone(), behind.map(|digest| digest.to_string()).unwrap_or_default());
        let written =
            tokio::task::spawn_blocking(move || atomic::write_file(&note, 0o640, text.as_bytes())).await;
        if let Ok(Err(error)) = written {
            // A restart then begins further back.
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "failed to note how far blobs were verified"
            );
        }
    }
}

fn said(digest: &Digest, error: &(dyn std::error::Error + 'static)) {
    tracing::error!(%digest, error, "failed to verify a blob");
}

fn rate_for(total_bytes: u64) -> u64 {
    (total_bytes / ROUND.as_secs()).clamp(RATES.0, RATES.1)
}

fn pause(bytes: u64, rate: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / rate.max(1))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, fs, time::SystemTime};

    use proto::{
        Generation, HostId, OrderId, Wall,
        plan::{self, BlobRef, Boot, Content, Guard, Network, OrderPlan, PlanDocument, PlannedFile, Stage},
    };

    use super::*;
    use crate::disk::cache::tests::put_blob;

    #[test]
    fn a_round_takes_a_week_within_bounds() {
        assert_eq!(rate_for(0), 2 << 20);
        assert_eq!(rate_for(10 << 40), 10 * (1 << 40) / ROUND.as_secs());
        assert_eq!(rate_for(u64::MAX), 32 << 20);
        assert_eq!(pause(1 << 20, 2 << 20), Duration::from_millis(500));
    }

    /// An order's kernel is this blob.
    fn plan_with(kernel: BlobRef) -> Arc<SitePlan> {
        let file =
            PlannedFile { stage: Stage::Kernel, guard: Guard::Attempt, content: Content::Blob(kernel) };
        let boot = Boot {
            profile: "debian".into(),
            image: "debian".into(),
            entry: "linux".into(),
            files: BTreeMap::from([("linux".into(), file)]),
            loaders: Vec::new(),
            menu: false,
        };
        let order = OrderPlan {
            id: OrderId([4; 16]),
            host: HostId([1; 16]),
            number: 1,
            not_after: Wall(1_000),
            agent: "one".into(),
            boot,
            install: Duration::from_secs(3_600),
            attempts: 1,
            secrets: BTreeMap::new(),
        };
        let entries = [plan::network_entry(&Network::default()), plan::order_entry(&order)];
        let generation = Generation { epoch: 1, revision: 1 };
        let document = PlanDocument::assemble("acme", "lyon", generation, 1, entries);
        Arc::new(SitePlan::decode(&document).expect("a plan"))
    }

    fn path_of(dir: &tempfile::TempDir, blob: BlobRef) -> PathBuf {
        let name = blob.digest.to_string();
        dir.path().join("blobs/sha256").join(&name[..2]).join(&name)
    }

    #[tokio::test]
    async fn what_a_new_order_needs_is_read_in_the_middle_of_another_blob() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (cache, _) = Cache::open(dir.path(), SystemTime::now(), Duration::from_secs(60)).expect("opens");
        let cache = Arc::new(cache);
        let (large, kernel) = (put_blob(&cache, &[7; 600 << 10]), put_blob(&cache, b"kernel"));
        fs::write(path_of(&dir, kernel), b"rotten").expect("spoilt");
        let (sender, plan) = watch::channel(None);
        let mut scrub = Scrub::new(Arc::clone(&cache), plan, &dir.path().join("verified"));
        // The reading has begun when the order comes.
        tokio::join!(scrub.read_in_turn(&large.digest), async {
            sender.send_replace(Some(plan_with(kernel)));
        });
        assert!(cache.size_of(&kernel.digest).is_none(), "it was found before the large blob's end");
        assert!(cache.size_of(&large.digest).is_some());
    }

    #[tokio::test]
    async fn a_round_is_listed_once_and_goes_on_where_the_last_one_ended() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (cache, _) = Cache::open(dir.path(), SystemTime::now(), Duration::from_secs(60)).expect("opens");
        let cache = Arc::new(cache);
        let mut digests: Vec<_> = (0..5_u8).map(|n| put_blob(&cache, &[n; 10]).digest).collect();
        digests.sort_unstable();
        let (_sender, plan) = watch::channel(None);
        let scrub = Scrub::new(cache, plan, &dir.path().join("verified"));
        assert_eq!(scrub.round(None), digests);
        assert_eq!(scrub.round(Some(digests[1])), digests[2..]);
        assert_eq!(scrub.round(Some(digests[4])), []);
    }

    #[tokio::test]
    async fn what_could_not_be_read_is_not_trusted() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (cache, _) = Cache::open(dir.path(), SystemTime::now(), Duration::from_secs(60)).expect("opens");
        let cache = Arc::new(cache);
        let kernel = put_blob(&cache, b"kernel");
        let (_sender, plan) = watch::channel(Some(plan_with(kernel)));
        let mut scrub = Scrub::new(Arc::clone(&cache), plan, &dir.path().join("verified"));
        let path = path_of(&dir, kernel);
        fs::remove_file(&path).expect("it was there");
        std::os::unix::fs::symlink(&path, &path).expect("leads nowhere");
        scrub.read_for_orders().await;
        fs::remove_file(&path).expect("it was there");
        fs::write(&path, b"rotten").expect("spoilt");
        scrub.read_for_orders().await;
        assert!(cache.size_of(&kernel.digest).is_none(), "it was read when it could be");
    }

    #[tokio::test]
    async fn what_is_spoilt_is_found_within_a_round_and_a_restart_goes_on() {
        let dir = tempfile::tempdir().expect("tempdir");
        let (cache, _) = Cache::open(dir.path(), SystemTime::now(), Duration::from_secs(60)).expect("opens");
        let cache = Arc::new(cache);
        let mut digests = Vec::new();
        for n in 0..3_u8 {
            let digest = Digest::of(&[n; 100]);
            let mut fill = cache.fill(digest, 100).expect("begins");
            fill.write(&[n; 100]).expect("writes");
            fill.finish().expect("publishes");
            digests.push(digest);
        }
        digests.sort_unstable();
        let spoil = |digest: &Digest| {
            let name = digest.to_string();
            let path = dir.path().join("blobs/sha256").join(&name[..2]).join(&name);
            fs::write(path, [9; 100]).expect("spoilt");
        };
        [digests[0], digests[2]].iter().for_each(spoil);
        let note = dir.path().join("verified");
        fs::write(&note, digests[0].to_string()).expect("a former life came so far");
        let (_sender, plan) = watch::channel(None);
        let mut scrub = Scrub::new(Arc::clone(&cache), plan, &note);
        scrub.rest = Duration::from_secs(1);
        let running = tokio::spawn(scrub.run());
        let held = |n: usize| cache.size_of(&digests[n]).is_some();
        while held(2) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert!(held(0) && held(1), "the round went on behind what was read before");
        while held(0) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert!(held(1), "the next round began anew");
        running.abort();
    }
}
