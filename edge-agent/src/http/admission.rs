//! How many connections there may be, in all and from one address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Counts connections.
#[derive(Debug)]
pub(super) struct Admission {
    most: usize,
    most_per_address: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A connection that was let in; it is counted until this is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(super) fn new(most: usize, most_per_address: usize) -> Arc<Self> {
        Arc::new(Self { most, most_per_address, counts: Mutex::default() })
    }

    /// Lets a connection from `address` in; None if there are too many.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Admitted> {
        let mut counts = self.counts();
        let of_address = counts.by_address.get(&address).copied().unwrap_or(0);
        if counts.all >= self.most || of_address >= self.most_per_address {
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(address, of_address + 1);
        drop(counts);
        Some(Admitted { admission: Arc::clone(self), address })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // No call panics while it holds the lock.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut counts = self.admission.counts();
        counts.all -= 1;
        let of_address = counts.by_address.remove(&self.address).unwrap_or(1) - 1;
        if of_address > 0 {
            counts.by_address.insert(self.address, of_address);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn an_address_has_its_share() {
        let admission = Admission::new(10, 2);
        let first = admission.admit(address(1));
        let second = admission.admit(address(1));
        assert!(first.is_some() && second.is_some());
        assert!(admission.admit(address(1)).is_none());
        assert!(admission.admit(address(2)).is_some());
        drop(first);
        assert!(admission.admit(address(1)).is_some());
    }

    #[test]
    fn all_together_have_theirs_and_nothing_is_kept_of_the_gone() {
        let admission = Admission::new(2, 2);
        let held = [admission.admit(address(1)), admission.admit(address(2))];
        assert!(held.iter().all(Option::is_some));
        assert!(admission.admit(address(3)).is_none());
        drop(held);
        assert!(admission.counts().by_address.is_empty());
        assert!(admission.admit(address(3)).is_some());
    }
}
