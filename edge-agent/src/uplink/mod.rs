//! The link to the controllers: enrolment, the plan downward, events upward, renewal. Nothing that serves machines
//! waits for it.

mod adopt;
mod capture;
mod enrol;
mod follow;
mod holding;
mod renew;
mod report;

use std::{
    error::Error as StdError,
    path::PathBuf,
    sync::{Arc, Mutex as StdMutex, PoisonError},
    time::{Duration, Instant},
};

use certs::{
    AgentIdentity,
    tls::{Alpn, DefaultTimeProvider, ReloadableClient, TlsError},
};
use proto::{holding::Holding, plan::SitePlan};
use rand::Rng;
use telemetry::grpc::{Traced, traced};
use tokio::sync::{Mutex, watch};
use tonic::transport::Channel;

use crate::{
    captures::Captures,
    config::ControllerConfig,
    controllers::{self, ConnectError, Health, Link},
    core::{Core, Stopped},
    metrics::Gatherer,
    mirror::Mirrors,
    outage::{Lasting, Outage, chain},
    plans::PlanStore,
};

pub use enrol::EnrolError;
pub(crate) use enrol::read_token;

/// The shortest and the longest pause between two tries.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// How long a call with one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A connection that lasted so long was a good one: the next pause is short again.
const GOOD: Duration = Duration::from_secs(60);

/// What the uplink is started with.
#[derive(Debug)]
pub struct Uplink {
    /// The controllers.
    pub config: ControllerConfig,
    /// The identity's folder.
    pub identity_folder: PathBuf,
    /// Where events come from and plans go.
    pub core: Core,
    /// Plans on disk.
    pub plans: Arc<Mutex<PlanStore>>,
    /// What the data path reads.
    pub plan: watch::Sender<Option<Arc<SitePlan>>>,
    /// What others may know of the link.
    pub link: watch::Sender<Link>,
    /// What else the controller is told.
    pub health: watch::Receiver<Health>,
    /// How its package mirrors do.
    pub mirrors: Mirrors,
    /// And what we lack of the plan.
    pub holding: watch::Receiver<Option<Arc<Holding>>>,
    /// And what we count.
    pub metrics: Gatherer,
    /// Packets of boots, for whoever asks.
    pub captures: Captures,
}

/// Why the link is not up.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// Enrolment or recovery.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// A call was refused or broke off.
    #[error("the controller ended {call}: {}", status.message())]
    Call {
        /// Which.
        call: &'static str,
        /// How.
        status: Box<tonic::Status>,
    },
    /// The controller ended the stream.
    #[error("the controller ended {0}")]
    Ended(&'static str),
    /// What came cannot be used.
    #[error("the controller sent something that cannot be used: {0}")]
    Wire(String),
    /// Our side.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// Our certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

fn call_failed(call: &'static str) -> impl FnOnce(tonic::Status) -> LinkError {
    move |status| LinkError::Call { call, status: Box::new(status) }
}

/// The answer to a call, unless it takes too long: a controller that hangs is left for another.
async fn in_time<T>(call: impl Future<Output = Result<T, tonic::Status>>) -> Result<T, tonic::Status> {
    within(PATIENCE, call).await
}

async fn within<T>(
    patience: Duration,
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, tonic::Status> {
    let late = || tonic::Status::deadline_exceeded(format!("no answer came within {patience:?}"));
    tokio::time::timeout(patience, call).await.unwrap_or_else(|_| Err(late()))
}

/// What one connection's tasks share.
struct Session {
    core: Core,
    identity: Mutex<AgentIdentity>,
    identity_folder: PathBuf,
    tls: Arc<ReloadableClient>,
    plans: Arc<Mutex<PlanStore>>,
    plan: watch::Sender<Option<Arc<SitePlan>>>,
    link: watch::Sender<Link>,
    health: watch::Receiver<Health>,
    mirrors: Mirrors,
    holding: watch::Receiver<Option<Arc<Holding>>>,
    metrics: Gatherer,
    captures: capture::Desk,
    outage: StdMutex<Outage>,
}

impl Uplink {
    /// Runs until the core stops.
    pub async fn run(self) {
        let (identity, tls) = self.member().await;
        let (fleet, site, agent) = (identity.fleet(), identity.site(), identity.agent());
        tracing::info!(%fleet, %site, %agent, "goes by its certificate");
        self.link.send_modify(|link| {
            (link.tls, link.site) = (Some(tls.clone()), Some(identity.site().clone()));
            link.certificate_ends = Some(identity.credential().leaf().not_after);
        });
        let session = Session {
            core: self.core,
            identity: Mutex::new(identity),
            identity_folder: self.identity_folder,
            tls,
            plans: self.plans,
            plan: self.plan,
            link: self.link,
            health: self.health,
            mirrors: self.mirrors,
            holding: self.holding,
            metrics: self.metrics,
            captures: capture::Desk::new(self.captures),
            outage: StdMutex::default(),
        };
        session.keep_connected(&self.config).await;
    }

    /// Tries until the agent is a member of the fleet whose identity can be used: an operator may mend what is wrong
    /// while machines are served.
    async fn member(&self) -> (AgentIdentity, Arc<ReloadableClient>) {
        let (mut pause, mut outage) = (Pause::default(), Outage::default());
        loop {
            match self.try_member().await {
                Ok(member) => return member,
                Err(error) => {
                    let lasting = outage.failed(Instant::now(), chain(&error));
                    warn("not a member of the fleet yet", lasting, &self.plan, &error);
                }
            }
            pause.wait().await;
        }
    }

    async fn try_member(&self) -> Result<(AgentIdentity, Arc<ReloadableClient>), LinkError> {
        let identity = enrol::identity(&self.config, &self.identity_folder).await?;
        let time = Arc::new(DefaultTimeProvider);
        let fleet = identity.fleet().clone();
        let tls = ReloadableClient::new(fleet, identity.credential(), identity.bundle(), time)?;
        Ok((identity, Arc::new(tls)))
    }
}

impl Session {
    async fn keep_connected(&self, config: &ControllerConfig) {
        let mut pause = Pause::default();
        loop {
            let began = tokio::time::Instant::now();
            let Err(error) = self.connected(config).await;
            self.link.send_modify(|link| link.up = false);
            if matches!(error, LinkError::Stopped(_)) {
                return;
            }
            let lasting = self.outage().failed(Instant::now(), chain(&error));
            warn("no link to the controller", lasting, &self.plan, &error);
            if began.elapsed() > GOOD {
                pause = Pause::default();
            }
            pause.wait().await;
        }
    }

    fn outage(&self) -> std::sync::MutexGuard<'_, Outage> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The controller answers.
    fn reached(&self) {
        match self.outage().over(Instant::now()) {
            Some(Lasting { seconds, failures }) => {
                tracing::info!(after_s = seconds, failures, "the controller is reached again");
            }
            None => tracing::info!("the controller is reached"),
        }
        self.link.send_modify(|link| link.up = true);
    }

    /// One connection, until something on it ends.
    async fn connected(&self, config: &ControllerConfig) -> Result<std::convert::Infallible, LinkError> {
        self.recover_if_expired(config).await?;
        let tls = self.tls.fleet_config(&[Alpn::Http2])?;
        let channel = controllers::channel(&config.fleet, tls).await?;
        tokio::select! {
            ended = self.follow(channel.clone()) => ended,
            ended = self.report(channel.clone()) => ended,
            ended = self.renew(channel) => ended,
        }
    }
}

type Agents = proto::v1::agents_client::AgentsClient<Traced>;

fn agents(channel: Channel) -> Agents {
    Agents::new(traced(channel))
        .max_decoding_message_size(proto::MESSAGE_LIMIT)
        .max_encoding_message_size(proto::MESSAGE_LIMIT)
}

/// What machines have of it meanwhile depends on whether there ever was a plan.
fn warn(what: &str, lasting: Option<Lasting>, plan: &adopt::PlanOut, error: &(dyn StdError + 'static)) {
    let Some(Lasting { seconds, failures }) = lasting else { return };
    let reason = certs::tls::peer_error(error).map(ToString::to_string);
    let machines = match *plan.borrow() {
        Some(_) => "machines are served by the last plan",
        None => "no machine is served before the first plan",
    };
    // All of it: lines in JSON have no sources of an error.
    tracing::warn!(error = chain(error), reason, lasting_s = seconds, failures, "{what}; {machines}");
}

/// Pauses that grow, with jitter, so that thousands of agents do not come back at once.
struct Pause(Duration);

impl Default for Pause {
    fn default() -> Self {
        Self(PAUSES.0)
    }
}

impl Pause {
    async fn wait(&mut self) {
        let jitter = rand::rng().random_range(0.5..1.0);
        tokio::time::sleep(self.0.mul_f64(jitter)).await;
        self.0 = (self.0 * 2).min(PAUSES.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_hangs_ends() {
        let hangs = std::future::pending::<Result<(), tonic::Status>>();
        let late = within(Duration::from_millis(10), hangs).await.expect_err("nobody answers");
        assert_eq!(late.code(), tonic::Code::DeadlineExceeded);
        assert_eq!(in_time(async { Ok::<_, tonic::Status>(7) }).await.ok(), Some(7));
    }
}
