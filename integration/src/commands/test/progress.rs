//! What passed already, so that a long run can be stopped and goes on.
//!
//! What became of steps is kept one by one, together with a digest of all source files: any change of them
//! begins the run anew. What failed is tried again, and with it all boots of the same case: they are to pass in a row.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, ensure};
use integration::binaries::source_root;
use integration::lab::LabFolder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::counts::Counts;
use super::results::RESULTS;
use super::step::Step;

/// The steps that passed.
#[derive(Debug)]
pub(super) struct Progress {
    /// Where they are kept, if at all.
    file: Option<PathBuf>,
    passed: Vec<Ended>,
}

/// A line of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ended {
    step: String,
    /// The case that was booted, if one was.
    case: Option<String>,
    counts: Counts,
    seconds: f32,
}

impl Progress {
    /// Keeps nothing, for runs that are short.
    pub(super) fn forgetful() -> Self {
        Self { file: None, passed: Vec::new() }
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
        let ended = kept.lines().filter_map(|line| serde_json::from_str(line).ok());
        Ok(Self { file: Some(file), passed: ended.fold(Vec::new(), take) })
    }

    /// The counts and seconds of a step that passed already.
    pub(super) fn passed(&self, step: &Step) -> Option<(Counts, f32)> {
        let before = self.passed.iter().find(|ended| ended.step == step.name)?;
        Some((before.counts, before.seconds))
    }

    /// Keeps what became of a step.
    pub(super) fn keep(&self, step: &Step, counts: &Counts, seconds: f32) -> anyhow::Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        let case = step.case.map(str::to_owned);
        let ended = Ended { step: step.name.clone(), case, counts: *counts, seconds };
        // A line break first: half a line may stand before it.
        let line = format!("\n{}\n", serde_json::to_string(&ended).context("failed to write progress")?);
        let mut file =
            File::options().create(true).append(true).open(file).context("failed to keep progress")?;
        file.write_all(line.as_bytes()).context("failed to keep progress")
    }
}

/// A failure takes back what passed before of the same case.
fn take(mut passed: Vec<Ended>, ended: Ended) -> Vec<Ended> {
    if ended.counts.failed == 0 {
        passed.push(ended);
    } else {
        passed.retain(|before| {
            before.step != ended.step && (before.case.is_none() || before.case != ended.case)
        });
    }
    passed
}

/// SHA-256 over names and contents of all files that git knows or would take up, but for the results.
fn digest_of_sources() -> anyhow::Result<String> {
    let listed = Command::new("git")
        .current_dir(source_root())
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
        let content = fs::read(source_root().join(name.as_ref())).unwrap_or_default();
        digest.update((name.len() as u64).to_le_bytes());
        digest.update(name.as_bytes());
        digest.update((content.len() as u64).to_le_bytes());
        digest.update(content);
    }
    Ok(digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::super::step::Program;
    use super::*;

    fn lab() -> (tempfile::TempDir, LabFolder) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = LabFolder::at(folder.path());
        (folder, lab)
    }

    fn step(name: &str) -> Step {
        Step::new(name, Program::Lab, &[])
    }

    #[test]
    fn what_passed_is_known_to_the_next_run_of_the_same_sources_only() {
        let (_folder, lab) = lab();
        let counts = Counts { passed: 9, failed: 0, ignored: 0 };
        let first = Progress::of_sources(&lab, "aa", false).expect("opens");
        assert_eq!(first.passed(&step("tests")), None);
        first.keep(&step("tests"), &counts, 1.5).expect("kept");

        let next = |sources, fresh| Progress::of_sources(&lab, sources, fresh).expect("opens");
        assert_eq!(next("aa", false).passed(&step("tests")), Some((counts, 1.5)));
        assert_eq!(next("aa", false).passed(&step("boot")), None);
        assert_eq!(next("bb", false).passed(&step("tests")), None, "other sources");
        assert_eq!(next("aa", true).passed(&step("tests")), None, "begun anew");
    }

    #[test]
    fn half_a_line_costs_its_step_alone() {
        let (_folder, lab) = lab();
        let progress = Progress::of_sources(&lab, "aa", false).expect("opens");
        progress.keep(&step("tests"), &Counts::of_one(true), 1.0).expect("kept");
        let file = progress.file.clone().expect("it keeps");
        let mut text = fs::read_to_string(&file).expect("written");
        text.push_str("{\"step\":\"boot\",\"cou");
        fs::write(&file, text).expect("written");
        progress.keep(&step("kills"), &Counts::of_one(true), 1.0).expect("kept");
        let next = Progress::of_sources(&lab, "aa", false).expect("opens");
        let passed = ["tests", "boot", "kills"].map(|name| next.passed(&step(name)).is_some());
        assert_eq!(passed, [true, false, true]);
    }

    #[test]
    fn a_failed_boot_begins_its_case_anew_and_no_other() {
        let (_folder, lab) = lab();
        let progress = Progress::of_sources(&lab, "aa", false).expect("opens");
        let boots = [("a 1", "a"), ("b 1", "b"), ("a 2", "a"), ("a 3", "a")];
        let boots = boots.map(|(name, case)| step(name).booting(case));
        for (boot, passed) in boots.iter().zip([true, true, false, true]) {
            progress.keep(boot, &Counts::of_one(passed), 1.0).expect("kept");
        }
        progress.keep(&step("lints"), &Counts::of_one(true), 1.0).expect("kept");
        progress.keep(&step("tests"), &Counts::of_one(false), 1.0).expect("kept");
        let next = Progress::of_sources(&lab, "aa", false).expect("opens");
        assert_eq!(boots.map(|boot| next.passed(&boot).is_some()), [false, true, false, true]);
        assert!(next.passed(&step("lints")).is_some() && next.passed(&step("tests")).is_none());
    }

    #[test]
    fn the_digest_of_the_sources_is_stable() {
        let digest = digest_of_sources().expect("git is there");
        assert_eq!(digest.len(), 16);
    }
}
