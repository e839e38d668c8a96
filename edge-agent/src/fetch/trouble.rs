//! When the log says that a source is in trouble, and when that it is over.
//!
//! One that fails and gives by turns is said to be in trouble once a minute at most: back-off bounds what it costs.

use std::time::{Duration, Instant};

use crate::outage::{Lasting, Outage};

/// The least time between an end that was said and the next beginning.
const QUIET: Duration = Duration::from_secs(60);

/// What the log knows of a source.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    outage: Outage,
    has_given: bool,
    /// When it was said to give again.
    over: Option<Instant>,
}

impl Trouble {
    /// It has failed. Some: that is worth a line.
    pub(super) fn failed(&mut self, now: Instant, why: String) -> Option<Lasting> {
        if self.over.is_some_and(|over| now.duration_since(over) < QUIET) {
            return None;
        }
        self.over = None;
        self.outage.failed(now, why)
    }

    /// Bytes have come from it. Some: they did not until now, and that was said.
    pub(super) fn gave(&mut self, now: Instant) -> Option<Lasting> {
        self.has_given = true;
        let lasted = self.outage.over(now)?;
        self.over = Some(now);
        Some(lasted)
    }

    /// Has it ever given anything?
    pub(super) fn has_given(&self) -> bool {
        self.has_given
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_fails_and_gives_by_turns_does_not_flood() {
        let (mut trouble, began) = (Trouble::default(), Instant::now());
        let (mut begun, mut over) = (0, 0);
        for second in 0..180 {
            let now = began + Duration::from_secs(second);
            begun += u32::from(trouble.failed(now, "refused".into()).is_some());
            over += u32::from(trouble.gave(now).is_some());
        }
        assert_eq!((begun, over), (3, 3));
    }
}
