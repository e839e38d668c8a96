//! The ends of all logs of a run, for a person who wants to know why it failed.

use std::fs;
use std::path::{Path, PathBuf};

/// How much of a log one process may show.
const LINES: usize = 12;
/// How much of a line.
const WIDTH: usize = 240;

/// The last lines of every log in a run's folder, each under its path.
#[must_use]
pub fn last_lines(run: &Path) -> String {
    let mut logs = Vec::new();
    gather(run, 0, &mut logs);
    logs.sort();
    let shown = logs.iter().filter_map(|log| {
        let tail = tail(log);
        (!tail.is_empty()).then(|| format!("--- {}\n{tail}\n", log.display()))
    });
    shown.collect()
}

/// The last lines of one log.
pub(super) fn tail(log: &Path) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.chars().filter(|c| !c.is_control()).take(WIDTH).collect::<String>())
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// Logs of processes and consoles of machines, which stand at most two folders deep.
fn gather(folder: &Path, depth: u8, logs: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && depth < 2 {
            gather(&path, depth + 1, logs);
        } else if path.extension().is_some_and(|extension| extension == "log") && !is_ledger(&path) {
            logs.push(path);
        }
    }
}

/// The agent's ledger is a log of another kind.
fn is_ledger(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ledger-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_log_shows_its_end_under_its_name() {
        let run = tempfile::tempdir().expect("a temporary folder");
        let machine = run.path().join("machines/web");
        fs::create_dir_all(&machine).expect("made");
        let lines: String = (0..100).map(|line| format!("line {line}\n")).collect();
        fs::write(run.path().join("agent.log"), lines).expect("written");
        fs::write(machine.join("serial.log"), "\u{1b}[2Jhello\n").expect("written");
        fs::write(run.path().join("empty.log"), "\n").expect("written");
        fs::write(run.path().join("other.txt"), "not a log").expect("written");
        let shown = last_lines(run.path());
        assert!(shown.contains("line 99") && !shown.contains("line 87\n"), "{shown}");
        assert!(shown.contains("serial.log\n[2Jhello\n"), "{shown}");
        assert!(!shown.contains("empty.log") && !shown.contains("not a log"), "{shown}");
    }
}
