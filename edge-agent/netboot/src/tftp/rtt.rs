//! How long to wait for an acknowledgement: measured, with a floor, doubled after each time-out.
//!
//! Servers that wait a second after a loss give up 70-80 % of their rate at 0.5 % loss, so the time-out follows
//! the measured round trip (RFC 6298 §2, with a lower floor than TCP's: the peer is on the same link).

use std::time::Duration;

/// Bounds of the retransmission time-out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Before any round trip was measured.
    pub(super) first: Duration,
    /// Added to the round trip at least.
    pub(super) least: Duration,
    /// Never more.
    pub(super) most: Duration,
}

/// The round trip to one peer.
#[derive(Debug, Clone, Default)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    variation: Duration,
    shortest: Option<Duration>,
    doublings: u32,
}

impl RoundTrip {
    /// Takes in one measured round trip of something that was sent only once (Karn), and ends the back-off.
    ///
    /// One that is far shorter than all before begins anew: those held a client's wait after a loss on its side.
    pub(super) fn measured(&mut self, took: Duration) {
        match self.smoothed.filter(|smoothed| took >= *smoothed / 8) {
            None => self.begin_anew(took),
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(took)) / 4;
                self.smoothed = Some((smoothed * 7 + took) / 8);
                self.doublings = 0;
            }
        }
        self.shortest = Some(self.shortest.map_or(took, |shortest| shortest.min(took)));
    }

    /// Something was acknowledged that measures nothing: take back one step of the back-off.
    pub(super) fn advanced(&mut self) {
        self.doublings = self.doublings.saturating_sub(1);
    }

    /// What was sent again after a time-out was acknowledged after so long. Karn: that may be an answer to what was sent
    /// before. It measures nothing, but it ends the back-off where it fits what was measured: then the path is as it was,
    /// and loses packets. Where it came sooner than anything before, after one time-out, it answers what was sent before,
    /// on a path that has become slower: the longer time-out stands, so that the next block measures the path. Only what is as
    /// long as clients wait by themselves is no path, but such a wait, and an answer at once shows that.
    pub(super) fn answered_again(&mut self, took: Duration, bounds: &Bounds) {
        match self.smoothed {
            Some(smoothed) if took < smoothed / 8 && smoothed >= bounds.first / 2 => self.begin_anew(took),
            Some(_) if self.doublings == 1 && self.shortest.is_some_and(|shortest| took < shortest) => {}
            Some(_) if took <= self.undoubled(bounds) => self.doublings = 0,
            Some(_) | None => self.advanced(),
        }
    }

    fn begin_anew(&mut self, took: Duration) {
        (self.smoothed, self.variation) = (Some(took), took / 2);
        self.doublings = 0;
    }

    /// A time-out passed: the next one is twice as long, until a round trip is measured.
    pub(super) fn back_off(&mut self) {
        self.doublings = (self.doublings + 1).min(16);
    }

    /// How long to wait for an acknowledgement.
    pub(super) fn timeout(&self, bounds: &Bounds) -> Duration {
        self.undoubled(bounds).saturating_mul(1 << self.doublings).min(bounds.most)
    }

    fn undoubled(&self, bounds: &Bounds) -> Duration {
        // RFC 6298 §2.3: a steady path has no variation, and a time-out of just the round trip fires too soon.
        let measured = self.smoothed.map(|smoothed| smoothed + (self.variation * 4).max(bounds.least));
        measured.unwrap_or(bounds.first)
    }

    /// The shortest round trip seen: what comes back sooner was sent before.
    pub(super) fn shortest(&self) -> Option<Duration> {
        self.shortest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        first: Duration::from_secs(1),
        least: Duration::from_millis(20),
        most: Duration::from_secs(4),
    };

    #[test]
    fn one_second_until_measured_then_a_floor() {
        let mut round_trip = RoundTrip::default();
        assert_eq!(round_trip.timeout(&BOUNDS), Duration::from_secs(1));
        round_trip.measured(Duration::from_micros(200));
        assert_eq!(round_trip.timeout(&BOUNDS), Duration::from_micros(20_200));
    }

    #[test]
    fn follows_a_slow_path() {
        let mut round_trip = RoundTrip::default();
        for _ in 0..50 {
            round_trip.measured(Duration::from_millis(100));
        }
        let timeout = round_trip.timeout(&BOUNDS);
        assert!(timeout >= Duration::from_millis(120) && timeout < Duration::from_millis(130), "{timeout:?}");
    }

    #[test]
    fn a_wait_that_was_measured_for_a_round_trip_is_forgotten() {
        let mut round_trip = RoundTrip::default();
        round_trip.measured(Duration::from_secs(1));
        assert_eq!(round_trip.timeout(&BOUNDS), Duration::from_secs(3));
        round_trip.measured(Duration::from_millis(1));
        assert_eq!(round_trip.timeout(&BOUNDS), Duration::from_millis(21));
    }

    #[test]
    fn an_answer_in_time_to_what_was_sent_again_ends_the_back_off() {
        let mut round_trip = RoundTrip::default();
        round_trip.measured(Duration::from_millis(1));
        (0..4).for_each(|_| round_trip.back_off());
        round_trip.answered_again(Duration::from_millis(200), &BOUNDS);
        assert_eq!(
            round_trip.timeout(&BOUNDS),
            Duration::from_millis(21 * 8),
            "the path may have become slow"
        );
        round_trip.answered_again(Duration::from_millis(2), &BOUNDS);
        assert_eq!(round_trip.timeout(&BOUNDS), Duration::from_millis(21), "it loses packets");
    }

    #[test]
    fn an_answer_at_once_after_a_long_time_out_shows_that_a_wait_was_measured() {
        let mut round_trip = RoundTrip::default();
        round_trip.measured(Duration::from_secs(1));
        round_trip.back_off();
        round_trip.answered_again(Duration::from_millis(1), &BOUNDS);
        assert_eq!(round_trip.timeout(&BOUNDS), Duration::from_millis(21));
    }

    #[test]
    fn a_late_answer_is_no_short_round_trip() {
        let mut round_trip = RoundTrip::default();
        (0..50).for_each(|_| round_trip.measured(Duration::from_millis(100)));
        let before = round_trip.timeout(&BOUNDS);
        // The path has come to take 125 ms: what was sent first is answered 5 ms after it was sent again.
        round_trip.back_off();
        round_trip.answered_again(Duration::from_millis(5), &BOUNDS);
        assert_eq!(round_trip.timeout(&BOUNDS), before * 2, "the next block is sent once, and measures");
        assert_eq!(round_trip.shortest(), Some(Duration::from_millis(100)));
        round_trip.measured(Duration::from_millis(125));
        let timeout = round_trip.timeout(&BOUNDS);
        assert!(timeout > Duration::from_millis(125) && timeout < Duration::from_millis(150), "{timeout:?}");
    }

    #[test]
    fn a_retransmission_is_never_the_shortest_round_trip() {
        let mut round_trip = RoundTrip::default();
        round_trip.measured(Duration::from_secs(1));
        round_trip.back_off();
        round_trip.answered_again(Duration::from_millis(1), &BOUNDS);
        assert_eq!(round_trip.shortest(), Some(Duration::from_secs(1)));
    }

    #[test]
    fn doubles_up_to_a_bound_and_recovers() {
        let mut round_trip = RoundTrip::default();
        round_trip.measured(Duration::from_millis(1));
        round_trip.back_off();
        assert_eq!(round_trip.timeout(&BOUNDS), Duration::from_millis(42));
        for _ in 0..100 {
            round_trip.back_off();
        }
        assert_eq!(round_trip.timeout(&BOUNDS), BOUNDS.most);
        round_trip.measured(Duration::from_millis(1));
        assert_eq!(round_trip.timeout(&BOUNDS), Duration::from_millis(21));
    }
}
