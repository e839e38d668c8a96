//! The service as its callers see it: over gRPC on loopback, with real certificates for callers.

mod explain;
mod simulate;

use std::{collections::BTreeMap, sync::Arc};

use certs::{Authority, CertificateRequest, FleetName, Identity, KeyPair, LeafCertificate, OperatorName};
use prost::Message as _;
use proto::{
    AttemptId, Digest, Incarnation, Wall,
    event::{Answer, Client, Event, EventKind, NumberedEvent, OrderPhase},
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
    events::{self, EventStore, Source},
    planner::Planner,
    sessions::Sessions,
    store::{LocalStore, Store, Tuning},
    trust::Trust,
    vault::Vault,
};

const SECRET: &str = "correct-horse-in-a-secret";

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

#[tokio::test]
async fn a_filter_by_a_site_that_is_not_there_is_a_mistake() {
    use v1::lease_history_request::Of;
    let lab = lab().await;
    let site = || "lion".to_owned();
    let mut client = lab.client();
    let boots = v1::ListBootsRequest { site: site(), ..v1::ListBootsRequest::default() };
    let watched = v1::WatchBootsRequest { site: site(), ..v1::WatchBootsRequest::default() };
    let leases = v1::ListLeasesRequest { site: site(), ..v1::ListLeasesRequest::default() };
    let history = v1::LeaseHistoryRequest { site: site(), of: Some(Of::Address(1)), limit: 0 };
    let images = v1::ImageStatusRequest { site: site(), ..v1::ImageStatusRequest::default() };
    let mut refused = vec![
        client.list_boots(by("viewer", boots)).await.err(),
        client.watch_boots(by("viewer", watched)).await.err(),
        client.list_leases(by("viewer", leases)).await.err(),
        client.lease_history(by("viewer", history)).await.err(),
        client.list_alarms(by("viewer", v1::ListAlarmsRequest { site: site() })).await.err(),
        client.image_status(by("viewer", images)).await.err(),
    ];
    for kind in ["Host", "Order", "Agent"] {
        let request = v1::ListRequest { kind: kind.into(), site: site(), ..v1::ListRequest::default() };
        refused.push(client.list(by("viewer", request)).await.err());
    }
    for (call, status) in refused.into_iter().enumerate() {
        let status = status.unwrap_or_else(|| panic!("call {call} was answered"));
        assert_eq!(status.code(), Code::NotFound, "call {call}: {status}");
        assert!(status.message().contains("did you mean lyon?"), "call {call}: {status}");
    }
}

#[tokio::test]
async fn callers_are_who_the_catalog_says_they_are() {
    let lab = lab().await;
    let who = lab.client().who_am_i(by("oslo", v1::WhoAmIRequest {})).await.expect("known").into_inner();
    assert_eq!(
        (who.operator.as_str(), who.role.as_str(), who.sites),
        ("oslo", "operator", vec!["oslo".into()])
    );
    let unknown = lab.client().who_am_i(by("nobody", v1::WhoAmIRequest {})).await.expect_err("unknown");
    assert_eq!(unknown.code(), Code::Unauthenticated);
    let bare =
        lab.client().who_am_i(by("without-certificate", v1::WhoAmIRequest {})).await.expect_err("bare");
    assert_eq!(bare.code(), Code::Unauthenticated);
    assert_eq!(
        lab.client().write(by("viewer", applies(&[]))).await.expect_err("looks").code(),
        Code::PermissionDenied
    );
    let backup = v1::BackupRequest { passphrase: "a long passphrase".into() };
    let denied = lab.client().backup(by("oslo", backup)).await.expect_err("no admin");
    assert!(denied.message().contains("needs role admin"), "{denied:?}");
    lab.client().write(by("oslo", applies(&[host("web-1", 1)]))).await.expect_err("another site");
    let mut own = host("web-1", 1);
    own["spec"]["site"] = "oslo".into();
    lab.client().write(by("oslo", applies(&[own]))).await.expect("its own site");
}

#[tokio::test]
async fn every_mistake_of_a_request_comes_back_with_its_path() {
    let lab = lab().await;
    let mut unknown = host("web-1", 1);
    unknown["spec"]["colour"] = "red".into();
    let mut lost = host("web-2", 2);
    lost["spec"]["site"] = "nice".into();
    let status = lab.apply(&[unknown, lost]).await.expect_err("wrong");
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(fields(&status), ["Host/web-1:spec.colour", "Host/web-2:spec.site"]);
    let status = lab.apply(&[json!({"kind":"Moon","name":"a"})]).await.expect_err("wrong");
    assert_eq!(fields(&status), ["changes[0]:kind"]);
    let mut around = applies(&[host("web-1", 1)]);
    if let Some(v1::change::Change::Apply(document)) = &mut around.changes[0].change {
        document.name = "web-2".into();
    }
    let status = lab.client().write(by("admin", around)).await.expect_err("two names");
    assert_eq!(fields(&status), ["Host/web-1:name"]);
}

#[tokio::test]
async fn a_stale_put_is_aborted() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let put = v1::Document { revision: 1, ..document(&host("web-1", 2)) };
    let changes = vec![v1::Change { change: Some(v1::change::Change::Put(put)) }];
    let request = v1::WriteRequest { changes, ..v1::WriteRequest::default() };
    let status = lab.client().write(by("admin", request)).await.expect_err("stale");
    assert_eq!((status.code(), fields(&status)), (Code::Aborted, vec!["Host/web-1:".into()]));
}

#[tokio::test]
async fn lists_come_in_pages_with_labels_and_sites() {
    let lab = lab().await;
    for n in 0..5 {
        let mut host = host(&format!("web-{n}"), n);
        host["labels"] = json!({"even": (n % 2 == 0).to_string()});
        host["spec"]["site"] = if n < 3 { "lyon" } else { "oslo" }.into();
        lab.apply(&[host]).await.expect("new");
    }
    let hosts = || v1::ListRequest { kind: "host".into(), ..v1::ListRequest::default() };
    let first = lab.names(v1::ListRequest { limit: 2, ..hosts() }).await;
    assert_eq!(first, (vec!["web-0".into(), "web-1".into()], true));
    let second = lab.names(v1::ListRequest { limit: 3, after: "web-1".into(), ..hosts() }).await;
    assert_eq!(second, (vec!["web-2".into(), "web-3".into(), "web-4".into()], false));
    let oslo = lab.names(v1::ListRequest { site: "oslo".into(), ..hosts() }).await;
    assert_eq!(oslo.0, ["web-3", "web-4"]);
    let even = v1::ListRequest { labels: [("even".into(), "true".into())].into(), ..hosts() };
    assert_eq!(lab.names(even).await.0, ["web-0", "web-2", "web-4"]);
    let sites = lab.names(v1::ListRequest { kind: "site".into(), ..v1::ListRequest::default() }).await;
    assert_eq!(sites.0, ["lyon", "oslo"]);
    assert_eq!(lab.get("host", "web-9").await.expect_err("none").code(), Code::NotFound);
    assert_eq!(lab.get("host", "../../x").await.expect_err("none").code(), Code::NotFound);
}

#[tokio::test]
async fn orders_are_made_and_revoked() {
    let lab = lab().await;
    lab.enrol("edge-1").await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let request = || v1::CreateOrderRequest { host: "web-1".into(), ..v1::CreateOrderRequest::default() };
    let order = lab.client().create_order(by("admin", request())).await.expect("in order").into_inner();
    assert_eq!(order.name, "web-1-1");
    let again = lab.client().create_order(by("admin", request())).await.expect_err("one stands");
    assert_eq!(again.code(), Code::FailedPrecondition);
    let long = v1::CreateOrderRequest { seconds: 31 * 86_400, agent: "x".into(), ..request() };
    let status = lab.client().create_order(by("admin", long)).await.expect_err("wrong");
    assert_eq!(fields(&status), ["agent", "seconds"]);
    let revoke = v1::RevokeOrderRequest { name: order.name, abandon: false };
    let revoked = lab.client().revoke_order(by("admin", revoke)).await.expect("it stands").into_inner();
    let json: Value = serde_json::from_slice(&revoked.json).expect("JSON");
    assert_eq!(json["spec"]["revoked"], true);
}

#[tokio::test]
async fn a_revoked_agent_loses_its_streams() {
    let lab = lab().await;
    lab.enrol("edge-1").await;
    let session = lab.app.sessions.open("edge-1", None);
    let request = || v1::RevokeAgentRequest { name: "edge-1".into() };
    let answer = lab.client().revoke_agent(by("admin", request())).await.expect("known").into_inner();
    assert_eq!(answer.closed, 1);
    assert!(session.is_closed());
    let agent = lab.get("agent", "edge-1").await.expect("known");
    let json: Value = serde_json::from_slice(&agent.json).expect("JSON");
    assert_eq!(json["spec"]["revoked"], true);
}

#[tokio::test]
async fn an_operator_gets_a_certificate_for_its_key() {
    let lab = lab().await;
    let identity: Identity = "spiffe://acme/operator/eve".parse().expect("legal");
    let csr = KeyPair::generate().expect("random").request(&identity).expect("made");
    let request = v1::CreateOperatorRequest {
        name: "eve".into(),
        role: "operator".into(),
        sites: vec!["lyon".into()],
        csr_der: csr.into(),
    };
    let answer = lab.client().create_operator(by("admin", request.clone())).await.expect("made").into_inner();
    let leaf = LeafCertificate::from_der(&answer.chain_der[0]).expect("ours");
    assert_eq!(leaf.identity, identity);
    assert_eq!(answer.bundle_der.len(), 1);
    let wrong =
        v1::CreateOperatorRequest { name: "E".into(), role: "king".into(), csr_der: "x".into(), ..request };
    let status = lab.client().create_operator(by("admin", wrong)).await.expect_err("wrong");
    assert_eq!(fields(&status), ["name", "csr_der", "role"]);
}

#[tokio::test]
async fn blobs_come_in_whole_or_not_at_all() {
    let lab = lab().await;
    let bytes = vec![7u8; 100_000];
    let digest = Digest::of(&bytes);
    let missing = || v1::MissingBlobsRequest { sha256: vec![digest.0.to_vec().into()] };
    let put = |chunks: Vec<Vec<u8>>| {
        let mut messages: Vec<_> = chunks
            .into_iter()
            .map(|chunk| v1::PutBlobRequest { chunk: chunk.into(), ..v1::PutBlobRequest::default() })
            .collect();
        messages[0].sha256 = digest.0.to_vec().into();
        messages[0].size = 100_000;
        by("admin", tokio_stream::iter(messages))
    };
    let mut damaged = bytes.clone();
    damaged[5] = 8;
    let status = lab.client().put_blob(put(vec![damaged])).await.expect_err("other bytes");
    assert_eq!(fields(&status), ["sha256"]);
    let status = lab.client().put_blob(put(vec![bytes[..9].to_vec()])).await.expect_err("cut off");
    assert_eq!(fields(&status), ["size"]);
    let found = lab.client().missing_blobs(by("admin", missing())).await.expect("an answer").into_inner();
    assert_eq!(found.sha256.len(), 1);
    lab.client().put_blob(put(vec![bytes[..9].to_vec(), bytes[9..].to_vec()])).await.expect("whole");
    let found = lab.client().missing_blobs(by("admin", missing())).await.expect("an answer").into_inner();
    assert_eq!(found.sha256.len(), 0);
}

fn boot_event(number: u64, attempt: AttemptId, host: proto::HostId, kind: EventKind) -> NumberedEvent {
    let event = Event { at: Wall(number), attempt: Some(attempt), host: Some(host), mac: None, kind };
    NumberedEvent { number, event }
}

fn leased() -> EventKind {
    let address = std::net::Ipv4Addr::new(10, 1, 0, 9);
    EventKind::Leased { address, until: NOW, client: Client::PxeRom }
}

fn moved(phase: OrderPhase) -> EventKind {
    EventKind::OrderMoved { order: proto::OrderId([4; 16]), number: 1, phase, reason: String::new() }
}

#[tokio::test]
async fn a_host_is_watched_across_attempts_until_its_system_is_up() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let found = lab.app.catalog.get_host("web-1").await.expect("read").expect("there");
    let id: proto::HostId = found.id().expect("stored").into();
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let recent = |number: u64, attempt: u8, kind| {
        let mut event = boot_event(number, AttemptId([attempt; 16]), id, kind);
        event.event.at = Wall(NOW.0 + number);
        event
    };
    let disk = || EventKind::Decided {
        answer: Answer::LocalDisk,
        reason: String::new(),
        order: None,
        because: None,
    };
    let append = async |events| {
        lab.app.events.append(&source, Incarnation([2; 16]), events).await.expect("stored");
    };
    // Long over, silent since long ago, and under way.
    let mut silent = recent(2, 2, disk());
    silent.event.at = Wall(NOW.0 - 2 * 3_600_000);
    append(vec![recent(1, 1, EventKind::OsUp { address: None }), silent]).await;
    append(vec![recent(3, 3, moved(OrderPhase::Offered)), recent(4, 3, moved(OrderPhase::Started))]).await;
    let request =
        v1::WatchBootsRequest { host: "web-1".into(), until_end: true, ..v1::WatchBootsRequest::default() };
    let mut watch = lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner();
    let mut expect = async |numbers: &[u64]| {
        for number in numbers {
            let event = watch.message().await.expect("open").expect("an event").event.expect("there");
            assert_eq!(event.number, *number);
        }
    };
    expect(&[3, 4]).await;
    // The installation ends its attempt, not the watch.
    append(vec![recent(5, 3, moved(OrderPhase::Installed))]).await;
    expect(&[5]).await;
    append(vec![recent(6, 6, disk()), recent(7, 6, leased())]).await;
    expect(&[6, 7]).await;
    append(vec![recent(8, 6, EventKind::OsUp { address: None })]).await;
    expect(&[8]).await;
    assert!(watch.message().await.expect("closed in order").is_none(), "the system is up");
}

#[tokio::test]
async fn a_host_whose_installation_fails_is_watched_no_further() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let found = lab.app.catalog.get_host("web-1").await.expect("read").expect("there");
    let id = found.id().expect("stored").into();
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let event = |number, phase| {
        let mut event = boot_event(number, AttemptId([3; 16]), id, moved(phase));
        event.event.at = NOW;
        event
    };
    let events = vec![event(1, OrderPhase::Offered), event(2, OrderPhase::Started)];
    lab.app.events.append(&source, Incarnation([2; 16]), events).await.expect("stored");
    let request =
        v1::WatchBootsRequest { host: "web-1".into(), until_end: true, ..v1::WatchBootsRequest::default() };
    let mut watch = lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner();
    for number in [1, 2] {
        assert_eq!(watch.message().await.expect("open").expect("an event").event.expect("it").number, number);
    }
    let failed = vec![event(3, OrderPhase::Failed)];
    lab.app.events.append(&source, Incarnation([2; 16]), failed).await.expect("stored");
    assert_eq!(watch.message().await.expect("open").expect("an event").event.expect("it").number, 3);
    assert!(watch.message().await.expect("closed in order").is_none());

    let nobody = v1::WatchBootsRequest { until_end: true, ..v1::WatchBootsRequest::default() };
    let status = lab.client().watch_boots(by("viewer", nobody)).await.expect_err("whose end?");
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["until_end".to_owned()]));
}

#[tokio::test]
async fn a_boot_is_watched_from_its_beginning_to_its_end() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1)]).await.expect("new");
    let id =
        lab.app.catalog.get_host("web-1").await.expect("read").expect("there").id().expect("stored").into();
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let (attempt, journal) = (AttemptId([1; 16]), Incarnation([2; 16]));
    let progress = |number| {
        let kind = EventKind::Progress { percent: Some(7), text: "installing".into() };
        boot_event(number, attempt, id, kind)
    };
    lab.app.events.append(&source, journal, vec![progress(1), progress(2)]).await.expect("stored");
    let request = v1::WatchBootsRequest {
        attempt: attempt.to_wire(),
        until_end: true,
        ..v1::WatchBootsRequest::default()
    };
    let mut watch = lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner();
    for number in [1, 2] {
        let event = watch.message().await.expect("open").expect("an event");
        assert_eq!((event.event.expect("there").number, event.host.as_str()), (number, "web-1"));
    }
    let kind = EventKind::Decided {
        answer: Answer::LocalDisk,
        reason: "no order".into(),
        order: None,
        because: None,
    };
    let ended = [progress(3), boot_event(4, attempt, id, kind), boot_event(5, attempt, id, leased())];
    for event in ended {
        lab.app.events.append(&source, journal, vec![event]).await.expect("stored");
    }
    for number in [3, 4, 5] {
        assert_eq!(
            watch.message().await.expect("open").expect("an event").event.expect("there").number,
            number
        );
    }
    assert!(watch.message().await.expect("closed in order").is_none(), "the boot has ended");
    let request = v1::ListBootsRequest { host: "web-1".into(), ..v1::ListBootsRequest::default() };
    let boots = lab.client().list_boots(by("viewer", request)).await.expect("an answer").into_inner().boots;
    assert_eq!((boots.len(), boots[0].host.as_str(), boots[0].outcome.as_str()), (1, "web-1", "local disk"));
    let unknown = v1::WatchBootsRequest { attempt: vec![9; 16].into(), ..v1::WatchBootsRequest::default() };
    let status = lab.client().watch_boots(by("viewer", unknown)).await.expect_err("unknown");
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn new_events_are_watched_by_host_and_site() {
    let lab = lab().await;
    lab.apply(&[host("web-1", 1), host("web-2", 2)]).await.expect("new");
    let id = async |name: &str| -> proto::HostId {
        lab.app.catalog.get_host(name).await.expect("read").expect("there").id().expect("stored").into()
    };
    let (one, two) = (id("web-1").await, id("web-2").await);
    let request = v1::WatchBootsRequest { host: "web-2".into(), ..v1::WatchBootsRequest::default() };
    let mut watch = lab.client().watch_boots(by("viewer", request)).await.expect("known").into_inner();
    let source = Source { site: "lyon".into(), agent: "edge-1".into() };
    let progress = |number, host| {
        let kind = EventKind::Progress { percent: None, text: String::new() };
        boot_event(number, AttemptId([number as u8; 16]), host, kind)
    };
    // The watch has subscribed when its answer's head is here: until then events are sent again.
    let mut number = 0;
    let seen = loop {
        number += 2;
        let events = vec![progress(number - 1, one), progress(number, two)];
        lab.app.events.append(&source, Incarnation([2; 16]), events).await.expect("stored");
        let wait = std::time::Duration::from_millis(200);
        if let Ok(seen) = tokio::time::timeout(wait, watch.message()).await {
            break seen.expect("open").expect("an event");
        }
    };
    assert_eq!((seen.host.as_str(), seen.site.as_str()), ("web-2", "lyon"));
}

/// Everything that every call can answer, as bytes, for somebody who may see it all.
async fn every_answer(lab: &Lab) -> Vec<u8> {
    let mut all = Vec::new();
    let mut client = lab.client();
    for kind in proto::catalog::Kind::ALL {
        let request = v1::ListRequest { kind: kind.word().into(), ..v1::ListRequest::default() };
        let list = client.list(by("admin", request)).await.expect("an answer").into_inner();
        for document in &list.documents {
            let request = v1::GetRequest { kind: document.kind.clone(), name: document.name.clone() };
            let one = client.get(by("admin", request)).await.expect("there").into_inner();
            all.extend(one.encode_to_vec());
        }
        all.extend(list.encode_to_vec());
    }
    let request = v1::ListAuditRequest { limit: 1_000, before_revision: 0 };
    all.extend(
        client.list_audit(by("admin", request)).await.expect("an answer").into_inner().encode_to_vec(),
    );
    let request = v1::BackupRequest { passphrase: "a long passphrase".into() };
    let mut backup = client.backup(by("admin", request)).await.expect("an answer").into_inner();
    while let Some(chunk) = backup.message().await.expect("whole") {
        all.extend(chunk.encode_to_vec());
    }
    all
}

#[tokio::test]
async fn no_answer_ever_holds_a_secret() {
    let lab = lab().await;
    let secret = |value: &str| json!({"kind":"Secret","name":"root","spec":{"value":value}});
    let has = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    let mut dry = applies(&[secret(SECRET)]);
    dry.dry_run = true;
    let previewed = lab.client().write(by("admin", dry)).await.expect("an answer").into_inner();
    assert!(!has(&previewed.encode_to_vec()));
    let written = lab.apply(&[secret(SECRET)]).await.expect("new");
    assert!(!has(&written.encode_to_vec()));
    let changed = lab.apply(&[secret("something else entirely")]).await.expect("changed");
    assert!(!has(&changed.encode_to_vec()));
    lab.apply(&[secret(SECRET)]).await.expect("and back");
    for wrong in [
        json!({"kind":"Secret","name":"root","spec":SECRET}),
        json!({"kind":"Secret","name":"root","spec":{"value":[SECRET]}}),
        json!({"kind":"Secret","name":"root","labels":SECRET,"spec":{"value":SECRET}}),
        json!({"kind":"Secret","name":"root","spec":{"value":SECRET.repeat(10_000)}}),
    ] {
        let status = lab.apply(&[wrong]).await.expect_err("wrong");
        // Of a label it is the writer's own mistake to make a secret.
        let told = format!("{status:?}{:?}", fields(&status));
        assert!(!told.contains(SECRET) || told.contains("labels"), "{told}");
    }
    let sealed =
        lab.app.catalog.get::<proto::catalog::SecretSpec>("root").await.expect("read").expect("there");
    let sealed = sealed.spec.sealed.expect("sealed");
    let all = every_answer(&lab).await;
    assert!(all.len() > 1_000 && !has(&all));
    let get = lab.get("secret", "root").await.expect("there");
    let get = String::from_utf8_lossy(&get.json).into_owned();
    assert!(!get.contains(&sealed) && !get.contains("sealed"), "{get}");
}

#[tokio::test]
async fn a_short_passphrase_makes_no_backup() {
    let lab = lab().await;
    let request = v1::BackupRequest { passphrase: "short".into() };
    let status = lab.client().backup(by("admin", request)).await.expect_err("short");
    assert_eq!(fields(&status), ["passphrase"]);
}

#[tokio::test]
async fn the_backup_of_a_call_can_be_restored() {
    let lab = lab().await;
    let request = v1::BackupRequest { passphrase: "a long passphrase".into() };
    let mut stream = lab.client().backup(by("admin", request)).await.expect("an answer").into_inner();
    let mut archive = Vec::new();
    while let Some(chunk) = stream.message().await.expect("whole") {
        archive.extend(chunk.chunk);
    }
    let folder = tempfile::tempdir().expect("temporary folder");
    let state = folder.path().join("state");
    let passphrase = "a long passphrase".to_owned();
    let restored = crate::backup::restore(archive.as_slice(), passphrase, &state, NOW).await.expect("whole");
    assert_eq!(restored.about.fleet, "acme");
    assert_eq!(restored.blobs.len(), 2);
}
