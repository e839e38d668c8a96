//! Between events and their messages.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use super::{Event, NumberedEvent};
use crate::{
    AttemptId, HostId, Mac, Wall, v1,
    wire::{WireError, optional_array, required},
};

impl From<NumberedEvent> for v1::NumberedEvent {
    fn from(numbered: NumberedEvent) -> Self {
        Self { number: numbered.number, event: Some(numbered.event.into()) }
    }
}

impl TryFrom<v1::NumberedEvent> for NumberedEvent {
    type Error = WireError;

    fn try_from(message: v1::NumberedEvent) -> Result<Self, WireError> {
        if message.number == 0 {
            return Err(WireError::new("number", "is missing"));
        }
        let event = Event::try_from(required("event", message.event)?).map_err(|e| e.within("event"))?;
        Ok(Self { number: message.number, event })
    }
}

impl From<Event> for v1::Event {
    fn from(event: Event) -> Self {
        Self {
            at_ms: event.at.0,
            attempt: event.attempt.map(AttemptId::to_wire).unwrap_or_default(),
            host: event.host.map(HostId::to_wire).unwrap_or_default(),
            mac: event.mac.map(Mac::to_wire).unwrap_or_default(),
            kind: Some(event.kind.into()),
        }
    }
}

impl TryFrom<v1::Event> for Event {
    type Error = WireError;

    fn try_from(message: v1::Event) -> Result<Self, WireError> {
        Ok(Self {
            at: Wall(message.at_ms),
            attempt: AttemptId::from_wire_optional("attempt", &message.attempt)?,
            host: HostId::from_wire_optional("host", &message.host)?,
            mac: optional_array("mac", &message.mac)?.map(Mac),
            kind: required("kind", message.kind)?.try_into()?,
        })
    }
}
