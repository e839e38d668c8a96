//! Join tokens, agents, orders and operators.

use std::time::Duration;

use certs::{CertificateRequest, JoinToken, OperatorName, SiteName};
use proto::{
    Digest,
    catalog::{AnyResource, Kind, OperatorSpec, Problem, Role, TokenSpec},
    v1,
};
use tonic::Status;

use super::{documents::message, refusal};
use crate::{
    app::App,
    catalog::{
        orders::{DEFAULT_WAIT, NewOrder},
        roles::Actor,
    },
};

/// How long a join token lasts if nothing is said (S11).
const TOKEN_LIFE: u64 = 3_600;
/// How long one may last, in seconds.
const LONGEST_TOKEN_LIFE: u64 = 30 * 86_400;

pub(super) async fn create_token(
    app: &App,
    actor: &Actor,
    request: v1::CreateTokenRequest,
) -> Result<v1::CreateTokenResponse, Status> {
    let site: SiteName =
        request.site.parse().map_err(|e: certs::NameError| refusal::field("site", e.to_string()))?;
    if app.catalog.get_site(site.as_str()).await.map_err(refusal::read)?.is_none() {
        return Err(Status::not_found(format!("there is no Site {site}")));
    }
    let seconds = if request.seconds == 0 { TOKEN_LIFE } else { request.seconds };
    if seconds > LONGEST_TOKEN_LIFE {
        return Err(refusal::field("seconds", "expected at most 30 days"));
    }
    let root = app.authority().issuing_root();
    let token =
        JoinToken::generate(app.fleet.clone(), site, root).map_err(|e| Status::internal(e.to_string()))?;
    let not_after = app.clock.wall().plus(Duration::from_secs(seconds));
    let spec = TokenSpec {
        site: request.site,
        agent: (!request.agent.is_empty()).then_some(request.agent),
        uses: request.uses.max(1),
        not_after_ms: not_after,
        secret: Some(Digest(*token.secret.hash().as_bytes())),
        enrolled: vec![],
    };
    let problems = proto::catalog::Spec::validate(&spec);
    if !problems.is_empty() {
        return Err(refusal::invalid(&problems));
    }
    let name = token.id.to_string();
    app.catalog.create_token(actor, &name, spec, app.clock.wall()).await.map_err(refusal::change)?;
    Ok(v1::CreateTokenResponse { name, token: token.reveal().to_string(), not_after_ms: not_after.0 })
}

pub(super) async fn revoke_agent(
    app: &App,
    actor: &Actor,
    request: v1::RevokeAgentRequest,
) -> Result<v1::RevokeAgentResponse, Status> {
    app.catalog.revoke_agent(actor, &request.name, app.clock.wall()).await.map_err(refusal::change)?;
    // On disk first: a stream that is opened from now on meets the revocation itself.
    Ok(v1::RevokeAgentResponse { closed: app.sessions.close(&request.name) })
}

pub(super) async fn create_order(
    app: &App,
    actor: &Actor,
    request: v1::CreateOrderRequest,
) -> Result<v1::Document, Status> {
    let some = |text: String| (!text.is_empty()).then_some(text);
    let life = (request.seconds != 0).then(|| Duration::from_secs(request.seconds));
    let (profile, agent) = (some(request.profile), some(request.agent));
    let wait = request.when_ready.then(|| match request.wait_seconds {
        0 => DEFAULT_WAIT,
        seconds => Duration::from_secs(seconds),
    });
    let new = NewOrder { host: request.host, profile, life, agent, wait };
    let order = app.catalog.create_order(actor, &new, app.clock.wall()).await.map_err(refusal::change)?;
    Ok(message(AnyResource::Order(order)))
}

pub(super) async fn revoke_order(
    app: &App,
    actor: &Actor,
    request: v1::RevokeOrderRequest,
) -> Result<v1::Document, Status> {
    let (name, now) = (&request.name, app.clock.wall());
    let order = match request.abandon {
        true => app.catalog.abandon_order(actor, name, now).await,
        false => app.catalog.revoke_order(actor, name, now).await,
    };
    Ok(message(AnyResource::Order(order.map_err(refusal::change)?)))
}

/// Makes an operator, or gives one that is there a new role and certificate.
pub(super) async fn create_operator(
    app: &App,
    actor: &Actor,
    request: v1::CreateOperatorRequest,
) -> Result<v1::CreateOperatorResponse, Status> {
    let (name, spec, csr) = read_operator(&request)?;
    let now = app.clock.now();
    app.catalog.put_operator(actor, name.as_str(), spec, now.into()).await.map_err(refusal::change)?;
    let authority = app.authority();
    let issued = authority.issue_operator(&csr, &name, certs::MAX_OPERATOR_LIFETIME, now);
    let issued = issued.map_err(|error| {
        tracing::error!(%error, operator = %name, "cannot issue an operator's certificate");
        Status::internal(format!("the operator is in the catalog, but has no certificate: {error}"))
    })?;
    let bundle = authority.bundle();
    Ok(v1::CreateOperatorResponse {
        chain_der: issued.chain_der.into_iter().map(Into::into).collect(),
        bundle_der: bundle.ders().map(|der| der.to_vec().into()).collect(),
    })
}

fn read_operator(
    request: &v1::CreateOperatorRequest,
) -> Result<(OperatorName, OperatorSpec, CertificateRequest), Status> {
    let mut problems = Vec::new();
    let name = request.name.parse::<OperatorName>();
    problems.extend(name.as_ref().err().map(|error| Problem::new("name", error.to_string())));
    let csr = CertificateRequest::from_der(&request.csr_der);
    problems.extend(csr.as_ref().err().map(|error| Problem::new("csr_der", error.to_string())));
    let role =
        [Role::Viewer, Role::Operator, Role::Admin].into_iter().find(|role| role.word() == request.role);
    if role.is_none() {
        problems.push(Problem::new("role", "expected viewer, operator or admin"));
    }
    let spec = role.map(|role| OperatorSpec { role, sites: request.sites.clone(), revoked: false });
    problems.extend(spec.iter().flat_map(proto::catalog::Spec::validate));
    match (name, spec, csr) {
        (Ok(name), Some(spec), Ok(csr)) if problems.is_empty() => Ok((name, spec, csr)),
        _ => Err(refusal::invalid(&problems)),
    }
}

/// The id of a host that must be there.
pub(super) async fn host_id(app: &App, name: &str) -> Result<proto::HostId, Status> {
    let host = app.catalog.get_host(name).await.map_err(refusal::read)?;
    let id = host.and_then(|host| host.id());
    id.map(Into::into).ok_or_else(|| Status::not_found(format!("there is no {} {name}", Kind::Host)))
}
