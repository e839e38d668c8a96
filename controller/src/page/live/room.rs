//! How many streams may be open.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use proto::Digest;

/// Streams of one session: a browser with a few windows.
const OF_ONE: usize = 8;
/// Streams of all.
const OF_ALL: usize = 256;

/// The open streams. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub(in crate::page) struct Room(Arc<Mutex<HashMap<Digest, usize>>>);

/// A place for one stream; it is taken for as long as this lives.
#[derive(Debug)]
#[must_use]
pub(super) struct Seat {
    room: Room,
    session: Digest,
}

impl Room {
    /// A place, if there is one.
    pub(super) fn seat(&self, session: Digest) -> Option<Seat> {
        let mut taken = self.lock();
        if taken.values().sum::<usize>() >= OF_ALL || taken.get(&session).is_some_and(|own| *own >= OF_ONE) {
            return None;
        }
        *taken.entry(session).or_default() += 1;
        Some(Seat { room: self.clone(), session })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        // Nothing panics between two steps of a change, so a poisoned table is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        if let Some(own) = taken.get_mut(&self.session) {
            *own -= 1;
            if *own == 0 {
                taken.remove(&self.session);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_bounded_for_each_session_and_in_all_and_come_back() {
        let room = Room::default();
        let session = |number: usize| Digest::of(&number.to_be_bytes());
        let own: Vec<_> = (0..OF_ONE).map(|_| room.seat(session(0)).expect("a place")).collect();
        assert!(room.seat(session(0)).is_none());
        let others: Vec<_> = (0..OF_ALL - OF_ONE).map(|number| room.seat(session(1 + number))).collect();
        assert!(others.iter().all(Option::is_some));
        assert!(room.seat(session(OF_ALL)).is_none(), "all are taken");
        drop(own);
        assert!(room.seat(session(0)).is_some());
        drop(others);
        assert!(room.lock().is_empty());
    }
}
