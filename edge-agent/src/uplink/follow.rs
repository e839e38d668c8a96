//! The plan downward: a snapshot, then changes; on disk first, then in force.

use std::{convert::Infallible, sync::Arc};

use certs::TrustBundle;
use netboot::site::Input;
use proto::{
    PlanId,
    plan::{DeltaError, LEVEL, PlanDocument, SitePlan},
    v1::{self, update::Change},
};
use tonic::transport::Channel;

use super::{LinkError, Session, agents, call_failed};
use crate::plans::AdoptError;

impl Session {
    pub(super) async fn follow(&self, channel: Channel) -> Result<Infallible, LinkError> {
        let mut applied = self.catch_up().await?.map(v1::PlanId::from);
        loop {
            let request =
                v1::FollowRequest { applied: applied.take(), level: LEVEL, version: proto::VERSION.into() };
            let updates = agents(channel.clone()).follow(request).await;
            let mut updates = updates.map_err(call_failed("the stream of plans"))?.into_inner();
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

    /// The plan on disk goes into force if it is not: a connection may have ended between the two, and the controller
    /// will not send again what we say we have. Then which it is.
    async fn catch_up(&self) -> Result<Option<PlanId>, LinkError> {
        let Some(document) = self.plans.lock().await.current().cloned() else { return Ok(None) };
        let id = document.id();
        if self.plan.borrow().as_ref().map(|plan| plan.id) == Some(id) {
            return Ok(Some(id));
        }
        let plan = SitePlan::decode(&document).map_err(|error| LinkError::Wire(error.to_string()))?;
        self.obey(plan).await?;
        Ok(Some(id))
    }

    async fn take_update(&self, update: v1::Update) -> Result<Next, LinkError> {
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
        self.obey(plan).await
    }

    /// On disk, in a thread that may wait for it. If this future is dropped the plan is stored all the same, and the next
    /// connection finds it: see `catch_up`.
    async fn store(&self, document: PlanDocument) -> Result<Result<bool, AdoptError>, LinkError> {
        let mut plans = self.plans.clone().lock_owned().await;
        let stored = tokio::task::spawn_blocking(move || plans.adopt(document)).await;
        stored.map_err(|_| LinkError::Ended("the storing of a plan"))
    }

    async fn obey(&self, plan: SitePlan) -> Result<(), LinkError> {
        let plan = Arc::new(plan);
        self.core.input(Input::Plan(plan.clone())).await?;
        self.plan.send_replace(Some(plan));
        Ok(())
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

#[derive(PartialEq, Eq)]
enum Next {
    Update,
    Snapshot,
}

fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
