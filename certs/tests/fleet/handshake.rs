//! Real handshakes in memory: who gets in, who does not, and what each is told (S12, S17).

use std::sync::Arc;
use std::time::Duration;

use crate::paper::{Connected, Controller, DAY, Fleet, HOUR, PaperClock, Refused, connect, start};
use certs::tls::{Alpn, PeerError, ReloadableServer, TimeProvider, first_contact};
use certs::{JoinToken, TrustBundle};
use rustls::{AlertDescription, HandshakeKind};

const GRPC: &[Alpn] = &[Alpn::Http2];

/// A fleet with a controller and an agent, all at their first moment.
struct Scene {
    fleet: Fleet,
    clock: Arc<PaperClock>,
    server: ReloadableServer,
    agent: certs::Credential,
}

fn scene() -> Scene {
    let (fleet, clock) = (Fleet::named("acme"), PaperClock::at(start()));
    let server = fleet.server(&fleet.controller(start()), &clock);
    let agent = fleet.agent("lab", "one", start());
    Scene { fleet, clock, server, agent }
}

impl Scene {
    /// The agent calls the fleet listener.
    async fn call(&self) -> Result<Connected, Refused> {
        self.call_as(&self.fleet, &self.agent).await
    }

    /// Someone who trusts `fleet` calls the fleet listener.
    async fn call_as(&self, fleet: &Fleet, member: &certs::Credential) -> Result<Connected, Refused> {
        let client = fleet.client(member, &self.clock).fleet_config(GRPC).expect("configured");
        connect(client, self.server.fleet_config()).await
    }

    /// Someone with this token calls the enrol listener.
    async fn first_contact(&self, token: &JoinToken) -> Result<Connected, Refused> {
        let time = Arc::clone(&self.clock) as Arc<dyn TimeProvider>;
        connect(first_contact(token, time).expect("configured"), self.server.enrol_config()).await
    }

    fn token(&self) -> JoinToken {
        let (fleet, site) = (self.fleet.authority.fleet().clone(), "lab".parse().expect("legal"));
        JoinToken::generate(fleet, site, self.fleet.authority.issuing_root()).expect("random")
    }
}

#[tokio::test]
async fn an_agent_and_an_operator_of_the_fleet_get_in() {
    let scene = scene();
    let connected = scene.call().await.expect("accepted");
    assert_eq!(connected.member().as_ref(), Some(scene.agent.leaf()));
    assert_eq!(connected.controller().identity.to_string(), "spiffe://acme/controller/one");
    assert_eq!(connected.client.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let operator = scene.fleet.operator("alice", start());
    let connected = scene.call_as(&scene.fleet, &operator).await.expect("accepted");
    assert_eq!(connected.member().as_ref(), Some(operator.leaf()));
}

#[tokio::test]
async fn blobs_are_fetched_by_http_1_on_the_same_listener() {
    let scene = scene();
    let client = scene.fleet.client(&scene.agent, &scene.clock);
    let config = client.fleet_config(&[Alpn::Http1]).expect("configured");
    let connected = connect(config, scene.server.fleet_config()).await.expect("accepted");
    assert_eq!(connected.client.get_ref().1.alpn_protocol(), Some(b"http/1.1".as_slice()));
}

#[tokio::test]
async fn without_a_certificate_the_fleet_listener_refuses_at_the_handshake() {
    let scene = scene();
    let client = scene.fleet.client(&scene.agent, &scene.clock);
    let mut bare = (*client.fleet_config(GRPC).expect("configured")).clone();
    bare.client_auth_cert_resolver = Arc::new(NoCertificate);
    let refused = connect(Arc::new(bare), scene.server.fleet_config()).await.expect_err("no certificate");
    let error = refused.server.expect("the server refused");
    let reason = error.get_ref().and_then(|held| held.downcast_ref::<rustls::Error>());
    assert_eq!(reason, Some(&rustls::Error::NoCertificatesPresented));
    let client = client.enrol_config().expect("configured");
    connect(client, scene.server.enrol_config()).await.expect("the enrol listener asks for none");
}

/// A client that ignores what it is asked for.
#[derive(Debug)]
struct NoCertificate;

impl rustls::client::ResolvesClientCert for NoCertificate {
    fn resolve(
        &self,
        _hints: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[tokio::test]
async fn the_wrong_one_of_the_two_ports_is_called_by_its_name() {
    let scene = scene();
    let client = scene.fleet.client(&scene.agent, &scene.clock);
    let fleet = client.fleet_config(GRPC).expect("configured");
    let refused = connect(fleet, scene.server.enrol_config()).await.expect_err("the enrol listener");
    assert!(matches!(refused.by_client(), PeerError::NotFleet(_)), "{refused:?}");
    let token = first_contact(&scene.token(), Arc::clone(&scene.clock) as _).expect("configured");
    for enrol in [token, client.enrol_config().expect("configured")] {
        let refused = connect(enrol, scene.server.fleet_config()).await.expect_err("the fleet listener");
        assert_eq!(
            refused.by_client().to_string(),
            "the address is of `spiffe://acme/controller/one`'s fleet listener: the enrol listener has another \
             port (7444 by default)"
        );
    }
}

#[tokio::test]
async fn a_member_of_another_fleet_is_refused_by_name() {
    let (scene, other) = (scene(), Fleet::named("beta"));
    let stranger = other.agent("lab", "one", start());
    // It even trusts our bundle, so that the refusal is the server's.
    let client = scene.fleet.client(&stranger, &scene.clock).fleet_config(GRPC).expect("configured");
    let refused = connect(client, scene.server.fleet_config()).await.expect_err("another fleet");
    assert_eq!(
        refused.by_server().to_string(),
        "`spiffe://beta/site/lab/agent/one` belongs to fleet `beta`, expected fleet `acme`"
    );
}

#[tokio::test]
async fn a_member_of_a_fleet_with_our_name_and_another_authority_is_refused() {
    let (scene, impostor) = (scene(), Fleet::named("acme"));
    let stranger = impostor.agent("lab", "one", start());
    let refused = scene.call_as(&scene.fleet, &stranger).await.expect_err("another authority");
    assert!(matches!(refused.by_server(), PeerError::UnknownAuthority { .. }));
}

#[tokio::test]
async fn a_controller_of_another_fleet_is_refused_by_name() {
    let (scene, other) = (scene(), Fleet::named("beta"));
    let refused =
        scene.call_as(&other, &other.agent("lab", "one", start())).await.expect_err("another fleet");
    assert_eq!(
        refused.by_client().to_string(),
        "`spiffe://acme/controller/one` belongs to fleet `acme`, expected fleet `beta`"
    );
    // Who only prints the error learns it as well.
    let printed = refused.client.expect("the client refused").to_string();
    assert!(printed.contains("belongs to fleet `acme`, expected fleet `beta`"), "{printed}");
}

#[tokio::test]
async fn a_controller_with_our_name_and_another_authority_is_refused() {
    let (scene, ours) = (scene(), Fleet::named("acme"));
    let refused =
        scene.call_as(&ours, &ours.agent("lab", "one", start())).await.expect_err("another authority");
    let PeerError::UnknownAuthority { identity } = refused.by_client() else { panic!("{refused:?}") };
    assert_eq!(identity.to_string(), "spiffe://acme/controller/one");
}

#[tokio::test]
async fn an_agent_cannot_stand_for_a_controller_nor_the_reverse() {
    let scene = scene();
    let controller = scene.fleet.controller(start());
    let posing = Controller { credential: scene.agent.clone(), root_der: controller.root_der };
    let server = scene.fleet.server(&posing, &scene.clock);
    let client = scene.fleet.client(&scene.agent, &scene.clock).fleet_config(GRPC).expect("configured");
    let refused = connect(client, server.fleet_config()).await.expect_err("an agent");
    assert!(matches!(refused.by_client(), PeerError::Role { expected: "a controller", .. }));
    let refused = scene.call_as(&scene.fleet, &controller.credential).await.expect_err("a controller");
    assert!(matches!(refused.by_server(), PeerError::Role { expected: "an agent or operator", .. }));
}

#[tokio::test]
async fn a_certificate_counts_until_its_last_second() {
    let scene = scene();
    scene.clock.set(scene.agent.leaf().not_after - Duration::from_secs(1));
    scene.call().await.expect("still valid");
    scene.clock.set(scene.agent.leaf().not_after + Duration::from_secs(1));
    // The controller's has ended at the same moment; the agent is the first to see that.
    assert!(matches!(scene.call().await.expect_err("ended").by_client(), PeerError::Expired(_)));
    let controller = scene.fleet.controller(start() + DAY);
    scene.server.set_credential(&controller.credential, &controller.root_der).expect("usable");
    let refused = scene.call().await.expect_err("ended");
    assert_eq!(refused.by_server(), &PeerError::Expired(scene.agent.leaf().identity.clone()));
}

#[tokio::test]
async fn a_client_whose_clock_is_behind_gets_in_and_learns_the_time() {
    let scene = scene();
    let behind = PaperClock::at(start() - 300 * DAY);
    let client = scene.fleet.client(&scene.agent, &behind).fleet_config(GRPC).expect("configured");
    connect(client, scene.server.fleet_config()).await.expect("accepted");
    // The server's clock is the fleet's: to it a certificate from the future is no certificate.
    scene.clock.set(start() - DAY);
    let refused = scene.call().await.expect_err("not yet valid");
    assert!(refused.client.is_none() && refused.server.is_some(), "{refused:?}");
}

#[tokio::test]
async fn a_certificate_is_swapped_under_an_open_connection() {
    let scene = scene();
    let client = scene.fleet.client(&scene.agent, &scene.clock);
    let config = client.fleet_config(GRPC).expect("configured");
    let mut open = connect(config.clone(), scene.server.fleet_config()).await.expect("accepted");
    let controller = scene.fleet.controller(start() + HOUR);
    scene.server.set_credential(&controller.credential, &controller.root_der).expect("usable");
    let renewed = scene.fleet.agent("lab", "one", start());
    client.set_credential(&renewed).expect("usable");
    let next = connect(config, scene.server.fleet_config()).await.expect("accepted");
    assert_eq!(&next.controller(), controller.credential.leaf());
    assert_eq!(next.member().as_ref(), Some(renewed.leaf()));
    assert_ne!(open.controller().serial, next.controller().serial);
    open.ping().await.expect("the open connection goes on");
}

#[tokio::test]
async fn an_authority_rolls_over_without_losing_anybody() {
    let mut scene = scene();
    let client = scene.fleet.client(&scene.agent, &scene.clock);
    let config = client.fleet_config(GRPC).expect("configured");
    let mut open = connect(config.clone(), scene.server.fleet_config()).await.expect("accepted");
    let old_root = scene.fleet.authority.issuing_root();
    let old_bundle = scene.fleet.authority.bundle();

    // One: the new root is accepted, the old one issues.
    let new_root = scene.fleet.authority.roll(start()).expect("rolled");
    scene.server.set_bundle(&scene.fleet.authority.bundle()).expect("usable");
    assert_eq!(scene.fleet.authority.issuing_root(), old_root);
    connect(config.clone(), scene.server.fleet_config()).await.expect("accepted");
    client.set_bundle(&scene.fleet.authority.bundle());

    // Two: the new root issues. Certificates of both get in, on both sides.
    scene.fleet.authority.issue_from(&new_root).expect("known");
    let controller = scene.fleet.controller(start());
    connect(config.clone(), scene.server.fleet_config()).await.expect("old controller, old agent");
    scene.server.set_credential(&controller.credential, &controller.root_der).expect("usable");
    connect(config.clone(), scene.server.fleet_config()).await.expect("new controller, old agent");

    // Three: renewal brings the new root to everybody.
    let renewed = scene.fleet.agent("lab", "one", start());
    client.set_credential(&renewed).expect("usable");
    connect(config.clone(), scene.server.fleet_config()).await.expect("new controller, new agent");

    // Four: the old root is gone, and with it who was left behind.
    scene.fleet.authority.retire(&old_root).expect("idle");
    client.set_bundle(&scene.fleet.authority.bundle());
    scene.server.set_bundle(&scene.fleet.authority.bundle()).expect("usable");
    connect(config, scene.server.fleet_config()).await.expect("new controller, new agent");
    let refused = scene.call_as(&scene.fleet, &scene.agent).await.expect_err("left behind");
    assert!(matches!(refused.by_server(), PeerError::UnknownAuthority { .. }));
    let left_behind = scene.fleet.client(&renewed, &scene.clock);
    left_behind.set_bundle(&old_bundle);
    let refused =
        connect(left_behind.fleet_config(GRPC).expect("configured"), scene.server.fleet_config()).await;
    assert!(matches!(refused.expect_err("old bundle").by_client(), PeerError::UnknownAuthority { .. }));
    open.ping().await.expect("the open connection went on all the while");
}

#[tokio::test]
async fn first_contact_finds_the_root_of_the_token() {
    let scene = scene();
    let connected = scene.first_contact(&scene.token()).await.expect("accepted");
    assert_eq!(connected.member(), None);
    scene.clock.set(start() - 20_000 * DAY);
    scene.first_contact(&scene.token()).await.expect("a new machine's clock may be decades behind");
}

#[tokio::test]
async fn first_contact_refuses_every_other_root_and_fleet() {
    let scene = scene();
    let wrong_root = JoinToken { root: certs::SpkiFingerprint::of_spki(b"another"), ..scene.token() };
    let refused = scene.first_contact(&wrong_root).await.expect_err("another root");
    assert_eq!(refused.by_client(), &PeerError::Pin { pin: wrong_root.root });
    let wrong_fleet = JoinToken { fleet: "beta".parse().expect("legal"), ..scene.token() };
    let refused = scene.first_contact(&wrong_fleet).await.expect_err("another fleet");
    assert_eq!(
        refused.by_client().to_string(),
        "the join token is of fleet `beta`, the controller of `acme`"
    );
}

#[tokio::test]
async fn first_contact_is_not_deceived_by_a_borrowed_root() {
    // The root's certificate is public: an impostor can show it below a chain of its own making.
    let (mut scene, impostor) = (scene(), Fleet::named("acme"));
    let token = scene.token();
    let genuine_root = scene.fleet.controller(start()).root_der;
    let posing = Controller { credential: impostor.controller(start()).credential, root_der: genuine_root };
    scene.server = impostor.server(&posing, &scene.clock);
    let refused = scene.first_contact(&token).await.expect_err("an impostor");
    assert!(matches!(refused.by_client(), PeerError::UnknownAuthority { .. }));
}

#[tokio::test]
async fn the_fleet_listener_does_not_show_the_root() {
    // Only first contact needs it, and there the other listener answers.
    let scene = scene();
    let shown =
        |connected: &Connected| connected.client.get_ref().1.peer_certificates().map_or(0, <[_]>::len);
    assert_eq!(shown(&scene.call().await.expect("accepted")), 2);
    assert_eq!(shown(&scene.first_contact(&scene.token()).await.expect("accepted")), 3);
}

#[tokio::test]
async fn nothing_is_resumed() {
    let scene = scene();
    let client = scene.fleet.client(&scene.agent, &scene.clock).fleet_config(GRPC).expect("configured");
    // A client that would like to.
    let mut eager = rustls::ClientConfig::clone(&client);
    eager.resumption = rustls::client::Resumption::in_memory_sessions(8);
    let eager = Arc::new(eager);
    for _ in 0..3 {
        let connected = connect(Arc::clone(&eager), scene.server.fleet_config()).await.expect("accepted");
        assert_eq!(connected.client.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        assert_eq!(connected.client.get_ref().1.tls13_tickets_received(), 0);
    }
}

#[tokio::test]
async fn tls_1_2_is_refused_on_both_listeners() {
    let scene = scene();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = rustls::RootCertStore::empty();
    for root in scene.fleet.authority.bundle().ders() {
        roots.add(root.to_vec().into()).expect("usable");
    }
    let old = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .expect("configured")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let old = Arc::new(old);
    for listener in [scene.server.fleet_config(), scene.server.enrol_config()] {
        let refused = connect(Arc::clone(&old), listener).await.expect_err("TLS 1.2");
        let error = refused.client.expect("told so");
        let reason = error.get_ref().and_then(|held| held.downcast_ref::<rustls::Error>());
        assert_eq!(reason, Some(&rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)));
    }
}

#[tokio::test]
async fn a_bundle_that_is_swapped_under_the_listener_decides_the_next_handshake() {
    let (scene, other) = (scene(), Fleet::named("acme"));
    scene.call().await.expect("accepted");
    scene.server.set_bundle(&other.authority.bundle()).expect("usable");
    let refused = scene.call().await.expect_err("its root is no longer accepted");
    assert!(matches!(refused.by_server(), PeerError::UnknownAuthority { .. }));
    let both: Vec<_> = [scene.fleet.authority.bundle(), other.authority.bundle()]
        .iter()
        .flat_map(|bundle| bundle.ders().map(<[u8]>::to_vec).collect::<Vec<_>>())
        .collect();
    scene.server.set_bundle(&TrustBundle::from_der(both).expect("two roots")).expect("usable");
    scene.call().await.expect("accepted again");
}

/// Two agents of one fleet: the first calls, the second is called.
async fn neighbours(caller: &certs::Credential, called: &certs::Credential, site: &str) -> Result<(), ()> {
    let (fleet, clock) = (FLEET.get().expect("made"), PaperClock::at(start()));
    let site = site.parse().expect("legal");
    let client = fleet.client(caller, &clock).peer_config(&site).expect("configured");
    let server = fleet.client(called, &clock).peer_listener(&site).expect("configured");
    connect(client, server).await.map(drop).map_err(drop)
}

static FLEET: std::sync::OnceLock<Fleet> = std::sync::OnceLock::new();

#[tokio::test]
async fn agents_of_one_site_fetch_from_each_other_and_nobody_else_does() {
    let fleet = FLEET.get_or_init(|| Fleet::named("acme"));
    let [one, two] = ["one", "two"].map(|name| fleet.agent("lab", name, start()));
    let elsewhere = fleet.agent("paris", "one", start());
    let (operator, stranger) =
        (fleet.operator("alice", start()), Fleet::named("acme").agent("lab", "one", start()));
    assert_eq!(neighbours(&one, &two, "lab").await, Ok(()));
    for other in [&elsewhere, &operator, &stranger] {
        assert_eq!(neighbours(other, &two, "lab").await, Err(()), "who calls is of our site");
        assert_eq!(neighbours(&one, other, "lab").await, Err(()), "who is called is of our site");
    }
    assert_eq!(neighbours(&one, &two, "paris").await, Err(()), "each looks for its own site");
}
