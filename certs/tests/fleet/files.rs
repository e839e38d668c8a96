//! What an agent and an operator keep on disk (S16).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;

use certs::{
    AgentIdentity, CredentialError, DocumentError, FileError, KeyPair, OperatorCredential, PartError,
    StoreError,
};

use crate::paper::{DAY, Fleet, start};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o7777
}

fn agent_of(fleet: &Fleet) -> AgentIdentity {
    AgentIdentity::new(fleet.agent("lab", "one", start()), fleet.authority.bundle()).expect("an agent")
}

fn operator_of(fleet: &Fleet) -> OperatorCredential {
    let controllers = vec!["controller.example:7443".to_owned(), "[::1]:7443".to_owned()];
    OperatorCredential::new(fleet.operator("alice", start()), fleet.authority.bundle(), controllers)
        .expect("an operator")
}

#[test]
fn an_agent_finds_its_identity_again() {
    let fleet = Fleet::named("acme");
    let folder = fleet.folder.path().join("agent");
    assert!(AgentIdentity::load(&folder).expect_err("never enrolled").is_not_found());
    let saved = agent_of(&fleet);
    saved.save(&folder).expect("saved");
    let loaded = AgentIdentity::load(&folder).expect("loaded");
    assert_eq!(loaded.credential().leaf(), saved.credential().leaf());
    assert_eq!(loaded.credential().chain(), saved.credential().chain());
    assert_eq!(loaded.credential().key().fingerprint(), saved.credential().key().fingerprint());
    assert_eq!(loaded.bundle(), saved.bundle());
    assert_eq!(
        (loaded.fleet().as_str(), loaded.site().as_str(), loaded.agent().as_str()),
        ("acme", "lab", "one")
    );
    assert_eq!((mode(&folder), mode(&folder.join("identity.toml"))), (0o700, 0o600));
}

#[test]
fn an_interrupted_enrolment_goes_on_with_the_same_key() {
    let fleet = Fleet::named("acme");
    let folder = fleet.folder.path().join("agent");
    let first = AgentIdentity::enrolment_key(&folder).expect("made");
    let again = AgentIdentity::enrolment_key(&folder).expect("found");
    assert_eq!(first.fingerprint(), again.fingerprint());
    assert_eq!(mode(&folder.join("enrolment.key")), 0o600);
    agent_of(&fleet).save(&folder).expect("saved");
    assert!(!folder.join("enrolment.key").exists(), "it has served");
    fs::write(folder.join("enrolment.key"), "").expect("written");
    AgentIdentity::enrolment_key(&folder).expect_err("a damaged key is not replaced silently");
}

#[test]
fn a_renewal_replaces_the_whole_identity() {
    let mut fleet = Fleet::named("acme");
    let folder = fleet.folder.path().join("agent");
    agent_of(&fleet).save(&folder).expect("saved");
    fleet.authority.roll(start()).expect("rolled");
    let renewed = fleet.agent("lab", "one", start() + DAY);
    let next = AgentIdentity::new(renewed, fleet.authority.bundle()).expect("an agent");
    next.save(&folder).expect("saved");
    let loaded = AgentIdentity::load(&folder).expect("loaded");
    assert_eq!(loaded.credential().leaf(), next.credential().leaf());
    assert_eq!(loaded.bundle().fingerprints().count(), 2);
    assert_eq!(fs::read_dir(&folder).expect("listed").count(), 1);
}

#[test]
fn an_operator_finds_all_that_the_cli_needs_in_one_file() {
    let fleet = Fleet::named("acme");
    let path = fleet.folder.path().join("alice.toml");
    let saved = operator_of(&fleet);
    saved.save(&path).expect("saved");
    let loaded = OperatorCredential::load(&path).expect("loaded");
    assert_eq!(loaded.credential().leaf(), saved.credential().leaf());
    assert_eq!(loaded.controllers(), saved.controllers());
    assert_eq!(loaded.bundle(), saved.bundle());
    assert_eq!((loaded.fleet().as_str(), loaded.operator().as_str()), ("acme", "alice"));
    assert_eq!(mode(&path), 0o600);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).expect("changed");
    let error = OperatorCredential::load(&path).expect_err("exposed");
    assert!(matches!(error, StoreError::File(FileError::Exposed { mode: 0o604, .. })), "{error:?}");
}

#[test]
fn a_cut_file_is_an_error_that_names_it_at_every_length() {
    let fleet = Fleet::named("acme");
    let folder = fleet.folder.path().join("agent");
    agent_of(&fleet).save(&folder).expect("saved");
    let file = folder.join("identity.toml");
    let whole = fs::read(&file).expect("read");
    for end in (0..whole.len() - 4).step_by(53) {
        fs::write(&file, &whole[..end]).expect("written");
        let error = AgentIdentity::load(&folder).expect_err("cut").to_string();
        assert!(error.starts_with(&file.display().to_string()), "cut at {end}: {error}");
    }
}

#[test]
fn parts_that_do_not_belong_together_are_refused() {
    let fleet = Fleet::named("acme");
    let folder = fleet.folder.path().join("agent");
    agent_of(&fleet).save(&folder).expect("saved");
    let file = folder.join("identity.toml");
    let whole = fs::read_to_string(&file).expect("read");
    let part = |error: StoreError| {
        let StoreError::Part { source, .. } = error else { panic!("{error:?}") };
        source
    };

    fs::write(&file, whole.replacen("fleet = \"acme\"", "fleet = \"beta\"", 1)).expect("written");
    assert!(matches!(part(AgentIdentity::load(&folder).expect_err("fleet")), PartError::Fleet(_)));

    let (before, _) = whole.split_once("-----BEGIN PRIVATE KEY").expect("the key is last");
    let other_key = KeyPair::generate().expect("made").to_pem();
    fs::write(&file, format!("{before}{}\"\"\"\n", other_key.as_str())).expect("written");
    let error = part(AgentIdentity::load(&folder).expect_err("key"));
    assert!(matches!(error, PartError::Credential(CredentialError::OtherKey(_))), "{error:?}");

    fs::write(&file, whole.replacen("version = 1", "version = 9", 1)).expect("written");
    let error = AgentIdentity::load(&folder).expect_err("newer");
    assert!(matches!(error, StoreError::Document { source: DocumentError::Version(9), .. }), "{error:?}");
}

#[test]
fn an_operator_s_certificate_makes_no_agent_nor_the_reverse() {
    let fleet = Fleet::named("acme");
    let bundle = fleet.authority.bundle();
    let error =
        AgentIdentity::new(fleet.operator("alice", start()), bundle.clone()).expect_err("an operator");
    assert_eq!(error.to_string(), "`spiffe://acme/operator/alice` is no agent");
    let addresses = vec!["controller.example:7443".to_owned()];
    let agent = fleet.agent("lab", "one", start());
    assert!(matches!(OperatorCredential::new(agent, bundle.clone(), addresses), Err(PartError::Kind { .. })));
    let nowhere = OperatorCredential::new(fleet.operator("alice", start()), bundle, Vec::new());
    assert!(matches!(nowhere, Err(PartError::NoController)));
}

#[test]
fn a_chain_needs_its_key() {
    let fleet = Fleet::named("acme");
    let credential = fleet.agent("lab", "one", start());
    let other = Arc::new(KeyPair::generate().expect("made"));
    let error = certs::Credential::new(other, credential.chain()).expect_err("another key");
    assert_eq!(error.to_string(), "certificate of `spiffe://acme/site/lab/agent/one` is for another key");
    let none: [&[u8]; 0] = [];
    assert!(matches!(
        certs::Credential::new(Arc::clone(credential.key()), none),
        Err(CredentialError::Length(0))
    ));
}
