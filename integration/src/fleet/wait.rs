//! Waiting with a bound, a reason, and a way out for people.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::FleetError;

const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Set once somebody wants everything to end; all clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Every wait ends from now on.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was set.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// A wait for `what`, a noun, of at most `bound`.
    pub fn wait(&self, what: impl Into<String>, bound: Duration) -> Wait {
        Wait { what: what.into(), bound, interrupt: self.clone() }
    }
}

/// A wait that has not begun.
#[derive(Debug)]
#[must_use = "it waits when `until` is called"]
pub struct Wait {
    what: String,
    bound: Duration,
    interrupt: Interrupt,
}

impl Wait {
    /// Looks again and again. `look` returns what was waited for, or what it saw instead; its error ends the wait.
    /// It is called at least once.
    ///
    /// # Errors
    /// When the time is up, with what was seen last; when interrupted; and `look`'s own.
    pub fn until<T>(
        self,
        mut look: impl FnMut() -> Result<Result<T, String>, FleetError>,
    ) -> Result<T, FleetError> {
        let end = Instant::now() + self.bound;
        loop {
            if self.interrupt.is_set() {
                return Err(FleetError::Interrupted);
            }
            let last = match look()? {
                Ok(found) => return Ok(found),
                Err(last) => last,
            };
            if Instant::now() >= end {
                return Err(FleetError::Timeout { what: self.what, bound: self.bound, last });
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_what_it_waited_for() {
        let mut looks = 0;
        let found = Interrupt::default().wait("the third look", Duration::from_secs(60)).until(|| {
            looks += 1;
            Ok(if looks == 3 { Ok(looks) } else { Err(String::new()) })
        });
        assert_eq!(found.expect("in time"), 3);
    }

    #[test]
    fn the_end_of_time_says_what_was_seen_last() {
        let wait = Interrupt::default().wait("a wonder", Duration::ZERO);
        let error =
            wait.until::<()>(|| Ok(Err("saw nothing".to_owned()))).expect_err("none comes").to_string();
        assert!(error.contains("a wonder") && error.contains("saw nothing"), "{error}");
    }

    #[test]
    fn an_interrupt_ends_every_wait() {
        let interrupt = Interrupt::default();
        interrupt.clone().set();
        let error = interrupt.wait("nothing", Duration::from_secs(60)).until::<()>(|| Ok(Err(String::new())));
        assert!(matches!(error, Err(FleetError::Interrupted)));
    }
}
