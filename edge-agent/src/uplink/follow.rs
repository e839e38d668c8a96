//! The plan downward: a snapshot, then changes; on disk first, then in force.

use std::{convert::Infallible, sync::Arc};

use certs::TrustBundle;
use netboot::site::Input;
use proto::{
    PlanId, Wall,
    plan::{DeltaError, LEVEL, PlanDocument, SitePlan},
    v1::{self, update::Change},
};
use tokio::sync::{Mutex, watch};
use tonic::transport::Channel;

use super::{LinkError, Session, agents, call_failed};
use crate::{
    core::Core,
    plans::{AdoptError, PlanStore},
};

impl Session {
    pub(super) async fn follow(&self, channel: Channel) -> Result<Infallible, LinkError> {
        let mut applied = self.catch_up().await?.map(v1::PlanId::from);
        loop {
            let request =
                v1::FollowRequest { applied: applied.take(), level: LEVEL, version: proto::VERSION.into() };
            let updates = agents(channel.clone()).follow(request).await;
            let mut updates = updates.map_err(call_failed("the stream of plans"))?.into_inner();
            tracing::info!("the controller is reached");
            self.link.send_modify(|link| link.up = true);
            // A gap ends the inner loop: the next request names no plan, and a snapshot comes.
            loop {
                let update = updates.message().await.map_err(call_failed("the stream of plans"))?;
                let update = update.ok_or(LinkError::Ended("the stream of plans"))?;
                if self.take_update(update).await? == Next::Snapshot {
                    break;
                }
            }
        }
    }

    async fn catch_up(&self) -> Result<Option<PlanId>, LinkError> {
        catch_up(&self.plans, &self.core, &self.plan).await
    }

    async fn take_update(&self, update: v1::Update) -> Result<Next, LinkError> {
        // A controller of an older version does not say what time it has.
        let contact =
            if update.at_ms == 0 { Input::Contact } else { Input::ControllerTime(Wall(update.at_ms)) };
        self.core.input(contact).await?;
        match update.change {
            Some(Change::Snapshot(plan)) => {
                let plan =
                    PlanDocument::try_from(plan).map_err(|error| LinkError::Wire(error.to_string()))?;
                self.adopt(plan).await?;
            }
            Some(Change::Delta(delta)) => match self.changed(delta).await {
                Ok(plan) => self.adopt(plan).await?,
                Err(error @ (DeltaError::Gap { .. } | DeltaError::Digest { .. })) => {
                    tracing::info!(%error, "asking for the whole plan");
                    return Ok(Next::Snapshot);
                }
                Err(DeltaError::Wire(error)) => return Err(LinkError::Wire(error.to_string())),
            },
            Some(Change::Bundle(bundle)) => self.take_bundle(bundle).await?,
            Some(Change::Current(_)) | None => {}
        }
        Ok(Next::Update)
    }

    async fn changed(&self, delta: v1::PlanDelta) -> Result<PlanDocument, DeltaError> {
        match self.plans.lock().await.current() {
            Some(plan) => plan.apply(delta),
            None => Err(DeltaError::Wire(proto::WireError::new("delta", "came before any snapshot"))),
        }
    }

    async fn adopt(&self, document: PlanDocument) -> Result<(), LinkError> {
        let id = document.id();
        let plan = match self.understand(&document).await {
            Ok(plan) => plan,
            Err(why) => return self.refuse(id, why).await,
        };
        match self.store(document).await? {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(
                error @ (AdoptError::Older { .. }
                | AdoptError::Rejected(_)
                | AdoptError::Disk(_)
                | AdoptError::Seal),
            ) => return self.refuse(id, chain(&error)).await,
        }
        tracing::info!(plan = %id, hosts = plan.hosts.len(), orders = plan.orders.len(), "adopted a plan");
        obey(plan, &self.core, &self.plan).await
    }

    /// On disk, in a thread that may wait for it. If this future is dropped the plan is stored all the same, and the next
    /// connection finds it: see `catch_up`.
    async fn store(&self, document: PlanDocument) -> Result<Result<bool, AdoptError>, LinkError> {
        let mut plans = self.plans.clone().lock_owned().await;
        let stored = tokio::task::spawn_blocking(move || plans.adopt(document)).await;
        stored.map_err(|_| LinkError::Ended("the storing of a plan"))
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

    async fn refuse(&self, plan: PlanId, why: String) -> Result<(), LinkError> {
        tracing::warn!(%plan, why, "a plan is not obeyed");
        self.core.input(Input::PlanRefused(plan, why)).await?;
        Ok(())
    }

    async fn take_bundle(&self, bundle: v1::TrustBundle) -> Result<(), LinkError> {
        let bundle =
            TrustBundle::from_der(bundle.bundle_der).map_err(|error| LinkError::Wire(error.to_string()))?;
        let mut identity = self.identity.lock().await;
        let new = certs::AgentIdentity::new(identity.credential().clone(), bundle);
        let new = new.map_err(|error| LinkError::Wire(error.to_string()))?;
        self.take(&mut identity, new)
    }
}

/// What the data path reads.
type PlanOut = watch::Sender<Option<Arc<SitePlan>>>;

/// The plan on disk goes into force if it is not: a connection may have ended between the two, and the controller
/// will not send again what we say we have. Then which it is.
async fn catch_up(plans: &Mutex<PlanStore>, core: &Core, out: &PlanOut) -> Result<Option<PlanId>, LinkError> {
    let Some(document) = plans.lock().await.current().cloned() else { return Ok(None) };
    let id = document.id();
    if out.borrow().as_ref().map(|plan| plan.id) == Some(id) {
        return Ok(Some(id));
    }
    let plan = SitePlan::decode(&document).map_err(|error| LinkError::Wire(error.to_string()))?;
    obey(plan, core, out).await?;
    Ok(Some(id))
}

async fn obey(plan: SitePlan, core: &Core, out: &PlanOut) -> Result<(), LinkError> {
    let plan = Arc::new(plan);
    core.input(Input::Plan(plan.clone())).await?;
    out.send_replace(Some(plan));
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Next {
    Update,
    Snapshot,
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use netboot::site;
    use prost::Message;
    use proto::{
        Generation,
        event::EventKind,
        plan::{DhcpMode, Entry, Network, UnknownMachines},
    };
    use tokio::sync::mpsc;

    use super::*;
    use crate::core::Options;

    fn document() -> PlanDocument {
        let network = Network {
            dhcp: DhcpMode::Off,
            subnets: Vec::new(),
            unknown: UnknownMachines::Ignore,
            loaders: BTreeMap::new(),
            cache_bytes: None,
        };
        let entry = Entry { body: v1::Network::from(&network).encode_to_vec().into(), level: 1 };
        let generation = Generation { epoch: 1, revision: 1 };
        PlanDocument::assemble("acme", "lyon", generation, 1, [("network".to_owned(), entry)])
    }

    fn core(folder: &Path) -> Core {
        let options = Options {
            ledger: folder.join("ledger"),
            site: site::Config { agent: "a-1".into(), journal_limit: 1_000 },
            low_disk_bytes: 0,
            sockets: Vec::new(),
            ended_orders: mpsc::channel(1).0,
        };
        Core::start(options).expect("it starts").0
    }

    #[tokio::test]
    async fn a_plan_that_was_stored_and_never_handed_over_goes_into_force_at_the_next_connection() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut store, _) = PlanStore::open(&folder.path().join("plans")).expect("opens");
        let (core, (out, plan)) = (core(folder.path()), watch::channel(None));
        // The connection ended here: stored, and its task was dropped.
        store.adopt(document()).expect("new");
        let store = Mutex::new(store);
        for _ in 0..2 {
            let applied = catch_up(&store, &core, &out).await.expect("handed over");
            assert_eq!(applied, Some(document().id()));
        }
        assert_eq!(plan.borrow().as_ref().map(|plan| plan.id), Some(document().id()));
        let mut view = core.view();
        view.wait_for(|view| view.last_event > 0).await.expect("the core runs");
        let events = core.events(0, 100).await.expect("the core runs");
        let adopted = events.iter().filter(|event| matches!(event.event.kind, EventKind::PlanAdopted(_)));
        assert_eq!(adopted.count(), 1);
        core.stop().await;
    }
}
