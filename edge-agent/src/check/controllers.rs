//! Whether controllers answer at the addresses that the configuration names, and with the listener that belongs there. What the
//! agent knows of its fleet, by its certificate or its join token, says whom to believe; without either only the port is tried.

use std::{
    io,
    net::{TcpStream, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use certs::{
    AgentIdentity, JoinToken,
    tls::{Alpn, DefaultTimeProvider, PeerError, ReloadableClient, TlsError, first_contact, peer_error},
};
use rustls::{ClientConfig, ClientConnection};

use super::Findings;
use crate::{config::ControllerConfig, controllers, outage::chain};

/// How long a controller may take to take a connection, and for each answer at the handshake.
const PATIENCE: Duration = Duration::from_secs(3);

/// What the agent knows of its fleet.
pub(super) enum Known {
    Member(Box<AgentIdentity>),
    Invited(Box<JoinToken>),
    /// It is a member by an identity that cannot be looked at.
    Hidden,
    Nothing,
}

/// By what a listener is known to be the right one.
enum Proof {
    /// It is accepted as what it is to be.
    Accepted(Arc<ClientConfig>),
    /// It is known not to be the enrol listener: more cannot be seen without a certificate.
    NoEnrol(Arc<ClientConfig>),
    /// None.
    Open,
}

/// Looks at all of them.
pub(super) fn check(findings: &mut Findings, config: &ControllerConfig, known: &Known) {
    let (enrol, fleet) = proofs(known).unwrap_or_else(|error| {
        findings.mistake("controller", chain(&error));
        (Proof::Open, Proof::Open)
    });
    for (key, addresses, proof) in
        [("controller.enrol", &config.enrol, enrol), ("controller.fleet", &config.fleet, fleet)]
    {
        for address in addresses {
            match try_one(address, &proof) {
                Ok(()) => {}
                Err(Wrong::Unreached(error)) => {
                    findings.warn(key, format!("{address} was not reached: {error}"));
                }
                Err(Wrong::Peer(what)) => findings.mistake(key, format!("{address}: {what}")),
            }
        }
    }
}

/// For the enrol listener, and for the fleet listener.
fn proofs(known: &Known) -> Result<(Proof, Proof), TlsError> {
    let time = Arc::new(DefaultTimeProvider);
    Ok(match known {
        Known::Member(identity) => {
            let fleet = identity.fleet().clone();
            let tls = ReloadableClient::new(fleet, identity.credential(), identity.bundle(), time)?;
            (Proof::Accepted(tls.enrol_config()?), Proof::Accepted(tls.fleet_config(&[Alpn::Http2])?))
        }
        Known::Invited(token) => {
            let tls = first_contact(token, time)?;
            (Proof::Accepted(tls.clone()), Proof::NoEnrol(tls))
        }
        Known::Hidden | Known::Nothing => (Proof::Open, Proof::Open),
    })
}

enum Wrong {
    /// Nobody answers, or not as TLS does.
    Unreached(io::Error),
    /// Whoever answers is not who is to.
    Peer(String),
}

fn try_one(address: &str, proof: &Proof) -> Result<(), Wrong> {
    let stream = reach(address).map_err(Wrong::Unreached)?;
    let (shaken, is_enrol_wanted) = match proof {
        Proof::Open => return Ok(()),
        Proof::Accepted(tls) => (shake_hands(address, stream, tls), true),
        Proof::NoEnrol(tls) => (shake_hands(address, stream, tls), false),
    };
    let Err(error) = shaken else {
        return if is_enrol_wanted { Ok(()) } else { Err(Wrong::Peer(no_fleet_listener())) };
    };
    match peer_error(&error) {
        Some(PeerError::NotEnrol(_)) if !is_enrol_wanted => Ok(()),
        Some(peer) => Err(Wrong::Peer(peer.to_string())),
        None => Err(Wrong::Unreached(error)),
    }
}

fn no_fleet_listener() -> String {
    "the address is of an enrol listener: the fleet listener has another port (7443 by default)".into()
}

fn reach(address: &str) -> io::Result<TcpStream> {
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// TLS, as far as it takes to know who answers.
fn shake_hands(address: &str, mut stream: TcpStream, tls: &Arc<ClientConfig>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let name = controllers::server_name(address)?;
    let mut connection = ClientConnection::new(tls.clone(), name).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        connection.complete_io(&mut stream)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::SystemTime};

    use certs::{Authority, CertificateRequest, Credential, Identity, KeyPair, tls::ReloadableServer};
    use rustls::{ServerConfig, ServerConnection};

    use super::*;

    /// Shakes hands with whoever comes, and says no more.
    fn listen(tls: Arc<ServerConfig>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut connection = ServerConnection::new(tls.clone()).expect("legal");
                while connection.is_handshaking() && connection.complete_io(&mut stream).is_ok() {}
            }
        });
        address
    }

    /// The addresses of a controller's enrol and fleet listeners, and a token for its fleet.
    fn controller(folder: &std::path::Path) -> (String, String, JoinToken) {
        certs::tls::install_provider();
        let now = SystemTime::now();
        let authority =
            Authority::open_or_create(&folder.join("authority"), &"acme".parse().expect("legal"), now);
        let authority = authority.expect("made");
        let key = Arc::new(KeyPair::generate().expect("made"));
        let name: certs::ControllerName = "one".parse().expect("legal");
        let asked: Identity = "spiffe://acme/controller/one".parse().expect("legal");
        let request = CertificateRequest::from_der(&key.request(&asked).expect("signed")).expect("valid");
        let names = [rustls_pki_types::ServerName::try_from("127.0.0.1").expect("legal")];
        let day = Duration::from_secs(86_400);
        let issued = authority.issue_server(&request, &name, &names, day, now).expect("issued");
        let credential = Credential::new(key, &issued.chain_der).expect("they belong together");
        let (fleet, bundle) = (authority.fleet().clone(), authority.bundle());
        let time = Arc::new(DefaultTimeProvider);
        let server = ReloadableServer::new(fleet.clone(), &credential, &issued.root_der, &bundle, time);
        let server = server.expect("usable");
        let root = bundle.fingerprints().next().expect("one root");
        let token = JoinToken::generate(fleet, "lyon".parse().expect("legal"), root).expect("random");
        (listen(server.enrol_config()), listen(server.fleet_config()), token)
    }

    fn found(enrol: &str, fleet: &str, token: &JoinToken) -> Vec<String> {
        let config = ControllerConfig {
            enrol: vec![enrol.to_owned()],
            fleet: vec![fleet.to_owned()],
            name: "a-1".parse().expect("legal"),
            token_file: None,
        };
        let mut findings = Findings::default();
        check(&mut findings, &config, &Known::Invited(Box::new(token.clone())));
        assert_eq!(findings.warnings, [""; 0]);
        findings.mistakes
    }

    #[test]
    fn listeners_that_are_swapped_are_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let (enrol, fleet, token) = controller(folder.path());
        assert_eq!(found(&enrol, &fleet, &token), [""; 0]);
        let swapped = found(&fleet, &enrol, &token);
        assert_eq!(swapped.len(), 2, "{swapped:?}");
        assert!(swapped[0].contains("'s fleet listener: the enrol listener has another port"), "{swapped:?}");
        assert!(swapped[1].starts_with("controller.fleet: ") && swapped[1].contains("of an enrol listener"));
    }

    #[test]
    fn a_token_of_another_fleet_is_a_mistake() {
        let folder = tempfile::tempdir().expect("a folder");
        let (enrol, fleet, token) = controller(folder.path());
        let other = JoinToken::generate("other".parse().expect("legal"), token.site.clone(), token.root);
        let mistakes = found(&enrol, &fleet, &other.expect("random"));
        assert!(mistakes[0].contains("the join token is of fleet `other`"), "{mistakes:?}");
    }
}
