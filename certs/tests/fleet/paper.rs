//! A fleet on paper time, for the tests of this crate: an authority in a folder of its own, parties that it
//! issued to, and handshakes between them in memory.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use certs::tls::{PeerError, ReloadableClient, ReloadableServer, TimeProvider, peer_error};
use certs::{Authority, CertificateRequest, Credential, Identity, Issued, KeyPair, LeafCertificate};
use rustls::{ClientConfig, ServerConfig};
use rustls_pki_types::{ServerName, UnixTime};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio_rustls::{TlsAcceptor, TlsConnector, client, server};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);
pub(crate) const DAY: Duration = Duration::from_secs(24 * 3600);

/// The moment at which every test begins.
pub(crate) fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A clock that moves when told to.
#[derive(Debug)]
pub(crate) struct PaperClock(AtomicU64);

impl PaperClock {
    pub(crate) fn at(time: SystemTime) -> Arc<Self> {
        let clock = Self(AtomicU64::new(0));
        clock.set(time);
        Arc::new(clock)
    }

    pub(crate) fn set(&self, time: SystemTime) {
        let seconds = time.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        self.0.store(seconds, Ordering::SeqCst);
    }
}

impl TimeProvider for PaperClock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::SeqCst))))
    }
}

/// An authority with its folder.
pub(crate) struct Fleet {
    pub(crate) folder: TempDir,
    pub(crate) authority: Authority,
}

/// A controller's credential and the root above it.
pub(crate) struct Controller {
    pub(crate) credential: Credential,
    pub(crate) root_der: Vec<u8>,
}

impl Fleet {
    pub(crate) fn named(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let fleet = name.parse().expect("legal");
        let authority =
            Authority::open_or_create(&folder.path().join("authority"), &fleet, start()).expect("made");
        Self { folder, authority }
    }

    pub(crate) fn agent(&self, site: &str, agent: &str, now: SystemTime) -> Credential {
        let (site, agent) = (site.parse().expect("legal"), agent.parse().expect("legal"));
        let (key, request) = key_and_request();
        credential(key, &self.authority.issue_agent(&request, &site, &agent, DAY, now).expect("issued"))
    }

    pub(crate) fn operator(&self, operator: &str, now: SystemTime) -> Credential {
        let (key, request) = key_and_request();
        let operator = operator.parse().expect("legal");
        credential(key, &self.authority.issue_operator(&request, &operator, 30 * DAY, now).expect("issued"))
    }

    pub(crate) fn controller(&self, now: SystemTime) -> Controller {
        let (key, request) = key_and_request();
        let names = [
            ServerName::try_from("controller.example").expect("legal"),
            ServerName::from(Ipv4Addr::LOCALHOST),
        ];
        let controller = "one".parse().expect("legal");
        let issued = self.authority.issue_server(&request, &controller, &names, DAY, now).expect("issued");
        Controller { credential: credential(key, &issued), root_der: issued.root_der }
    }

    pub(crate) fn server(&self, controller: &Controller, clock: &Arc<PaperClock>) -> ReloadableServer {
        let (fleet, bundle) = (self.authority.fleet().clone(), self.authority.bundle());
        let clock = Arc::clone(clock) as Arc<dyn TimeProvider>;
        ReloadableServer::new(fleet, &controller.credential, &controller.root_der, &bundle, clock)
            .expect("usable")
    }

    pub(crate) fn client(&self, credential: &Credential, clock: &Arc<PaperClock>) -> ReloadableClient {
        let clock = Arc::clone(clock) as Arc<dyn TimeProvider>;
        ReloadableClient::new(self.authority.fleet().clone(), credential, &self.authority.bundle(), clock)
            .expect("usable")
    }
}

/// A new key with a request that asks for the most that there is.
pub(crate) fn key_and_request() -> (Arc<KeyPair>, CertificateRequest) {
    let key = Arc::new(KeyPair::generate().expect("made"));
    let greedy: Identity = "spiffe://other/controller/root".parse().expect("legal");
    let request = CertificateRequest::from_der(&key.request(&greedy).expect("signed")).expect("valid");
    (key, request)
}

pub(crate) fn credential(key: Arc<KeyPair>, issued: &Issued) -> Credential {
    Credential::new(key, &issued.chain_der).expect("they belong together")
}

/// Both ends of a connection that carried a byte each way.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) client: client::TlsStream<DuplexStream>,
    pub(crate) server: server::TlsStream<DuplexStream>,
}

impl Connected {
    /// What the client showed.
    pub(crate) fn member(&self) -> Option<LeafCertificate> {
        leaf(self.server.get_ref().1.peer_certificates())
    }

    /// What the server showed.
    pub(crate) fn controller(&self) -> LeafCertificate {
        leaf(self.client.get_ref().1.peer_certificates()).expect("a server always shows one")
    }

    /// Carries a byte each way.
    pub(crate) async fn ping(&mut self) -> io::Result<()> {
        self.client.write_all(b"?").await?;
        self.client.flush().await?;
        let mut byte = [0];
        self.server.read_exact(&mut byte).await?;
        self.server.write_all(b"!").await?;
        self.server.flush().await?;
        self.client.read_exact(&mut byte).await?;
        assert_eq!(&byte, b"!");
        Ok(())
    }
}

fn leaf(chain: Option<&[rustls_pki_types::CertificateDer<'_>]>) -> Option<LeafCertificate> {
    Some(LeafCertificate::from_der(chain?.first()?).expect("it was verified"))
}

/// How a handshake failed, as each end saw it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) client: Option<io::Error>,
    pub(crate) server: Option<io::Error>,
}

impl Refused {
    /// What the client had against the server.
    pub(crate) fn by_client(&self) -> &PeerError {
        let error = self.client.as_ref().expect("the client refused");
        peer_error(error).unwrap_or_else(|| panic!("the client gave no reason of ours: {error:?}"))
    }

    /// What the server had against the client.
    pub(crate) fn by_server(&self) -> &PeerError {
        let error = self.server.as_ref().expect("the server refused");
        peer_error(error).unwrap_or_else(|| panic!("the server gave no reason of ours: {error:?}"))
    }
}

/// A handshake in memory. The connection counts only once the server has finished it too.
pub(crate) async fn connect(
    client: Arc<ClientConfig>,
    server: Arc<ServerConfig>,
) -> Result<Connected, Refused> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let name = ServerName::try_from("another.name.than.certified").expect("legal");
    let accept = async { TlsAcceptor::from(server).accept(far).await };
    let (client, server) = tokio::join!(TlsConnector::from(client).connect(name, near), accept);
    match (client, server) {
        (Ok(client), Ok(server)) => {
            let mut connected = Connected { client, server };
            connected.ping().await.expect("a finished handshake carries bytes");
            Ok(connected)
        }
        (client, server) => Err(Refused { client: client.err(), server: server.err() }),
    }
}
