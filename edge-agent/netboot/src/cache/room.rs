//! What the cache has room for within its budget, and what may give way.
//!
//! What is being filled counts with its whole size. What an order or a host of the plan needs never gives way. A machine
//! that waits, and an order, get what they need beyond the budget too: the budget is a wish, and the disk has a limit of
//! its own. What nobody waits for stops at it, and of that only what belongs to the [goal](super::goal) is fetched.

use super::need::Need;

/// How full the cache is, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Room {
    /// What it may take.
    pub budget: u64,
    /// Whole blobs that an order or a host of the plan needs.
    pub held_indispensable: u64,
    /// Whole blobs of the goal that are to be held, and nothing more.
    pub held_prefetched: u64,
    /// The whole sizes of what is being filled.
    pub filling: u64,
}

/// Whether a blob is fetched now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Yes, once at most so many bytes of whole blobs are left; what goes for it may be what is not of the goal.
    Beyond(u64),
    /// The same, and what is merely prefetched goes too.
    Prefetched(u64),
    /// There is no room that it may take.
    No,
}

impl Room {
    /// Is a blob of `size` bytes fetched under this need? `within`: it belongs to the goal.
    #[must_use]
    pub fn admit(&self, need: Need, within: bool, size: u64) -> Admission {
        let left = self.budget.saturating_sub(self.filling).saturating_sub(size);
        let fits = self.filling.saturating_add(size) <= self.budget;
        let of_goal = self.held_indispensable.saturating_add(self.held_prefetched);
        match need {
            Need::Prefetch if !within => Admission::No,
            _ if fits && of_goal <= left => Admission::Beyond(left),
            Need::Waiting | Need::Order => Admission::Prefetched(left),
            Need::Boot if fits && self.held_indispensable <= left => Admission::Prefetched(left),
            Need::Boot | Need::Prefetch => Admission::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Room = Room { budget: 100, held_indispensable: 50, held_prefetched: 20, filling: 10 };

    #[test]
    fn what_is_not_of_the_goal_goes_first() {
        for need in [Need::Waiting, Need::Order, Need::Boot, Need::Prefetch] {
            assert_eq!(ROOM.admit(need, true, 20), Admission::Beyond(70));
        }
    }

    #[test]
    fn prefetch_evicts_nothing_of_the_goal_and_a_boot_does() {
        assert_eq!(ROOM.admit(Need::Prefetch, true, 21), Admission::No);
        assert_eq!(ROOM.admit(Need::Boot, true, 21), Admission::Prefetched(69));
        assert_eq!(ROOM.admit(Need::Boot, true, 40), Admission::Prefetched(50));
    }

    #[test]
    fn what_is_beyond_the_goal_is_fetched_for_a_machine_alone() {
        assert_eq!(ROOM.admit(Need::Prefetch, false, 1), Admission::No);
        assert_eq!(ROOM.admit(Need::Waiting, false, 1), Admission::Beyond(89));
    }

    #[test]
    fn beyond_the_budget_only_those_go_who_cannot_wait() {
        assert_eq!(ROOM.admit(Need::Boot, true, 41), Admission::No);
        assert_eq!(ROOM.admit(Need::Order, true, 41), Admission::Prefetched(49));
        assert_eq!(ROOM.admit(Need::Waiting, true, 1_000), Admission::Prefetched(0));
        assert_eq!(ROOM.admit(Need::Prefetch, true, u64::MAX), Admission::No);
    }
}
