//! What passed already, so that a long run can be stopped and goes on.
//!
//! Steps that passed are kept one by one, together with a digest of all source files: any change of them
//! begins the run anew. What failed is tried again.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use integration::lab::LabFolder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::counts::Counts;
use super::results::{RESULTS, root};

/// The steps that passed.
#[derive(Debug)]
pub(super) struct Progress {
    /// Where they are kept, if at all.
    file: Option<PathBuf>,
    steps: Vec<Passed>,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Passed {
    step: String,
    counts: Counts,
    seconds: f32,
}

impl Progress {
    /// Keeps nothing, for runs that are short.
    pub(super) fn forgetful() -> Self {
        Self { file: None, steps: Vec::new() }
    }

    /// Goes on where a run of the same sources was stopped, unless `fresh`.
    pub(super) fn open(lab: &LabFolder, fresh: bool) -> anyhow::Result<Self> {
        Self::of_sources(lab, &digest_of_sources()?, fresh)
    }

    fn of_sources(lab: &LabFolder, sources: &str, fresh: bool) -> anyhow::Result<Self> {
        fs::create_dir_all(lab.root()).context("failed to create the lab's folder")?;
        let file = lab.root().join(format!("passed-{sources}.jsonl"));
        if fresh {
            File::create(&file).context("failed to begin anew")?;
        }
        let kept = fs::read_to_string(&file).unwrap_or_default();
        // A run that was killed may leave half a line: that step is simply run again.
        let steps = kept.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { file: Some(file), steps })
    }

    /// The counts and seconds of a step that passed already.
    pub(super) fn passed(&self, step: &str) -> Option<(Counts, f32)> {
        self.steps.iter().find(|passed| passed.step == step).map(|passed| (passed.counts, passed.seconds))
    }

    /// Keeps a step that passed.
    pub(super) fn keep(&self, step: &str, counts: &Counts, seconds: f32) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let passed = Passed { step: step.to_owned(), counts: *counts, seconds };
        let line = format!("{}\n", serde_json::to_string(&passed).context("failed to write progress")?);
        let mut file =
            File::options().create(true).append(true).open(file).context("failed to keep progress")?;
        file.write_all(line.as_bytes()).context("failed to keep progress")
    }
}

/// SHA-256 over names and contents of all files that git knows or would take up, but for the results.
fn digest_of_sources() -> anyhow::Result<String> {
    let listed = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .output()
        .context("failed to run git, which tells which files are sources")?;
    ensure!(
        listed.status.success(),
        "failed to list the sources: {}",
        String::from_utf8_lossy(&listed.stderr)
    );
    let mut digest = Sha256::new();
    for name in listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name);
        if name.starts_with(RESULTS) {
            continue;
        }
        // A file that git knows and that was deleted has no content.
        let content = fs::read(root().join(name.as_ref())).unwrap_or_default();
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name.as_bytes());
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(content);
    }
    Ok(digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab() -> (tempfile::TempDir, LabFolder) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = LabFolder::at(folder.path());
        (folder, lab)
    }

    #[test]
    fn what_passed_is_known_to_the_next_run_of_the_same_sources_only() {
        let (_folder, lab) = lab();
        let counts = Counts { passed: 9, failed: 0, ignored: 0 };
        let first = Progress::of_sources(&lab, "aa", false).expect("opens");
        assert_eq!(first.passed("tests"), None);
        first.keep("tests", &counts, 1.5).expect("kept");

        let next = |sources, fresh| Progress::of_sources(&lab, sources, fresh).expect("opens");
        assert_eq!(next("aa", false).passed("tests"), Some((counts, 1.5)));
        assert_eq!(next("aa", false).passed("boot"), None);
        assert_eq!(next("bb", false).passed("tests"), None, "other sources");
        assert_eq!(next("aa", true).passed("tests"), None, "begun anew");
    }

    #[test]
    fn half_a_line_costs_its_step_alone() {
        let (_folder, lab) = lab();
        let progress = Progress::of_sources(&lab, "aa", false).expect("opens");
        progress.keep("tests", &Counts::of_one(true), 1.0).expect("kept");
        let file = progress.file.expect("it keeps");
        let mut text = fs::read_to_string(&file).expect("written");
        text.push_str("{\"step\":\"boot\",\"cou");
        fs::write(&file, text).expect("written");
        let next = Progress::of_sources(&lab, "aa", false).expect("opens");
        assert!(next.passed("tests").is_some() && next.passed("boot").is_none());
    }

    #[test]
    fn the_digest_of_the_sources_is_stable() {
        let digest = digest_of_sources().expect("git is there");
        assert_eq!(digest.len(), 16);
    }
}
