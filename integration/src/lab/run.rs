//! One use of the lab by one process: its name, its folder, and the record of what it started.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::folder::LabFolder;

/// A process told apart from a later one with the same number by the moment it started.
///
/// Written `PID-START`, START in clock ticks since the machine started (proc(5), field 22 of `stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProcessIdentity {
    /// The process number.
    pub pid: i32,
    /// Clock ticks between the machine's start and the process's.
    pub start: u64,
}

impl ProcessIdentity {
    /// The identity of the process, running or zombie, that has this number now.
    #[must_use]
    pub fn of(pid: i32) -> Option<Self> {
        Stat::of(pid).map(|stat| Self { pid, start: stat.start })
    }

    /// Whether this very process still runs; a zombie does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        Stat::of(self.pid).is_some_and(|stat| stat.start == self.start && !stat.zombie)
    }
}

impl std::fmt::Display for ProcessIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.pid, self.start)
    }
}

impl std::str::FromStr for ProcessIdentity {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (pid, start) = text.split_once('-').unwrap_or((text, ""));
        Ok(Self { pid: pid.parse()?, start: start.parse()? })
    }
}

/// What `/proc/PID/stat` says that tells processes apart.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    zombie: bool,
    /// The number of the process that leads its group.
    pub(crate) group: i32,
    pub(crate) start: u64,
}

impl Stat {
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The command's name may hold blanks and parentheses, so fields are counted from the last one.
    fn parse(line: &str) -> Option<Self> {
        let (_, after_name) = line.rsplit_once(')')?;
        let mut fields = after_name.split_ascii_whitespace();
        let state = fields.next()?;
        Some(Self {
            zombie: matches!(state, "Z" | "X"),
            // Fields 5 and 22, counted from 1 with the state as field 3 (proc(5)).
            group: fields.nth(1)?.parse().ok()?,
            start: fields.nth(16)?.parse().ok()?,
        })
    }
}

/// What the names of all namespaces of the lab begin with.
pub(crate) const NAME_PREFIX: &str = "bootlane";
/// The folder of a run that holds one file for each child: name `PID-START`, content its name.
pub(crate) const PROCESSES: &str = "processes";

/// Failure to begin a run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// This process has no entry in `/proc`.
    #[error("read the start time of this process from /proc")]
    NoProc,
    /// The run's folder could not be made.
    #[error("create the run folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

/// One use of the lab. Cheap to clone; all clones are the same run.
#[derive(Debug, Clone)]
pub struct Run {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    id: String,
    folder: PathBuf,
}

static RUNS_OF_THIS_PROCESS: AtomicU32 = AtomicU32::new(0);

impl Run {
    /// Begins a run: an own folder under the lab's `runs`.
    ///
    /// # Errors
    /// Without `/proc`, or when the folder cannot be made.
    pub fn begin(lab: &LabFolder) -> Result<Self, RunError> {
        let pid = i32::try_from(std::process::id()).map_err(|_| RunError::NoProc)?;
        let owner = ProcessIdentity::of(pid).ok_or(RunError::NoProc)?;
        let number = RUNS_OF_THIS_PROCESS.fetch_add(1, Ordering::Relaxed);
        let id = format!("{owner}-{number}");
        let folder = lab.runs().join(&id);
        fs::create_dir_all(folder.join(PROCESSES))
            .map_err(|source| RunError::Folder { path: folder.clone(), source })?;
        Ok(Self { inner: Arc::new(Inner { id, folder }) })
    }

    /// `PID-START-NUMBER` of the process that began the run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The run's folder: logs of all children, captures, machines.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }

    /// The full name of this run's namespace `name`.
    #[must_use]
    pub fn namespace_name(&self, name: &str) -> String {
        format!("{NAME_PREFIX}-{}-{name}", self.inner.id)
    }

    pub(crate) fn record(&self, process: ProcessIdentity, name: &str) -> io::Result<()> {
        fs::write(self.record_path(process), name)
    }

    pub(crate) fn forget(&self, process: ProcessIdentity) {
        // A record that stays is harmless: sweeping compares the start time.
        let _ = fs::remove_file(self.record_path(process));
    }

    fn record_path(&self, process: ProcessIdentity) -> PathBuf {
        self.inner.folder.join(PROCESSES).join(process.to_string())
    }
}

/// The process that owns the run `id`, when `id` has the form that [`Run::begin`] gives.
pub(crate) fn owner_of(id: &str) -> Option<ProcessIdentity> {
    let (owner, number) = id.rsplit_once('-')?;
    number.parse::<u32>().ok()?;
    owner.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_time_is_found_behind_a_name_with_blanks_and_parentheses() {
        let stat = "17 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4242 20 21";
        assert_eq!(Stat::parse(stat), Some(Stat { zombie: false, group: 2, start: 4242 }));
        assert_eq!(Stat::parse("17 (a) S 1 2 3"), None);
    }

    #[test]
    fn this_process_is_alive_and_one_that_started_earlier_with_its_number_is_not() {
        let pid = i32::try_from(std::process::id()).expect("a pid is positive and small");
        let own = ProcessIdentity::of(pid).expect("/proc lists this process");
        assert!(own.is_alive());
        let earlier = ProcessIdentity { start: own.start.wrapping_sub(1), ..own };
        assert!(!earlier.is_alive());
    }

    #[test]
    fn the_owner_is_read_back_from_a_run_id() {
        let owner = owner_of("4711-889123-0").expect("well formed");
        assert_eq!((owner.pid, owner.start), (4711, 889_123));
        for bad in ["", "4711", "4711-889123", "x-1-0", "1-x-0", "1-1-x"] {
            assert_eq!(owner_of(bad), None, "{bad}");
        }
    }
}
