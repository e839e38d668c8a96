//! What the second set gains: loader sets, how DHCP replies differ, what is learnt of firmware, sightings, and the
//! events that go with them.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use controller::catalog::Proof;
use proto::event::{AlarmKind, EventKind, LeaseEnd};
use proto::ledger::{FormMemory, Record, Sighting};
use proto::plan::{
    Boot, CustomOption, HostPlan, LearnedForm, LoaderSet, Network, OrderPlan, Part, ReplyForm, ReplySettings,
    Slot,
};
use proto::{FirmwareModel, Platform, Program, ReleaseId, Wall};

use super::first::{self, ADDRESS, MAC, blob};

const MODEL: FirmwareModel = FirmwareModel([1, 2, 3, 4, 5, 6, 7, 8]);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 8);

pub(super) fn network() -> Network {
    let mut network = first::network();
    network.subnets[0].shared = Some("floor-1".into());
    Network {
        decline_ipv6: true,
        tftp_single_port: true,
        reply: reply(None),
        known_dhcp_servers: vec![NEIGHBOUR],
        watch_dhcp: true,
        ..network
    }
}

fn reply(mac: Option<proto::Mac>) -> ReplySettings {
    ReplySettings {
        options: vec![CustomOption { code: 150, value: vec![10, 1, 0, 2].into() }],
        delay: Some(Duration::from_millis(1_500)),
        form: Some(ReplyForm::BootService),
        learned: vec![LearnedForm { model: MODEL, mac, form: ReplyForm::File }],
        forget_before: Wall(if mac.is_some() { 1_690_000_000_002 } else { 0 }),
    }
}

pub(super) fn loaders() -> LoaderSet {
    let script = vec![Part::Literal("set root=".into()), Part::Slot(Slot::ServerAddress)];
    LoaderSet {
        name: "signed".into(),
        program: Program::Grub,
        entries: BTreeMap::from([
            (Platform::UefiX64, "shimx64.efi".into()),
            (Platform::UefiRiscv64, "grubriscv64.efi".into()),
        ]),
        files: ["shimx64.efi", "grubx64.efi", "grubriscv64.efi"]
            .map(|name| (name.to_owned(), blob(name)))
            .into(),
        site_default: false,
        texts: BTreeMap::from([("grub/grub.cfg".into(), script)]),
    }
}

pub(super) fn host() -> HostPlan {
    let boot = Boot { menu: true, ..boot() };
    HostPlan { boot: Some(boot), tftp_single_port: true, reply: reply(Some(MAC)), ..first::host() }
}

pub(super) fn order() -> OrderPlan {
    OrderPlan { boot: boot(), ..first::order() }
}

fn boot() -> Boot {
    Boot { loaders: vec!["signed".into()], ..first::boot() }
}

pub(super) fn kinds() -> Vec<EventKind> {
    let (firmware, why) = ("PXEClient:Arch:00007 (x64 UEFI)".to_owned(), "because".to_owned());
    vec![
        EventKind::AttemptBegan {
            platform: None,
            client: proto::event::Client::PxeRom,
            vendor_class: "PXEClient:Arch:00031:UNDI:003000".into(),
            uuid: None,
            relay: None,
            architecture: Some(0x1f),
        },
        EventKind::Alarm { kind: AlarmKind::NoLoader, detail: why.clone() },
        EventKind::ForeignOfferTaken { server: NEIGHBOUR, known: String::new() },
        EventKind::FormMoved {
            form: ReplyForm::File,
            proved: true,
            model: MODEL,
            firmware,
            why: why.clone(),
        },
        EventKind::LeaseRenewed { address: ADDRESS, until: Wall(1_690_003_600_003) },
        EventKind::LeaseReleaseAnswered { release: ReleaseId([7; 16]), address: ADDRESS, refused: Some(why) },
        EventKind::LeaseEnded { address: ADDRESS, how: LeaseEnd::Operator },
    ]
}

pub(super) fn records() -> [Record; 2] {
    let at = Wall(1_690_000_000_004);
    [
        Record::Sighting(Sighting { mac: MAC, address: NEIGHBOUR }),
        Record::Form(FormMemory { mac: MAC, model: MODEL, form: ReplyForm::File, proved: true, at }),
    ]
}

pub(super) fn proof() -> Proof {
    Proof {
        site: "lab".into(),
        mac: MAC,
        model: MODEL,
        firmware: "PXEClient:Arch:00007 (x64 UEFI)".into(),
        form: ReplyForm::File,
        at: Wall(1_690_000_000_005),
    }
}

pub(super) const DOCUMENTS: [&str; 2] = [
    r#"{"kind":"Site","name":"attic","spec":{"dhcp":"proxy","subnets":[{"network":"10.2.0.0/24","pools":["10.2.0.100-10.2.0.199"],"exclude":["10.2.0.150-10.2.0.159"],"shared":"roof"}],"decline_ipv6":false,"tftp_single_port":true,"options":{"150":{"addresses":["10.2.0.2"]}},"response_delay":"2s","link_wait":"30s","reply_form":"boot-service","known_dhcp_servers":["10.2.0.9"],"watch_dhcp":false}}"#,
    r#"{"kind":"Host","name":"web-3","spec":{"site":"attic","macs":["52:54:00:00:00:05"],"tftp_single_port":false,"options":{"time-offset":{"u32":3600}},"response_delay":"1s","link_wait":"5s","reply_form":"file"}}"#,
];
