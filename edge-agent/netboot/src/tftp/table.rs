//! The live transfers: found by their peer for each acknowledgement, so at the cost of one short search.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::transfer::Transfer;

/// Names a transfer between the engine and its shell; never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransferId {
    number: u64,
    place: u32,
}

impl TransferId {
    /// A small number that no other live transfer has: an index for what the shell holds for it.
    #[must_use]
    pub fn place(self) -> usize {
        self.place as usize
    }
}

/// An address and port, in a form that compares in two steps.
type Peer = (u128, u16);

/// The transfers, at most one of each peer.
#[derive(Debug, Default)]
pub(super) struct Table {
    places: Vec<Option<(TransferId, Transfer)>>,
    free: Vec<u32>,
    peers: BTreeMap<Peer, TransferId>,
    last: u64,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.peers.len()
    }

    /// The live transfer of `peer`.
    pub(super) fn of(&self, peer: SocketAddr) -> Option<TransferId> {
        self.peers.get(&key(peer)).copied()
    }

    pub(super) fn get(&self, id: TransferId) -> Option<&Transfer> {
        let (held, transfer) = self.places.get(id.place())?.as_ref()?;
        (*held == id).then_some(transfer)
    }

    pub(super) fn get_mut(&mut self, id: TransferId) -> Option<&mut Transfer> {
        let (held, transfer) = self.places.get_mut(id.place())?.as_mut()?;
        (*held == id).then_some(transfer)
    }

    /// Takes in the transfer of a peer that has none.
    pub(super) fn insert(&mut self, transfer: Transfer) -> TransferId {
        let place = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            u32::try_from(self.places.len() - 1).expect("memory ends long before")
        });
        self.last += 1;
        let id = TransferId { number: self.last, place };
        self.peers.insert(key(transfer.asked.peer), id);
        self.places[id.place()] = Some((id, transfer));
        id
    }

    pub(super) fn remove(&mut self, id: TransferId) -> Option<Transfer> {
        let (_, transfer) = self.places.get_mut(id.place())?.take_if(|(held, _)| *held == id)?;
        self.free.push(id.place);
        self.peers.remove(&key(transfer.asked.peer));
        Some(transfer)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (TransferId, &Transfer)> {
        self.places.iter().flatten().map(|(id, transfer)| (*id, transfer))
    }
}

fn key(peer: SocketAddr) -> Peer {
    let ip = match peer {
        SocketAddr::V4(v4) => v4.ip().to_ipv6_mapped().to_bits(),
        SocketAddr::V6(v6) => v6.ip().to_bits(),
    };
    (ip, peer.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tftp::options::Options;
    use crate::tftp::transfer::Asked;
    use crate::tftp::{Config, Local, Name};
    use crate::time::Mono;

    fn transfer(port: u16) -> Transfer {
        let asked = Asked {
            peer: SocketAddr::from(([10, 0, 0, 1], port)),
            name: Name::clean(b"file").expect("a name"),
            options: Options::default(),
        };
        Transfer::new(Mono::default(), asked, Local::Ephemeral(0), &Config::default())
    }

    #[test]
    fn a_place_is_used_again_and_its_former_name_finds_nothing() {
        let mut table = Table::default();
        let (first, second) = (table.insert(transfer(1)), table.insert(transfer(2)));
        assert_eq!(table.of(SocketAddr::from(([10, 0, 0, 1], 2))), Some(second));
        assert!(table.remove(first).is_some() && table.remove(first).is_none());
        let third = table.insert(transfer(3));
        assert_eq!((third.place(), table.len()), (first.place(), 2));
        assert!(third != first && table.get(first).is_none() && table.get_mut(first).is_none());
        assert_eq!(table.get(third).map(|found| found.asked.peer.port()), Some(3));
        assert_eq!(table.of(SocketAddr::from(([10, 0, 0, 1], 1))), None);
        assert_eq!(table.iter().count(), 2);
    }
}
