//! The moment at which an engine is asked to act.
//!
//! A shell takes one [`Now`] per wake-up and hands it in; no engine reads a clock. Monotonic time drives
//! timers; wall time dates leases, orders and events. An agent never lets wall time fall below the highest
//! value it has recorded (DESIGN §5 "Time"); that rule is kept by whoever makes `Now`, not here.

use std::time::Duration;

pub use proto::Wall;

/// Monotonic time since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mono(pub Duration);

impl Mono {
    /// The moment `after` this one.
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        Self(self.0.saturating_add(after))
    }

    /// How long after `earlier` this moment is; zero if it is not after it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Both clocks, read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// For timers.
    pub mono: Mono,
    /// For dates.
    pub wall: Wall,
}

impl Now {
    /// Paper time: both clocks moved on by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self { mono: self.mono.plus(by), wall: self.wall.plus(by) }
    }
}
