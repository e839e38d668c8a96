//! Kinds of events out of what was sent or stored, by this version or another.

use super::super::{
    AlarmKind, Answer, Because, Breakage, Client, EventKind, LeaseEnd, OrderPhase, Refusal, Transport,
};
use crate::{
    FirmwareModel, OrderId, Platform, ReleaseId, Wall,
    plan::{ReplyForm, Stage},
    v1,
    wire::{WireError, optional_address, optional_array, required},
};

impl TryFrom<v1::event::Kind> for EventKind {
    type Error = WireError;

    fn try_from(kind: v1::event::Kind) -> Result<Self, WireError> {
        use v1::event::Kind;
        let address =
            |field: &str, bits| optional_address(bits).ok_or_else(|| WireError::new(field, "is missing"));
        Ok(match kind {
            Kind::AttemptBegan(m) => Self::AttemptBegan {
                // One that a later agent knows is none here; the architecture still names it.
                platform: Platform::from_wire("platform", m.platform).ok(),
                client: Client::from_wire("client", m.client)?,
                vendor_class: m.vendor_class,
                uuid: optional_array("uuid", &m.uuid)?,
                relay: optional_address(m.relay),
                architecture: m.architecture.and_then(|code| u16::try_from(code).ok()),
            },
            Kind::Decided(m) => Self::Decided {
                answer: Answer::from_wire("answer", m.answer)?,
                reason: m.reason,
                order: OrderId::from_wire_optional("order", &m.order)?,
                // One that a later agent knows is none here, as below; the words say it still.
                because: Because::from_wire("because", m.because).ok(),
            },
            Kind::Offered(m) => Self::Offered {
                address: optional_address(m.address),
                file: m.file,
                client: Client::from_wire("client", m.client)?,
            },
            Kind::Leased(m) => Self::Leased {
                address: address("leased.address", m.address)?,
                until: Wall(m.until_ms),
                client: Client::from_wire("client", m.client)?,
            },
            Kind::LeaseEnded(m) => Self::LeaseEnded {
                address: address("lease_ended.address", m.address)?,
                how: LeaseEnd::from_wire("how", m.how)?,
            },
            Kind::LeaseRenewed(m) => Self::LeaseRenewed {
                address: address("lease_renewed.address", m.address)?,
                until: Wall(m.until_ms),
            },
            Kind::LeaseReleaseAnswered(m) => Self::LeaseReleaseAnswered {
                release: ReleaseId::from_wire("release", &m.release)?,
                address: address("lease_release_answered.address", m.address)?,
                refused: (!m.freed).then_some(m.why),
            },
            Kind::FileServed(m) => Self::FileServed {
                transport: Transport::from_wire("transport", m.transport)?,
                stage: Stage::from_wire("stage", m.stage)?,
                name: m.name,
                bytes: m.bytes,
                took_ms: m.took_ms,
                retransmissions: m.retransmissions,
                repeats: m.repeats,
            },
            Kind::FileRefused(m) => Self::FileRefused {
                transport: Transport::from_wire("transport", m.transport)?,
                name: m.name,
                why: m.why,
                refusal: Refusal::from_wire("refusal", m.refusal).ok(),
                by_token: m.by_token,
            },
            Kind::FileProbed(m) => Self::FileProbed {
                transport: Transport::from_wire("transport", m.transport)?,
                stage: Stage::from_wire("stage", m.stage)?,
                name: m.name,
                size: m.size,
            },
            Kind::FileBroken(m) => Self::FileBroken {
                transport: Transport::from_wire("transport", m.transport)?,
                stage: Stage::from_wire("stage", m.stage)?,
                name: m.name,
                bytes: m.bytes,
                why: m.why,
                breakage: Breakage::from_wire("breakage", m.breakage).ok(),
                block_size: u16::try_from(m.block_size).unwrap_or(u16::MAX),
                retransmissions: m.retransmissions,
                took_ms: m.took_ms,
            },
            Kind::OrderMoved(m) => Self::OrderMoved {
                order: OrderId::from_wire("order", &m.order)?,
                number: m.number,
                phase: OrderPhase::from_wire("phase", m.phase)?,
                reason: m.reason,
            },
            Kind::Progress(m) => {
                Self::Progress { percent: u8::try_from(m.percent).ok().filter(|p| *p <= 100), text: m.text }
            }
            Kind::OsUp(m) => Self::OsUp { address: optional_address(m.address) },
            Kind::ForeignOfferTaken(m) => Self::ForeignOfferTaken {
                server: address("foreign_offer_taken.server", m.server)?,
                known: m.known,
            },
            Kind::AddressRefused(m) => Self::AddressRefused {
                address: address("address_refused.address", m.address)?,
                client: Client::from_wire("client", m.client)?,
                told: m.told,
                why: m.why,
            },
            Kind::Alarm(m) => Self::Alarm { kind: AlarmKind::from_wire("kind", m.kind)?, detail: m.detail },
            Kind::PlanAdopted(m) => Self::PlanAdopted(required("plan", m.plan)?.try_into()?),
            Kind::PlanRefused(m) => {
                Self::PlanRefused { plan: required("plan", m.plan)?.try_into()?, why: m.why }
            }
            Kind::FormMoved(m) => Self::FormMoved {
                form: ReplyForm::from_wire("form", m.form)?,
                proved: m.proved,
                model: FirmwareModel::from_wire("model", &m.model)?,
                firmware: m.firmware,
                why: m.why,
            },
            Kind::CaptureKept(m) => Self::CaptureKept { packets: m.packets, bytes: m.bytes, why: m.why },
            Kind::SyslogLine(m) => Self::SyslogLine {
                severity: u8::try_from(m.severity).unwrap_or(u8::MAX).min(7),
                program: m.program,
                text: m.text,
                left_out: m.left_out,
            },
            Kind::Gap(m) => Self::Gap { first: m.first, last: m.last },
        })
    }
}
