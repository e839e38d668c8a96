//! Hosts, and permissions to install them.

use std::{collections::BTreeMap, time::Duration};

use prost::bytes::Bytes;

use super::super::{Boot, HostPlan, OrderPlan, ReplySettings};
use super::reply;
use crate::{
    HostId, Mac, OrderId, Wall, v1,
    wire::{WireError, address_bits, optional_address, optional_array, required},
};

impl From<&HostPlan> for v1::HostPlan {
    fn from(host: &HostPlan) -> Self {
        Self {
            id: host.id.to_wire(),
            name: host.name.clone(),
            macs: host.macs.iter().map(|mac| mac.to_wire()).collect(),
            uuid: host.uuid.map(|uuid| Bytes::copy_from_slice(&uuid)).unwrap_or_default(),
            serial: host.serial.clone().unwrap_or_default(),
            address: address_bits(host.address),
            locked: host.locked,
            boot: host.boot.as_ref().map(Into::into),
            tftp_single_port: host.tftp_single_port,
            reply: reply(&host.reply),
        }
    }
}

impl TryFrom<v1::HostPlan> for HostPlan {
    type Error = WireError;

    fn try_from(message: v1::HostPlan) -> Result<Self, WireError> {
        Ok(Self {
            id: HostId::from_wire("id", &message.id)?,
            name: message.name,
            macs: message.macs.iter().map(|mac| Mac::from_wire("macs", mac)).collect::<Result<_, _>>()?,
            uuid: optional_array("uuid", &message.uuid)?,
            serial: (!message.serial.is_empty()).then_some(message.serial),
            address: optional_address(message.address),
            locked: message.locked,
            boot: message.boot.map(Boot::try_from).transpose().map_err(|e| e.within("boot"))?,
            tftp_single_port: message.tftp_single_port,
            reply: ReplySettings::from_wire(message.reply),
        })
    }
}

impl From<&OrderPlan> for v1::OrderPlan {
    fn from(order: &OrderPlan) -> Self {
        Self {
            id: order.id.to_wire(),
            host: order.host.to_wire(),
            number: order.number,
            not_after_ms: order.not_after.0,
            agent: order.agent.clone(),
            boot: Some((&order.boot).into()),
            install_seconds: u32::try_from(order.install.as_secs()).unwrap_or(u32::MAX),
            attempts: order.attempts,
        }
    }
}

impl TryFrom<v1::OrderPlan> for OrderPlan {
    type Error = WireError;

    fn try_from(message: v1::OrderPlan) -> Result<Self, WireError> {
        if message.attempts == 0 {
            return Err(WireError::new("attempts", "is missing"));
        }
        Ok(Self {
            id: OrderId::from_wire("id", &message.id)?,
            host: HostId::from_wire("host", &message.host)?,
            number: message.number,
            not_after: Wall(message.not_after_ms),
            agent: message.agent,
            boot: required("boot", message.boot)?.try_into().map_err(|e: WireError| e.within("boot"))?,
            install: Duration::from_secs(message.install_seconds.into()),
            attempts: message.attempts,
            secrets: BTreeMap::new(),
        })
    }
}
