//! The listener on loopback: silent and broken peers cost little and block nobody.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use certs::tls::{Accepted, Alpn, HandshakeLimits, TlsListener};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsConnector, client};

use crate::paper::{Fleet, PaperClock, start};

/// So long that a test that waits for it has failed.
const NEVER: Duration = Duration::from_secs(60);

struct Scene {
    listener: TlsListener,
    address: SocketAddr,
    client: Arc<ClientConfig>,
    agent: certs::Credential,
}

async fn scene(limits: HandshakeLimits) -> Scene {
    let (fleet, clock) = (Fleet::named("acme"), PaperClock::at(start()));
    let server = fleet.server(&fleet.controller(start()), &clock);
    let agent = fleet.agent("lab", "one", start());
    let client = fleet.client(&agent, &clock).fleet_config(&[Alpn::Http2]).expect("configured");
    let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("bound");
    let listener = TlsListener::new(socket, server.fleet_config(), limits);
    Scene { address: listener.local_addr().expect("bound"), listener, client, agent }
}

async fn call(address: SocketAddr, config: Arc<ClientConfig>) -> client::TlsStream<TcpStream> {
    let stream = TcpStream::connect(address).await.expect("connected");
    let name = ServerName::try_from("any.name").expect("legal");
    TlsConnector::from(config).connect(name, stream).await.expect("accepted")
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(NEVER / 4, work).await.expect("long before a handshake may end")
}

#[tokio::test]
async fn a_silent_and_a_broken_peer_block_nobody() {
    let mut scene = scene(HandshakeLimits { concurrent: 3, within: NEVER }).await;
    let _silent = TcpStream::connect(scene.address).await.expect("connected");
    let mut broken = TcpStream::connect(scene.address).await.expect("connected");
    broken.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("sent");
    let calling = call(scene.address, scene.client.clone());
    let (mut client, accepted) = within(async { tokio::join!(calling, scene.listener.accept()) }).await;
    let Accepted { mut stream, remote, peer } = accepted;
    assert_eq!(peer.as_ref(), Some(scene.agent.leaf()));
    assert_eq!(remote, client.get_ref().0.local_addr().expect("bound"));
    client.write_all(b"hello").await.expect("sent");
    client.flush().await.expect("sent");
    let mut heard = [0; 5];
    within(stream.read_exact(&mut heard)).await.expect("heard");
    assert_eq!(&heard, b"hello");
}

#[tokio::test]
async fn a_silent_peer_gives_up_its_place_when_its_time_is_over() {
    // Ample for the one who does speak, on a busy machine too.
    let mut scene = scene(HandshakeLimits { concurrent: 1, within: Duration::from_secs(3) }).await;
    let mut silent = TcpStream::connect(scene.address).await.expect("connected");
    let calling = call(scene.address, scene.client.clone());
    let (_client, accepted) = within(async { tokio::join!(calling, scene.listener.accept()) }).await;
    assert_eq!(accepted.peer.as_ref(), Some(scene.agent.leaf()));
    assert_eq!(within(silent.read(&mut [0])).await.expect("closed"), 0);
}

#[tokio::test]
async fn no_more_handshakes_are_begun_than_allowed() {
    let mut scene = scene(HandshakeLimits { concurrent: 1, within: NEVER }).await;
    let silent = TcpStream::connect(scene.address).await.expect("connected");
    // Let the silent one take the only place.
    let waited = tokio::time::timeout(Duration::from_millis(50), scene.listener.accept()).await;
    assert!(waited.is_err(), "nobody has finished");
    let calling = tokio::spawn(call(scene.address, scene.client.clone()));
    let waited = tokio::time::timeout(Duration::from_millis(200), scene.listener.accept()).await;
    assert!(waited.is_err() && !calling.is_finished(), "the second waits for the place");
    drop(silent);
    let accepted = within(scene.listener.accept()).await;
    assert_eq!(accepted.peer.as_ref(), Some(scene.agent.leaf()));
    within(calling).await.expect("the caller got in");
}
