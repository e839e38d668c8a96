//! How long a source may be silent, and how little it may give while others could give more.
//!
//! Counts the source's time alone: what we take to write, or wait for the WAN's rate, is not held against it. Whether others
//! can be asked is for the caller to know.

use std::time::Duration;

use tokio::time::Instant;

/// Who gives fewer bytes than this in the time in which silence would be a stall only drips.
pub(crate) const LEAST: u64 = 64 << 10;

/// What came of one answer, and when.
#[derive(Debug)]
pub(crate) struct Pace {
    patience: Duration,
    silent: Instant,
    drips: Instant,
    /// Since `drips` was set.
    bytes: u64,
}

impl Pace {
    /// Begins now.
    pub(crate) fn new(now: Instant, patience: Duration) -> Self {
        let due = now + patience;
        Self { patience, silent: due, drips: due, bytes: 0 }
    }

    /// When it has stalled if nothing comes until then.
    pub(crate) fn silent(&self) -> Instant {
        self.silent
    }

    /// So many bytes came.
    pub(crate) fn came(&mut self, now: Instant, bytes: u64) {
        self.bytes += bytes;
        self.silent = now + self.patience;
        if self.bytes >= LEAST {
            self.begin_anew(now);
        }
    }

    /// So long it was we who did not read.
    pub(crate) fn excuse(&mut self, time: Duration) {
        self.silent += time;
        self.drips += time;
    }

    /// Too little came. Nobody else may do better: that is for the caller to see, and then it begins anew.
    pub(crate) fn drips(&self, now: Instant) -> bool {
        now >= self.drips
    }

    /// What came so far is enough.
    pub(crate) fn begin_anew(&mut self, now: Instant) {
        self.drips = now + self.patience;
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn who_gives_little_drips_and_who_is_slow_does_not() {
        let start = Instant::now();
        let (mut dripping, mut slow) = (Pace::new(start, 15 * SECOND), Pace::new(start, 15 * SECOND));
        for second in 1..60 {
            let now = start + second * SECOND;
            dripping.came(now, 1);
            slow.came(now, LEAST / 10);
            assert_eq!(dripping.drips(now), second >= 15, "{second}");
            assert!(!slow.drips(now), "{second}");
            assert_eq!(dripping.silent(), now + 15 * SECOND);
        }
        let now = start + 60 * SECOND;
        dripping.begin_anew(now);
        assert!(!dripping.drips(now));
    }

    #[test]
    fn our_own_time_is_not_held_against_it() {
        let start = Instant::now();
        let mut pace = Pace::new(start, 15 * SECOND);
        pace.excuse(10 * SECOND);
        assert!(!pace.drips(start + 20 * SECOND));
        assert_eq!(pace.silent(), start + 25 * SECOND);
    }
}
