//! The catalog as its users see it, on the memory store and, where the engine could matter, on sled.

mod fields;
mod forms;
mod orders;
mod references;
mod roles;
mod writers;

use std::sync::Arc;

use proto::{
    Digest, Wall,
    catalog::{AgentSpec, AnyResource, HostSpec, Kind, Role},
};
use serde_json::{Value, json};

use super::{
    Catalog, Document, Joining,
    roles::Actor,
    write::{Change, Outcome, Request, WriteError, Written},
};
use crate::{
    store::{LocalStore, Tuning},
    vault::Vault,
};

pub(crate) const NOW: Wall = Wall(1_800_000_000_000);

/// A catalog and someone to change it.
pub(crate) struct Fleet {
    pub(crate) catalog: Catalog,
    pub(crate) vault: Vault,
    pub(crate) admin: Actor,
    _folder: Option<tempfile::TempDir>,
}

impl Fleet {
    pub(crate) fn in_memory() -> Self {
        Self::over(LocalStore::in_memory(Tuning::default()), None)
    }

    pub(crate) fn on_sled() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let store = LocalStore::open(&folder.path().join("store"), Tuning::default()).expect("a new store");
        Self::over(store, Some(folder))
    }

    fn over(store: LocalStore, folder: Option<tempfile::TempDir>) -> Self {
        Self {
            catalog: Catalog::new(Arc::new(store)),
            vault: Vault::from_key(&[7; 32]).expect("32 bytes"),
            admin: actor("admin", Role::Admin, &[]),
            _folder: folder,
        }
    }

    pub(crate) async fn write(&self, changes: Vec<Change>) -> Result<Written, WriteError> {
        self.write_as(&self.admin, changes).await
    }

    pub(crate) async fn write_as(&self, actor: &Actor, changes: Vec<Change>) -> Result<Written, WriteError> {
        self.catalog.write(actor, &self.vault, &request(changes), NOW).await
    }

    pub(crate) async fn apply(&self, documents: &[Value]) -> Result<Written, WriteError> {
        self.write(documents.iter().map(apply).collect()).await
    }

    /// A site with loaders, a profile that installs, one that runs, and an agent.
    pub(crate) async fn furnished(self) -> Self {
        self.apply(&[
            loaders("ipxe"),
            image("debian-12", "debian"),
            image("rescue-1", "linux"),
            site("lyon", "10.1.0.0/24"),
            site("oslo", "10.2.0.0/24"),
            json!({"kind":"Profile","name":"debian","spec":{"image":"debian-12"}}),
            json!({"kind":"Profile","name":"rescue","spec":{"image":"rescue-1","mode":"run"}}),
        ])
        .await
        .expect("all is in order");
        self.enrol("lyon", "edge-1").await;
        self
    }

    pub(crate) async fn enrol(&self, site: &str, agent: &str) {
        let (fleet, site) = ("acme".parse().expect("a name"), site.parse().expect("a name"));
        let root = certs::SpkiFingerprint::of_spki(b"root");
        let token = certs::JoinToken::generate(fleet, site, root).expect("random");
        let spec = proto::catalog::TokenSpec {
            site: token.site.to_string(),
            agent: None,
            uses: 1,
            not_after_ms: Wall(NOW.0 + 1),
            secret: Some(Digest(*token.secret.hash().as_bytes())),
            enrolled: vec![],
        };
        let name = token.id.to_string();
        self.catalog.create_token(&self.admin, &name, spec, NOW).await.expect("a token");
        let key = Digest::of(agent.as_bytes());
        let (secret, public_key) = (token.secret.clone(), String::from("AAAA"));
        let joining = Joining { token: name, secret, agent: agent.into(), key, public_key };
        let enrolled = self.catalog.enrol(&joining, NOW).await.expect("a new agent");
        assert_eq!(enrolled.spec.site, token.site.as_str());
    }

    pub(crate) async fn host(&self, name: &str) -> HostSpec {
        self.catalog.get_host(name).await.expect("read").expect("there").spec
    }

    pub(crate) async fn agent(&self, name: &str) -> AgentSpec {
        self.catalog.get_agent(name).await.expect("read").expect("there").spec
    }

    /// Everything that the store holds, for comparisons.
    pub(crate) async fn everything(&self) -> Vec<(String, Vec<u8>)> {
        let page = self.catalog.store().scan(crate::store::Scan::prefix("/")).await.expect("read");
        page.entries.into_iter().map(|entry| (entry.key.to_string(), entry.version.value.to_vec())).collect()
    }
}

pub(crate) fn actor(name: &str, role: Role, sites: &[&str]) -> Actor {
    Actor { name: name.into(), role, sites: sites.iter().map(|site| (*site).to_owned()).collect() }
}

pub(crate) fn request(changes: Vec<Change>) -> Request {
    Request { changes, dry_run: false, manager: "git".into(), force: false }
}

pub(crate) fn document(value: &Value) -> Document {
    Document::from_json(value.to_string().as_bytes()).expect("tests write good outer fields")
}

pub(crate) fn apply(value: &Value) -> Change {
    Change::Apply(document(value))
}

pub(crate) fn put(value: &Value, revision: u64) -> Change {
    Change::Put(document(value), revision)
}

pub(crate) fn remove(kind: Kind, name: &str) -> Change {
    Change::Remove { kind, name: name.into(), revision: 0 }
}

pub(crate) fn site(name: &str, network: &str) -> Value {
    json!({"kind":"Site","name":name,"spec":{"subnets":[{"network":network}],"loaders":"ipxe"}})
}

pub(crate) fn host(name: &str, number: u8) -> Value {
    let mac = format!("52:54:00:00:00:{number:02x}");
    json!({"kind":"Host","name":name,"spec":{"site":"lyon","macs":[mac],"profile":"debian"}})
}

pub(crate) fn image(name: &str, family: &str) -> Value {
    let file = json!({"sha256":"ab".repeat(32),"size":1});
    json!({"kind":"Image","name":name,
           "spec":{"family":family,"files":{"linux":file,"initrd":file},"kernel":"linux","initrds":["initrd"]}})
}

pub(crate) fn loaders(name: &str) -> Value {
    let file = json!({"sha256":"cd".repeat(32),"size":1});
    json!({"kind":"Image","name":name,
           "spec":{"family":"loaders","files":{"ipxe.efi":file},"loaders":{"uefi-x64":"ipxe.efi"}}})
}

/// `KIND/NAME FIELD: MESSAGE` of everything that was refused.
pub(crate) fn refusals(result: Result<Written, WriteError>) -> Vec<String> {
    let outcomes = match result {
        Err(WriteError::Refused { outcomes }) => outcomes,
        Ok(written) => written.outcomes,
        Err(error) => return vec![error.to_string()],
    };
    let line = |outcome: &Outcome| {
        let (kind, name) = (outcome.kind, outcome.name.clone());
        outcome.problems.iter().map(move |problem| format!("{kind}/{name} {problem}")).collect::<Vec<_>>()
    };
    outcomes.iter().flat_map(line).collect()
}

/// That there is exactly one refusal, and that it says all of `parts`.
#[track_caller]
pub(crate) fn assert_refused(result: Result<Written, WriteError>, parts: &[&str]) {
    let found = refusals(result);
    assert_eq!(found.len(), 1, "{found:?}");
    for part in parts {
        assert!(found[0].contains(part), "{part:?} in {found:?}");
    }
}

pub(crate) fn spec_of(any: &AnyResource) -> Value {
    any.to_value()["spec"].clone()
}
