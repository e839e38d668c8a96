//! Addresses that were asked for ahead of time, so that an operating system need not wait for its offer.
//!
//! For each link on which systems ask for addresses a few stand ready that nobody has answered for of late. There are the more
//! of them the faster they are taken; they are asked for one at a time. Whoever takes one has its offer at once, and the
//! address is asked for again while the machine makes up its mind, as firmware's is.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::Ipv4Addr,
    time::Duration,
};

use ipnet::Ipv4Net;
use proto::Range;

use super::probe::Pool;
use crate::time::Mono;

/// How long nobody's answer holds for an address that nobody has: a machine that came since may have taken it.
pub(super) const FRESH: Duration = Duration::from_secs(180);
/// Addresses that stand ready on a link at least, and at most.
const LEAST: usize = 2;
const MOST: usize = 64;
/// Between two questions on one link.
const PACE: Duration = Duration::from_millis(50);
/// Who had to wait comes first.
const FIRST: Duration = Duration::from_secs(1);
/// How soon a pool without a free address is looked through again.
const FULL: Duration = Duration::from_secs(60);
/// A link on which no system has asked for so long is left in peace.
const IDLE: Duration = Duration::from_secs(3_600);
/// Links with addresses that stand ready, at most.
const LINKS: usize = 256;

/// The links.
#[derive(Debug, Default)]
pub(super) struct Ahead(BTreeMap<Ipv4Net, Shelf>);

/// What stands ready on one link.
#[derive(Debug)]
struct Shelf {
    /// The interface at which the link is.
    wire: u32,
    pool: Pool,
    ranges: Vec<Range>,
    /// Within the ranges or not, these are nobody's.
    never: BTreeSet<Ipv4Addr>,
    /// Where the search goes on: the last address that was asked for.
    cursor: Ipv4Addr,
    /// In the order in which they were asked for.
    asked: VecDeque<(Mono, Ipv4Addr)>,
    wanted: usize,
    used: Mono,
    next: Mono,
}

/// A question that is due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    pub(super) link: Ipv4Net,
    pub(super) wire: u32,
    pub(super) pool: Pool,
}

impl Ahead {
    /// A system asks for any address: those that were asked for, the first one first. Of a link that is new to us none.
    pub(super) fn offer(
        &mut self,
        now: Mono,
        wire: u32,
        pool: Pool,
        ranges: impl Iterator<Item = Range>,
        never: impl Iterator<Item = Ipv4Addr>,
    ) -> Vec<Ipv4Addr> {
        if let Some(shelf) = self.0.get_mut(&pool.link) {
            (shelf.used, shelf.wire) = (now, wire);
            return shelf.asked.iter().map(|(_, address)| *address).collect();
        }
        let ranges: Vec<Range> = ranges.collect();
        if let Some(first) = ranges.first().filter(|_| self.0.len() < LINKS).map(|range| range.first()) {
            let (asked, never, next) = (VecDeque::new(), never.collect(), now.plus(FIRST));
            let shelf =
                Shelf { wire, pool, ranges, never, cursor: first, asked, wanted: LEAST, used: now, next };
            self.0.insert(pool.link, shelf);
        }
        Vec::new()
    }

    /// An address of a link was offered to a system. Where it was the last one, more are to stand ready.
    pub(super) fn took(&mut self, now: Mono, link: Ipv4Net, address: Ipv4Addr) {
        let Some(shelf) = self.0.get_mut(&link) else { return };
        let before = shelf.asked.len();
        shelf.asked.retain(|(_, known)| *known != address);
        if shelf.asked.len() == before {
            return;
        }
        if shelf.asked.is_empty() {
            shelf.wanted = (shelf.wanted * 2).min(MOST);
        }
        shelf.next = shelf.next.min(now.plus(PACE));
    }

    /// An address is somebody's.
    pub(super) fn forget(&mut self, address: Ipv4Addr) {
        for shelf in self.0.values_mut() {
            shelf.asked.retain(|(_, known)| *known != address);
        }
    }

    /// Another plan may have other pools.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// When [`Self::due`] is due.
    pub(super) fn next_end(&self) -> Option<Mono> {
        self.0.values().map(|shelf| shelf.next).min()
    }

    /// The links on which one more address is to be asked for now.
    pub(super) fn due(&mut self, now: Mono) -> Vec<Due> {
        if self.next_end().is_none_or(|next| next > now) {
            return Vec::new();
        }
        self.0.retain(|_, shelf| now.since(shelf.used) < IDLE);
        let due = self.0.iter_mut().filter_map(|(link, shelf)| {
            let (wire, pool) = (shelf.wire, shelf.pool);
            shelf.is_due(now).then_some(Due { link: *link, wire, pool })
        });
        due.collect()
    }

    /// The pools of a link from the last address that was asked for on, each address once.
    pub(super) fn search(&self, link: Ipv4Net) -> impl Iterator<Item = Range> {
        let (ranges, cursor) =
            self.0.get(&link).map_or((&[][..], 0), |shelf| (shelf.ranges.as_slice(), shelf.cursor.to_bits()));
        let behind = move |range: &Range| {
            let from = cursor.checked_add(1)?.max(range.first().to_bits());
            Range::new(from.into(), range.last())
        };
        let before = move |range: &Range| Range::new(range.first(), range.last().min(cursor.into()));
        ranges.iter().filter_map(behind).chain(ranges.iter().filter_map(before))
    }

    /// Is an address of a link's pools never leased?
    pub(super) fn is_unleasable(&self, link: Ipv4Net, address: Ipv4Addr) -> bool {
        self.0.get(&link).is_some_and(|shelf| shelf.never.contains(&address))
    }

    /// The wire is asked for this address of a link.
    pub(super) fn ask(&mut self, now: Mono, link: Ipv4Net, address: Option<Ipv4Addr>) {
        let Some(shelf) = self.0.get_mut(&link) else { return };
        let Some(address) = address else {
            shelf.next = now.plus(FULL);
            return;
        };
        shelf.cursor = address;
        shelf.asked.push_back((now, address));
        shelf.next = if shelf.asked.len() < shelf.wanted { now.plus(PACE) } else { shelf.next_stale() };
    }
}

impl Shelf {
    /// Lets go what has stood there for too long, and says whether there is room.
    fn is_due(&mut self, now: Mono) -> bool {
        if self.next > now {
            return false;
        }
        if now.since(self.used) >= FRESH {
            self.wanted = LEAST;
        }
        self.asked.retain(|(at, _)| now.since(*at) < FRESH);
        let due = self.asked.len() < self.wanted;
        if !due {
            self.next = self.next_stale();
        }
        due
    }

    fn next_stale(&self) -> Mono {
        self.asked.front().map_or(Mono(Duration::MAX), |(at, _)| at.plus(FRESH))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 1, 0, 0), 24);
    const POOL: Pool = Pool { link: LINK, addresses: 8 };

    fn at(milliseconds: u64) -> Mono {
        Mono(Duration::from_millis(milliseconds))
    }

    fn ranges() -> [Range; 2] {
        ["10.1.0.10-10.1.0.13", "10.1.0.20-10.1.0.23"].map(|range| range.parse().expect("a range"))
    }

    fn offer(ahead: &mut Ahead, now: Mono) -> Vec<u8> {
        let offered = ahead.offer(now, 3, POOL, ranges().into_iter(), std::iter::empty());
        offered.into_iter().map(|address| address.octets()[3]).collect()
    }

    /// Performs what is due; the addresses that were asked for.
    fn stock_up(ahead: &mut Ahead, now: Mono) -> Vec<u8> {
        let mut asked = Vec::new();
        for due in ahead.due(now) {
            let address = ahead.search(due.link).next().map(|range| range.first());
            ahead.ask(now, due.link, address);
            asked.extend(address.map(|address| address.octets()[3]));
        }
        asked
    }

    /// Everything until then.
    fn run(ahead: &mut Ahead, until: Mono) -> Vec<u8> {
        let mut asked = Vec::new();
        while let Some(next) = ahead.next_end().filter(|next| *next <= until) {
            asked.extend(stock_up(ahead, next));
        }
        asked
    }

    #[test]
    fn two_stand_ready_and_more_where_they_are_taken() {
        let mut ahead = Ahead::default();
        assert_eq!(offer(&mut ahead, at(0)), [0; 0]);
        assert_eq!(stock_up(&mut ahead, at(999)), [0; 0], "who waits comes first");
        assert_eq!(run(&mut ahead, at(5_000)), [11, 12]);
        assert_eq!(offer(&mut ahead, at(5_000)), [11, 12]);
        ahead.took(at(5_000), LINK, [10, 1, 0, 11].into());
        assert_eq!(run(&mut ahead, at(6_000)), [13]);
        for address in [12, 13] {
            ahead.took(at(6_000), LINK, [10, 1, 0, address].into());
        }
        assert_eq!(run(&mut ahead, at(7_000)), [20, 21, 22, 23], "twice as many, and round about");
        assert_eq!(offer(&mut ahead, at(7_000)), [20, 21, 22, 23]);
    }

    #[test]
    fn what_has_stood_for_long_is_asked_for_anew_and_a_link_is_left_in_peace() {
        let mut ahead = Ahead::default();
        offer(&mut ahead, at(0));
        run(&mut ahead, at(2_000));
        let fresh = 180_000;
        assert_eq!(run(&mut ahead, at(fresh)), [0; 0]);
        assert_eq!(run(&mut ahead, at(fresh + 2_000)).len(), 2);
        assert_eq!(offer(&mut ahead, at(fresh + 2_000)).len(), 2);
        let an_hour = fresh + 3_602_000;
        let questions = run(&mut ahead, at(an_hour)).len();
        assert!((30..=50).contains(&questions), "{questions}");
        assert_eq!(run(&mut ahead, at(10 * an_hour)), [0; 0]);
        assert_eq!(ahead.next_end(), None);
    }

    #[test]
    fn questions_are_paced_and_their_number_is_bounded() {
        let mut ahead = Ahead::default();
        let wide: Range = "10.1.0.1-10.1.0.254".parse().expect("a range");
        let mut asked = Vec::new();
        for second in 1..100 {
            let all = ahead.offer(at(second * 1_000), 3, POOL, std::iter::once(wide), std::iter::empty());
            all.iter().for_each(|address| ahead.took(at(second * 1_000), LINK, *address));
            asked.push(run(&mut ahead, at(second * 1_000 + 999)).len());
        }
        let most = asked.iter().max().copied().unwrap_or_default();
        assert!((10..=20).contains(&most), "one in 50 ms: {asked:?}");
        let rest = run(&mut ahead, at(110_000));
        assert!(
            ahead.offer(at(110_000), 3, POOL, std::iter::once(wide), std::iter::empty()).len() <= MOST,
            "{rest:?}"
        );
    }
}
