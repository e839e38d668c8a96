//! An operator frees an address.

use std::net::Ipv4Addr;

use proto::{Mac, event::LeaseEnd};

use super::{Effect, Server, server::ended};

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub enum Freed {
    /// The machine's lease is no more.
    Ended(Vec<Effect>),
    /// Nobody had it.
    Unleased,
    /// It is this machine's, and stays so.
    AnothersLease(Mac),
}

impl Server {
    /// Ends the lease of an address, if it is this machine's. The machine may ask for it again and get it.
    pub fn free(&mut self, address: Ipv4Addr, mac: Mac) -> Freed {
        let Some(lease) = self.book.leases.at(address).copied() else { return Freed::Unleased };
        if lease.key.mac != mac {
            return Freed::AnothersLease(lease.key.mac);
        }
        self.book.leases.remove(lease.key);
        Freed::Ended(ended(&lease, LeaseEnd::Operator).into())
    }
}
