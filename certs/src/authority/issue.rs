//! Issuing leaf certificates. Of a request only the public key is used; every name is ours (S11).

use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, Issuer, KeyUsagePurpose, SanType,
};
use rustls_pki_types::{CertificateDer, ServerName};

use super::Authority;
use super::template::{Life, MakeError, dress};
use crate::keys::uri_name;
use crate::leaf::Serial;
use crate::{AgentName, CertificateRequest, ControllerName, Identity, OperatorName, SiteName};

/// Longest life of an agent's certificate (S12).
pub const MAX_AGENT_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// Longest life of an operator's certificate: a year.
pub const MAX_OPERATOR_LIFETIME: Duration = Duration::from_secs(366 * 24 * 3600);
/// Longest life of a controller's certificate: a week.
pub const MAX_SERVER_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most names of a controller's certificate.
const MAX_SERVER_NAMES: usize = 64;

/// Why nothing was issued.
#[derive(Debug, thiserror::Error)]
pub enum IssueError {
    /// Zero, or more than the kind of certificate may live.
    #[error("lifetime of {asked:?} is not between one second and {longest:?}")]
    Lifetime {
        /// What was asked for.
        asked: Duration,
        /// The longest for this kind.
        longest: Duration,
    },
    /// The intermediate is at its end, or the clock before its start.
    #[error("the issuing certificate is not valid now: renew the intermediate, and check the clock")]
    Intermediate,
    /// More names than [`Self::Names`] shows.
    #[error("{0} server names, more than {MAX_SERVER_NAMES}")]
    Names(usize),
    /// Encoding or signing failed.
    #[error(transparent)]
    Make(#[from] MakeError),
}

/// A new certificate.
#[derive(Debug, Clone)]
pub struct Issued {
    /// Leaf, then intermediate, in DER form: what its holder shows.
    pub chain_der: Vec<Vec<u8>>,
    /// The root above them, in DER form: what the enrol listener shows in addition.
    pub root_der: Vec<u8>,
    /// Who it is for.
    pub identity: Identity,
    /// By which it is revoked.
    pub serial: Serial,
    /// Start of its life.
    pub not_before: SystemTime,
    /// End of its life; sooner than asked for if the intermediate ends sooner.
    pub not_after: SystemTime,
}

impl Authority {
    /// Issues an agent's certificate, for at most [`MAX_AGENT_LIFETIME`].
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue_agent(
        &self,
        request: &CertificateRequest,
        site: &SiteName,
        agent: &AgentName,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let identity =
            Identity::Agent { fleet: self.fleet().clone(), site: site.clone(), agent: agent.clone() };
        check_lifetime(lifetime, MAX_AGENT_LIFETIME)?;
        self.issue(request, identity, &[], Life::starting(now, lifetime)?, now)
    }

    /// Issues an operator's certificate, for at most [`MAX_OPERATOR_LIFETIME`].
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue_operator(
        &self,
        request: &CertificateRequest,
        operator: &OperatorName,
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let identity = Identity::Operator { fleet: self.fleet().clone(), operator: operator.clone() };
        check_lifetime(lifetime, MAX_OPERATOR_LIFETIME)?;
        self.issue(request, identity, &[], Life::starting(now, lifetime)?, now)
    }

    /// Issues a controller's certificate for its listeners, for at most [`MAX_SERVER_LIFETIME`].
    ///
    /// Our own clients look at the SPIFFE identity alone; `names` (DNS names and addresses) are for others.
    ///
    /// # Errors
    /// [`IssueError`].
    pub fn issue_server(
        &self,
        request: &CertificateRequest,
        controller: &ControllerName,
        names: &[ServerName<'_>],
        lifetime: Duration,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        if names.len() > MAX_SERVER_NAMES {
            return Err(IssueError::Names(names.len()));
        }
        let identity = Identity::Controller { fleet: self.fleet().clone(), controller: controller.clone() };
        check_lifetime(lifetime, MAX_SERVER_LIFETIME)?;
        self.issue(request, identity, names, Life::starting(now, lifetime)?, now)
    }

    fn issue(
        &self,
        request: &CertificateRequest,
        identity: Identity,
        names: &[ServerName<'_>],
        life: Life,
        now: SystemTime,
    ) -> Result<Issued, IssueError> {
        let root = self.state.issuing();
        let intermediate = &root.intermediate;
        if now < intermediate.not_before || now >= intermediate.not_after {
            return Err(IssueError::Intermediate);
        }
        let (serial, life) =
            (Serial::generate().map_err(MakeError::from)?, life.ending_by(intermediate.not_after));
        let mut params = leaf_params(&identity, names).map_err(MakeError::from)?;
        dress(&mut params, serial, life)?;
        let leaf = sign(&params, request, &intermediate.certificate, intermediate.key.signer())
            .map_err(MakeError::from)?;
        Ok(Issued {
            chain_der: vec![leaf, intermediate.certificate.to_vec()],
            root_der: root.root.to_vec(),
            identity,
            serial,
            not_before: life.not_before,
            not_after: life.not_after,
        })
    }
}

fn check_lifetime(asked: Duration, longest: Duration) -> Result<(), IssueError> {
    if (Duration::from_secs(1)..=longest).contains(&asked) {
        return Ok(());
    }
    Err(IssueError::Lifetime { asked, longest })
}

fn sign(
    params: &CertificateParams,
    request: &CertificateRequest,
    intermediate: &CertificateDer<'static>,
    key: &rcgen::KeyPair,
) -> Result<Vec<u8>, rcgen::Error> {
    let public_key = rcgen::SubjectPublicKeyInfo::from_der(request.spki_der())?;
    let issuer = Issuer::from_ca_cert_der(intermediate, key)?;
    Ok(params.signed_by(&public_key, &issuer)?.der().to_vec())
}

fn leaf_params(identity: &Identity, names: &[ServerName<'_>]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name(identity));
    params.subject_alt_names = vec![uri_name(identity)?];
    for name in names {
        params.subject_alt_names.extend(server_name(name)?);
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage(identity)];
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

fn common_name(identity: &Identity) -> &str {
    match identity {
        Identity::Agent { agent, .. } => agent.as_str(),
        Identity::Operator { operator, .. } => operator.as_str(),
        Identity::Controller { controller, .. } => controller.as_str(),
    }
}

/// An agent's certificate can never stand for a server, nor a controller's for a client (RFC 5280 §4.2.1.12).
fn usage(identity: &Identity) -> ExtendedKeyUsagePurpose {
    match identity {
        Identity::Agent { .. } | Identity::Operator { .. } => ExtendedKeyUsagePurpose::ClientAuth,
        Identity::Controller { .. } => ExtendedKeyUsagePurpose::ServerAuth,
    }
}

fn server_name(name: &ServerName<'_>) -> Result<Option<SanType>, rcgen::Error> {
    match name {
        ServerName::DnsName(dns) => Ok(Some(SanType::DnsName(dns.as_ref().try_into()?))),
        ServerName::IpAddress(ip) => Ok(Some(SanType::IpAddress((*ip).into()))),
        // `ServerName` may grow kinds that X.509 has no place for.
        _ => Ok(None),
    }
}
