//! What one load has measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Significant digits of a latency.
const DIGITS: u8 = 3;
/// The longest latency, an hour, in nanoseconds; longer ones count as this.
const LONGEST: u64 = 3_600_000_000_000;

/// The work that was done, how long it took, and how it went.
#[derive(Debug, Clone)]
pub struct Load {
    /// In the cell's unit.
    pub amount: u64,
    /// From the first request to the last answer, by the load's own clock.
    pub elapsed: Duration,
    /// Of each transfer, request or exchange.
    pub latencies: Latencies,
    /// What did not come, or came wrong. It is in no other figure.
    pub failed: u64,
    /// Other figures of this bench, by the name that its goals and tables use.
    pub extras: BTreeMap<&'static str, f64>,
}

impl Load {
    /// A load with no latencies, no failures and no other figures.
    #[must_use]
    pub fn new(amount: u64, elapsed: Duration) -> Self {
        Self { amount, elapsed, latencies: Latencies::default(), failed: 0, extras: BTreeMap::new() }
    }
}

/// How long things took; of any number of them, in constant memory.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        Self(Histogram::new_with_max(LONGEST, DIGITS).expect("a legal span and number of digits"))
    }
}

impl Latencies {
    /// Adds one.
    pub fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_nanos()).unwrap_or(LONGEST));
    }

    /// Adds all of another's.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same span");
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Of so many in a hundred, none took longer; None: there are none.
    #[must_use]
    pub fn percentile(&self, percent: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_nanos(self.0.value_at_percentile(percent)))
    }

    /// The longest; None: there are none.
    #[must_use]
    pub fn longest(&self) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_nanos(self.0.max()))
    }
}

impl Extend<Duration> for Latencies {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, all: T) {
        all.into_iter().for_each(|took| self.record(took));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let mut all = Latencies::default();
        assert_eq!(all.percentile(50.0), None);
        let mut half = all.clone();
        all.extend((1..=500).map(Duration::from_millis));
        half.extend((501..=1_000).map(Duration::from_millis));
        all.add(&half);
        assert_eq!(all.count(), 1_000);
        for (percent, millis) in [(50.0, 500.0), (99.0, 990.0), (100.0, 1_000.0)] {
            let found = all.percentile(percent).expect("there are some").as_secs_f64() * 1e3;
            assert!((found - millis).abs() <= millis / 500.0, "{percent}: {found}");
        }
        all.record(Duration::MAX);
        assert!(all.longest().expect("there are some") >= Duration::from_secs(3_600));
    }
}
