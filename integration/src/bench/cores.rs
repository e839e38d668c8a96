//! Which core the server has, and which the load.

use std::fmt;
use std::io;

use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

/// A core for the server and another for the load; on a machine with one, both share it, and every report says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cores {
    /// The server's.
    pub server: usize,
    /// The load generator's.
    pub load: usize,
}

impl Cores {
    /// The first two that this process may use.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn available() -> io::Result<Self> {
        Ok(Self::among(&allowed()?))
    }

    fn among(cores: &[usize]) -> Self {
        let server = cores.first().copied().unwrap_or_default();
        Self { server, load: cores.get(1).copied().unwrap_or(server) }
    }

    /// Do server and load share one?
    #[must_use]
    pub fn are_one(self) -> bool {
        self.server == self.load
    }

    /// Keeps this thread, and those that it starts from now on, on the load's core.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn take_load_core(self) -> io::Result<()> {
        keep_on(self.load)
    }
}

impl fmt::Display for Cores {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.are_one() {
            true => write!(out, "server and load share core {}: this machine has one", self.server),
            false => write!(out, "server on core {}, load on core {}", self.server, self.load),
        }
    }
}

/// Keeps this thread on a core.
fn keep_on(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None::<Pid>, &set)?)
}

fn allowed() -> io::Result<Vec<usize>> {
    let set = sched_getaffinity(None::<Pid>)?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_cores_or_one() {
        assert_eq!(Cores::among(&[3, 5, 7]), Cores { server: 3, load: 5 });
        assert!(Cores::among(&[2]).are_one() && Cores::among(&[2]).to_string().contains("share core 2"));
    }

    #[test]
    fn a_thread_stays_where_it_was_put_and_so_do_those_it_starts() {
        let cores = Cores::available().expect("known");
        let kept = std::thread::spawn(move || {
            cores.take_load_core().expect("allowed");
            std::thread::spawn(|| allowed().expect("known")).join().expect("no panic")
        });
        assert_eq!(kept.join().expect("no panic"), [cores.load]);
    }
}
