//! Kinds of events as they are sent and stored.

use super::super::EventKind;
use crate::{OrderId, v1, wire::address_bits};

impl From<EventKind> for v1::event::Kind {
    fn from(kind: EventKind) -> Self {
        match kind {
            EventKind::AttemptBegan { platform, client, vendor_class, uuid, relay, architecture } => {
                Self::AttemptBegan(v1::AttemptBegan {
                    platform: platform.map_or(0, Into::into),
                    client: client.into(),
                    vendor_class,
                    uuid: uuid.map(|uuid| uuid.to_vec().into()).unwrap_or_default(),
                    relay: address_bits(relay),
                    architecture: architecture.map(u32::from),
                })
            }
            EventKind::Decided { answer, reason, order, because } => Self::Decided(v1::Decided {
                answer: answer.into(),
                reason,
                order: order.map(OrderId::to_wire).unwrap_or_default(),
                because: because.map_or(0, Into::into),
            }),
            EventKind::Offered { address, file, client } => {
                Self::Offered(v1::Offered { address: address_bits(address), file, client: client.into() })
            }
            EventKind::Leased { address, until, client } => Self::Leased(v1::Leased {
                address: address.to_bits(),
                until_ms: until.0,
                client: client.into(),
            }),
            EventKind::LeaseEnded { address, how } => {
                Self::LeaseEnded(v1::LeaseEnded { address: address.to_bits(), how: how.into() })
            }
            EventKind::LeaseRenewed { address, until } => {
                Self::LeaseRenewed(v1::LeaseRenewed { address: address.to_bits(), until_ms: until.0 })
            }
            EventKind::LeaseReleaseAnswered { release, address, refused } => {
                Self::LeaseReleaseAnswered(v1::LeaseReleaseAnswered {
                    release: release.to_wire(),
                    address: address.to_bits(),
                    freed: refused.is_none(),
                    why: refused.unwrap_or_default(),
                })
            }
            EventKind::FileServed { transport, stage, name, bytes, took_ms, retransmissions, repeats } => {
                let (transport, stage) = (transport.into(), stage.into());
                let served =
                    v1::FileServed { transport, stage, name, bytes, took_ms, retransmissions, repeats };
                Self::FileServed(served)
            }
            EventKind::FileRefused { transport, name, why, refusal, by_token } => {
                let (transport, refusal) = (transport.into(), refusal.map_or(0, Into::into));
                Self::FileRefused(v1::FileRefused { transport, name, why, refusal, by_token })
            }
            EventKind::FileProbed { transport, stage, name, size } => {
                let (transport, stage) = (transport.into(), stage.into());
                Self::FileProbed(v1::FileProbed { transport, stage, name, size })
            }
            EventKind::FileBroken {
                transport,
                stage,
                name,
                bytes,
                why,
                breakage,
                block_size,
                retransmissions,
                took_ms,
            } => Self::FileBroken(v1::FileBroken {
                transport: transport.into(),
                stage: stage.into(),
                name,
                bytes,
                why,
                breakage: breakage.map_or(0, Into::into),
                block_size: block_size.into(),
                retransmissions,
                took_ms,
            }),
            EventKind::OrderMoved { order, number, phase, reason } => Self::OrderMoved(v1::OrderMoved {
                order: order.to_wire(),
                number,
                phase: phase.into(),
                reason,
            }),
            EventKind::Progress { percent, text } => {
                Self::Progress(v1::Progress { percent: percent.map_or(101, u32::from), text })
            }
            EventKind::OsUp { address } => Self::OsUp(v1::OsUp { address: address_bits(address) }),
            EventKind::ForeignOfferTaken { server, known } => {
                Self::ForeignOfferTaken(v1::ForeignOfferTaken { server: server.to_bits(), known })
            }
            EventKind::AddressRefused { address, client, told, why } => {
                let (address, client) = (address.to_bits(), client.into());
                Self::AddressRefused(v1::AddressRefused { address, client, told, why })
            }
            EventKind::Alarm { kind, detail } => Self::Alarm(v1::Alarm { kind: kind.into(), detail }),
            EventKind::PlanAdopted(plan) => Self::PlanAdopted(v1::PlanAdopted { plan: Some(plan.into()) }),
            EventKind::PlanRefused { plan, why } => {
                Self::PlanRefused(v1::PlanRefused { plan: Some(plan.into()), why })
            }
            EventKind::FormMoved { form, proved, model, firmware, why } => Self::FormMoved(v1::FormMoved {
                form: form.into(),
                proved,
                model: model.to_wire(),
                firmware,
                why,
            }),
            EventKind::CaptureKept { packets, bytes, why } => {
                Self::CaptureKept(v1::CaptureKept { packets, bytes, why })
            }
            EventKind::SyslogLine { severity, program, text, left_out } => {
                Self::SyslogLine(v1::SyslogLine { severity: severity.into(), program, text, left_out })
            }
            EventKind::Gap { first, last } => Self::Gap(v1::Gap { first, last }),
        }
    }
}
