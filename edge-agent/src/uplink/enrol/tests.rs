//! Which trace the calls of enrolment are part of: before an agent is a member, and when it becomes one again.

use std::{sync::Mutex, time::Duration};

use certs::{
    AgentName, Authority, CertificateRequest, ControllerName, FleetName, MAX_SERVER_LIFETIME, SiteName,
    tls::{HandshakeLimits, ReloadableClient, ReloadableServer, TlsListener},
};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use proto::v1::enrolment_server::{Enrolment, EnrolmentServer};
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, metadata::MetadataMap, transport::Server};
use tracing::Span;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// The `traceparent` of each call; "" where it had none.
type Parents = Arc<Mutex<Vec<String>>>;

/// A controller that refuses whoever comes.
struct Door(Parents);

impl Door {
    fn note<T>(&self, request: &Request<T>) {
        self.0.lock().expect("whole").push(parent(request.metadata()));
    }
}

fn parent(metadata: &MetadataMap) -> String {
    metadata.get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

#[tonic::async_trait]
impl Enrolment for Door {
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::Credentials>, Status> {
        self.note(&request);
        Err(Status::permission_denied("the token is used up"))
    }

    async fn challenge(
        &self,
        request: Request<v1::ChallengeRequest>,
    ) -> Result<Response<v1::ChallengeResponse>, Status> {
        self.note(&request);
        Ok(Response::new(v1::ChallengeResponse { nonce: vec![7; 32].into() }))
    }

    async fn recover(
        &self,
        request: Request<v1::RecoverRequest>,
    ) -> Result<Response<v1::Credentials>, Status> {
        self.note(&request);
        Err(Status::permission_denied("the key is another"))
    }
}

/// A fleet with a door, an agent that was a member of it, and one that has a token.
struct Fleet {
    folder: tempfile::TempDir,
    config: ControllerConfig,
    member: AgentIdentity,
    parents: Parents,
}

impl Fleet {
    async fn start() -> Self {
        certs::tls::install_provider();
        let folder = tempfile::tempdir().expect("temporary folder");
        let (fleet, site): (FleetName, SiteName) =
            ("acme".parse().expect("a name"), "lyon".parse().expect("a name"));
        let now = SystemTime::now();
        let authority = Authority::open_or_create(&folder.path().join("authority"), &fleet, now);
        let authority = authority.expect("made");
        let parents = Parents::default();
        let address = serve(&authority, Door(Arc::clone(&parents))).await;
        let token = JoinToken::generate(fleet, site.clone(), authority.issuing_root()).expect("random");
        let file = folder.path().join("token");
        fs::write(&file, token.reveal().as_bytes()).expect("a folder");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("ours");
        let name: AgentName = "lyon-1".parse().expect("a name");
        let member = member(&authority, &site, &name);
        let config = ControllerConfig { enrol: vec![address], fleet: vec![], name, token_file: Some(file) };
        Self { folder, config, member, parents }
    }
}

fn member(authority: &Authority, site: &SiteName, agent: &AgentName) -> AgentIdentity {
    let (key, fleet) = (Arc::new(KeyPair::generate().expect("random")), authority.fleet().clone());
    let identity = Identity::Agent { fleet, site: site.clone(), agent: agent.clone() };
    let request = CertificateRequest::from_der(&key.request(&identity).expect("made")).expect("ours");
    let life = Duration::from_secs(3_600);
    let issued = authority.issue_agent(&request, site, agent, life, SystemTime::now()).expect("issued");
    let credential = Credential::new(key, &issued.chain_der).expect("ours");
    AgentIdentity::new(credential, authority.bundle()).expect("ours")
}

/// Serves the enrol listener; where it is.
async fn serve(authority: &Authority, door: Door) -> String {
    let (key, fleet) = (Arc::new(KeyPair::generate().expect("random")), authority.fleet().clone());
    let controller: ControllerName = "controller".parse().expect("a name");
    let identity = Identity::Controller { fleet: fleet.clone(), controller: controller.clone() };
    let request = CertificateRequest::from_der(&key.request(&identity).expect("made")).expect("ours");
    let issued = authority.issue_server(&request, &controller, &[], MAX_SERVER_LIFETIME, SystemTime::now());
    let issued = issued.expect("issued");
    let credential = Credential::new(key, &issued.chain_der).expect("ours");
    let time = Arc::new(DefaultTimeProvider);
    let tls = ReloadableServer::new(fleet, &credential, &issued.root_der, &authority.bundle(), time);
    let socket = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound").to_string();
    let limits = HandshakeLimits { concurrent: 4, within: Duration::from_secs(60) };
    let listener = TlsListener::new(socket, tls.expect("made").enrol_config(), limits);
    let incoming = futures::stream::unfold(listener, |mut listener| async {
        let accepted = listener.accept().await;
        Some((Ok::<_, io::Error>(accepted.stream), listener))
    });
    tokio::spawn(Server::builder().add_service(EnrolmentServer::new(door)).serve_with_incoming(incoming));
    address
}

/// Of `VERSION-TRACE-PARENT-FLAGS`.
fn trace(parent: &str) -> &str {
    parent.split('-').nth(1).unwrap_or_default()
}

fn trace_of(span: &Span) -> String {
    let mut metadata = MetadataMap::new();
    telemetry::grpc::inject(span, &mut metadata);
    trace(&parent(&metadata)).to_owned()
}

#[tokio::test]
async fn every_call_of_enrolment_is_part_of_the_trace_that_it_is_made_in() {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
    let Fleet { folder, config, member, parents } = Fleet::start().await;
    let start = tracing::info_span!("the agent starts");
    let joined = identity(&config, &folder.path().join("identity")).instrument(start.clone()).await;
    assert!(matches!(joined, Err(EnrolError::Refused(_))), "{joined:?}");

    let time = Arc::new(DefaultTimeProvider);
    let fleet = "acme".parse().expect("a name");
    let tls = ReloadableClient::new(fleet, member.credential(), member.bundle(), time).expect("made");
    let again = tracing::info_span!("the certificate has ended");
    let tls = tls.enrol_config().expect("made");
    let recovered = recover(&member, &config, tls).instrument(again.clone()).await;
    assert!(matches!(recovered, Err(EnrolError::Refused(_))), "{recovered:?}");

    let (start, again) = (trace_of(&start), trace_of(&again));
    assert!(start.len() == 32 && start != again, "{start} {again}");
    let parents = parents.lock().expect("whole");
    let traces: Vec<_> = parents.iter().map(|parent| trace(parent)).collect();
    assert_eq!(traces, [start.as_str(), &again, &again], "enrol, challenge, recover");
}
