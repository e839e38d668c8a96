//! What the log says of something that fails again and again: once when it begins, when the reason changes, at growing
//! intervals while it lasts, and when it is over.

use std::{
    error::Error,
    time::{Duration, Instant},
};

/// The first and the longest interval between two lines about the same failure.
const INTERVALS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(3_600));
/// The least time between two lines, however the reasons change.
const LEAST: Duration = Duration::from_secs(5);

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// Something that works, or does not.
#[derive(Debug, Default)]
pub(crate) struct Outage(Option<Since>);

#[derive(Debug)]
struct Since {
    began: Instant,
    failures: u64,
    said: Instant,
    interval: Duration,
    reason: String,
}

/// What is worth a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lasting {
    /// For how long it has failed, in seconds.
    pub(crate) seconds: u64,
    /// How often.
    pub(crate) failures: u64,
}

impl Outage {
    /// It has failed. Some: that is worth a line.
    pub(crate) fn failed(&mut self, now: Instant, reason: String) -> Option<Lasting> {
        let Some(since) = &mut self.0 else {
            self.0 = Some(Since { began: now, failures: 1, said: now, interval: INTERVALS.0, reason });
            return Some(Lasting { seconds: 0, failures: 1 });
        };
        since.failures += 1;
        let quiet = now.duration_since(since.said);
        if since.reason != reason && quiet >= LEAST {
            since.interval = INTERVALS.0;
        } else if quiet >= since.interval {
            since.interval = (since.interval * 2).min(INTERVALS.1);
        } else {
            return None;
        }
        (since.said, since.reason) = (now, reason);
        let seconds = now.duration_since(since.began).as_secs();
        Some(Lasting { seconds, failures: since.failures })
    }

    /// It works. Some: it did not until now.
    pub(crate) fn over(&mut self, now: Instant) -> Option<Lasting> {
        let since = self.0.take()?;
        let seconds = now.duration_since(since.began).as_secs();
        Some(Lasting { seconds, failures: since.failures })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_said_at_growing_intervals() {
        let (mut outage, began) = (Outage::default(), Instant::now());
        let second = |n| began + Duration::from_secs(n);
        let said = (0..20_000).step_by(10).filter(|n| outage.failed(second(*n), "refused".into()).is_some());
        assert_eq!(
            said.collect::<Vec<_>>(),
            [0, 60, 180, 420, 900, 1_860, 3_780, 7_380, 10_980, 14_580, 18_180]
        );
        assert_eq!(outage.over(second(20_000)), Some(Lasting { seconds: 20_000, failures: 2_000 }));
        assert_eq!(outage.over(second(20_001)), None, "it is said once");
        let again = outage.failed(second(20_002), "refused".into());
        assert_eq!(again, Some(Lasting { seconds: 0, failures: 1 }));
    }

    #[test]
    fn another_reason_is_said_soon_and_reasons_that_alternate_do_not_flood() {
        let (mut outage, began) = (Outage::default(), Instant::now());
        let mut failed = |n, why: &str| outage.failed(began + Duration::from_secs(n), why.into()).is_some();
        assert!(failed(0, "refused"));
        assert!(!failed(1, "timed out") && !failed(4, "refused"));
        assert!(failed(5, "timed out") && !failed(6, "timed out"));
        assert!(!failed(64, "timed out") && failed(65, "timed out"));
    }
}
