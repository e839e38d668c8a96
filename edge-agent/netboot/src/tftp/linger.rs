//! Ended transfers whose last packets may still be on their way.
//!
//! A late acknowledgement of a transfer that has just ended is no wrong transfer ID: an ERROR for it could undo
//! what the client believes it has. Such packets are swallowed for a while. Memory is bounded: the oldest gives
//! way.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::interface::Local;
use crate::time::Mono;

/// The most that are remembered.
const CAPACITY: usize = 4096;

/// The ended transfers.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    until: BTreeMap<(Local, SocketAddr), Mono>,
    order: VecDeque<(Mono, Local, SocketAddr)>,
}

impl Lingering {
    /// Swallows packets of this pair until `until`.
    pub(super) fn add(&mut self, until: Mono, local: Local, peer: SocketAddr) {
        if self.order.len() >= CAPACITY {
            self.drop_oldest();
        }
        self.until.insert((local, peer), until);
        self.order.push_back((until, local, peer));
    }

    /// Whether a packet of this pair belongs to an ended transfer.
    pub(super) fn contains(&mut self, now: Mono, local: Local, peer: SocketAddr) -> bool {
        while self.order.front().is_some_and(|(until, ..)| *until <= now) {
            self.drop_oldest();
        }
        self.until.contains_key(&(local, peer))
    }

    /// Where a transfer of this peer has ended before those of all other sockets.
    ///
    /// # Panics
    /// Without a socket.
    pub(super) fn longest_ago(&self, locals: impl Iterator<Item = Local>, peer: SocketAddr) -> Local {
        locals.min_by_key(|local| self.until.get(&(*local, peer))).expect("there is one socket at least")
    }

    /// The pair may have been added again since: only its own time ends it.
    fn drop_oldest(&mut self) {
        let Some((until, local, peer)) = self.order.pop_front() else { return };
        if self.until.get(&(local, peer)) == Some(&until) {
            self.until.remove(&(local, peer));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono(Duration::from_secs(seconds))
    }

    #[test]
    fn forgets_in_time_and_keeps_what_was_renewed() {
        let peer = SocketAddr::from(([10, 0, 0, 1], 2070));
        let mut lingering = Lingering::default();
        lingering.add(at(10), Local::Ephemeral(0), peer);
        lingering.add(at(20), Local::Ephemeral(0), peer);
        assert!(lingering.contains(at(15), Local::Ephemeral(0), peer));
        assert!(!lingering.contains(at(15), Local::Ephemeral(1), peer));
        assert!(!lingering.contains(at(20), Local::Ephemeral(0), peer));
    }

    #[test]
    fn where_a_peer_has_ended_longest_ago() {
        let peer = SocketAddr::from(([10, 0, 0, 1], 2070));
        let slots = || (0..3).map(Local::Ephemeral);
        let mut lingering = Lingering::default();
        for (seconds, slot) in [(12, 0), (11, 1), (13, 2)] {
            lingering.add(at(seconds), Local::Ephemeral(slot), peer);
        }
        assert_eq!(lingering.longest_ago(slots(), peer), Local::Ephemeral(1));
    }

    #[test]
    fn memory_is_bounded() {
        let mut lingering = Lingering::default();
        for port in 1..=u16::MAX {
            lingering.add(at(10), Local::Listener, SocketAddr::from(([10, 0, 0, 1], port)));
        }
        assert_eq!((lingering.until.len(), lingering.order.len()), (CAPACITY, CAPACITY));
    }
}
