//! News that came faster than they were heard: when to read in the store what was in them. Pure.
//!
//! A burst loses some again and again, and to look through the store for each time would keep the follower from ever
//! hearing again. So that is done once, when nothing was lost for a while, or has been for long.

use std::time::Duration;

use proto::Wall;

use super::table::SETTLED;

/// A burst is over when nothing was lost for so long.
const QUIET: Duration = SETTLED;
/// One that is not is looked through at the latest after so long.
const LONG: Duration = Duration::from_secs(60);
/// So much earlier than the last that was heard is looked: events are told a while after they happened.
const BEFORE: Duration = Duration::from_secs(60);

/// What was lost since the store was last looked through.
#[derive(Debug, Default)]
pub(super) struct Missed(Option<Burst>);

#[derive(Debug)]
struct Burst {
    heard: Wall,
    first: Wall,
    last: Wall,
}

impl Missed {
    /// Some was lost by now, which happened after everything up to `heard`.
    pub(super) fn note(&mut self, heard: Wall, now: Wall) {
        match &mut self.0 {
            Some(burst) => burst.last = now,
            None => self.0 = Some(Burst { heard, first: now, last: now }),
        }
    }

    /// When the store is to be looked through.
    pub(super) fn due(&self) -> Option<Wall> {
        let burst = self.0.as_ref()?;
        Some(burst.last.plus(QUIET).min(burst.first.plus(LONG)))
    }

    /// Up to when nothing is missing.
    pub(super) fn heard(&self) -> Option<Wall> {
        self.0.as_ref().map(|burst| burst.heard)
    }

    /// From when on the store is to be looked through now.
    pub(super) fn take(&mut self, now: Wall) -> Option<Wall> {
        self.due().filter(|due| *due <= now)?;
        self.0.take().map(|burst| burst.heard.minus(BEFORE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn second(second: u64) -> Wall {
        Wall(second * 1_000)
    }

    #[test]
    fn a_burst_is_looked_through_once_when_it_is_over() {
        let mut missed = Missed::default();
        assert_eq!((missed.due(), missed.take(second(1_000))), (None, None));
        for at in 100..=110 {
            missed.note(second(at - 1), second(at));
            assert_eq!(missed.take(second(at)), None, "it may lose more");
        }
        assert_eq!((missed.due(), missed.heard()), (Some(second(115)), Some(second(99))));
        assert_eq!(missed.take(second(115)), Some(second(39)));
        assert_eq!(missed.take(second(200)), None, "it was looked through");
    }

    #[test]
    fn one_that_does_not_end_is_looked_through_each_minute() {
        let mut missed = Missed::default();
        let mut looked = Vec::new();
        for at in 100..300 {
            missed.note(second(at), second(at));
            looked.extend(missed.take(second(at)).map(|_| at));
        }
        assert_eq!(looked, [160, 221, 282]);
    }
}
