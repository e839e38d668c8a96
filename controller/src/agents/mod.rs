//! The `Agents` service, on the fleet listener: the plan downward, events upward, new certificates.
//!
//! Every call asks the catalog who calls ([`caller`]); a stream is also closed when its agent is revoked while it is
//! open ([`revocation`]). An agent sees its own site alone (S10).

pub(crate) mod blobs;
pub(crate) mod caller;
mod effects;
mod follow;
mod renew;
mod report;
pub(crate) mod revocation;

use proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::app::App;
use crate::sessions::{Closing, Contact, Session};
pub(crate) use renew::{issue, read_request};

use caller::{Peer, authorise_agent};

/// The service.
#[derive(Clone)]
pub(crate) struct Agents {
    app: App,
}

impl Agents {
    /// Over these parts.
    pub(crate) fn new(app: App) -> Self {
        Self { app }
    }

    /// Who calls, and its stream; entered first and checked second, so that no revocation falls between.
    async fn stream<T>(
        &self,
        request: &Request<T>,
    ) -> Result<(caller::AgentCaller, Session, Contact), Status> {
        let peer = Peer::of(request)?;
        let contact = request.extensions().get::<Contact>().cloned().unwrap_or_else(Contact::now);
        let session = self.app.sessions.open(peer.agent_name()?, Some(contact.clone()));
        let caller = authorise_agent(&self.app, &peer).await?;
        Ok((caller, session, contact))
    }
}

/// What an agent is told when its stream is closed.
fn closed(why: Closing) -> Status {
    match why {
        Closing::Revoked => Status::permission_denied("the agent is revoked"),
        Closing::Stopping => Status::unavailable("the controller is stopping: call again"),
    }
}

/// Messages that a stream may be ahead of its reader.
const AHEAD: usize = 4;

#[tonic::async_trait]
impl v1::agents_server::Agents for Agents {
    type FollowStream = ReceiverStream<Result<v1::Update, Status>>;
    type ReportStream = ReceiverStream<Result<v1::Acknowledged, Status>>;

    async fn follow(
        &self,
        request: Request<v1::FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let (caller, session, contact) = self.stream(&request).await?;
        let follower = follow::Follower::new(self.app.clone(), (caller, contact), request.into_inner())?;
        let (updates, stream) = mpsc::channel(AHEAD);
        tokio::spawn(follower.run(session, updates));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn report(
        &self,
        request: Request<Streaming<v1::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (caller, session, contact) = self.stream(&request).await?;
        let (answers, stream) = mpsc::channel(AHEAD);
        let reporter = report::Reporter::new(self.app.clone(), (caller, contact), answers);
        tokio::spawn(reporter.run(session, request.into_inner()));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn renew(&self, request: Request<v1::RenewRequest>) -> Result<Response<v1::Credentials>, Status> {
        let caller = authorise_agent(&self.app, &Peer::of(&request)?).await?;
        renew::renew(&self.app, &caller, &request.get_ref().csr_der).map(Response::new)
    }
}
