//! The stored formats as version 1 wrote them: every later build must read them.
//!
//! The keys in `recorded/` speak for a fleet that exists nowhere else.

use std::fs;
use std::path::{Path, PathBuf};

use certs::{AgentIdentity, Authority, JoinToken, OperatorCredential, Passphrase};
use tempfile::TempDir;

use crate::paper::{Fleet, HOUR, start};

const PASSPHRASE: &str = "recorded for later builds";

fn recorded(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/v1").join(name)
}

/// A recorded file in a folder of its own, readable by its owner alone as a checkout is not.
fn copied(name: &str) -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("temporary folder");
    let copy = folder.path().join(name);
    fs::copy(recorded(name), &copy).expect("recorded");
    fs::set_permissions(copy, fs::Permissions::from_mode(0o600)).expect("changed");
    folder
}

fn token() -> JoinToken {
    let text = fs::read_to_string(recorded("join-token.txt")).expect("recorded");
    text.parse().expect("a token")
}

#[test]
fn version_1_of_every_stored_format_is_read() {
    let folder = copied("authority.toml");
    let authority = Authority::open(folder.path(), &"recorded".parse().expect("legal"), start() + HOUR);
    let authority = authority.expect("read").expect("there");
    assert_eq!(authority.bundle().fingerprints().count(), 2, "in the middle of a roll-over");

    let agent = AgentIdentity::load(copied("identity.toml").path()).expect("read");
    assert_eq!(agent.credential().leaf().identity.to_string(), "spiffe://recorded/site/lab/agent/one");
    assert_eq!(agent.bundle(), &authority.bundle());

    let operator =
        OperatorCredential::load(&copied("operator.toml").path().join("operator.toml")).expect("read");
    assert_eq!(operator.credential().leaf().identity.to_string(), "spiffe://recorded/operator/alice");
    assert_eq!(operator.controllers(), ["controller.example:7443"]);

    let token = token();
    assert_eq!((token.fleet.as_str(), token.site.as_str()), ("recorded", "lab"));
    assert_eq!(token.root, authority.issuing_root());
}

#[test]
fn version_1_of_the_sealed_authority_is_opened() {
    let sealed = fs::read(recorded("authority.sealed")).expect("recorded");
    let folder = tempfile::tempdir().expect("temporary folder");
    let passphrase = Passphrase::new(PASSPHRASE.to_owned()).expect("long enough");
    let authority = Authority::open_sealed(folder.path(), &sealed, &passphrase).expect("opened");
    assert_eq!(authority.issuing_root(), token().root);
}

#[test]
#[ignore = "records version 1 anew, which is right only while no build has been released"]
fn record() {
    let mut fleet = Fleet::named("recorded");
    fleet.authority.roll(start()).expect("rolled");
    let bundle = fleet.authority.bundle();
    let folder = recorded("");
    fs::create_dir_all(&folder).expect("made");
    fs::copy(fleet.folder.path().join("authority/authority.toml"), folder.join("authority.toml"))
        .expect("copied");
    let agent = AgentIdentity::new(fleet.agent("lab", "one", start()), bundle.clone()).expect("an agent");
    let kept = fleet.folder.path().join("agent");
    agent.save(&kept).expect("saved");
    fs::copy(kept.join("identity.toml"), folder.join("identity.toml")).expect("copied");
    let addresses = vec!["controller.example:7443".to_owned()];
    let operator = OperatorCredential::new(fleet.operator("alice", start()), bundle, addresses);
    operator.expect("an operator").save(&folder.join("operator.toml")).expect("saved");
    let passphrase = Passphrase::new(PASSPHRASE.to_owned()).expect("long enough");
    fs::write(folder.join("authority.sealed"), fleet.authority.seal(&passphrase).expect("sealed"))
        .expect("written");
    let (name, site) = (fleet.authority.fleet().clone(), "lab".parse().expect("legal"));
    let token = JoinToken::generate(name, site, fleet.authority.issuing_root()).expect("random");
    fs::write(folder.join("join-token.txt"), token.reveal().as_bytes()).expect("written");
}
