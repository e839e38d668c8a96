//! DHCP messages that are answered later: after a site's or a host's response delay (QUIRKS 9), or once an address was
//! probed for. In memory alone and bounded; what is forgotten is asked again.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proto::{
    Mac,
    plan::{HostPlan, Network},
};

use super::Arrival;
use crate::{
    dhcp::{MessageType, Port, Request},
    time::Mono,
};

/// Machines of one kind whose messages wait at one time: who makes up machines keeps no host from its answer (S5).
const MAX_WAITING: usize = 1_024;

/// A message and where it came in.
pub(super) type Message = (Arrival, Box<Request>);

/// A machine at one of our interfaces.
type Machine = (u32, Mac);

/// Messages by the time at which they are answered.
#[derive(Debug, Default)]
pub(super) struct Deferred {
    hosts: Queue,
    strangers: Queue,
}

/// One message of each machine.
#[derive(Debug, Default)]
struct Queue {
    messages: BTreeMap<Machine, (Mono, Message)>,
    ends: BTreeSet<(Mono, Machine)>,
}

impl Deferred {
    /// Keeps a message until then. A machine that asks again meanwhile is answered once: to what it said last, at the
    /// time at which its first message is due.
    pub(super) fn insert(&mut self, until: Mono, is_host: bool, arrival: &Arrival, request: &Request) {
        let queue = if is_host { &mut self.hosts } else { &mut self.strangers };
        queue.insert(until, (arrival.clone(), Box::new(request.clone())));
    }

    pub(super) fn next_end(&self) -> Option<Mono> {
        [self.hosts.next_end(), self.strangers.next_end()].into_iter().flatten().min()
    }

    pub(super) fn pop_due(&mut self, now: Mono) -> Option<Message> {
        self.hosts.pop_due(now).or_else(|| self.strangers.pop_due(now))
    }
}

impl Queue {
    fn insert(&mut self, until: Mono, message: Message) {
        let machine = (message.0.interface, message.1.mac);
        let known = self.messages.remove(&machine).map(|(until, _)| until);
        if known.is_none() && self.messages.len() >= MAX_WAITING {
            return;
        }
        let until = known.map_or(until, |known| known.min(until));
        if let Some(known) = known {
            self.ends.remove(&(known, machine));
        }
        self.ends.insert((until, machine));
        self.messages.insert(machine, (until, message));
    }

    fn next_end(&self) -> Option<Mono> {
        self.ends.first().map(|(until, _)| *until)
    }

    fn pop_due(&mut self, now: Mono) -> Option<Message> {
        self.next_end().filter(|until| *until <= now)?;
        let (_, machine) = self.ends.pop_first()?;
        self.messages.remove(&machine).map(|(_, message)| message)
    }
}

/// How long this message waits for its answer; none where the machine says that it has waited as long already.
pub(super) fn delay(network: &Network, host: Option<&HostPlan>, request: &Request) -> Option<Duration> {
    let delay = host.and_then(|host| host.reply.delay).or(network.reply.delay)?;
    let asks = request.kind == MessageType::Discover && request.port == Port::Dhcp;
    (asks && Duration::from_secs(request.secs.into()) < delay).then_some(delay)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::dhcp::{Message, Operation};

    fn at(milliseconds: u64) -> Mono {
        Mono(Duration::from_millis(milliseconds))
    }

    fn discover(mac: Mac, xid: u32) -> Request {
        let mut discover = Message::new(Operation::Request, mac, xid);
        discover.options.get_or_insert_default().set(53, [1]);
        Request::parse(&discover.emit()).expect("a legal DISCOVER")
    }

    fn keep(deferred: &mut Deferred, until: Mono, is_host: bool, interface: u32, request: &Request) {
        let server = Ipv4Addr::new(10, 1, 0, 2);
        let arrival = Arrival { interface, server, base_url: "http://10.1.0.2:8080".into() };
        deferred.insert(until, is_host, &arrival, request);
    }

    fn due(deferred: &mut Deferred, now: Mono) -> Vec<(u32, u32)> {
        let popped = std::iter::from_fn(|| deferred.pop_due(now));
        popped.map(|(arrival, request)| (arrival.interface, request.xid)).collect()
    }

    #[test]
    fn a_machine_that_asks_again_and_again_has_one_message_its_last_at_the_time_of_its_first() {
        let (mut deferred, mac) = (Deferred::default(), Mac([2, 0, 0, 0, 0, 1]));
        for xid in 0..2_000 {
            keep(&mut deferred, at(300 + u64::from(xid)), false, 0, &discover(mac, xid));
        }
        keep(&mut deferred, at(300), false, 1, &discover(mac, 7));
        keep(&mut deferred, at(400), false, 0, &discover(Mac([2, 0, 0, 0, 0, 2]), 8));
        assert_eq!((deferred.next_end(), due(&mut deferred, at(299))), (Some(at(300)), vec![]));
        assert_eq!(due(&mut deferred, at(300)), [(0, 1_999), (1, 7)]);
        assert_eq!((due(&mut deferred, at(5_000)), deferred.next_end()), (vec![(0, 8)], None));
    }

    #[test]
    fn strangers_without_number_are_bounded_and_take_no_hosts_place() {
        let mut deferred = Deferred::default();
        for n in 0..2_000_u16 {
            let [high, low] = n.to_be_bytes();
            keep(&mut deferred, at(300), false, 0, &discover(Mac([2, 0, 0, 1, high, low]), n.into()));
        }
        keep(&mut deferred, at(4_000), true, 0, &discover(Mac([2, 0, 0, 0, 0, 1]), 7));
        // One that waits already is no further one.
        keep(&mut deferred, at(300), false, 0, &discover(Mac([2, 0, 0, 1, 0, 0]), 9_999));
        let strangers = due(&mut deferred, at(300));
        assert_eq!((strangers.len(), strangers[0]), (MAX_WAITING, (0, 9_999)));
        assert_eq!(due(&mut deferred, at(4_000)), [(0, 7)]);
    }
}
