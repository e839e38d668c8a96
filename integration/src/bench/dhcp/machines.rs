//! Machines on paper: so many exchanges in flight, each checked from its DISCOVER to its ACK.
//!
//! An exchange holds if the ACK is for what was offered, from the server that offered it, and the address is no other machine's.
//! Nothing is sent twice: what gets no answer in time has failed.

use std::net::Ipv4Addr;
use std::time::Duration;

use proto::Range;

use super::message::{ACK, OFFER, Reply, Templates, mac_of};

/// How long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Bits of a transaction id that name the place of an exchange; the others tell later ones there apart.
const PLACE_BITS: u32 = 12;

/// All machines that a server has seen since its start, and who has which address.
#[derive(Debug)]
pub struct Fleet {
    pool: Range,
    /// By place in the pool: the number of the machine plus one, 0 for nobody.
    holders: Vec<u32>,
    next: u32,
    /// So many machines take turns; None: each is new.
    known: Option<u32>,
    sequence: u32,
}

impl Fleet {
    /// Before a server that has given nothing away.
    #[must_use]
    pub fn new(pool: Range, known: Option<u32>) -> Self {
        let size = usize::try_from(pool.count()).unwrap_or_default();
        Self { pool, holders: vec![0; size], next: 0, known, sequence: 0 }
    }

    fn next_machine(&mut self) -> u32 {
        let machine = known_or(self.next, self.known);
        self.next += 1;
        machine
    }

    fn next_xid(&mut self, place: usize) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence << PLACE_BITS | u32::try_from(place).unwrap_or_default()
    }

    /// The machine has the address from now on; false: another one has it, or it is none of the pool.
    fn holds(&mut self, address: Ipv4Addr, machine: u32) -> bool {
        let place = address.to_bits().checked_sub(self.pool.first().to_bits());
        let holder = place.and_then(|place| self.holders.get_mut(place as usize));
        let Some(holder) = holder.filter(|holder| **holder == 0 || **holder == machine + 1) else {
            return false;
        };
        *holder = machine + 1;
        true
    }
}

fn known_or(number: u32, known: Option<u32>) -> u32 {
    known.map_or(number, |known| number % known.max(1))
}

/// One exchange.
#[derive(Debug, Clone, Copy)]
struct Exchange {
    machine: u32,
    xid: u32,
    offered: Option<Reply>,
    began: Duration,
    due: Duration,
}

/// What came of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nobody waits for it.
    Stray,
    /// The message to be sent is in the buffer.
    Sends,
    /// The exchange at this place is over, and took so long.
    Done(usize, Duration),
    /// It is over, and did not hold.
    Failed(usize),
}

/// So many exchanges at a time.
#[derive(Debug)]
pub struct Flight<'a> {
    fleet: &'a mut Fleet,
    templates: Templates,
    places: Vec<Option<Exchange>>,
}

impl<'a> Flight<'a> {
    /// Nothing is under way yet.
    #[must_use]
    pub fn new(fleet: &'a mut Fleet, templates: Templates, size: usize) -> Self {
        Self { fleet, templates, places: vec![None; size.min(1 << PLACE_BITS)] }
    }

    /// How many places there are.
    #[must_use]
    pub fn size(&self) -> usize {
        self.places.len()
    }

    /// How many exchanges are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.places.iter().flatten().count()
    }

    /// The next machine begins at this place; its DISCOVER is in the buffer.
    pub fn begin(&mut self, now: Duration, place: usize, out: &mut Vec<u8>) {
        let (machine, xid) = (self.fleet.next_machine(), self.fleet.next_xid(place));
        self.templates.discover(machine, xid, out);
        self.places[place] = Some(Exchange { machine, xid, offered: None, began: now, due: now + PATIENCE });
    }

    /// A datagram has come; what is to be sent for it is put into the buffer.
    pub fn handle(&mut self, now: Duration, datagram: &[u8], out: &mut Vec<u8>) -> Step {
        let Some(reply) = Reply::parse(datagram) else { return Step::Stray };
        let place = (reply.xid & ((1 << PLACE_BITS) - 1)) as usize;
        let Some(exchange) = self.places.get_mut(place).and_then(Option::as_mut) else { return Step::Stray };
        if exchange.xid != reply.xid || reply.mac != mac_of(exchange.machine) {
            return Step::Stray;
        }
        match (reply.kind, exchange.offered) {
            (OFFER, None) => {
                (exchange.offered, exchange.due) = (Some(reply), now + PATIENCE);
                self.templates.request(exchange.machine, exchange.xid, &reply, out);
                Step::Sends
            }
            (OFFER, Some(_)) => Step::Stray,
            (ACK, Some(offer)) if (offer.address, offer.server) == (reply.address, reply.server) => {
                let Exchange { machine, began, .. } = *exchange;
                self.places[place] = None;
                match self.fleet.holds(reply.address, machine) {
                    true => Step::Done(place, now.saturating_sub(began)),
                    false => Step::Failed(place),
                }
            }
            _ => {
                self.places[place] = None;
                Step::Failed(place)
            }
        }
    }

    /// The places whose answer has not come in time; they are free again.
    pub fn give_up(&mut self, now: Duration) -> Vec<usize> {
        let late = |exchange: &Option<Exchange>| exchange.is_some_and(|exchange| exchange.due <= now);
        let lost: Vec<_> = (0..self.places.len()).filter(|place| late(&self.places[*place])).collect();
        lost.iter().for_each(|place| self.places[*place] = None);
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::super::message::{Path, echo};
    use super::*;

    const NOW: Duration = Duration::from_millis(5);

    fn pool() -> Range {
        "10.72.0.0-10.72.0.9".parse().expect("a range")
    }

    fn flight(fleet: &mut Fleet) -> Flight<'_> {
        Flight::new(fleet, Templates::new(Path::Broadcast), 2)
    }

    /// What the server says to the message in the buffer, if it gives this address.
    fn answered(out: &[u8], address: u8) -> Vec<u8> {
        let mut answer = out.to_vec();
        echo(&mut answer, |_| Ipv4Addr::new(10, 72, 0, address)).expect("a machine's message");
        answer
    }

    /// The outcome of an exchange in which these addresses are offered and given.
    fn exchange(flight: &mut Flight<'_>, offered: u8, given: u8) -> Step {
        let mut out = Vec::new();
        flight.begin(Duration::ZERO, 0, &mut out);
        let mut offer = answered(&out, offered);
        assert_eq!(flight.handle(NOW, &offer, &mut out), Step::Sends);
        assert_eq!(flight.handle(NOW, &offer, &mut out), Step::Stray, "a copy");
        offer = out.clone();
        echo(&mut offer, |_| Ipv4Addr::new(10, 72, 0, given)).expect("a REQUEST");
        flight.handle(NOW, &offer, &mut Vec::new())
    }

    #[test]
    fn an_exchange_holds_if_the_address_is_what_was_offered_and_nobody_elses() {
        let mut fleet = Fleet::new(pool(), None);
        let mut flight = flight(&mut fleet);
        assert_eq!(exchange(&mut flight, 1, 1), Step::Done(0, NOW));
        assert_eq!(exchange(&mut flight, 2, 3), Step::Failed(0), "not what was offered");
        assert_eq!(exchange(&mut flight, 1, 1), Step::Failed(0), "another machine's");
        assert_eq!(exchange(&mut flight, 99, 99), Step::Failed(0), "none of the pool");
        assert_eq!(flight.under_way(), 0);
    }

    #[test]
    fn a_machine_that_is_known_keeps_its_address() {
        let mut fleet = Fleet::new(pool(), Some(2));
        let mut flight = flight(&mut fleet);
        for address in [1, 2, 1, 2] {
            assert_eq!(exchange(&mut flight, address, address), Step::Done(0, NOW));
        }
        assert_eq!(exchange(&mut flight, 2, 2), Step::Failed(0));
    }

    #[test]
    fn what_gets_no_answer_is_given_up_in_time() {
        let mut fleet = Fleet::new(pool(), None);
        let (mut flight, mut out) = (flight(&mut fleet), Vec::new());
        flight.begin(Duration::ZERO, 1, &mut out);
        assert_eq!(flight.give_up(PATIENCE - NOW), [0; 0]);
        assert_eq!((flight.give_up(PATIENCE), flight.under_way()), (vec![1], 0));
        assert_eq!(flight.handle(PATIENCE, &answered(&out, 1), &mut Vec::new()), Step::Stray, "too late");
    }
}
