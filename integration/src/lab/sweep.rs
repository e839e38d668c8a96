//! Taking away what crashed runs left behind.
//!
//! A run is dead when the process named in its id is gone, told by number and start time. Of a dead
//! run, only processes that it recorded (again by number and start time) are ended, and only
//! namespaces that carry its id are removed. Logs stay; of dead runs' folders the newest are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::folder::LabFolder;
use super::netns::{NetworkError, list_namespaces, remove_namespace};
use super::run::{NAME_PREFIX, PROCESSES, ProcessIdentity, owner_of};

/// How many folders of dead runs are kept for their logs.
pub const KEPT_RUNS: usize = 20;
const END_TIMEOUT: Duration = Duration::from_secs(5);

/// What a sweep took away.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Swept {
    /// Names of the namespaces.
    pub namespaces: Vec<String>,
    /// Names of the processes, as they were launched.
    pub processes: Vec<String>,
    /// Folders of old runs.
    pub folders: Vec<PathBuf>,
}

/// Failure to sweep.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The runs' folder could not be read or thinned out.
    #[error("tidy the folder {path}")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Namespaces could not be listed or removed.
    #[error("remove the namespaces of dead runs")]
    Network(#[from] NetworkError),
}

/// Removes what runs left whose process is gone. Living runs are not touched.
///
/// # Errors
/// When folders cannot be read or namespaces cannot be removed; what was done until then is done.
pub fn sweep(lab: &LabFolder) -> Result<Swept, SweepError> {
    let mut swept = Swept::default();
    let dead = dead_runs(&lab.runs())?;
    for folder in &dead {
        swept.processes.extend(end_recorded(&folder.join(PROCESSES)));
    }
    for name in list_namespaces()? {
        if belongs_to_dead_run(&name) {
            remove_namespace(&name)?;
            swept.namespaces.push(name);
        }
    }
    let surplus = dead.len().saturating_sub(KEPT_RUNS);
    for folder in dead.into_iter().take(surplus) {
        fs::remove_dir_all(&folder).map_err(|source| SweepError::Folder { path: folder.clone(), source })?;
        swept.folders.push(folder);
    }
    Ok(swept)
}

fn belongs_to_dead_run(namespace: &str) -> bool {
    // bootlane-PID-START-NUMBER-LABEL, and a label may hold hyphens.
    let mut parts = namespace.splitn(5, '-');
    let (Some(NAME_PREFIX), Some(pid), Some(start), Some(number), Some(_)) =
        (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    owner_of(&format!("{pid}-{start}-{number}")).is_some_and(|owner| !owner.is_alive())
}

/// The folders of dead runs, oldest first.
fn dead_runs(runs: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(runs)? {
            let entry = entry?;
            let id = entry.file_name();
            let dead = owner_of(&id.to_string_lossy()).is_some_and(|owner| !owner.is_alive());
            if dead {
                found.push((entry.metadata()?.modified()?, entry.path()));
            }
        }
        found.sort();
        Ok(found.into_iter().map(|(_, path)| path).collect())
    };
    match list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed.map_err(|source| SweepError::Folder { path: runs.to_owned(), source }),
    }
}

fn end_recorded(records: &Path) -> Vec<String> {
    let mut ended = Vec::new();
    for record in fs::read_dir(records).into_iter().flatten().flatten() {
        let name = record.file_name();
        let Ok(process) = name.to_string_lossy().parse::<ProcessIdentity>() else {
            continue;
        };
        if process.is_alive() {
            end(process);
            ended.push(fs::read_to_string(record.path()).unwrap_or_default());
        }
        let _ = fs::remove_file(record.path());
    }
    ended
}

/// Each recorded process was started as the leader of its own group.
fn end(process: ProcessIdentity) {
    let Some(pid) = Pid::from_raw(process.pid) else {
        return;
    };
    if kill_process_group(pid, Signal::KILL).is_err() {
        let _ = kill_process(pid, Signal::KILL);
    }
    let until = Instant::now() + END_TIMEOUT;
    while process.is_alive() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_dead_owners_are_ours_to_remove() {
        let pid = i32::try_from(std::process::id()).expect("a pid is positive and small");
        let own = ProcessIdentity::of(pid).expect("/proc lists this process");
        assert!(!belongs_to_dead_run(&format!("bootlane-{own}-0-site-1")));
        assert!(belongs_to_dead_run(&format!("bootlane-{pid}-1-0-site-1")));
        for foreign in ["", "bootlane", "bootlane-x-1-0-a", "bootlane-1-2-3", "other-1-1-0-site"] {
            assert!(!belongs_to_dead_run(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_recorded_process_is_ended_only_if_its_start_time_agrees() {
        use std::os::unix::process::CommandExt as _;

        let records = tempfile::tempdir().expect("a temporary folder");
        let mut child =
            std::process::Command::new("sleep").arg("60").process_group(0).spawn().expect("sleep starts");
        let pid = i32::try_from(child.id()).expect("a pid is positive and small");
        let identity = ProcessIdentity::of(pid).expect("it runs");
        let other = ProcessIdentity { start: identity.start + 1, ..identity };

        fs::write(records.path().join(other.to_string()), "other").expect("written");
        assert_eq!(end_recorded(records.path()), Vec::<String>::new());
        assert!(identity.is_alive());

        fs::write(records.path().join(identity.to_string()), "sleeper").expect("written");
        assert_eq!(end_recorded(records.path()), ["sleeper"]);
        assert!(!identity.is_alive());
        child.wait().expect("reaped");
    }

    #[test]
    fn without_any_run_there_is_nothing_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let found = dead_runs(&folder.path().join("none")).expect("no folder is no error");
        assert!(found.is_empty());
    }
}
