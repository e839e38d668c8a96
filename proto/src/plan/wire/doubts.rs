//! What of a plan is not understood, and what follows: that it is left out, and said.

use prost::Message;

use super::super::{Doubt, Entry, LEVEL};
use crate::wire::WireError;

/// The doubts of one plan.
#[derive(Debug, Default)]
pub(super) struct Doubts {
    pub(super) all: Vec<Doubt>,
}

impl Doubts {
    /// Another one.
    pub(super) fn add(&mut self, key: &str, why: String) {
        self.all.push(Doubt { key: key.into(), why });
    }

    /// What was read of an entry; an error is a doubt.
    pub(super) fn read<T>(&mut self, key: &str, read: Result<T, WireError>) -> Option<T> {
        read.map_err(|error| self.add(key, error.to_string())).ok()
    }

    /// Is the entry of a level that is known here?
    pub(super) fn is_known(&mut self, key: &str, entry: &Entry) -> bool {
        if entry.level > LEVEL {
            self.add(key, too_new(entry));
        }
        entry.level <= LEVEL
    }

    /// What an entry holds, if it can be understood.
    pub(super) fn understood<M, T>(&mut self, key: &str, entry: &Entry) -> Option<T>
    where
        M: Message + Default,
        T: TryFrom<M, Error = WireError>,
    {
        let is_known = self.is_known(key, entry);
        is_known.then(|| self.read(key, decode::<M>(entry).and_then(T::try_from))).flatten()
    }

    /// Does it stand under the key that is its own, `KIND/NAME`?
    pub(super) fn agrees(&mut self, key: &str, own: &str, what: &str) -> bool {
        if key != own {
            let name = own.split_once('/').map_or(own, |(_, name)| name);
            self.add(key, format!("holds {what} {name}"));
        }
        key == own
    }
}

pub(super) fn too_new(entry: &Entry) -> String {
    format!("needs plan level {}, this agent has {LEVEL}", entry.level)
}

pub(super) fn decode<M: Message + Default>(entry: &Entry) -> Result<M, WireError> {
    M::decode(entry.body.clone()).map_err(|error| WireError::new("body", error.to_string()))
}
