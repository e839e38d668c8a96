//! The controller's own certificate: made at the start, renewed at half its life and whenever the authority has
//! changed, shown from the next handshake on. The authority's intermediates are renewed here as well.

use std::sync::Arc;
use std::time::Duration;

use certs::tls::{DefaultTimeProvider, ReloadableServer, TlsError};
use certs::{
    CertificateRequest, ControllerName, Credential, CredentialError, Identity, IssueError, KeyError, KeyPair,
    MAX_SERVER_LIFETIME, RequestError, renew_at,
};
use rustls::pki_types::ServerName;
use tokio::sync::watch;

use crate::app::App;

/// How often to look whether something is due: the clock may be set, or the machine sleep, meanwhile.
const LOOK: Duration = Duration::from_secs(3600);
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
        app.metrics.note_listener_ends(made.credential.leaf().not_after);
        let bundle = app.authority().bundle();
        let time = Arc::new(DefaultTimeProvider);
        let server =
            ReloadableServer::new(app.fleet.clone(), &made.credential, &made.root_der, &bundle, time)?;
        Ok(Self { server: Arc::new(server), name: name.clone(), names: names.to_vec(), made })
    }

    /// Shows a new certificate, and accepts the roots of now.
    fn renew(&mut self, app: &App) -> Result<(), TlsSetupError> {
        let made = make(app, &self.name, &self.names)?;
        self.server.set_bundle(&app.authority().bundle())?;
        self.server.set_credential(&made.credential, &made.root_der)?;
        app.metrics.note_listener_ends(made.credential.leaf().not_after);
        self.made = made;
        Ok(())
    }
}

/// Keeps certificates alive for as long as the controller runs.
pub(crate) struct Upkeep {
    app: App,
    tls: Tls,
    changes: watch::Receiver<()>,
    /// The authority has changed since the certificate was made.
    stale: bool,
}

/// Why certificates were not renewed; the old ones are shown on.
#[derive(Debug, thiserror::Error)]
enum UpkeepError {
    #[error("cannot renew the authority's intermediate certificates")]
    Authority(#[from] certs::OpenError),
    #[error("cannot renew the controller's certificate")]
    Server(#[from] TlsSetupError),
}

impl Upkeep {
    pub(crate) fn new(app: App, tls: Tls) -> Self {
        let changes = app.trust.changes();
        Self { app, tls, changes, stale: false }
    }

    pub(crate) async fn run(mut self) {
        loop {
            let pause = match self.look() {
                Ok(()) => LOOK,
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "certificates are not renewed");
                    RETRY
                }
            };
            self.stale |= tokio::time::timeout(pause, self.changes.changed()).await.is_ok();
        }
    }

    /// Renews what is due.
    fn look(&mut self) -> Result<(), UpkeepError> {
        let now = self.app.clock.now();
        if self.app.trust.renew_intermediates(now)? {
            tracing::info!("renewed the authority's intermediate certificates");
        }
        self.stale |= self.changes.has_changed().unwrap_or(false);
        self.changes.mark_unchanged();
        let leaf = self.tls.made.credential.leaf();
        let due = renew_at(leaf.not_before, leaf.not_after, u64::from(std::process::id()));
        if self.stale || now >= due || now < leaf.not_before {
            self.tls.renew(&self.app)?;
            self.stale = false;
        }
        Ok(())
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::admin::tests::app;
    use crate::app::Clock;
    use crate::catalog::tests::NOW;

    const HOUR: u64 = 3600;

    #[tokio::test]
    async fn two_years_on_paper_never_show_a_certificate_near_its_end() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let passed = Arc::new(AtomicU64::new(0));
        let hand = Arc::clone(&passed);
        let start = std::time::SystemTime::from(NOW);
        let clock = Clock::from_fn(move || start + Duration::from_secs(hand.load(Ordering::Relaxed)));
        let app = App { clock, ..app(folder.path()) };
        let tls =
            Tls::new(&app, &"controller".parse().expect("a name"), &["localhost".into()]).expect("made");
        let mut upkeep = Upkeep::new(app.clone(), tls);
        let mut shown = std::collections::BTreeSet::new();
        for hours in (0..2 * 365 * 24).step_by(6) {
            passed.store(hours * HOUR, Ordering::Relaxed);
            upkeep.look().expect("it is renewed");
            let leaf = upkeep.tls.made.credential.leaf();
            let left = leaf.not_after.duration_since(app.clock.now()).expect("not ended");
            assert!(left > MAX_SERVER_LIFETIME / 3, "{left:?} left after {hours} hours");
            assert!(leaf.not_before <= app.clock.now());
            shown.insert(leaf.not_after);
        }
        // After 45 to 55 hundredths of a week, as the process's number has it, at the next look: every 78 to 96 hours.
        assert!((180..230).contains(&shown.len()), "{}", shown.len());
    }

    #[tokio::test]
    async fn a_change_of_the_authority_is_shown_at_once() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let app = app(folder.path());
        let tls =
            Tls::new(&app, &"controller".parse().expect("a name"), &["localhost".into()]).expect("made");
        let mut upkeep = Upkeep::new(app.clone(), tls);
        upkeep.look().expect("nothing is due");
        let before = upkeep.tls.made.root_der.clone();
        let root = app.trust.change(|authority| authority.roll(NOW.into())).expect("rolled");
        app.trust.change(|authority| authority.issue_from(&root)).expect("known");
        upkeep.look().expect("it is renewed");
        assert_ne!(upkeep.tls.made.root_der, before);
    }
}
