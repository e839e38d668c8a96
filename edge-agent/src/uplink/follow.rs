//! The plan downward: a snapshot, then changes; on disk first, then in force.

use std::convert::Infallible;

use certs::TrustBundle;
use netboot::site::Input;
use proto::{
    Wall, WireError,
    plan::{DeltaError, LEVEL, PlanDocument},
    v1::{self, update::Change},
};
use tonic::{Streaming, transport::Channel};
use tracing::Instrument as _;

use super::{
    LinkError, Session,
    adopt::{Deferred, due},
    agents, call_failed,
};

impl Session {
    pub(super) async fn follow(&self, channel: Channel) -> Result<Infallible, LinkError> {
        let mut applied = self.catch_up().await?.map(v1::PlanId::from);
        loop {
            let request =
                v1::FollowRequest { applied: applied.take(), level: LEVEL, version: proto::VERSION.into() };
            let mut client = agents(channel.clone());
            let span = tracing::info_span!("follow the plan", otel.kind = "client");
            let updates = client.follow(request).instrument(span).await;
            let updates = updates.map_err(call_failed("the stream of plans"))?.into_inner();
            self.reached();
            // It ends at a gap: the next request names no plan, and a snapshot comes.
            self.take_updates(updates).await?;
        }
    }

    /// Until the whole plan is to be asked for.
    async fn take_updates(&self, mut updates: Streaming<v1::Update>) -> Result<(), LinkError> {
        let mut deferred = None;
        loop {
            let update = tokio::select! {
                update = updates.message() => update.map_err(call_failed("the stream of plans"))?,
                () = due(deferred.as_ref()) => {
                    if let Some(plan) = deferred.take() {
                        deferred = self.adopt_again(plan).await?;
                    }
                    continue;
                }
            };
            match self.take_update(update.ok_or(LinkError::Ended("the stream of plans"))?).await? {
                Next::Plan(left) => deferred = left,
                Next::Other => {}
                Next::Snapshot => return Ok(()),
            }
        }
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
                self.adopt(plan).await.map(Next::Plan)
            }
            Some(Change::Delta(delta)) => match self.changed(delta).await? {
                Some(plan) => self.adopt(plan).await.map(Next::Plan),
                None => Ok(Next::Snapshot),
            },
            Some(Change::Release(release)) => {
                let release =
                    release.try_into().map_err(|error: WireError| LinkError::Wire(error.to_string()))?;
                self.core.input(Input::Release(release)).await?;
                Ok(Next::Other)
            }
            Some(Change::Capture(wanted)) => {
                self.captures.ask(wanted);
                Ok(Next::Other)
            }
            Some(Change::Bundle(bundle)) => self.take_bundle(bundle).await.map(|()| Next::Other),
            Some(Change::Current(_)) | None => Ok(Next::Other),
        }
    }

    /// None: the change does not fit the plan in force, which may be because the disk refused the one before.
    async fn changed(&self, delta: v1::PlanDelta) -> Result<Option<PlanDocument>, LinkError> {
        let Some(plan) = self.plans.lock().await.current().map(|plan| plan.apply(delta)) else {
            return Ok(None);
        };
        match plan {
            Ok(plan) => Ok(Some(plan)),
            Err(error @ (DeltaError::Gap { .. } | DeltaError::Digest { .. })) => {
                tracing::info!(%error, "asking for the whole plan");
                Ok(None)
            }
            Err(DeltaError::Wire(error)) => Err(LinkError::Wire(error.to_string())),
        }
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

/// What an update leaves to do.
enum Next {
    /// It was about the plan, which may have to be tried again.
    Plan(Option<Deferred>),
    /// It was not.
    Other,
    /// The whole plan is to be asked for.
    Snapshot,
}
