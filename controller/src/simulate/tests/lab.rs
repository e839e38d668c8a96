//! The lab's catalog (integration/lab-catalog, deploy/examples/demo), planned, and machines that boot by it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use netboot::site::Disk;
use netboot::time::{Mono, Now};
use proto::catalog::{Kind, Resource, Spec};
use proto::plan::SitePlan;
use proto::v1::{self, simulated_step::Step};
use proto::{Digest, Generation, Mac, Uid, Wall};
use rom::Firmware;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::super::scenario::Scenario;
use super::super::{hide, judge, message};
use crate::plan::{Globals, Local, SiteView, plan};

pub(super) const MAC: Mac = Mac([0x52, 0x54, 0, 0, 0, 1]);
pub(super) const SECRET: &str = "$6$salt$correct-horse";
pub(super) const NOT_AFTER: u64 = 1_800_000_000_000;

const SITE: &str = include_str!("../../../../deploy/examples/demo/site.yaml");
const PROXY: &str = include_str!("../../../../integration/lab-catalog/beside.yaml");
const RELAYED: &str = include_str!("../../../../integration/lab-catalog/relayed.yaml");
const DEBIAN: &str = include_str!("../../../../integration/lab-catalog/debian.yaml");
const RESCUE: &str = include_str!("../../../../integration/lab-catalog/rescue.yaml");
const TOOLS: &str = include_str!("../../../../integration/lab-catalog/tools.yaml");

/// A catalog that a test may change before it is planned.
#[derive(Clone)]
pub(super) struct Lab {
    documents: BTreeMap<(Kind, String), Value>,
}

fn yaml(text: &str) -> Value {
    serde_yaml_ng::from_str(text).expect("the lab applies it")
}

/// Files of an image by these names.
pub(super) fn files(names: &[&str]) -> Value {
    let file = |name: &&str| {
        let size = 1_000 * (name.len() as u64);
        ((*name).to_owned(), json!({"sha256": Digest::of(name.as_bytes()), "size": size}))
    };
    Value::Object(names.iter().map(file).collect())
}

fn image(name: &str, spec: Value) -> Value {
    json!({"kind": "Image", "name": name, "spec": spec})
}

impl Lab {
    /// The demo's site with its loaders, a host with a profile that installs Debian, and an agent.
    pub(super) fn new() -> Self {
        let linux = |family: &str| {
            json!({"family": family, "architecture": "amd64", "kernel": "linux", "initrds": ["initrd.gz"],
                "files": files(&["linux", "initrd.gz"])})
        };
        let mut lab = Self { documents: BTreeMap::new() };
        for document in [
            yaml(SITE),
            yaml(DEBIAN),
            yaml(RESCUE),
            yaml(TOOLS),
            image("debian-12", linux("debian")),
            image("installer-1", linux("linux")),
            image(
                "ipxe",
                json!({"family": "loaders", "files": files(&["undionly.kpxe", "snponly.efi"]),
                "loaders": {"bios": "undionly.kpxe", "uefi-x64": "snponly.efi"}}),
            ),
            image(
                "pxelinux",
                json!({"family": "loaders", "program": "pxelinux", "loaders": {"bios": "pxelinux.0"},
                "files": files(&["pxelinux.0", "ldlinux.c32", "memdisk"])}),
            ),
            image(
                "lpxelinux",
                json!({"family": "loaders", "program": "lpxelinux", "loaders": {"bios": "lpxelinux.0"},
                "files": files(&["lpxelinux.0", "ldlinux.c32"])}),
            ),
            image(
                "shim",
                json!({"family": "loaders", "program": "grub", "loaders": {"uefi-x64": "shimx64.efi"},
                "files": files(&["shimx64.efi", "grubx64.efi"])}),
            ),
            image("tools-1", json!({"family": "iso", "disk": "tools.iso", "files": files(&["tools.iso"])})),
            json!({"kind": "Host", "name": "box", "spec": {"site": "demo", "macs": [MAC], "profile": "debian",
                "address": "192.168.77.9"}}),
        ] {
            lab.put(document);
        }
        lab
    }

    /// Beside another DHCP server.
    pub(super) fn beside(mut self) -> Self {
        self.put(yaml(PROXY));
        self
    }

    /// With a second segment, behind a router that is its relay agent; the host stands there.
    pub(super) fn relayed(mut self) -> Self {
        self.put(yaml(RELAYED));
        self.set(Kind::Host, "box", "address", json!("192.168.78.9"))
    }

    /// With an order for the host.
    pub(super) fn ordered(mut self) -> Self {
        let spec = json!({"site": "demo", "host": "box", "host_id": Uid([3; 16]).to_string(), "profile": "debian",
            "agent": "demo-1", "number": 7, "not_after_ms": NOT_AFTER});
        self.put(json!({"kind": "Order", "name": "box-7", "spec": spec}));
        self
    }

    pub(super) fn put(&mut self, document: Value) {
        let kind: Kind = document["kind"].as_str().expect("a kind").parse().expect("known");
        let name = document["name"].as_str().expect("a name").to_owned();
        self.documents.insert((kind, name), document);
    }

    /// Sets a field of a document's spec.
    pub(super) fn set(mut self, kind: Kind, name: &str, field: &str, value: Value) -> Self {
        let document = self.documents.get_mut(&(kind, name.to_owned())).expect("there");
        document["spec"][field] = value;
        self
    }

    fn all<S: Spec>(&self) -> BTreeMap<String, Arc<Resource<S>>> {
        let of_kind = self.documents.iter().filter(|((kind, _), _)| *kind == S::KIND);
        let read = |((_, name), document): (&(Kind, String), &Value)| {
            let mut document = document.clone();
            document["meta"] = json!({"id": Uid([3; 16]).to_string(), "created_ms": 0});
            (name.clone(), Arc::new(serde_json::from_value(document).expect("legal")))
        };
        of_kind.map(read).collect()
    }

    fn planned(&self) -> SitePlan {
        let secrets = BTreeMap::from([("root".to_owned(), Arc::new(Zeroizing::new(SECRET.to_owned())))]);
        let (images, profiles) = (self.all(), self.all());
        let globals = Globals { images, profiles, secrets, ..Globals::default() };
        let site = self.all().remove("demo");
        let local = Local { site, hosts: self.all(), orders: self.all(), ..Local::default() };
        let view = SiteView { fleet: "acme", name: "demo", globals: &globals, local: &local };
        let planned = plan(&view, Generation { epoch: 1, revision: 5 }).expect("there is a site");
        SitePlan::decode(&planned.document).expect("agents understand it")
    }

    /// All that a boot rests on, as if the site held everything.
    pub(super) fn scenario(&self, firmware: &str) -> Scenario {
        let mut plan = self.planned();
        hide::secrets(&mut plan);
        let firmware: Firmware = firmware.parse().expect("known");
        Scenario {
            plan: Arc::new(plan),
            mac: MAC,
            firmware,
            agent: Some("demo-1".into()),
            server: [192, 168, 77, 2].into(),
            relay: None,
            now: Now { mono: Mono::default(), wall: Wall(NOT_AFTER - 7_200_000) },
            ledger: Vec::new(),
            out_of_reach: BTreeSet::new(),
            held: BTreeMap::new(),
            architecture: "amd64".into(),
            disk: Disk::Fine,
            memory: None,
            flags: Vec::new(),
        }
    }
}

/// What the caller is told.
pub(super) fn told(scenario: &Scenario) -> v1::SimulateBootResponse {
    let simulation = super::super::boot(scenario);
    let flags = judge(scenario, &simulation);
    message("demo".into(), scenario, &simulation, flags)
}

/// What would fail, without the remedies.
pub(super) fn failures(scenario: &Scenario) -> Vec<String> {
    told(scenario).flags.into_iter().filter(|flag| flag.fails).map(|flag| flag.what).collect()
}

/// The answer as text, for comparison with what it was.
pub(super) fn text(answer: &v1::SimulateBootResponse) -> String {
    let mut out = String::new();
    for v1::SimulatedStep { boot, step } in &answer.steps {
        let line = match step.as_ref().expect("a step") {
            Step::Packet(packet) => {
                let field = |field: &v1::SimulatedField| format!("\n     {}: {}", field.name, field.value);
                let fields: String = packet.fields.iter().map(field).collect();
                format!("{} {} {} x{}{fields}", packet.from, packet.kind, packet.program, packet.times)
            }
            Step::File(file) => {
                let content = match (file.sha256.is_empty(), file.refused.as_str()) {
                    (false, _) => format!(" sha256:{:02x}…", file.sha256[0]),
                    // The same for all of them: it has a picture of its own.
                    (true, "") if file.stage == "answer file" => {
                        format!(" {} lines", file.text.lines().count())
                    }
                    (true, "") => file.text.lines().map(|line| format!("\n     | {line}")).collect(),
                    (true, why) => format!(" REFUSED ({why}) optional={}", file.optional),
                };
                format!(
                    "{} {} [{}] {} x{}{content}",
                    file.transport, file.name, file.stage, file.bytes, file.times
                )
            }
            Step::Decision(decision) => format!("decided {}: {}", decision.answer, decision.reason),
            Step::Note(text) => format!("note {text}"),
            Step::End(text) => format!("end {text}"),
        };
        writeln!(out, "{boot} {line}").expect("to a string");
    }
    for flag in &answer.flags {
        writeln!(out, "{} {} ({})", if flag.fails { "FAILS" } else { "note" }, flag.what, flag.remedy)
            .expect("to a string");
    }
    out
}
