//! How slowly a file may arrive: an upstream that only drips holds a turn to fetch, which others wait for.
//!
//! Within an answer each [`Limits::silence`] brings a little at least; and the file as a whole may take no longer than
//! [`Limits::grace`] and its share of seconds for its bytes, over all answers. Our own time does not count: what we take to
//! write, or wait for the WAN's rate.

use std::time::Duration;

use tokio::time::Instant;

use super::Limits;
use crate::fetch::pace::{LEAST, Pace};

/// How a file arrives.
#[derive(Debug)]
pub(super) struct Tempo {
    silence: Duration,
    grace: Duration,
    rate: u64,
    pace: Pace,
    /// When it began, our own time left out.
    began: Instant,
}

/// What is too slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TooSlow {
    /// The answer: so few bytes in so long.
    Drips(u64, Duration),
    /// The file.
    Whole,
}

impl Tempo {
    /// Begins now.
    pub(super) fn new(now: Instant, limits: &Limits) -> Self {
        let Limits { silence, grace, least_rate: rate, .. } = *limits;
        Self { silence, grace, rate, pace: Pace::new(now, silence), began: now }
    }

    /// Another answer begins.
    pub(super) fn begin_anew(&mut self, now: Instant) {
        self.pace = Pace::new(now, self.silence);
    }

    /// So many bytes came.
    pub(super) fn came(&mut self, now: Instant, bytes: u64) {
        self.pace.came(now, bytes);
    }

    /// So long it was we who did not read.
    pub(super) fn excuse(&mut self, time: Duration) {
        self.pace.excuse(time);
        self.began += time;
    }

    /// Of the file `written` bytes are there.
    pub(super) fn judge(&self, now: Instant, written: u64) -> Result<(), TooSlow> {
        if now.saturating_duration_since(self.began) > self.grace + self.share(written) {
            return Err(TooSlow::Whole);
        }
        if self.pace.drips(now) { Err(TooSlow::Drips(LEAST, self.silence)) } else { Ok(()) }
    }

    fn share(&self, bytes: u64) -> Duration {
        Duration::from_secs(bytes / self.rate.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Brings `bytes` each second until it is judged to be too slow, for at most a week.
    fn ends(bytes: u64) -> Option<(u32, TooSlow)> {
        let (start, limits) = (Instant::now(), Limits::default());
        let mut tempo = Tempo::new(start, &limits);
        let mut written = 0;
        (1..604_800).find_map(|second| {
            let now = start + second * SECOND;
            tempo.came(now, bytes);
            written += bytes;
            tempo.judge(now, written).err().map(|slow| (second, slow))
        })
    }

    #[test]
    fn who_drips_is_cut_off_and_who_is_slow_in_time() {
        let limits = Limits::default();
        assert_eq!(ends(1), Some((30, TooSlow::Drips(LEAST, limits.silence))));
        let (second, slow) = ends(LEAST / 30 + 1).expect("it would take for ever");
        assert_eq!(slow, TooSlow::Whole);
        assert!(Duration::from_secs(second.into()) <= 2 * limits.grace, "{second}");
        assert_eq!(ends(limits.least_rate), None);
    }

    #[test]
    fn our_own_time_does_not_count() {
        let (start, limits) = (Instant::now(), Limits::default());
        let mut tempo = Tempo::new(start, &limits);
        tempo.excuse(3_600 * SECOND);
        assert_eq!(tempo.judge(start + 3_601 * SECOND, 0), Ok(()));
        tempo.begin_anew(start + 4_500 * SECOND);
        assert_eq!(
            tempo.judge(start + 4_500 * SECOND, 0),
            Err(TooSlow::Whole),
            "another answer changes nothing"
        );
    }
}
