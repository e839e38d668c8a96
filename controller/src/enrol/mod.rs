//! The `Enrolment` service, on the enrol listener: from a join token, or a kept key, to a certificate (S11).

mod nonces;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use certs::{AgentName, Identity, JoinToken, RecoveryNonce, SiteName, verify_recovery};
use proto::catalog::AgentSpec;
use proto::{Digest, v1};
use tonic::{Request, Response, Status};

use crate::agents::{issue, read_request};
use crate::app::App;
use crate::catalog::{ChangeError, JoinError, Joining, ReadError};
use nonces::Nonces;

/// The service.
pub(crate) struct Enrolment {
    app: App,
    nonces: Nonces,
}

impl Enrolment {
    /// Over these parts.
    pub(crate) fn new(app: App) -> Self {
        Self { app, nonces: Nonces::default() }
    }

    async fn enrol(&self, request: v1::EnrolRequest) -> Result<v1::Credentials, Status> {
        let token =
            JoinToken::parse(&request.token).map_err(|error| Status::invalid_argument(error.to_string()))?;
        if token.fleet != self.app.fleet {
            let text =
                format!("the join token is of fleet {}, this is fleet {}", token.fleet, self.app.fleet);
            return Err(Status::invalid_argument(text));
        }
        let agent: AgentName = name("agent", &request.agent)?;
        let csr = read_request(&request.csr_der, &self.identity(&token.site, &agent))?;
        let joining = Joining {
            token: token.id.to_string(),
            secret: token.secret,
            agent: agent.to_string(),
            key: Digest(*csr.fingerprint().as_bytes()),
            public_key: STANDARD.encode(csr.spki_der()),
        };
        let enrolled = self.app.catalog.enrol(&joining, self.app.clock.wall()).await.map_err(refused)?;
        if enrolled.spec.site != token.site.as_str() {
            return Err(Status::permission_denied(format!(
                "agent {agent} is of another site than {}",
                token.site
            )));
        }
        issue(&self.app, &csr, &token.site, &agent)
    }

    async fn challenge(&self, request: v1::ChallengeRequest) -> Result<v1::ChallengeResponse, Status> {
        let (site, agent) =
            (name::<SiteName>("site", &request.site)?, name::<AgentName>("agent", &request.agent)?);
        let nonce = RecoveryNonce::generate().map_err(|error| Status::internal(error.to_string()))?;
        // A stranger gets a nonce too, which is good for nothing: it is told neither who exists nor given memory.
        if self.remembered(&site, &agent).await.is_ok() {
            self.nonces.give(self.identity(&site, &agent), nonce, self.app.clock.now());
        }
        Ok(v1::ChallengeResponse { nonce: nonce.as_bytes().to_vec().into() })
    }

    async fn recover(&self, request: v1::RecoverRequest) -> Result<v1::Credentials, Status> {
        let (site, agent) =
            (name::<SiteName>("site", &request.site)?, name::<AgentName>("agent", &request.agent)?);
        let identity = self.identity(&site, &agent);
        let nonce = RecoveryNonce::try_from(&request.nonce[..])
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let known = self.remembered(&site, &agent).await?;
        if !self.nonces.redeem(&identity, &nonce, self.app.clock.now()) {
            return Err(Status::failed_precondition(
                "the nonce is not known, used or too old: ask for a challenge again",
            ));
        }
        let csr = read_request(&request.csr_der, &identity)?;
        if Digest(*csr.fingerprint().as_bytes()) != known.key {
            return Err(Status::permission_denied("the request is for another key than the one remembered"));
        }
        let spki = STANDARD.decode(&known.public_key).map_err(|error| {
            tracing::error!(%agent, %error, "the public key of an agent cannot be read");
            Status::internal("the remembered key cannot be read: enrol again with a join token")
        })?;
        verify_recovery(&spki, &nonce, &identity, &request.csr_der, &request.signature)
            .map_err(|error| Status::permission_denied(error.to_string()))?;
        tracing::info!(%identity, "an agent recovered with its kept key");
        issue(&self.app, &csr, &site, &agent)
    }

    /// The agent as the catalog remembers it, if its key is still welcome.
    async fn remembered(&self, site: &SiteName, agent: &AgentName) -> Result<AgentSpec, Status> {
        let found = self.app.catalog.get_agent(agent.as_str()).await.map_err(unreadable)?;
        match found.map(|agent| agent.spec).filter(|spec| spec.site == site.as_str()) {
            None => {
                let remedy = "enrol it with a join token";
                Err(Status::permission_denied(format!(
                    "agent {agent} of site {site} is not known here: {remedy}"
                )))
            }
            Some(spec) if spec.revoked => Err(Status::permission_denied(format!("agent {agent} is revoked"))),
            Some(spec) => Ok(spec),
        }
    }

    fn identity(&self, site: &SiteName, agent: &AgentName) -> Identity {
        Identity::Agent { fleet: self.app.fleet.clone(), site: site.clone(), agent: agent.clone() }
    }
}

#[tonic::async_trait]
impl v1::enrolment_server::Enrolment for Enrolment {
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::Credentials>, Status> {
        self.enrol(request.into_inner()).await.map(Response::new)
    }

    async fn challenge(
        &self,
        request: Request<v1::ChallengeRequest>,
    ) -> Result<Response<v1::ChallengeResponse>, Status> {
        self.challenge(request.into_inner()).await.map(Response::new)
    }

    async fn recover(
        &self,
        request: Request<v1::RecoverRequest>,
    ) -> Result<Response<v1::Credentials>, Status> {
        self.recover(request.into_inner()).await.map(Response::new)
    }
}

fn name<T: std::str::FromStr<Err = certs::NameError>>(field: &str, text: &str) -> Result<T, Status> {
    text.parse().map_err(|error| Status::invalid_argument(format!("{field}: {error}")))
}

fn refused(error: JoinError) -> Status {
    match error {
        JoinError::Unknown
        | JoinError::Expired
        | JoinError::UsedUp
        | JoinError::OtherName(_)
        | JoinError::Revoked(_) => Status::permission_denied(error.to_string()),
        JoinError::Taken(_) => Status::already_exists(error.to_string()),
        JoinError::Change(ChangeError::Refused { .. }) => Status::failed_precondition(error.to_string()),
        JoinError::Change(error) => {
            tracing::error!(%error, "cannot write an enrolment");
            Status::unavailable("the catalog takes no writes: try again")
        }
    }
}

fn unreadable(error: ReadError) -> Status {
    tracing::error!(%error, "the catalog cannot be read");
    Status::unavailable("the catalog cannot be read: try again")
}
