//! The controller's own certificate: made at the start, renewed at half its life, shown from the next handshake on.

use std::sync::Arc;
use std::time::Duration;

use certs::tls::{DefaultTimeProvider, ReloadableServer, TlsError};
use certs::{
    CertificateRequest, ControllerName, Credential, CredentialError, Identity, IssueError, KeyError, KeyPair,
    MAX_SERVER_LIFETIME, RequestError, renew_at,
};
use rustls::pki_types::ServerName;

use crate::app::App;

/// How long to wait after a renewal that failed.
const RETRY: Duration = Duration::from_secs(60);

/// The TLS of both listeners.
pub(crate) struct Tls {
    pub(crate) server: Arc<ReloadableServer>,
    name: ControllerName,
    names: Vec<String>,
    made: Made,
}

/// Why the listeners have no certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// The key.
    #[error("cannot make the controller's key")]
    Key(#[from] KeyError),
    /// The request.
    #[error("cannot ask for the controller's certificate")]
    Request(#[from] RequestError),
    /// The certificate.
    #[error("cannot issue the controller's certificate")]
    Issue(#[from] IssueError),
    /// Key and certificate together.
    #[error("cannot use the controller's certificate")]
    Credential(#[from] CredentialError),
    /// rustls.
    #[error("cannot configure TLS")]
    Tls(#[from] TlsError),
}

struct Made {
    credential: Credential,
    root_der: Vec<u8>,
}

impl Tls {
    pub(crate) fn new(app: &App, name: &ControllerName, names: &[String]) -> Result<Self, TlsSetupError> {
        let made = make(app, name, names)?;
        let bundle = app.authority().bundle();
        let time = Arc::new(DefaultTimeProvider);
        let server =
            ReloadableServer::new(app.fleet.clone(), &made.credential, &made.root_der, &bundle, time)?;
        Ok(Self { server: Arc::new(server), name: name.clone(), names: names.to_vec(), made })
    }
}

/// Renews the certificate for as long as the controller runs.
pub(crate) async fn renew(app: App, mut tls: Tls) {
    loop {
        let leaf = tls.made.credential.leaf();
        let due = renew_at(leaf.not_before, leaf.not_after, u64::from(std::process::id()));
        let wait = due.duration_since(app.clock.now()).unwrap_or_default().max(RETRY);
        tokio::time::sleep(wait).await;
        let renewed = make(&app, &tls.name, &tls.names).and_then(|made| {
            tls.server.set_credential(&made.credential, &made.root_der)?;
            tls.server.set_bundle(&app.authority().bundle())?;
            Ok(made)
        });
        match renewed {
            Ok(made) => tls.made = made,
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot renew the controller's certificate"
                );
            }
        }
    }
}

fn make(app: &App, name: &ControllerName, names: &[String]) -> Result<Made, TlsSetupError> {
    let key = Arc::new(KeyPair::generate()?);
    let identity = Identity::Controller { fleet: app.fleet.clone(), controller: name.clone() };
    let request = CertificateRequest::from_der(&key.request(&identity)?)?;
    let names: Vec<_> = names.iter().filter_map(|name| ServerName::try_from(name.as_str()).ok()).collect();
    let issued =
        app.authority().issue_server(&request, name, &names, MAX_SERVER_LIFETIME, app.clock.now())?;
    let credential = Credential::new(key, &issued.chain_der)?;
    Ok(Made { credential, root_der: issued.root_der })
}
