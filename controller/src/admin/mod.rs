//! The Admin service: what the CLI uses (DESIGN §5).
//!
//! Every call asks the catalog who the caller is now and what role it takes; what is read may be read by every role,
//! and never holds a secret. Mistakes in what was sent come back as `INVALID_ARGUMENT` with one field violation each:
//! `KIND/NAME:PATH` for a document, the field's name for other requests. `ABORTED` means that somebody else wrote or
//! owns a field, `FAILED_PRECONDITION` that things must change first, `PERMISSION_DENIED` names the role it takes.

mod alarms;
mod blobs;
mod boots;
mod captures;
mod documents;
mod explain;
mod export;
mod fleet;
mod forms;
mod known;
mod leases;
mod page;
mod readiness;
mod refusal;
mod selectors;
mod simulate;
mod wan;
mod warnings;

#[cfg(test)]
pub(crate) mod tests;

use std::path::PathBuf;

use proto::{catalog::Role, v1};
use tonic::{Request, Response, Status, Streaming};

use crate::{Peer, app::App, catalog::roles::Actor};

/// The service.
#[derive(Clone)]
pub struct AdminService {
    app: App,
    secrets_key: PathBuf,
}

impl AdminService {
    /// Of this controller, whose key of secrets is in that file: only backups read it.
    #[must_use]
    pub fn new(app: App, secrets_key: PathBuf) -> Self {
        Self { app, secrets_key }
    }

    /// The service as a listener takes it, with its limits.
    #[must_use]
    pub fn into_server(self) -> v1::admin_server::AdminServer<Self> {
        v1::admin_server::AdminServer::new(self)
            .max_decoding_message_size(proto::MESSAGE_LIMIT)
            .max_encoding_message_size(proto::MESSAGE_LIMIT)
    }

    /// Who calls: asked anew on every call, as connections outlive roles.
    async fn actor<T>(&self, request: &Request<T>) -> Result<Actor, Status> {
        let peer = Peer::of(request)?;
        let identity = &peer.0.identity;
        identity
            .check_fleet(&self.app.fleet)
            .map_err(|error| Status::permission_denied(error.to_string()))?;
        self.app.catalog.actor(identity).await.map_err(refusal::access)
    }

    /// A caller of at least this role.
    async fn require<T>(&self, request: &Request<T>, role: Role, action: &str) -> Result<Actor, Status> {
        let actor = self.actor(request).await?;
        actor.require(role, action).map_err(|denied| refusal::denied(&denied))?;
        Ok(actor)
    }
}

#[tonic::async_trait]
impl v1::admin_server::Admin for AdminService {
    type WatchBootsStream = boots::BootStream;
    type BackupStream = export::BackupStream;
    type GetCaptureStream = captures::CaptureStream;

    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let actor = self.actor(&request).await?;
        Ok(Response::new(v1::WhoAmIResponse {
            fleet: self.app.fleet.to_string(),
            operator: actor.name,
            role: actor.role.word().to_owned(),
            sites: actor.sites,
            version: proto::VERSION.to_owned(),
        }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::Document>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        documents::get(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        documents::list(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn write(&self, request: Request<v1::WriteRequest>) -> Result<Response<v1::WriteResponse>, Status> {
        let actor = self.require(&request, Role::Operator, "changing the catalog").await?;
        documents::write(&self.app, &actor, request.into_inner()).await.map(Response::new)
    }

    async fn create_token(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let actor = self.require(&request, Role::Admin, "making a join token").await?;
        fleet::create_token(&self.app, &actor, request.into_inner()).await.map(Response::new)
    }

    async fn revoke_agent(
        &self,
        request: Request<v1::RevokeAgentRequest>,
    ) -> Result<Response<v1::RevokeAgentResponse>, Status> {
        let actor = self.require(&request, Role::Admin, "revoking an agent").await?;
        fleet::revoke_agent(&self.app, &actor, request.into_inner()).await.map(Response::new)
    }

    async fn create_order(
        &self,
        request: Request<v1::CreateOrderRequest>,
    ) -> Result<Response<v1::Document>, Status> {
        let actor = self.require(&request, Role::Operator, "ordering an installation").await?;
        fleet::create_order(&self.app, &actor, request.into_inner()).await.map(Response::new)
    }

    async fn revoke_order(
        &self,
        request: Request<v1::RevokeOrderRequest>,
    ) -> Result<Response<v1::Document>, Status> {
        let actor = self.require(&request, Role::Operator, "revoking an order").await?;
        fleet::revoke_order(&self.app, &actor, request.into_inner()).await.map(Response::new)
    }

    async fn create_operator(
        &self,
        request: Request<v1::CreateOperatorRequest>,
    ) -> Result<Response<v1::CreateOperatorResponse>, Status> {
        let actor = self.require(&request, Role::Admin, "making an operator").await?;
        fleet::create_operator(&self.app, &actor, request.into_inner()).await.map(Response::new)
    }

    async fn missing_blobs(
        &self,
        request: Request<v1::MissingBlobsRequest>,
    ) -> Result<Response<v1::MissingBlobsResponse>, Status> {
        self.require(&request, Role::Admin, "importing an image").await?;
        blobs::missing(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn put_blob(
        &self,
        request: Request<Streaming<v1::PutBlobRequest>>,
    ) -> Result<Response<v1::PutBlobResponse>, Status> {
        self.require(&request, Role::Admin, "importing an image").await?;
        blobs::put(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn list_boots(
        &self,
        request: Request<v1::ListBootsRequest>,
    ) -> Result<Response<v1::ListBootsResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        boots::list(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn watch_boots(
        &self,
        request: Request<v1::WatchBootsRequest>,
    ) -> Result<Response<Self::WatchBootsStream>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        boots::watch(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn list_forms(
        &self,
        request: Request<v1::ListFormsRequest>,
    ) -> Result<Response<v1::ListFormsResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        forms::list(&self.app).await.map(Response::new)
    }

    async fn forget_forms(
        &self,
        request: Request<v1::ForgetFormsRequest>,
    ) -> Result<Response<v1::ForgetFormsResponse>, Status> {
        let actor = self.require(&request, Role::Operator, "forgetting reply forms").await?;
        forms::forget(&self.app, &actor, &request.into_inner().host).await.map(Response::new)
    }

    async fn list_leases(
        &self,
        request: Request<v1::ListLeasesRequest>,
    ) -> Result<Response<v1::ListLeasesResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        leases::list(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn lease_history(
        &self,
        request: Request<v1::LeaseHistoryRequest>,
    ) -> Result<Response<v1::LeaseHistoryResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        leases::history(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn release_lease(
        &self,
        request: Request<v1::ReleaseLeaseRequest>,
    ) -> Result<Response<v1::ReleaseLeaseResponse>, Status> {
        let actor = self.require(&request, Role::Operator, "releasing a lease").await?;
        leases::release(&self.app, &actor, request.into_inner()).await.map(Response::new)
    }

    async fn list_alarms(
        &self,
        request: Request<v1::ListAlarmsRequest>,
    ) -> Result<Response<v1::ListAlarmsResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        alarms::list(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn image_status(
        &self,
        request: Request<v1::ImageStatusRequest>,
    ) -> Result<Response<v1::ImageStatusResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        readiness::images(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn order_readiness(
        &self,
        request: Request<v1::OrderReadinessRequest>,
    ) -> Result<Response<v1::OrderReadinessResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        readiness::order(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn list_audit(
        &self,
        request: Request<v1::ListAuditRequest>,
    ) -> Result<Response<v1::ListAuditResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        documents::audit(&self.app, &request.into_inner()).await.map(Response::new)
    }

    async fn backup(
        &self,
        request: Request<v1::BackupRequest>,
    ) -> Result<Response<Self::BackupStream>, Status> {
        let actor = self.require(&request, Role::Admin, "making a backup").await?;
        export::backup(&self.app, self.secrets_key.clone(), &actor, request.into_inner().passphrase)
            .await
            .map(Response::new)
    }

    async fn simulate_boot(
        &self,
        request: Request<v1::SimulateBootRequest>,
    ) -> Result<Response<v1::SimulateBootResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        simulate::boot(&self.app, request.into_inner()).await.map(Response::new)
    }

    async fn create_page_login(
        &self,
        request: Request<v1::CreatePageLoginRequest>,
    ) -> Result<Response<v1::CreatePageLoginResponse>, Status> {
        let actor = self.require(&request, Role::Viewer, "looking").await?;
        page::create_login(&self.app, &actor).await.map(Response::new)
    }

    async fn show_boot(
        &self,
        request: Request<v1::ShowBootRequest>,
    ) -> Result<Response<v1::ShowBootResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        explain::boot(&self.app, &request.into_inner()).await.map(Response::new)
    }

    async fn explain_host(
        &self,
        request: Request<v1::ExplainHostRequest>,
    ) -> Result<Response<v1::ExplainHostResponse>, Status> {
        self.require(&request, Role::Viewer, "looking").await?;
        explain::host(&self.app, &request.into_inner()).await.map(Response::new)
    }

    async fn get_capture(
        &self,
        request: Request<v1::GetCaptureRequest>,
    ) -> Result<Response<Self::GetCaptureStream>, Status> {
        let actor = self.require(&request, Role::Operator, "fetching a capture").await?;
        captures::get(&self.app, &actor, request.into_inner()).await.map(Response::new)
    }
}
