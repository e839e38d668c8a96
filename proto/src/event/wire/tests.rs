//! Events there and back.

use std::net::Ipv4Addr;

use super::super::{
    AlarmKind, Answer, Because, Breakage, Client, EventKind, LeaseEnd, OrderPhase, Refusal, Transport, clean,
};
use super::*;
use crate::{
    Digest, FirmwareModel, Generation, OrderId, PlanId, Platform, ReleaseId,
    plan::{ReplyForm, Stage},
};

/// One of each kind.
fn kinds() -> Vec<EventKind> {
    let address = Ipv4Addr::new(10, 1, 0, 9);
    let (name, why) = (String::from("linux"), String::from("because"));
    let generation = Generation { epoch: 1, revision: 2 };
    let plan = PlanId { generation, planner: 1, digest: Digest::of(b"plan") };
    let (transport, stage, order) = (Transport::Tftp, Stage::Loader, OrderId([4; 16]));
    vec![
        EventKind::AttemptBegan {
            platform: Some(Platform::UefiX64),
            client: Client::PxeRom,
            vendor_class: "PXEClient".into(),
            uuid: Some([3; 16]),
            relay: None,
            architecture: Some(7),
        },
        EventKind::Decided {
            answer: Answer::Script,
            reason: why.clone(),
            order: Some(order),
            because: Some(Because::Order),
        },
        EventKind::Offered { address: Some(address), file: name.clone(), client: Client::Ipxe },
        EventKind::Offered { address: None, file: name.clone(), client: Client::PxeRom },
        EventKind::Leased { address, until: Wall(9), client: Client::Os },
        EventKind::LeaseEnded { address, how: LeaseEnd::Declined },
        EventKind::LeaseRenewed { address, until: Wall(9) },
        EventKind::LeaseReleaseAnswered { release: ReleaseId([6; 16]), address, refused: None },
        EventKind::LeaseReleaseAnswered { release: ReleaseId([6; 16]), address, refused: Some(why.clone()) },
        EventKind::AddressRefused { address, client: Client::PxeRom, told: true, why: why.clone() },
        EventKind::FileServed {
            transport,
            stage,
            name: name.clone(),
            bytes: 7,
            took_ms: 8,
            retransmissions: 9,
            repeats: 10,
        },
        EventKind::FileRefused {
            transport,
            name: name.clone(),
            why: why.clone(),
            refusal: Some(Refusal::Elsewhere),
            by_token: true,
        },
        EventKind::FileProbed { transport, stage, name: name.clone(), size: 7 },
        EventKind::FileBroken {
            transport,
            stage,
            name,
            bytes: 3,
            why: why.clone(),
            breakage: Some(Breakage::Silent),
            block_size: 1_428,
            retransmissions: 4,
            took_ms: 5,
        },
        EventKind::OrderMoved { order, number: 3, phase: OrderPhase::Started, reason: why.clone() },
        EventKind::Progress { percent: None, text: "partitioning".into() },
        EventKind::Progress { percent: Some(100), text: String::new() },
        EventKind::OsUp { address: Some(address) },
        EventKind::ForeignOfferTaken { server: address, known: why.clone() },
        EventKind::Alarm { kind: AlarmKind::AddressInUse, detail: why.clone() },
        EventKind::PlanAdopted(plan),
        EventKind::PlanRefused { plan, why: why.clone() },
        EventKind::FormMoved {
            form: ReplyForm::BootService,
            proved: true,
            model: FirmwareModel([1; 8]),
            firmware: "PXEClient".into(),
            why: why.clone(),
        },
        EventKind::CaptureKept { packets: 40, bytes: 9_000, why: why.clone() },
        EventKind::SyslogLine { severity: 3, program: "apt".into(), text: why, left_out: 2 },
        EventKind::Gap { first: 3, last: 9 },
    ]
}

#[test]
fn every_kind_there_and_back() {
    for kind in kinds() {
        let (attempt, host, mac) = (Some(AttemptId([1; 16])), Some(HostId([2; 16])), Some(Mac([3; 6])));
        let numbered = NumberedEvent { number: 5, event: Event { at: Wall(1), attempt, host, mac, kind } };
        assert_eq!(NumberedEvent::try_from(v1::NumberedEvent::from(numbered.clone())), Ok(numbered));
    }
}

#[test]
fn an_event_without_a_kind_is_refused() {
    let error = Event::try_from(v1::Event::default()).expect_err("no kind");
    assert_eq!(error.to_string(), "kind: is missing");
}

#[test]
fn text_from_machines_is_cleaned() {
    assert_eq!(clean(b"PXE\x00Client\xff\n\x1b[2J", 9), "PXEClient");
}
