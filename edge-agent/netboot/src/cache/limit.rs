//! How fast a site may take bytes from afar: a rate for each time of the week, kept by a token bucket.
//!
//! Who receives pays for what has come and waits until the bucket is no longer in debt before it receives more. What a
//! machine waits for goes first in the same budget: the rest waits until the bucket is half full, which it never is
//! while a machine's fetch takes all that there is. At no time does more than [`BURST`]'s worth go at once, beside what
//! was received in one piece.

use std::time::Duration;

use proto::plan::Wan;

use super::need::Need;
use crate::time::{Mono, Now};

/// What may go at once after a quiet time.
pub const BURST: Duration = Duration::from_millis(100);
/// The longest wait that is told at one time, and for how long a rate holds: it may be another one then.
const LOOK: Duration = Duration::from_secs(1);

/// Bytes per second; None: as fast as it goes.
pub type Rate = Option<u64>;

/// The bucket of one site's link.
#[derive(Debug, Clone)]
pub struct Limit {
    wan: Wan,
    rate: Rate,
    /// When the week is looked at again.
    look: Mono,
    /// In millionths of a byte, so that slow rates lose nothing to rounding; negative: in debt.
    level: i128,
    /// When the level was right.
    at: Mono,
}

const MILLIONTHS: i128 = 1_000_000;

impl Limit {
    /// A full bucket.
    #[must_use]
    pub fn new(now: Now, wan: Wan) -> Self {
        let rate = wan.limit_at(now.wall).bytes_per_second();
        Self { level: capacity(rate), wan, rate, look: now.mono.plus(LOOK), at: now.mono }
    }

    /// These rates from now on. Debts stay.
    pub fn set(&mut self, now: Now, wan: Wan) {
        if self.wan != wan {
            self.refill(now);
            (self.wan, self.look) = (wan, Mono::default());
            self.refill(now);
        }
    }

    /// The rate at this moment.
    pub fn rate(&mut self, now: Now) -> Rate {
        self.refill(now);
        self.rate
    }

    /// So many bytes have come.
    pub fn spend(&mut self, now: Now, bytes: u64) {
        self.refill(now);
        if self.rate.is_some() {
            self.level = self.level.saturating_sub(i128::from(bytes).saturating_mul(MILLIONTHS));
        }
    }

    /// How long who fetches for this need waits before it receives more, and then asks again; None: it need not.
    #[must_use]
    pub fn wait(&mut self, now: Now, need: Need) -> Option<Duration> {
        self.refill(now);
        let rate = self.rate?;
        let enough = match need {
            Need::Waiting => 1,
            Need::Order | Need::Boot | Need::Prefetch => capacity(self.rate) / 2,
        };
        let short = enough.saturating_sub(self.level);
        if short <= 0 {
            return None;
        }
        let micros = short.unsigned_abs().div_ceil(u128::from(rate));
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)).min(LOOK))
    }

    fn refill(&mut self, now: Now) {
        let elapsed = i128::try_from(now.mono.since(self.at).as_micros()).unwrap_or(i128::MAX);
        self.at = self.at.max(now.mono);
        let rate = self.rate.map_or(0, i128::from);
        self.level = self.level.saturating_add(elapsed.saturating_mul(rate));
        if now.mono >= self.look {
            self.rate = self.wan.limit_at(now.wall).bytes_per_second();
            self.look = now.mono.plus(LOOK);
        }
        self.level = self.level.min(capacity(self.rate));
    }
}

fn capacity(rate: Rate) -> i128 {
    let burst = i128::try_from(BURST.as_micros()).unwrap_or_default();
    rate.map_or(0, |rate| i128::from(rate).saturating_mul(burst))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use proto::{RateLimit, Wall, plan::WanWindow};

    use super::*;

    /// Monday, 2 March 2026, 00:00 UTC.
    const MONDAY: Wall = Wall(1_772_409_600_000);
    const MINUTE: Duration = Duration::from_secs(60);

    fn at(after: Duration) -> Now {
        Now { mono: Mono(after), wall: MONDAY.plus(after) }
    }

    fn constant(bytes_per_second: u64) -> Wan {
        Wan { usual: RateLimit::bits(bytes_per_second * 8), ..Wan::default() }
    }

    /// Receives in pieces for as long as it may; what came, and when.
    fn receive(
        limit: &mut Limit,
        from: Duration,
        until: Duration,
        need: Need,
        piece: u64,
    ) -> Vec<(Duration, u64)> {
        let (mut now, mut came) = (from, Vec::new());
        while now < until {
            match limit.wait(at(now), need) {
                Some(wait) => now += wait,
                None => {
                    limit.spend(at(now), piece);
                    came.push((now, piece));
                }
            }
        }
        came
    }

    #[test]
    fn the_rate_is_kept_without_bursts() {
        const RATE: u64 = 1_000_000;
        const PIECE: u64 = 16 << 10;
        for need in [Need::Waiting, Need::Prefetch] {
            let mut limit = Limit::new(at(Duration::ZERO), constant(RATE));
            let from = Duration::from_secs(3_600);
            let came = receive(&mut limit, from, from + MINUTE, need, PIECE);
            let sum: u64 = came.iter().map(|(_, bytes)| bytes).sum();
            assert!((59 * RATE..=61 * RATE).contains(&sum), "{sum}");
            for (place, (begin, _)) in came.iter().enumerate() {
                let mut sum = 0;
                for (moment, bytes) in &came[place..(place + 200).min(came.len())] {
                    sum += bytes;
                    let micros = (*moment - *begin + BURST).as_micros() as u64;
                    assert!(sum <= micros * RATE / 1_000_000 + PIECE, "{sum} within {micros} us");
                }
            }
        }
    }

    #[test]
    fn a_machine_goes_before_prefetch_and_leaves_it_what_it_does_not_take() {
        const RATE: u64 = 10_000_000;
        let mut limit = Limit::new(at(Duration::ZERO), constant(RATE));
        let (mut waiting, mut prefetched) = (0, 0);
        let mut tick = |n: u64, asks: bool| {
            let now = at(Duration::from_micros(100 * n));
            if asks && limit.wait(now, Need::Waiting).is_none() {
                limit.spend(now, 4_096);
                waiting += 4_096;
            }
            if limit.wait(now, Need::Prefetch).is_none() {
                limit.spend(now, 4_096);
                prefetched += 4_096;
            }
            (waiting, prefetched)
        };
        (0..100_000).for_each(|n| _ = tick(n, false));
        let (_, alone) = tick(100_000, false);
        assert!(alone >= RATE * 99 / 10, "prefetch alone has all of it: {alone}");
        (100_001..200_000).for_each(|n| _ = tick(n, true));
        let (waiting, both) = tick(200_000, true);
        assert!(waiting >= RATE * 99 / 10, "a machine has all of it: {waiting}");
        assert!(both - alone <= RATE / 10, "prefetch takes what is in the bucket at most: {}", both - alone);
    }

    #[test]
    fn without_a_rate_nobody_waits_and_a_rate_takes_hold_in_time() {
        let window = WanWindow { days: 0x7f, from: 1, to: 2, rate: RateLimit::bits(8_000) };
        let mut limit = Limit::new(at(Duration::ZERO), Wan { windows: vec![window], ..Wan::default() });
        limit.spend(at(Duration::ZERO), u64::MAX);
        assert_eq!(limit.wait(at(Duration::ZERO), Need::Waiting), None);
        assert_eq!(limit.rate(at(MINUTE)), Some(1_000));
        limit.spend(at(MINUTE), 3_100);
        assert_eq!(limit.wait(at(MINUTE), Need::Waiting), Some(LOOK));
        assert_eq!(limit.wait(at(MINUTE * 2), Need::Waiting), None, "the minute is over");
        limit.set(at(MINUTE * 2), constant(1));
        assert_eq!(limit.rate(at(MINUTE * 2)), Some(1), "another plan holds at once");
    }

    proptest! {
        #[test]
        fn no_time_and_no_rate_panics(
            steps in prop::collection::vec((any::<u64>(), any::<u64>(), any::<u64>(), any::<u64>()), 1..20),
            rate: u64,
        ) {
            let wan = Wan { usual: RateLimit::bits(rate), ..Wan::default() };
            let mut limit = Limit::new(Now::default(), wan);
            for (mono, nanos, wall, bytes) in steps {
                let mono = Mono(Duration::new(mono, (nanos % 1_000_000_000) as u32));
                // A year that the zone's calendar has.
                let now = Now { mono, wall: Wall(wall % (1 << 47)) };
                limit.spend(now, bytes);
                let wait = limit.wait(now, Need::Prefetch);
                prop_assert!(wait.is_none_or(|wait| wait <= LOOK));
            }
        }
    }
}
