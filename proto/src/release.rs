//! What a controller sends to an agent when an operator frees an address.

use std::net::Ipv4Addr;

use crate::{
    Mac, ReleaseId, Wall, v1,
    wire::{WireError, optional_address},
};

/// An operator frees an address. The agent answers each once, however often it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseRelease {
    /// What the answer names.
    pub id: ReleaseId,
    /// Which.
    pub address: Ipv4Addr,
    /// Whose lease is meant: another machine's at this address stays.
    pub mac: Mac,
    /// When it was wanted, by the controller's clock: a lease that the machine has taken anew since stays, too. None: an older
    /// controller does not tell.
    pub at: Option<Wall>,
}

impl From<LeaseRelease> for v1::LeaseRelease {
    fn from(release: LeaseRelease) -> Self {
        let LeaseRelease { id, address, mac, at } = release;
        let at_ms = at.map_or(0, |at| at.0);
        Self { id: id.to_wire(), address: address.to_bits(), mac: mac.to_wire(), at_ms }
    }
}

impl TryFrom<v1::LeaseRelease> for LeaseRelease {
    type Error = WireError;

    fn try_from(message: v1::LeaseRelease) -> Result<Self, WireError> {
        let missing = || WireError::new("release.address", "is missing");
        Ok(Self {
            id: ReleaseId::from_wire("release.id", &message.id)?,
            address: optional_address(message.address).ok_or_else(missing)?,
            mac: Mac::from_wire("release.mac", &message.mac)?,
            at: (message.at_ms != 0).then_some(Wall(message.at_ms)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let (id, address, mac) = (ReleaseId([1; 16]), [10, 1, 0, 9].into(), Mac([2; 6]));
        for at in [Some(Wall(7)), None] {
            let release = LeaseRelease { id, address, mac, at };
            assert_eq!(LeaseRelease::try_from(v1::LeaseRelease::from(release)), Ok(release));
        }
        let error = LeaseRelease::try_from(v1::LeaseRelease::default()).expect_err("nothing in it");
        assert_eq!(error.field, "release.id");
    }
}
