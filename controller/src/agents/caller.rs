//! Who calls on the fleet listener: the certificate of the connection, and what the catalog says of its holder now.

use std::sync::Arc;

use certs::{AgentName, Identity, LeafCertificate, SiteName};
use proto::Digest;
use tonic::{Request, Status};

use crate::app::App;
use crate::catalog::ReadError;

/// The client certificate of a connection, which the handshake has verified. An extension of every request.
#[derive(Debug, Clone)]
pub struct Peer(pub Arc<LeafCertificate>);

impl Peer {
    /// The caller of a request.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` on a listener without client certificates.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        let peer = request.extensions().get::<Self>().cloned();
        peer.ok_or_else(|| Status::unauthenticated("this call needs a client certificate"))
    }

    /// The name in an agent's certificate.
    pub(crate) fn agent_name(&self) -> Result<&str, Status> {
        match &self.0.identity {
            Identity::Agent { agent, .. } => Ok(agent.as_str()),
            identity @ (Identity::Operator { .. } | Identity::Controller { .. }) => {
                Err(Refusal::NotAnAgent(identity.clone()).into())
            }
        }
    }
}

/// An agent that may call.
#[derive(Debug, Clone)]
pub(crate) struct AgentCaller {
    pub(crate) identity: Identity,
    pub(crate) site_name: SiteName,
    pub(crate) agent_name: AgentName,
    /// The site's name.
    pub(crate) site: String,
    /// The agent's name.
    pub(crate) agent: String,
    /// SHA-256 of its public key.
    pub(crate) key: Digest,
}

/// Why an agent's call is not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// An operator, or a controller.
    #[error("`{0}` is no agent")]
    NotAnAgent(Identity),
    /// Another fleet's; the handshake should not have let it in.
    #[error(transparent)]
    Fleet(#[from] certs::WrongFleet),
    /// The catalog has no such agent.
    #[error("agent {0} is not in the catalog: it was removed, enrol it again with a join token")]
    Unknown(String),
    /// The certificate is of a site where the agent is not.
    #[error("agent {agent} is of another site than {site}, which its certificate names: enrol it again")]
    Site {
        /// The agent.
        agent: String,
        /// The certificate's site.
        site: String,
    },
    /// The certificate's key is not the remembered one: the name was enrolled anew.
    #[error("agent {0} has enrolled with another key since")]
    Key(String),
    /// An operator has revoked it.
    #[error("agent {0} is revoked")]
    Revoked(String),
    /// The catalog could not be read.
    #[error("the catalog cannot be read")]
    Read(#[from] ReadError),
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Read(error) => {
                tracing::error!(%error, "the catalog cannot be read");
                Self::unavailable("the catalog cannot be read: try again")
            }
            Refusal::NotAnAgent(_)
            | Refusal::Fleet(_)
            | Refusal::Unknown(_)
            | Refusal::Site { .. }
            | Refusal::Key(_)
            | Refusal::Revoked(_) => Self::permission_denied(refusal.to_string()),
        }
    }
}

/// Asks the catalog whether this agent may call (S10, S12). Done on every call, as connections outlive revocations.
pub(crate) async fn authorise_agent(app: &App, peer: &Peer) -> Result<AgentCaller, Refusal> {
    let leaf = &peer.0;
    leaf.check_fleet(&app.fleet)?;
    let Identity::Agent { site, agent, .. } = &leaf.identity else {
        return Err(Refusal::NotAnAgent(leaf.identity.clone()));
    };
    let (site_text, agent_text) = (site.to_string(), agent.to_string());
    let found = app.catalog.get_agent(&agent_text).await?;
    let found = found.ok_or_else(|| Refusal::Unknown(agent_text.clone()))?.spec;
    if found.site != site_text {
        return Err(Refusal::Site { agent: agent_text, site: site_text });
    }
    let key = Digest(*leaf.fingerprint.as_bytes());
    if found.key != key {
        return Err(Refusal::Key(agent_text));
    }
    if found.revoked {
        return Err(Refusal::Revoked(agent_text));
    }
    Ok(AgentCaller {
        identity: leaf.identity.clone(),
        site_name: site.clone(),
        agent_name: agent.clone(),
        site: site_text,
        agent: agent_text,
        key,
    })
}
