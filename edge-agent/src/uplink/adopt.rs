//! A plan that has come: understood, on disk, in force. One that only the disk stood against is tried again until
//! there is room or another plan comes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use netboot::site::Input;
use proto::{
    PlanId,
    plan::{PlanDocument, SitePlan},
};
use tokio::sync::{Mutex, watch};

use super::{LinkError, Session};
use crate::{
    core::Core,
    outage::chain,
    plans::{AdoptError, PlanStore},
};

/// The shortest and the longest pause before the disk is tried again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// What the data path reads.
pub(super) type PlanOut = watch::Sender<Option<Arc<SitePlan>>>;

/// A plan that the disk did not take.
#[derive(Debug)]
pub(super) struct Deferred {
    document: PlanDocument,
    plan: Arc<SitePlan>,
    pause: Duration,
    again: Instant,
}

impl Deferred {
    fn new(document: PlanDocument, plan: Arc<SitePlan>) -> Self {
        Self { document, plan, pause: PAUSES.0, again: Instant::now() + PAUSES.0 }
    }

    fn later(self) -> Self {
        let pause = (self.pause * 2).min(PAUSES.1);
        Self { pause, again: Instant::now() + pause, ..self }
    }
}

/// Waits until a plan is to be tried again; for ever where there is none.
pub(super) async fn due(deferred: Option<&Deferred>) {
    match deferred {
        Some(deferred) => tokio::time::sleep_until(deferred.again.into()).await,
        None => std::future::pending().await,
    }
}

impl Session {
    /// Some: it is to be tried again.
    pub(super) async fn adopt(&self, document: PlanDocument) -> Result<Option<Deferred>, LinkError> {
        match self.understand(&document).await {
            Ok(plan) => self.desk().take(document, Arc::new(plan)).await,
            Err(why) => self.desk().refuse(document.id(), why).await.map(|()| None),
        }
    }

    pub(super) async fn adopt_again(&self, deferred: Deferred) -> Result<Option<Deferred>, LinkError> {
        self.desk().take_again(deferred).await
    }

    /// Makes sure that the plan on disk is in force, and says which it is.
    pub(super) async fn catch_up(&self) -> Result<Option<PlanId>, LinkError> {
        self.desk().catch_up().await
    }

    fn desk(&self) -> Desk<'_> {
        Desk { plans: &self.plans, core: &self.core, out: &self.plan }
    }

    async fn understand(&self, document: &PlanDocument) -> Result<SitePlan, String> {
        let identity = self.identity.lock().await;
        let (fleet, site) = (identity.fleet().as_str(), identity.site().as_str());
        if document.fleet() != fleet || document.site() != site {
            return Err(format!(
                "it is for site {}/{}, this is {fleet}/{site}",
                document.fleet(),
                document.site()
            ));
        }
        SitePlan::decode(document).map_err(|error| error.to_string())
    }
}

/// Where plans go.
struct Desk<'a> {
    plans: &'a Arc<Mutex<PlanStore>>,
    core: &'a Core,
    out: &'a PlanOut,
}

impl Desk<'_> {
    async fn take(&self, document: PlanDocument, plan: Arc<SitePlan>) -> Result<Option<Deferred>, LinkError> {
        let Err(error) = self.put_in_force(document.clone(), &plan).await? else { return Ok(None) };
        self.refuse(document.id(), chain(&error)).await?;
        Ok(may_pass(&error).then(|| Deferred::new(document, plan)))
    }

    /// The operator has been told once that it is refused; the plan's adoption says that this is over.
    async fn take_again(&self, deferred: Deferred) -> Result<Option<Deferred>, LinkError> {
        match self.put_in_force(deferred.document.clone(), &deferred.plan).await? {
            Ok(()) => Ok(None),
            Err(error) if may_pass(&error) => Ok(Some(deferred.later())),
            Err(error) => self.refuse(deferred.plan.id, chain(&error)).await.map(|()| None),
        }
    }

    async fn put_in_force(
        &self,
        document: PlanDocument,
        plan: &Arc<SitePlan>,
    ) -> Result<Result<(), AdoptError>, LinkError> {
        match self.store(document).await? {
            Ok(true) => {}
            Ok(false) => return Ok(Ok(())),
            Err(error) => return Ok(Err(error)),
        }
        tracing::info!(plan = %plan.id, hosts = plan.hosts.len(), orders = plan.orders.len(), "adopted a plan");
        self.obey(plan.clone()).await.map(Ok)
    }

    /// On disk, in a thread that may wait for it. If this future is dropped the plan is stored all the same, and the next
    /// connection finds it: see [`Desk::catch_up`].
    async fn store(&self, document: PlanDocument) -> Result<Result<bool, AdoptError>, LinkError> {
        let mut plans = self.plans.clone().lock_owned().await;
        let stored = tokio::task::spawn_blocking(move || plans.adopt(document)).await;
        stored.map_err(|_| LinkError::Ended("the storing of a plan"))
    }

    async fn refuse(&self, plan: PlanId, why: String) -> Result<(), LinkError> {
        tracing::warn!(%plan, why, "a plan is not obeyed");
        Ok(self.core.input(Input::PlanRefused(plan, why)).await?)
    }

    /// The plan on disk goes into force if it is not: a connection may have ended between the two, and the controller
    /// will not send again what we say we have. Then which it is.
    async fn catch_up(&self) -> Result<Option<PlanId>, LinkError> {
        let Some(document) = self.plans.lock().await.current().cloned() else { return Ok(None) };
        let id = document.id();
        if self.out.borrow().as_ref().map(|plan| plan.id) == Some(id) {
            return Ok(Some(id));
        }
        let plan = SitePlan::decode(&document).map_err(|error| LinkError::Wire(error.to_string()))?;
        self.obey(Arc::new(plan)).await?;
        Ok(Some(id))
    }

    async fn obey(&self, plan: Arc<SitePlan>) -> Result<(), LinkError> {
        self.core.input(Input::Plan(plan.clone())).await?;
        self.out.send_replace(Some(plan));
        Ok(())
    }
}

/// Is it the disk that refuses, and not the plan?
fn may_pass(error: &AdoptError) -> bool {
    match error {
        AdoptError::Disk(_) | AdoptError::Seal => true,
        AdoptError::Older { .. } | AdoptError::Rejected(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use netboot::site;
    use prost::Message;
    use proto::{
        Generation,
        event::{AlarmKind, EventKind},
        plan::{Entry, Network},
        v1,
    };
    use tokio::sync::mpsc;

    use super::*;
    use crate::core::{Options, Tail};

    fn document() -> PlanDocument {
        let network = Network::default();
        let entry = Entry { body: v1::Network::from(&network).encode_to_vec().into(), level: 1 };
        let generation = Generation { epoch: 1, revision: 1 };
        PlanDocument::assemble("acme", "lyon", generation, 1, [("network".to_owned(), entry)])
    }

    struct Fixture {
        folder: tempfile::TempDir,
        plans: Arc<Mutex<PlanStore>>,
        core: Core,
        out: PlanOut,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let (store, _) = PlanStore::open(&folder.path().join("plans")).expect("opens");
            let core = core(folder.path());
            Self { folder, plans: Arc::new(Mutex::new(store)), core, out: watch::channel(None).0 }
        }

        fn desk(&self) -> Desk<'_> {
            Desk { plans: &self.plans, core: &self.core, out: &self.out }
        }

        fn in_force(&self) -> Option<PlanId> {
            self.out.borrow().as_ref().map(|plan| plan.id)
        }

        /// The events so far: all that come to the disk before an alarm that is raised now.
        async fn kinds(&self) -> Vec<EventKind> {
            let alarm = Input::Alarm(AlarmKind::DiskLow, "the end".into());
            self.core.input(alarm).await.expect("the core runs");
            let (mut journal, mut kinds) = (Tail::new(&self.core), Vec::new());
            while !matches!(kinds.last(), Some(EventKind::Alarm { .. })) {
                let events = journal.next(100).await.expect("the core runs");
                kinds.extend(events.into_iter().map(|numbered| numbered.event.kind));
            }
            kinds.pop();
            kinds
        }
    }

    fn core(folder: &Path) -> Core {
        let options = Options {
            ledger: folder.join("ledger"),
            site: site::Config { agent: "a-1".into(), journal_limit: 1_000, stations: vec![] },
            low_disk_bytes: 0,
            interfaces: Vec::new(),
            ended_orders: mpsc::channel(1).0,
            tap: crate::Tap::default(),
            failed_boots: mpsc::channel(1).0,
            snapshots: crate::core::Snapshots::default(),
        };
        Core::start(options).expect("it starts").0
    }

    fn plan() -> Arc<SitePlan> {
        Arc::new(SitePlan::decode(&document()).expect("legal"))
    }

    #[tokio::test]
    async fn a_plan_that_was_stored_and_never_handed_over_goes_into_force_at_the_next_connection() {
        let fixture = Fixture::new();
        // The connection ended here: stored, and its task was dropped.
        fixture.plans.lock().await.adopt(document()).expect("new");
        for _ in 0..2 {
            let applied = fixture.desk().catch_up().await.expect("handed over");
            assert_eq!(applied, Some(document().id()));
        }
        assert_eq!(fixture.in_force(), Some(document().id()));
        let kinds = fixture.kinds().await;
        let adopted = kinds.iter().filter(|kind| matches!(kind, EventKind::PlanAdopted(_)));
        assert_eq!(adopted.count(), 1);
        fixture.core.stop().await;
    }

    #[tokio::test]
    async fn a_plan_that_the_disk_refused_is_tried_again_and_refused_once() {
        let fixture = Fixture::new();
        // A folder in the temporary file's place: as on a full disk, nothing can be written.
        let obstacle = fixture.folder.path().join("plans/.current.plan.tmp");
        std::fs::create_dir(&obstacle).expect("made");
        let deferred = fixture.desk().take(document(), plan()).await.expect("the core runs");
        let deferred = deferred.expect("to be tried again");
        assert!(deferred.again > Instant::now(), "not at once");
        let deferred = fixture.desk().take_again(deferred).await.expect("the core runs");
        let deferred = deferred.expect("still no room");
        assert_eq!((deferred.pause, fixture.in_force()), (PAUSES.0 * 2, None));

        std::fs::remove_dir(&obstacle).expect("room again");
        assert!(fixture.desk().take_again(deferred).await.expect("the core runs").is_none());
        assert_eq!(fixture.in_force(), Some(document().id()));
        let kinds = fixture.kinds().await;
        assert!(matches!(kinds[..], [EventKind::PlanRefused { .. }, EventKind::PlanAdopted(_)]), "{kinds:?}");
        fixture.core.stop().await;
    }

    #[tokio::test]
    async fn an_older_plan_is_not_tried_again() {
        let fixture = Fixture::new();
        fixture.desk().take(document(), plan()).await.expect("the core runs");
        let older = PlanDocument::assemble("acme", "lyon", Generation { epoch: 0, revision: 1 }, 1, []);
        let deferred = fixture.desk().take(older, plan()).await.expect("the core runs");
        assert!(deferred.is_none());
        fixture.core.stop().await;
    }

    #[tokio::test]
    async fn nothing_is_due_where_nothing_waits() {
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, due(None)).await.is_err());
        let mut deferred = Deferred { again: Instant::now(), ..Deferred::new(document(), plan()) };
        due(Some(&deferred)).await;
        for _ in 0..9 {
            deferred = deferred.later();
        }
        assert_eq!(deferred.pause, PAUSES.1);
    }
}
