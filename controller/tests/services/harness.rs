//! A controller in this process, operators who write its catalog, and agents that call it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use certs::tls::{Alpn, DefaultTimeProvider, ReloadableClient, first_contact};
use certs::{Credential, Identity, JoinToken, KeyPair, OperatorCredential, TrustBundle};
use controller::catalog::Document;
use controller::catalog::orders::NewOrder;
use controller::catalog::roles::Actor;
use controller::catalog::write::{Change, Request};
use controller::config::Config;
use controller::{Running, run};
use futures::FutureExt as _;
use hyper_util::rt::TokioIo;
use proto::catalog::{AgentStatus, OrderSpec, Resource, Role, TokenSpec};
use proto::{Digest, Wall, v1};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint, Uri};

/// Longest wait for anything: an answer that takes longer is a failure.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A controller with its folder.
pub(crate) struct Controller {
    pub(crate) folder: TempDir,
    pub(crate) running: Running,
    stop: CancellationToken,
}

/// The file of a controller whose state is in `folder`.
pub(crate) fn configuration(folder: &Path, [fleet, enrol]: [&str; 2]) -> String {
    let state = folder.join("state");
    format!("fleet = \"acme\"\nstate = {state:?}\n[listen]\nfleet = \"{fleet}\"\nenrol = \"{enrol}\"\n")
}

pub(crate) fn admin() -> Actor {
    Actor { name: "admin".into(), role: Role::Admin, sites: vec![] }
}

impl Controller {
    /// An empty one.
    pub(crate) async fn start() -> Self {
        certs::tls::install_provider();
        Self::start_in(tempfile::tempdir().expect("temporary folder")).await
    }

    async fn start_in(folder: TempDir) -> Self {
        Self::start_with(folder, "").await
    }

    /// One whose file says this besides.
    pub(crate) async fn start_with(folder: TempDir, more: &str) -> Self {
        let text = configuration(folder.path(), ["127.0.0.1:0"; 2]) + more;
        Self::start_as(folder, &text).await
    }

    /// One on these addresses of the fleet and the enrol listener.
    pub(crate) async fn start_at(folder: TempDir, addresses: [&str; 2]) -> Self {
        let text = configuration(folder.path(), addresses);
        Self::start_as(folder, &text).await
    }

    async fn start_as(folder: TempDir, text: &str) -> Self {
        certs::tls::install_provider();
        let config = Config::parse(Path::new("test.toml"), text).expect("a legal configuration");
        let stop = CancellationToken::new();
        let running = run(config, stop.clone()).await.expect("it starts");
        Self { folder, running, stop }
    }

    /// Stops it and starts it again on the same folder.
    pub(crate) async fn restart(self) -> Self {
        Self::start_in(self.stop().await).await
    }

    /// Stops it; its folder stays.
    pub(crate) async fn stop(self) -> TempDir {
        self.stop.cancel();
        self.running.ended().await;
        self.folder
    }

    /// One with the site `lyon`, an image, a profile and a host.
    pub(crate) async fn with_lyon() -> Self {
        let controller = Self::start().await;
        controller.furnish().await;
        controller
    }

    /// Writes the site `lyon`, an image, a profile and a host.
    pub(crate) async fn furnish(&self) {
        let kernel = Digest::of(b"kernel").to_string();
        self.apply(&[
            json!({"kind": "Site", "name": "lyon", "spec": {"subnets": [{"network": "10.1.0.0/24"}]}}),
            json!({"kind": "Site", "name": "nice", "spec": {"subnets": [{"network": "10.2.0.0/24"}]}}),
            json!({"kind": "Image", "name": "live", "spec": {"family": "linux", "kernel": "linux",
                    "files": {"linux": {"sha256": kernel, "size": 6}}}}),
            json!({"kind": "Profile", "name": "run", "spec": {"image": "live", "mode": "run"}}),
            json!({"kind": "Profile", "name": "install", "spec": {"image": "live"}}),
            host("web-1", 1, "run"),
        ])
        .await;
    }

    /// Applies documents as the first operator; returns the revision.
    pub(crate) async fn apply(&self, documents: &[Value]) -> u64 {
        let document = |value: &Value| {
            Document::from_json(&serde_json::to_vec(value).expect("JSON")).expect("a document")
        };
        let changes = documents.iter().map(|value| Change::Apply(document(value))).collect();
        let request = Request { changes, dry_run: false, manager: "cli".into(), force: false };
        let app = &self.running.app;
        let written = app.catalog.write(&admin(), &app.vault, &request, app.clock.wall()).await;
        written.expect("a legal change").revision.0
    }

    /// A join token of this site for this many agents.
    pub(crate) async fn token(&self, site: &str, uses: u32, life: Duration) -> JoinToken {
        let app = &self.running.app;
        let root = app.authority().issuing_root();
        let token =
            JoinToken::generate(app.fleet.clone(), site.parse().expect("a name"), root).expect("random");
        let spec = TokenSpec {
            site: site.into(),
            agent: None,
            uses,
            not_after_ms: app.clock.wall().plus(life),
            secret: Some(Digest(*token.secret.hash().as_bytes())),
            enrolled: vec![],
        };
        let now = app.clock.wall();
        app.catalog.create_token(&admin(), &token.id.to_string(), spec, now).await.expect("written");
        token
    }

    /// An agent that has enrolled.
    pub(crate) async fn agent(&self, site: &str, name: &str) -> Agent {
        let token = self.token(site, 1, Duration::from_secs(60)).await;
        let key = Arc::new(KeyPair::generate().expect("made"));
        let credentials = self.enrol(&token, name, &key).await.expect("enrolled");
        Agent::new(self.running.fleet, site, name, key, &credentials)
    }

    /// Enrols with a token.
    pub(crate) async fn enrol(
        &self,
        token: &JoinToken,
        name: &str,
        key: &KeyPair,
    ) -> Result<v1::Credentials, tonic::Status> {
        let site = token.site.as_str();
        let csr_der = key.request(&identity(site, name)).expect("signed");
        self.enrol_with(token, name, csr_der).await
    }

    /// Enrols with a token and any request.
    pub(crate) async fn enrol_with(
        &self,
        token: &JoinToken,
        name: &str,
        csr_der: Vec<u8>,
    ) -> Result<v1::Credentials, tonic::Status> {
        let mut client = self.enrolment(token).await;
        let token = token.reveal().to_string();
        let request =
            v1::EnrolRequest { token, agent: name.into(), csr_der: csr_der.into(), version: "test".into() };
        client.enrol(request).await.map(tonic::Response::into_inner)
    }

    /// A client of the enrol listener that knows no more than a token.
    pub(crate) async fn enrolment(
        &self,
        token: &JoinToken,
    ) -> v1::enrolment_client::EnrolmentClient<Channel> {
        let tls = first_contact(token, Arc::new(DefaultTimeProvider)).expect("a configuration");
        v1::enrolment_client::EnrolmentClient::new(channel(self.running.enrol, tls).await)
    }

    /// What operators are shown of an agent, once it is as wanted.
    pub(crate) async fn wait_status(
        &self,
        agent: &str,
        wanted: impl Fn(&AgentStatus) -> bool,
    ) -> AgentStatus {
        let file = self.folder.path().join("state").join(controller::ADMIN_CREDENTIAL);
        let mut client = operator(&file, self.running.fleet).await;
        let deadline = now().plus(PATIENCE);
        loop {
            let request = v1::GetRequest { kind: "Agent".into(), name: agent.into() };
            let document = client.get(request).await.expect("known").into_inner();
            let document: Value = serde_json::from_slice(&document.json).expect("JSON");
            let status = document.get("status").cloned();
            let status = status.map(|status| serde_json::from_value(status).expect("a status"));
            if let Some(status) = status.filter(|status| wanted(status)) {
                return status;
            }
            assert!(now() < deadline, "its status never became so");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// An order for a host.
    pub(crate) async fn order(&self, host: &str, profile: &str) -> Resource<OrderSpec> {
        let app = &self.running.app;
        let new = NewOrder {
            host: host.into(),
            profile: Some(profile.into()),
            life: None,
            agent: None,
            wait: None,
        };
        app.catalog.create_order(&admin(), &new, app.clock.wall()).await.expect("a legal order")
    }
}

/// A host of `lyon`.
pub(crate) fn host(name: &str, number: u8, profile: &str) -> Value {
    json!({"kind": "Host", "name": name, "spec": {"site": "lyon", "macs": [format!("52:54:00:00:00:{number:02x}")],
        "profile": profile}})
}

pub(crate) fn identity(site: &str, name: &str) -> Identity {
    format!("spiffe://acme/site/{site}/agent/{name}").parse().expect("legal")
}

/// An enrolled agent.
pub(crate) struct Agent {
    pub(crate) key: Arc<KeyPair>,
    pub(crate) identity: Identity,
    tls: ReloadableClient,
    address: SocketAddr,
}

impl Agent {
    pub(crate) fn new(
        address: SocketAddr,
        site: &str,
        name: &str,
        key: Arc<KeyPair>,
        credentials: &v1::Credentials,
    ) -> Self {
        let credential = Credential::new(Arc::clone(&key), &credentials.chain_der).expect("they fit");
        let bundle = TrustBundle::from_der(&credentials.bundle_der).expect("roots");
        let fleet = "acme".parse().expect("a name");
        let tls =
            ReloadableClient::new(fleet, &credential, &bundle, Arc::new(DefaultTimeProvider)).expect("TLS");
        Self { key, identity: identity(site, name), tls, address }
    }

    /// The same agent, calling a controller that was started again.
    pub(crate) fn at(mut self, controller: &Controller) -> Self {
        self.address = controller.running.fleet;
        self
    }

    /// The same agent, calling another address.
    pub(crate) fn through(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    pub(crate) async fn client(&self) -> v1::agents_client::AgentsClient<Channel> {
        let tls = self.tls.fleet_config(&[Alpn::Http2]).expect("a configuration");
        v1::agents_client::AgentsClient::new(channel(self.address, tls).await)
            .max_decoding_message_size(proto::MESSAGE_LIMIT)
    }

    /// Takes new roots, as an agent does that follows.
    pub(crate) fn take_roots(&self, bundle_der: &[bytes::Bytes]) -> TrustBundle {
        let bundle = TrustBundle::from_der(bundle_der).expect("roots");
        self.tls.set_bundle(&bundle);
        bundle
    }

    /// Renews its certificate.
    pub(crate) async fn renew(&self) -> Credential {
        let csr_der = self.key.request(&self.identity).expect("signed").into();
        let request = v1::RenewRequest { csr_der };
        let renewed = self.client().await.renew(request).await.expect("renewed").into_inner();
        let credential = Credential::new(Arc::clone(&self.key), &renewed.chain_der).expect("they fit");
        self.tls.set_credential(&credential).expect("it is used from the next handshake on");
        credential
    }

    /// Does it accept the controller's certificate?
    pub(crate) async fn accepts_controller(&self) -> bool {
        connect(self.address, self.tls.fleet_config(&[Alpn::Http2]).expect("a configuration")).await.is_ok()
    }

    /// A connection for image bytes.
    pub(crate) async fn http(&self) -> TlsStream<TcpStream> {
        connect(self.address, self.tls.fleet_config(&[Alpn::Http1]).expect("a configuration"))
            .await
            .expect("connected")
    }

    /// Follows from a plan, or from none.
    pub(crate) async fn follow(&self, applied: Option<v1::PlanId>) -> tonic::Streaming<v1::Update> {
        let request = v1::FollowRequest { applied, level: proto::plan::LEVEL, version: "test".into() };
        self.client().await.follow(request).await.expect("a stream").into_inner()
    }
}

/// A link to a controller that can be cut: nothing passes any more, and neither end is told.
pub(crate) struct Link {
    pub(crate) address: SocketAddr,
    cut: CancellationToken,
}

impl Link {
    pub(crate) async fn to(controller: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bound");
        let address = listener.local_addr().expect("bound");
        let cut = CancellationToken::new();
        let token = cut.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(controller).await.expect("it listens");
                let token = token.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        // The sockets stay open, and nobody reads them.
                        () = token.cancelled() => std::future::pending().await,
                    }
                });
            }
        });
        Self { address, cut }
    }

    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }
}

pub(crate) async fn next<T>(stream: &mut tonic::Streaming<T>) -> Result<Option<T>, tonic::Status> {
    tokio::time::timeout(PATIENCE, stream.message()).await.expect("an answer in time")
}

/// The next word about the plan; those about the fleet's roots are passed over.
pub(crate) async fn next_plan(
    stream: &mut tonic::Streaming<v1::Update>,
) -> Result<Option<v1::Update>, tonic::Status> {
    loop {
        let update = next(stream).await?;
        let bundle = update.as_ref().and_then(|update| update.change.as_ref());
        if !matches!(bundle, Some(v1::update::Change::Bundle(_))) {
            return Ok(update);
        }
    }
}

/// The time of this process.
pub(crate) fn now() -> Wall {
    std::time::SystemTime::now().into()
}

/// The calls of who holds an operator's credential.
pub(crate) async fn operator(file: &Path, address: SocketAddr) -> v1::admin_client::AdminClient<Channel> {
    let operator = OperatorCredential::load(file).expect("a credential");
    let time = Arc::new(DefaultTimeProvider);
    let tls = ReloadableClient::new(operator.fleet().clone(), operator.credential(), operator.bundle(), time);
    let tls = tls.expect("TLS").fleet_config(&[Alpn::Http2]).expect("a configuration");
    v1::admin_client::AdminClient::new(channel(address, tls).await)
}

async fn channel(address: SocketAddr, tls: Arc<ClientConfig>) -> Channel {
    let connector =
        tower::service_fn(move |_: Uri| connect(address, Arc::clone(&tls)).map(|io| io.map(TokioIo::new)));
    let endpoint = Endpoint::from_static("http://controller").connect_timeout(PATIENCE);
    endpoint.connect_with_connector(connector).await.expect("connected")
}

async fn connect(address: SocketAddr, tls: Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    let name = rustls::pki_types::ServerName::from(address.ip());
    TlsConnector::from(tls).connect(name, stream).await
}
