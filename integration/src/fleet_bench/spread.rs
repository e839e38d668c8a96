//! What a set of times comes to.

use std::fmt;
use std::time::Duration;

/// The middle, the slow end and the end of a set of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Half of them are no longer.
    pub p50: Duration,
    /// 99 of 100 are no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
    /// How many there are.
    pub count: usize,
}

impl Spread {
    /// None: there are none. By the nearest rank.
    #[must_use]
    pub fn of(mut times: Vec<Duration>) -> Option<Self> {
        times.sort_unstable();
        let rank =
            |percent: usize| times.get((times.len() * percent).div_ceil(100).saturating_sub(1)).copied();
        Some(Self { p50: rank(50)?, p99: rank(99)?, max: rank(100)?, count: times.len() })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let Self { p50, p99, max, count } = self;
        write!(out, "p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms of {count}", ms(*p50), ms(*p99), ms(*max))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_the_nearest() {
        let times = |count| (1..=count).rev().map(Duration::from_millis).collect();
        let spread = Spread::of(times(200)).expect("some");
        let ms = |count| Duration::from_millis(count);
        assert_eq!((spread.p50, spread.p99, spread.max), (ms(100), ms(198), ms(200)));
        assert_eq!(Spread::of(times(1)).map(|one| (one.p50, one.p99)), Some((ms(1), ms(1))));
        assert_eq!(Spread::of(Vec::new()), None);
    }
}
