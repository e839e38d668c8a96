//! One `Follow` stream: the site's plan as the agent is to have it, from whatever plan it has, and the fleet's roots.
//!
//! Which roots an agent has is not known here: they are sent once at the start of a stream, after the first word about
//! the plan, and again whenever the authority's roots change. So are the addresses that operators want freed, until the agent has
//! answered, and the captures that they ask for, once.

use std::collections::BTreeSet;
use std::sync::Arc;

use certs::TrustBundle;
use proto::plan::PlanDocument;
use proto::{LeaseRelease, PlanId, ReleaseId, v1};
use tokio::sync::{
    broadcast::{self, error::RecvError},
    mpsc,
};
use tonic::Status;

use super::caller::AgentCaller;
use crate::app::App;
use crate::captures::Asked;
use crate::planner::Published;
use crate::sessions::{Contact, Session};
use crate::status;

/// A follower and what it is known to have.
pub(super) struct Follower {
    app: App,
    caller: AgentCaller,
    contact: Contact,
    version: String,
    held: Held,
    /// The roots that the agent was last told of.
    roots: Option<TrustBundle>,
    /// The addresses to be freed that it was told of, for as long as they are to be.
    releases: BTreeSet<ReleaseId>,
    number: u64,
}

/// What the agent obeys.
#[derive(Debug, Clone)]
enum Held {
    /// Nothing, or nothing that this controller can build on.
    Unknown(Option<PlanId>),
    /// A plan of this content under this id: the same content may have got a newer id since the agent took it.
    Plan(PlanId, Arc<Published>),
}

/// What the agent is told.
enum Move {
    Current(PlanId),
    Delta(v1::PlanDelta),
    Snapshot,
}

impl Follower {
    pub(super) fn new(
        app: App,
        (caller, contact): (AgentCaller, Contact),
        request: v1::FollowRequest,
    ) -> Result<Self, Status> {
        let applied = request.applied.map(PlanId::try_from).transpose();
        let applied =
            applied.map_err(|error| Status::invalid_argument(error.within("applied").to_string()))?;
        let version = request.version.chars().filter(|c| !c.is_control()).take(64).collect();
        Ok(Self {
            app,
            caller,
            contact,
            version,
            held: Held::Unknown(applied),
            roots: None,
            releases: BTreeSet::new(),
            number: 0,
        })
    }

    /// Sends updates until the agent goes away or is revoked.
    pub(super) async fn run(mut self, session: Session, updates: mpsc::Sender<Result<v1::Update, Status>>) {
        let version = self.version.clone();
        let (app, agent, contact) = (self.app.clone(), self.caller.agent.clone(), self.contact.clone());
        status::note(&app, &agent, &contact, move |status| status.version.clone_from(&version)).await;
        tokio::select! {
            why = session.closed() => {
                // The stream may have ended meanwhile, which is as good.
                let _ = updates.try_send(Err(super::closed(why)));
            }
            () = updates.closed() => {}
            () = self.follow(&updates) => {}
        }
        drop(session);
        status::note(&app, &agent, &contact, |_| {}).await;
    }

    async fn follow(&mut self, updates: &mpsc::Sender<Result<v1::Update, Status>>) {
        let mut plans = self.app.planner.subscribe(&self.caller.site);
        let mut trust = self.app.trust.changes();
        let mut releases = self.app.catalog.watch_releases();
        let mut captures = self.app.captures.questions();
        loop {
            // A site that is not in the catalog has no plan; its agents keep what they have.
            let newest = plans.borrow_and_update().clone();
            trust.mark_unchanged();
            let moves = [newest.and_then(|plan| self.update(plan)), self.bundle()];
            for update in moves.into_iter().flatten().chain(self.releases().await) {
                if updates.send(Ok(update)).await.is_err() {
                    return;
                }
            }
            let followed = tokio::select! {
                followed = plans.changed() => followed,
                followed = trust.changed() => followed,
                () = wanted(&mut releases, &self.caller.site) => Ok(()),
                asked = asked(&mut captures, &self.caller.agent) => {
                    let update = self.numbered(v1::update::Change::Capture(asked.request()));
                    if updates.send(Ok(update)).await.is_err() {
                        return;
                    }
                    Ok(())
                }
            };
            if followed.is_err() {
                return;
            }
        }
    }

    /// The fleet's roots; None when they are what the agent was told last.
    fn bundle(&mut self) -> Option<v1::Update> {
        let roots = self.app.authority().bundle();
        if self.roots.as_ref() == Some(&roots) {
            return None;
        }
        let bundle = v1::TrustBundle { bundle_der: roots.ders().map(|der| der.to_vec().into()).collect() };
        self.roots = Some(roots);
        Some(self.numbered(v1::update::Change::Bundle(bundle)))
    }

    /// The update that leads to this plan; None when it is what the agent was told last.
    fn update(&mut self, plan: Arc<Published>) -> Option<v1::Update> {
        use v1::update::Change;
        let (held, change) = match self.next(&plan)? {
            Move::Current(id) => (id, Change::Current(id.into())),
            Move::Delta(delta) => (plan.document.id(), Change::Delta(delta)),
            Move::Snapshot => (plan.document.id(), Change::Snapshot((&plan.document).into())),
        };
        self.held = Held::Plan(held, plan);
        Some(self.numbered(change))
    }

    /// The addresses to be freed that the agent was not told of on this stream. It answers each once.
    async fn releases(&mut self) -> Vec<v1::Update> {
        let wanted = match self.app.catalog.releases(&self.caller.site).await {
            Ok(wanted) => wanted,
            Err(error) => {
                tracing::error!(%error, site = self.caller.site, "cannot read which addresses are to be freed");
                return Vec::new();
            }
        };
        self.releases.retain(|told| wanted.iter().any(|release| release.id == *told));
        let new: Vec<_> = wanted.iter().filter(|release| self.releases.insert(release.id)).collect();
        let change = |release| v1::update::Change::Release(LeaseRelease::from(release).into());
        new.into_iter().map(|release| self.numbered(change(release))).collect()
    }

    fn numbered(&mut self, change: v1::update::Change) -> v1::Update {
        self.number += 1;
        v1::Update { number: self.number, change: Some(change), at_ms: self.app.clock.wall().0 }
    }

    fn next(&self, plan: &Published) -> Option<Move> {
        match &self.held {
            Held::Unknown(Some(applied)) if same_content(*applied, &plan.document) => {
                Some(Move::Current(*applied))
            }
            Held::Unknown(Some(applied)) => Some(match &plan.delta {
                Some(delta) if starts_from(delta, *applied) => Move::Delta(delta.clone()),
                Some(_) | None => Move::Snapshot,
            }),
            Held::Unknown(None) => Some(Move::Snapshot),
            Held::Plan(_, base) if base.document.id() == plan.document.id() => None,
            Held::Plan(id, base) => Some(Move::Delta(match &plan.delta {
                Some(delta) if starts_from(delta, *id) => delta.clone(),
                Some(_) | None => {
                    v1::PlanDelta { base: Some((*id).into()), ..base.document.delta_to(&plan.document) }
                }
            })),
        }
    }
}

/// The next capture that this agent is asked for. Those that are missed are asked for again by whoever waits for them.
async fn asked(captures: &mut broadcast::Receiver<Asked>, agent: &str) -> Asked {
    loop {
        match captures.recv().await {
            Ok(asked) if asked.agent == agent => return asked,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            // The table lives as long as the stream.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

/// Ends when an address of the site is to be freed.
async fn wanted(releases: &mut broadcast::Receiver<String>, site: &str) {
    loop {
        match releases.recv().await {
            Ok(wanted) if wanted == site => return,
            Ok(_) => {}
            // This site may be among those that were missed.
            Err(RecvError::Lagged(_)) => return,
            // The catalog lives as long as the stream.
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn starts_from(delta: &v1::PlanDelta, id: PlanId) -> bool {
    delta.base.as_ref() == Some(&id.into())
}

/// Does the agent's plan say the same, at the same or an earlier revision? Its id then stays as it is: a restarted
/// controller gives the newest revision to content that an agent took long ago.
fn same_content(applied: PlanId, plan: &PlanDocument) -> bool {
    let id = plan.id();
    applied.has_content_of(&id) && applied.planner == id.planner && applied.generation <= id.generation
}
