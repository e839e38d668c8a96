//! When a file that is held may be given away without asking.

use std::time::Duration;

use proto::Wall;

use super::Class;

/// When a file was seen upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When the upstream began to answer with the version that is held.
    pub fetched: Wall,
    /// When the upstream was last asked whether that is still the one: before its answer came.
    pub asked: Wall,
}

/// Need the upstream not be asked now? `vouchers` are those of [`super::vouchers`] that are held.
#[must_use]
pub fn is_fresh(
    class: Class,
    seen: Seen,
    vouchers: impl IntoIterator<Item = Seen>,
    fresh: Duration,
    now: Wall,
) -> bool {
    match class {
        Class::Immutable => true,
        // A clock that was set back knows nothing of what was asked "later".
        Class::Index => {
            seen.asked <= now && now < seen.asked.plus(fresh) && is_coherent(class, seen, vouchers)
        }
    }
}

/// May it be given away when no upstream answers? Not an index that was last asked after before one of its vouchers
/// changed: a machine must not get a new `InRelease` with an old `Packages`.
#[must_use]
pub fn is_coherent(class: Class, seen: Seen, vouchers: impl IntoIterator<Item = Seen>) -> bool {
    match class {
        Class::Immutable => true,
        Class::Index => vouchers.into_iter().all(|voucher| seen.asked >= voucher.fetched),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH: Duration = Duration::from_secs(30);

    fn seen(fetched: u64, asked: u64) -> Seen {
        Seen { fetched: Wall(fetched * 1_000), asked: Wall(asked * 1_000) }
    }

    fn fresh(held: Seen, vouchers: &[Seen], now: u64) -> bool {
        is_fresh(Class::Index, held, vouchers.iter().copied(), FRESH, Wall(now * 1_000))
    }

    #[test]
    fn an_index_is_fresh_for_a_while() {
        assert!(fresh(seen(10, 100), &[], 100) && fresh(seen(10, 100), &[], 129));
        assert!(!fresh(seen(10, 100), &[], 130));
        assert!(!fresh(seen(10, 100), &[], 99), "the clock was set back");
    }

    #[test]
    fn what_never_changes_is_never_asked_after() {
        let ages = is_fresh(Class::Immutable, seen(1, 1), [seen(5, 5)], FRESH, Wall(9_000_000_000));
        assert!(ages);
        assert!(is_coherent(Class::Immutable, seen(1, 1), [seen(5, 5)]));
    }

    #[test]
    fn an_index_is_asked_after_again_once_its_release_has_changed() {
        let packages = seen(10, 100);
        assert!(fresh(packages, &[seen(90, 110)], 110), "the release is older");
        assert!(!fresh(packages, &[seen(105, 105)], 110), "the release is newer");
        assert!(!fresh(packages, &[seen(90, 90), seen(101, 101)], 110), "one of them is");
        assert!(fresh(seen(10, 106), &[seen(105, 105)], 110), "it was asked after since");
    }

    #[test]
    fn nothing_older_than_its_release_is_given_away_stale() {
        assert!(is_coherent(Class::Index, seen(10, 100), [seen(90, 500)]), "of one generation, however old");
        assert!(!is_coherent(Class::Index, seen(10, 100), [seen(101, 500)]));
    }
}
