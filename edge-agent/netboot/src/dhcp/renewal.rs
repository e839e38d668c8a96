//! Which renewals are told of: a week of all of them would fill the journal, and without any the controller would take a
//! lease that stands for one that is over.

use std::{net::Ipv4Addr, time::Duration};

use proto::{Wall, ledger::Lease};

/// Renewals of one lease are told of once in this time at most: five hundred leases make 84,000 such events in a week, of
/// which the journal keeps the newest of each address alone.
const PAUSE: Duration = Duration::from_secs(3_600);

/// What was told of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) address: Ipv4Addr,
    /// When.
    pub(super) at: Wall,
    /// That it ends then.
    pub(super) until: Wall,
}

impl Told {
    /// Of this lease, now.
    pub(super) fn of(lease: &Lease, at: Wall) -> Self {
        Self { address: lease.address, at, until: lease.until }
    }

    /// Is this renewal to be told of? The machine renews again when half of its time is over (RFC 2131 §4.4.5): what was
    /// told before must hold until then.
    pub(super) fn is_due(told: Option<Self>, renewed: &Lease, now: Wall) -> bool {
        let Some(told) = told.filter(|told| told.address == renewed.address) else { return true };
        let next = now.plus(renewed.until.since(now) / 2);
        told.until <= next && now.since(told.at) >= PAUSE
    }
}

#[cfg(test)]
mod tests {
    use proto::{Mac, ledger::LeaseKey};

    use super::*;

    const HOUR: u64 = 3_600;

    fn lease(until: Wall) -> Lease {
        let network = "10.1.0.0/24".parse().expect("a network");
        Lease { key: LeaseKey { mac: Mac([2; 6]), network }, address: [10, 1, 0, 9].into(), until }
    }

    /// How many of the renewals of `days` are told of, and for how long at the most the last word was over.
    fn told(lease_time: u64, days: u64) -> (usize, Duration) {
        let life = Duration::from_secs(lease_time);
        let mut now = Wall(1);
        let mut told = Told::of(&lease(now.plus(life)), now);
        let (mut count, mut stale) = (0, Duration::ZERO);
        for _ in 0..days * 24 * HOUR / (lease_time / 2) {
            now = now.plus(life / 2);
            stale = stale.max(now.since(told.until));
            let renewed = lease(now.plus(life));
            if Told::is_due(Some(told), &renewed, now) {
                (told, count) = (Told::of(&renewed, now), count + 1);
            }
        }
        (count, stale)
    }

    #[test]
    fn what_was_told_holds_until_the_next_word_and_a_week_stays_small() {
        assert_eq!(told(12 * HOUR, 7), (28, Duration::ZERO));
        assert_eq!(told(2 * HOUR, 7), (168, Duration::ZERO));
        let (count, stale) = told(600, 7);
        assert!(count <= 7 * 24 && stale < PAUSE, "{count} in a week, {stale:?} too late");
    }

    #[test]
    fn the_first_renewal_since_a_restart_is_told_and_one_of_another_address() {
        let now = Wall(1);
        let renewed = lease(now.plus(Duration::from_secs(HOUR)));
        assert!(Told::is_due(None, &renewed, now));
        let other = Told { address: [10, 1, 0, 8].into(), ..Told::of(&renewed, now) };
        assert!(Told::is_due(Some(other), &renewed, now));
        assert!(!Told::is_due(Some(Told::of(&renewed, now)), &renewed, now));
    }
}
