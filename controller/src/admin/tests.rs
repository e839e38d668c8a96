//! The service as its callers see it: over gRPC on loopback, with real certificates for callers.

mod backups;
mod blobs;
mod boots;
mod documents;
mod explain;
mod people;
mod secrets;
mod simulate;

use std::{collections::BTreeMap, sync::Arc};

use certs::{Authority, CertificateRequest, FleetName, Identity, KeyPair, LeafCertificate, OperatorName};
use proto::{
    Digest,
    v1::{self, admin_client::AdminClient},
};
use serde_json::{Value, json};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint, Server},
};
use tonic_types::StatusExt as _;

use super::AdminService;
use crate::{
    Peer,
    app::{App, Clock},
    blobs::Blobs,
    catalog::{
        Catalog,
        tests::{NOW, host, image, loaders, site},
    },
    events::{self, EventStore},
    planner::Planner,
    sessions::Sessions,
    store::{LocalStore, Store, Tuning},
    trust::Trust,
    vault::Vault,
};

struct Lab {
    app: App,
    channel: Channel,
    _folder: tempfile::TempDir,
}

/// The parts of a controller of fleet `acme` that lives at [`NOW`], with an empty catalog in memory.
pub(crate) fn app(folder: &std::path::Path) -> App {
    let fleet: FleetName = "acme".parse().expect("a name");
    let authority = Authority::open_or_create(&folder.join("authority"), &fleet, NOW.into()).expect("made");
    let store: Arc<dyn Store> = Arc::new(LocalStore::in_memory(Tuning::default()));
    let vault = Vault::open_or_create(&folder.join("secrets.key")).expect("made");
    let (planner, _task) = Planner::start(fleet.clone(), Arc::clone(&store), vault.clone());
    App {
        fleet,
        catalog: Catalog::new(Arc::clone(&store)),
        store,
        trust: Trust::new(authority),
        events: EventStore::open(&folder.join("events"), events::Tuning::default()).expect("made"),
        blobs: Blobs::open(&folder.join("blobs")).expect("made"),
        planner,
        sessions: Sessions::default(),
        holdings: crate::holdings::Holdings::default(),
        metrics: crate::metrics::Metrics::default(),
        logins: Some(crate::logins::Logins::new("https://boot.example:7445".into())),
        captures: crate::captures::Captures::default(),
        silences: crate::news::Silences::default(),
        vault,
        clock: Clock::from_fn(|| NOW.into()),
    }
}

/// What the handshake would have found: the metadata `caller` stands for the connection.
fn peers(app: &App) -> BTreeMap<String, Peer> {
    let certified = |name: &str| {
        let operator: OperatorName = name.parse().expect("a name");
        let identity = Identity::Operator { fleet: app.fleet.clone(), operator: operator.clone() };
        let request = KeyPair::generate().expect("random").request(&identity).expect("made");
        let request = CertificateRequest::from_der(&request).expect("ours");
        let life = std::time::Duration::from_secs(3_600);
        let issued = app.authority().issue_operator(&request, &operator, life, NOW.into()).expect("issued");
        let leaf = LeafCertificate::from_der(&issued.chain_der[0]).expect("ours");
        (name.to_owned(), Peer(Arc::new(leaf)))
    };
    ["admin", "viewer", "oslo", "nobody"].into_iter().map(certified).collect()
}

async fn lab() -> Lab {
    let folder = tempfile::tempdir().expect("temporary folder");
    let app = app(folder.path());
    app.catalog.ensure_first_operator(NOW).await.expect("made");
    let admin = crate::catalog::tests::actor("admin", proto::catalog::Role::Admin, &[]);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let peers = peers(&app);
    let service = AdminService::new(app.clone(), folder.path().join("secrets.key")).into_server();
    let known = move |mut request: Request<()>| {
        let caller = request.metadata().get("caller").and_then(|caller| caller.to_str().ok());
        if let Some(peer) = caller.and_then(|caller| peers.get(caller)).cloned() {
            request.extensions_mut().insert(peer);
        }
        Ok::<_, Status>(request)
    };
    let service = tonic::service::interceptor::InterceptedService::new(service, known);
    tokio::spawn(
        Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)),
    );
    let channel = Endpoint::from_shared(format!("http://{address}")).expect("an address").connect().await;
    let lab = Lab { app, channel: channel.expect("it listens"), _folder: folder };
    lab.apply(&[loaders("ipxe"), image("debian-12", "debian"), image("rescue-1", "linux")])
        .await
        .expect("new");
    lab.apply(&[site("lyon", "10.1.0.0/24"), site("oslo", "10.2.0.0/24")]).await.expect("new");
    lab.apply(&[json!({"kind":"Profile","name":"debian","spec":{"image":"debian-12"}})]).await.expect("new");
    for (name, role, sites) in [
        ("viewer", proto::catalog::Role::Viewer, vec![]),
        ("oslo", proto::catalog::Role::Operator, vec!["oslo".into()]),
    ] {
        let spec = proto::catalog::OperatorSpec { role, sites, revoked: false };
        lab.app.catalog.put_operator(&admin, name, spec, NOW).await.expect("made");
    }
    lab
}

/// A call by somebody.
fn by<T>(caller: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("caller", caller.parse().expect("plain"));
    request
}

fn document(value: &Value) -> v1::Document {
    v1::Document { json: value.to_string().into_bytes().into(), ..v1::Document::default() }
}

fn applies(values: &[Value]) -> v1::WriteRequest {
    let change = |value| v1::Change { change: Some(v1::change::Change::Apply(document(value))) };
    let changes = values.iter().map(change).collect();
    v1::WriteRequest { changes, dry_run: false, manager: "git".into(), force: false }
}

/// The fields that a refusal names.
fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let violations = details.bad_request().into_iter().flat_map(|request| request.field_violations.clone());
    violations.map(|violation| violation.field).collect()
}

impl Lab {
    fn client(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone())
    }

    async fn apply(&self, values: &[Value]) -> Result<v1::WriteResponse, Status> {
        self.client().write(by("admin", applies(values))).await.map(tonic::Response::into_inner)
    }

    async fn get(&self, kind: &str, name: &str) -> Result<v1::Document, Status> {
        let request = v1::GetRequest { kind: kind.into(), name: name.into() };
        self.client().get(by("viewer", request)).await.map(tonic::Response::into_inner)
    }

    async fn names(&self, request: v1::ListRequest) -> (Vec<String>, bool) {
        let answer = self.client().list(by("viewer", request)).await.expect("an answer").into_inner();
        (answer.documents.into_iter().map(|document| document.name).collect(), answer.more)
    }

    async fn enrol(&self, agent: &str) {
        let request = v1::CreateTokenRequest { site: "lyon".into(), ..v1::CreateTokenRequest::default() };
        let answer = self.client().create_token(by("admin", request)).await.expect("a token").into_inner();
        let token = certs::JoinToken::parse(&answer.token).expect("a token");
        assert_eq!((token.id.to_string(), token.site.as_str()), (answer.name.clone(), "lyon"));
        assert_eq!(answer.not_after_ms, NOW.0 + 3_600_000);
        let (key, public_key) = (Digest::of(agent.as_bytes()), "AAAA".into());
        let joining = crate::catalog::Joining {
            token: answer.name,
            secret: token.secret.clone(),
            agent: agent.into(),
            key,
            public_key,
        };
        self.app.catalog.enrol(&joining, NOW).await.expect("new");
    }
}
