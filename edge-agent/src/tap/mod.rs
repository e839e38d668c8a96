//! Where the drivers hand over what they send and receive, so that a boot which fails can be looked at afterwards.
//!
//! A packet costs a look-up and a copy of some hundred bytes, and its machine's first one a little memory. There is one lock:
//! DHCP is handled by one thread at a time, and TFTP and HTTP hand over only what explains a transfer, not its blocks.
//! docs/adr/0017 says why this is no packet socket.

mod dhcp;
mod http;
#[cfg(test)]
mod tests;
mod tftp;

use std::{
    net::Ipv4Addr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use netboot::capture::{Limits, Packet, Rings, Standing};

pub(crate) use dhcp::{Heard, Tapped};
pub(crate) use http::{Tape, head_of};
pub(crate) use tftp::Transfers;

/// The way to the rings; cheap to clone. One that is off takes nothing and costs nothing.
#[derive(Debug, Clone, Default)]
pub struct Tap(Option<Arc<Mutex<Rings>>>);

impl Tap {
    /// Keeps so many bytes of packets, all machines together; with 0 it is off.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self((bytes > 0).then(|| Arc::new(Mutex::new(Rings::new(Limits::of_total(bytes))))))
    }

    /// Is nothing kept?
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.0.is_none()
    }

    /// Looks at what is kept; None: nothing is.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&Rings) -> T) -> Option<T> {
        self.lock().map(|rings| look(&rings))
    }

    /// A packet of whoever is behind an address. TFTP and HTTP come after DHCP, so that is known; who never spoke DHCP here
    /// has a stranger's share of the room.
    pub(crate) fn of_address(&self, address: Ipv4Addr, packet: &Packet<'_>) {
        if let Some(mut rings) = self.lock() {
            let party = rings.party_of(address);
            rings.record(party, packet, || Some(Standing::Stranger));
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Rings>> {
        // Nothing panics within.
        self.0.as_ref().map(|rings| rings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Now, in microseconds since the Unix epoch.
pub(crate) fn micros() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
