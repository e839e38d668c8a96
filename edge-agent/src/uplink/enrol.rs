//! Becoming a member of the fleet, and becoming one again after a long absence.

use std::{
    fs,
    io::{self, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use certs::{
    AgentIdentity, BundleError, Credential, CredentialError, Identity, JoinToken, KeyError, KeyPair,
    NonceError, PartError, RecoveryNonce, StoreError, TokenError, TrustBundle,
    tls::{DefaultTimeProvider, TlsError, first_contact},
};
use proto::v1::{self, enrolment_client::EnrolmentClient};
use telemetry::grpc::{Traced, traced};
use tracing::Instrument as _;
use zeroize::Zeroizing;

use super::{ConnectError, LinkError, Session, in_time};
use crate::{config::ControllerConfig, controllers};

/// What a token's file must not have: its group may be the agent's.
const EVERYBODY: u32 = 0o007;
/// The longest file that is read as a token, in bytes.
const LONGEST_TOKEN: u64 = 4_096;

/// Why the agent is no member of the fleet.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// There is neither an identity nor a token.
    #[error(
        "no identity in {folder} and no join token: make one with `bootlane token add` and name its file in controller.token_file"
    )]
    NoToken {
        /// The identity's folder.
        folder: PathBuf,
    },
    /// The token's file.
    #[error("failed to read the join token {path}")]
    TokenFile {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Whoever has it can join the fleet as an agent of the site.
    #[error("the join token {path} can be read by every user (mode {mode:04o}): run chmod 600 on it")]
    TokenExposed {
        /// Which.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The token itself.
    #[error("the join token in {path} cannot be used")]
    Token {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: TokenError,
    },
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The controller refuses.
    #[error("the controller refused: {}", .0.message())]
    Refused(Box<tonic::Status>),
    /// The identity's files.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What the controller gave.
    #[error("the controller's answer cannot be used")]
    Credential(#[from] CredentialError),
    /// What the controller gave.
    #[error("the controller's answer cannot be used")]
    Bundle(#[from] BundleError),
    /// What the controller gave.
    #[error("the controller's answer cannot be used")]
    Part(#[from] PartError),
    /// What the controller gave.
    #[error("the controller's answer cannot be used")]
    Nonce(#[from] NonceError),
    /// TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// The identity on disk, or a new one by the join token.
pub(super) async fn identity(config: &ControllerConfig, folder: &Path) -> Result<AgentIdentity, EnrolError> {
    match AgentIdentity::load(folder) {
        Ok(identity) => return Ok(identity),
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    let (text, token) = token(config, folder)?;
    let key = Arc::new(AgentIdentity::enrolment_key(folder)?);
    let (fleet, site) = (token.fleet.clone(), token.site.clone());
    let csr = key.request(&Identity::Agent { fleet, site, agent: config.name.clone() })?;
    let tls = first_contact(&token, Arc::new(DefaultTimeProvider))?;
    let mut client = client(config, tls).await?;
    let request = v1::EnrolRequest {
        token: text.to_string(),
        agent: config.name.as_str().to_owned(),
        csr_der: csr.into(),
        version: proto::VERSION.into(),
    };
    let call = client.enrol(request).instrument(tracing::info_span!("enrol", otel.kind = "client"));
    let answer = in_time(call).await.map_err(|status| EnrolError::Refused(Box::new(status)))?;
    let identity = join(key, answer.into_inner())?;
    identity.save(folder)?;
    tracing::info!(fleet = %identity.fleet(), site = %identity.site(), agent = %identity.agent(), "enrolled");
    Ok(identity)
}

async fn client(
    config: &ControllerConfig,
    tls: Arc<rustls::ClientConfig>,
) -> Result<EnrolmentClient<Traced>, ConnectError> {
    Ok(EnrolmentClient::new(traced(controllers::channel(&config.enrol, tls).await?)))
}

fn token(config: &ControllerConfig, folder: &Path) -> Result<(Zeroizing<String>, JoinToken), EnrolError> {
    let no_token = || EnrolError::NoToken { folder: folder.into() };
    match read_token(config.token_file.as_deref().ok_or_else(no_token)?) {
        Err(EnrolError::TokenFile { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            Err(no_token())
        }
        read => read,
    }
}

/// The join token in a file that is not for everybody's eyes (S16).
pub(crate) fn read_token(path: &Path) -> Result<(Zeroizing<String>, JoinToken), EnrolError> {
    let at = |source| EnrolError::TokenFile { path: path.into(), source };
    let mut file = fs::File::open(path).map_err(at)?;
    let mode = file.metadata().map_err(at)?.permissions().mode() & 0o7777;
    if mode & EVERYBODY != 0 {
        return Err(EnrolError::TokenExposed { path: path.into(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.by_ref().take(LONGEST_TOKEN).read_to_string(&mut text).map_err(at)?;
    let text = Zeroizing::new(text.trim().to_owned());
    let token = JoinToken::parse(&text).map_err(|source| EnrolError::Token { path: path.into(), source })?;
    Ok((text, token))
}

/// Joins our key and what the controller gave.
pub(super) fn join(key: Arc<KeyPair>, given: v1::Credentials) -> Result<AgentIdentity, EnrolError> {
    let chain = given.chain_der.into_iter().map(|der| rustls_pki_types::CertificateDer::from(der.to_vec()));
    let credential = Credential::new(key, chain.collect::<Vec<_>>())?;
    Ok(AgentIdentity::new(credential, TrustBundle::from_der(given.bundle_der)?)?)
}

impl Session {
    /// A certificate that has ended opens no fleet listener: the kept key recovers a new one, with no human.
    pub(super) async fn recover_if_expired(&self, config: &ControllerConfig) -> Result<(), LinkError> {
        let identity = self.identity.lock().await.clone();
        if identity.credential().leaf().not_after > SystemTime::now() {
            return Ok(());
        }
        tracing::info!("the certificate has ended: recovering with the kept key");
        let span = tracing::info_span!("recover the certificate", otel.kind = "client");
        let recovered = recover(&identity, config, self.tls.enrol_config()?).instrument(span).await?;
        self.take(&mut *self.identity.lock().await, recovered)
    }

    /// Makes an identity the one in force: on disk first, then for the next handshake.
    pub(super) fn take(&self, held: &mut AgentIdentity, new: AgentIdentity) -> Result<(), LinkError> {
        new.save(&self.identity_folder).map_err(EnrolError::from)?;
        self.tls.set_bundle(new.bundle());
        self.tls.set_credential(new.credential())?;
        let ends = new.credential().leaf().not_after;
        self.link.send_modify(|link| link.certificate_ends = Some(ends));
        *held = new;
        Ok(())
    }
}

async fn recover(
    identity: &AgentIdentity,
    config: &ControllerConfig,
    tls: Arc<rustls::ClientConfig>,
) -> Result<AgentIdentity, EnrolError> {
    let refused = |status| EnrolError::Refused(Box::new(status));
    let mut client = client(config, tls).await?;
    let (site, agent) = (identity.site().as_str().to_owned(), identity.agent().as_str().to_owned());
    let challenge = v1::ChallengeRequest { site: site.clone(), agent: agent.clone() };
    let nonce = in_time(client.challenge(challenge)).await.map_err(refused)?.into_inner().nonce;
    let key = identity.credential().key().clone();
    let who = &identity.credential().leaf().identity;
    let csr = key.request(who)?;
    let signature = key.sign_recovery(&RecoveryNonce::try_from(&nonce[..])?, who, &csr)?;
    let request = v1::RecoverRequest { site, agent, nonce, signature: signature.into(), csr_der: csr.into() };
    join(key, in_time(client.recover(request)).await.map_err(refused)?.into_inner())
}

#[cfg(test)]
mod tests;
