//! What a site is to hold before any machine asks for it.

use super::BlobRef;
use crate::{
    v1,
    wire::{WireError, twin},
};

/// Blobs that are wanted although no boot of the plan names them yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prefetch {
    /// Why, for people; unique in a plan.
    pub name: String,
    /// How soon.
    pub need: Need,
    /// Its place among those of the same need, the lowest first; those of one rank go by name.
    pub rank: u32,
    /// In order of need.
    pub blobs: Vec<BlobRef>,
}

/// How soon something is needed, the soonest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Need {
    /// By an order that waits for it.
    Order,
    /// By nobody yet: the site says that it is to be there.
    Site,
}

twin!(Need, Need, Order, Site);

impl From<&Prefetch> for v1::Prefetch {
    fn from(prefetch: &Prefetch) -> Self {
        Self {
            name: prefetch.name.clone(),
            need: prefetch.need.into(),
            rank: prefetch.rank,
            blobs: prefetch.blobs.iter().map(|blob| (*blob).into()).collect(),
        }
    }
}

impl TryFrom<v1::Prefetch> for Prefetch {
    type Error = WireError;

    fn try_from(message: v1::Prefetch) -> Result<Self, WireError> {
        Ok(Self {
            name: message.name,
            // A need that is not known here is none that is urgent here.
            need: Need::from_wire("need", message.need).unwrap_or(Need::Site),
            rank: message.rank,
            blobs: message.blobs.into_iter().map(BlobRef::try_from).collect::<Result<_, _>>()?,
        })
    }
}

/// Another agent of the site that gives blobs to its neighbours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The agent's name.
    pub name: String,
    /// `ADDRESS:PORT`.
    pub addresses: Vec<std::net::SocketAddr>,
}

impl From<&Peer> for v1::Peer {
    fn from(peer: &Peer) -> Self {
        Self { name: peer.name.clone(), addresses: peer.addresses.iter().map(ToString::to_string).collect() }
    }
}

impl From<v1::Peer> for Peer {
    /// An address in a form that is not known here is left out.
    fn from(message: v1::Peer) -> Self {
        let addresses = message.addresses.iter().filter_map(|address| address.parse().ok()).collect();
        Self { name: message.name, addresses }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Digest;

    #[test]
    fn prefetch_there_and_back_and_a_need_of_another_version_is_no_hurry() {
        let blob = BlobRef { digest: Digest::of(b"a"), size: 1 };
        let prefetch = Prefetch { name: "order/x".into(), need: Need::Order, rank: 3, blobs: vec![blob] };
        let wire = v1::Prefetch::from(&prefetch);
        assert_eq!(Prefetch::try_from(wire.clone()), Ok(prefetch.clone()));
        let later = Prefetch::try_from(v1::Prefetch { need: 99, ..wire });
        assert_eq!(later, Ok(Prefetch { need: Need::Site, ..prefetch }));
    }
}
