//! Agents' certificates: a request of the remembered key becomes a certificate for the same identity.

use certs::{AgentName, CertificateRequest, EntitlementError, Identity, MAX_AGENT_LIFETIME, SiteName};
use proto::{Digest, v1};
use tonic::Status;

use super::caller::AgentCaller;
use crate::app::App;

/// A new certificate before the old one ends.
pub(super) fn renew(app: &App, caller: &AgentCaller, csr_der: &[u8]) -> Result<v1::Credentials, Status> {
    let request = read_request(csr_der, &caller.identity)?;
    if Digest(*request.fingerprint().as_bytes()) != caller.key {
        let remedy = "renewal keeps the key: to change it, enrol again with a join token";
        return Err(Status::permission_denied(format!(
            "the request is for another key than the agent's; {remedy}"
        )));
    }
    issue(app, &request, &caller.site_name, &caller.agent_name)
}

/// Reads a certificate request; one that names somebody else is refused, one that names nobody is as good (S11).
pub(crate) fn read_request(csr_der: &[u8], entitled: &Identity) -> Result<CertificateRequest, Status> {
    let request =
        CertificateRequest::from_der(csr_der).map_err(|error| Status::invalid_argument(error.to_string()))?;
    match request.check_identity(entitled) {
        Ok(()) | Err(EntitlementError::None) => Ok(request),
        Err(error) => Err(Status::permission_denied(error.to_string())),
    }
}

/// Issues an agent's certificate.
pub(crate) fn issue(
    app: &App,
    request: &CertificateRequest,
    site: &SiteName,
    agent: &AgentName,
) -> Result<v1::Credentials, Status> {
    let authority = app.authority();
    let issued = authority.issue_agent(request, site, agent, MAX_AGENT_LIFETIME, app.clock.now()).map_err(|error| {
        tracing::error!(%site, %agent, error = &error as &dyn std::error::Error, "cannot issue a certificate");
        Status::internal("the controller cannot issue certificates: see its log")
    })?;
    tracing::info!(identity = %issued.identity, serial = %issued.serial, "issued a certificate");
    Ok(v1::Credentials {
        chain_der: issued.chain_der.into_iter().map(Into::into).collect(),
        bundle_der: authority.bundle().ders().map(|der| der.to_vec().into()).collect(),
        fleet: app.fleet.to_string(),
        site: site.to_string(),
        agent: agent.to_string(),
    })
}
