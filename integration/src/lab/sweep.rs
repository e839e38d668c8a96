//! Taking away what crashed runs left behind.
//!
//! A run is dead when the process named in its id is gone, told by number and start time. Only what
//! such a run recorded is ended: the processes that it started (again by number and start time), and
//! those of their process groups that live in a namespace of the run. Only namespaces that carry its id
//! are removed. Logs stay; of dead runs' folders the newest are kept.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::folder::LabFolder;
use super::netns::{NetworkError, list_namespaces, processes_in, remove_namespace};
use super::process::wait_for_end;
use super::run::{NAME_PREFIX, PROCESSES, ProcessIdentity, Stat, owner_of};

/// How many folders of dead runs are kept for their logs.
pub const KEPT_RUNS: usize = 20;

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
        let recorded = recorded_processes(&folder.join(PROCESSES));
        for (process, name) in &recorded {
            if process.is_alive() {
                end(*process);
                swept.processes.push(name.clone());
            }
        }
    }
    for namespace in list_namespaces()? {
        let Some(run) = dead_run_of(&namespace) else {
            continue;
        };
        let folder = lab.runs().join(run);
        // Another lab folder's run: what runs there is recorded elsewhere, and would lose its name.
        if !folder.is_dir() && !processes_in(&namespace)?.is_empty() {
            continue;
        }
        let recorded = recorded_processes(&folder.join(PROCESSES));
        swept.processes.extend(end_members(&namespace, &recorded)?);
        remove_namespace(&namespace)?;
        swept.namespaces.push(namespace);
    }
    for folder in &dead {
        // Without records the next sweep has nothing to look for here.
        let _ = fs::remove_dir_all(folder.join(PROCESSES));
    }
    swept.folders = thin_out(dead)?;
    Ok(swept)
}

/// Removes all folders but the newest, and returns those that are gone.
fn thin_out(mut dead: Vec<PathBuf>) -> Result<Vec<PathBuf>, SweepError> {
    dead.truncate(dead.len().saturating_sub(KEPT_RUNS));
    for folder in &dead {
        remove_folder(folder).map_err(|source| SweepError::Folder { path: folder.clone(), source })?;
    }
    Ok(dead)
}

/// Removes a folder, perhaps together with others who sweep too.
fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// The id of the dead run that this namespace belongs to.
fn dead_run_of(namespace: &str) -> Option<String> {
    // bootlane-PID-START-NUMBER-LABEL, and a label may hold hyphens.
    let mut parts = namespace.strip_prefix(NAME_PREFIX)?.strip_prefix('-')?.splitn(4, '-');
    let run = format!("{}-{}-{}", parts.next()?, parts.next()?, parts.next()?);
    parts.next()?;
    let owner = owner_of(&run)?;
    (!owner.is_alive()).then_some(run)
}

/// The folders of dead runs, oldest first.
fn dead_runs(runs: &Path) -> Result<Vec<PathBuf>, SweepError> {
    let list = || -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(runs)? {
            let entry = entry?;
            let id = entry.file_name();
            let dead = owner_of(&id.to_string_lossy()).is_some_and(|owner| !owner.is_alive());
            // One that another sweep has just removed has no time any more.
            if dead && let Ok(modified) = entry.metadata().and_then(|metadata| metadata.modified()) {
                found.push((modified, entry.path()));
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

fn recorded_processes(records: &Path) -> Vec<(ProcessIdentity, String)> {
    // A run that started nothing has no folder, and a record that cannot be read names nobody.
    let entries = fs::read_dir(records).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let process = entry.file_name().to_string_lossy().parse().ok()?;
            Some((process, fs::read_to_string(entry.path()).unwrap_or_default()))
        })
        .collect()
}

/// Ends the processes of a dead run's namespace whose group was led by one that the run recorded: the
/// leader was killed before it could take them along.
fn end_members(namespace: &str, recorded: &[(ProcessIdentity, String)]) -> Result<Vec<String>, NetworkError> {
    let mut ended = Vec::new();
    for pid in processes_in(namespace)? {
        let Some(stat) = Stat::of(pid) else { continue };
        let leader =
            recorded.iter().find(|(leader, _)| leader.pid == stat.group && leader.start <= stat.start);
        if let Some((_, name)) = leader {
            end_alone(ProcessIdentity { pid, start: stat.start });
            ended.push(name.clone());
        }
    }
    Ok(ended)
}

/// Each recorded process was started as the leader of its own group.
fn end(process: ProcessIdentity) {
    let killed = Pid::from_raw(process.pid).is_some_and(|pid| kill_process_group(pid, Signal::KILL).is_ok());
    if killed {
        wait_for_end(process);
    } else {
        end_alone(process);
    }
}

fn end_alone(process: ProcessIdentity) {
    if let Some(pid) = Pid::from_raw(process.pid) {
        // When it is gone already, all is well.
        let _ = kill_process(pid, Signal::KILL);
    }
    wait_for_end(process);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_namespaces_of_dead_owners_are_ours_to_remove() {
        let pid = i32::try_from(std::process::id()).expect("a pid is positive and small");
        let own = ProcessIdentity::of(pid).expect("/proc lists this process");
        assert_eq!(dead_run_of(&format!("bootlane-{own}-0-site-1")), None);
        assert_eq!(dead_run_of(&format!("bootlane-{pid}-1-0-site-1")), Some(format!("{pid}-1-0")));
        for foreign in ["", "bootlane", "bootlane-x-1-0-a", "bootlane-1-2-3", "other-1-1-0-site"] {
            assert_eq!(dead_run_of(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_dead_runs_process_is_ended_only_if_its_start_time_agrees() {
        use std::os::unix::process::CommandExt as _;

        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = LabFolder::at(folder.path());
        // This process's number, but it started at another time: that run is dead.
        let records = lab.runs().join(format!("{}-1-0", std::process::id())).join(PROCESSES);
        fs::create_dir_all(&records).expect("made");
        let mut child =
            std::process::Command::new("sleep").arg("60").process_group(0).spawn().expect("sleep starts");
        let pid = i32::try_from(child.id()).expect("a pid is positive and small");
        let identity = ProcessIdentity::of(pid).expect("it runs");
        let other = ProcessIdentity { start: identity.start + 1, ..identity };

        fs::write(records.join(other.to_string()), "other").expect("written");
        for (process, _) in recorded_processes(&records) {
            assert!(!process.is_alive());
        }
        fs::write(records.join(identity.to_string()), "sleeper").expect("written");
        let alive: Vec<_> =
            recorded_processes(&records).into_iter().filter(|(process, _)| process.is_alive()).collect();
        assert_eq!(alive, [(identity, "sleeper".to_owned())]);
        end(identity);
        assert!(!identity.is_alive());
        child.wait().expect("reaped");
    }

    #[test]
    fn several_may_sweep_at_once() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = LabFolder::at(folder.path());
        for number in 0..3 * KEPT_RUNS {
            // Process 1 started at another time than this: the run is dead.
            let logs = lab.runs().join(format!("1-1-{number}")).join("machines");
            fs::create_dir_all(&logs).expect("made");
            fs::write(logs.join("serial.log"), "hello").expect("written");
        }
        let sweeper = || dead_runs(&lab.runs()).and_then(thin_out);
        std::thread::scope(|scope| {
            let running: Vec<_> = (0..4).map(|_| scope.spawn(sweeper)).collect();
            for one in running {
                one.join().expect("no panic").expect("nobody is in anybody's way");
            }
        });
        // Fewer, where one took what another was removing for the newest.
        assert!(dead_runs(&lab.runs()).expect("readable").len() <= KEPT_RUNS);
    }

    #[test]
    fn without_any_run_there_is_nothing_to_do() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let found = dead_runs(&folder.path().join("none")).expect("no folder is no error");
        assert!(found.is_empty());
    }
}
