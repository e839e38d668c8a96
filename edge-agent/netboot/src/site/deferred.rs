//! DHCP messages that are answered later: after a site's or a host's response delay (QUIRKS 9), or once an address was
//! probed for. In memory alone and bounded; what is forgotten is asked again.

use std::{collections::BTreeMap, time::Duration};

use proto::plan::{HostPlan, Network};

use super::Arrival;
use crate::{
    dhcp::{MessageType, Port, Request},
    time::Mono,
};

/// Messages that wait at one time.
const MAX_DEFERRED: usize = 1_024;

/// A message and where it came in.
pub(super) type Message = (Arrival, Box<Request>);

/// Messages by the time at which they are answered.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    waiting: BTreeMap<(Mono, u64), Message>,
    next: u64,
}

impl Deferred {
    /// Keeps a message until then. A machine that asks again meanwhile is answered once.
    pub(super) fn insert(&mut self, until: Mono, arrival: &Arrival, request: &Request) {
        let same = |(_, other): &Message| other.mac == request.mac && other.xid == request.xid;
        if self.waiting.len() >= MAX_DEFERRED || self.waiting.values().any(same) {
            return;
        }
        self.next += 1;
        self.waiting.insert((until, self.next), (arrival.clone(), Box::new(request.clone())));
    }

    pub(super) fn next_end(&self) -> Option<Mono> {
        self.waiting.first_key_value().map(|((until, _), _)| *until)
    }

    pub(super) fn pop_due(&mut self, now: Mono) -> Option<Message> {
        self.next_end().filter(|until| *until <= now)?;
        self.waiting.pop_first().map(|(_, message)| message)
    }
}

/// How long this message waits for its answer; none where the machine says that it has waited as long already.
pub(super) fn delay(network: &Network, host: Option<&HostPlan>, request: &Request) -> Option<Duration> {
    let delay = host.and_then(|host| host.reply.delay).or(network.reply.delay)?;
    let asks = request.kind == MessageType::Discover && request.port == Port::Dhcp;
    (asks && Duration::from_secs(request.secs.into()) < delay).then_some(delay)
}
