//! A fleet for the tests: an authority, a fake controller behind real TLS on loopback, and operators' credentials.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use assert_cmd::Command;
use certs::tls::{DefaultTimeProvider, HandshakeLimits, ReloadableServer, TlsListener};
use certs::{Authority, CertificateRequest, Credential, Identity, KeyPair, OperatorCredential};
use proto::v1::admin_server::AdminServer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio_stream::{StreamExt as _, wrappers::ReceiverStream};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Server;

use crate::fake::{Catalog, FakeAdmin};

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// A running fake controller; it stops when this is dropped.
pub(crate) struct Fleet {
    pub(crate) folder: TempDir,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) authority: Arc<Authority>,
    pub(crate) address: String,
    /// Where the controller's other listener is: agents join there.
    pub(crate) enrol: String,
    _runtime: Runtime,
}

impl Fleet {
    pub(crate) fn start() -> Self {
        Self::named("acme")
    }

    pub(crate) fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let fleet = name.parse().expect("legal");
        let authority =
            Authority::open_or_create(&folder.path().join("authority"), &fleet, SystemTime::now() - DAY);
        let authority = Arc::new(authority.expect("made"));
        let catalog = Arc::new(Catalog::default());
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let admin = FakeAdmin { catalog: Arc::clone(&catalog), authority: Arc::clone(&authority) };
        let (address, enrol) = runtime.block_on(serve(&authority, admin));
        let fleet = Self { folder, catalog, authority, address, enrol, _runtime: runtime };
        fleet.credential("admin", DAY).save(&fleet.credential_file()).expect("written");
        fleet
    }

    pub(crate) fn credential_file(&self) -> PathBuf {
        self.folder.path().join("credential.toml")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the fleet's folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("written");
        path
    }

    pub(crate) fn credential(&self, operator: &str, life: Duration) -> OperatorCredential {
        self.credential_at(operator, life, SystemTime::now())
    }

    pub(crate) fn credential_at(&self, operator: &str, life: Duration, at: SystemTime) -> OperatorCredential {
        let operator = operator.parse().expect("legal");
        let identity = Identity::Operator { fleet: self.authority.fleet().clone(), operator };
        let Identity::Operator { operator, .. } = &identity else { unreachable!("made a line above") };
        let (key, request) = key_and_request(&identity);
        let issued = self.authority.issue_operator(&request, operator, life, at).expect("issued");
        let credential = Credential::new(key, &issued.chain_der).expect("fits");
        let controllers = vec![self.address.clone()];
        OperatorCredential::new(credential, self.authority.bundle(), controllers).expect("complete")
    }

    /// `bootlane` with this fleet's credential.
    pub(crate) fn bootlane<I: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = I>,
    ) -> Command {
        let mut command = bootlane(&self.credential_file());
        command.args(arguments);
        command
    }
}

/// `bootlane` with a credential and nothing of the caller's surroundings.
pub(crate) fn bootlane(credential: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bootlane"));
    command.env_clear().env("BOOTLANE_CREDENTIAL", credential).timeout(Duration::from_secs(60));
    command
}

fn key_and_request(identity: &Identity) -> (Arc<KeyPair>, CertificateRequest) {
    let key = Arc::new(KeyPair::generate().expect("made"));
    let request = CertificateRequest::from_der(&key.request(identity).expect("signed")).expect("valid");
    (key, request)
}

async fn serve(authority: &Authority, admin: FakeAdmin) -> (String, String) {
    let name: certs::ControllerName = "one".parse().expect("legal");
    let identity = Identity::Controller { fleet: authority.fleet().clone(), controller: name.clone() };
    let (key, request) = key_and_request(&identity);
    let issued = authority.issue_server(&request, &name, &[], DAY, SystemTime::now()).expect("issued");
    let credential = Credential::new(key, &issued.chain_der).expect("fits");
    let (fleet, bundle, time) =
        (authority.fleet().clone(), authority.bundle(), Arc::new(DefaultTimeProvider));
    let server = ReloadableServer::new(fleet, &credential, &issued.root_der, &bundle, time).expect("usable");
    let (socket, address) = listen().await;
    let (enrol_socket, enrol) = listen().await;
    let mut joining = TlsListener::new(enrol_socket, server.enrol_config(), HandshakeLimits::default());
    tokio::spawn(async move {
        loop {
            drop(joining.accept().await);
        }
    });
    let mut listener = TlsListener::new(socket, server.fleet_config(), HandshakeLimits::default());
    let (sender, accepted) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            let connection = listener.accept().await.stream;
            if sender.send(connection).await.is_err() {
                return;
            }
        }
    });
    let incoming = ReceiverStream::new(accepted).map(Ok::<_, std::io::Error>);
    let catalog = Arc::clone(&admin.catalog);
    let service = AdminServer::new(admin).max_decoding_message_size(proto::MESSAGE_LIMIT);
    let service = InterceptedService::new(service, move |call: tonic::Request<()>| {
        let trace = call.metadata().get("traceparent").and_then(|value| value.to_str().ok());
        catalog.traces.lock().expect("whole").push(trace.unwrap_or_default().to_owned());
        Ok(call)
    });
    tokio::spawn(Server::builder().add_service(service).serve_with_incoming(incoming));
    (address, enrol)
}

async fn listen() -> (TcpListener, String) {
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = socket.local_addr().expect("bound").to_string();
    (socket, address)
}
