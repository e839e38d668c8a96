//! One step: a program with a bound, its output in a log, its end as counts.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use integration::binaries::{cargo_path, inherited_names};
use integration::lab::{LabFolder, Launch, Run};

use super::super::console::Console;
use super::counts::{Counts, failures};

/// How often a running step shows that it lives.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);
/// `timeout` ends a step at its bound and kills it 5 s later; this is for when even that fails.
const GRACE: Duration = Duration::from_secs(20);
/// How much of a failed step's output is shown, from its end.
const SHOWN_LINES: usize = 60;
/// How much of the words of failed tests is shown before that.
const SHOWN_FAILURES: usize = 400;
/// With which cargo-deny deny.toml was written.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Program {
    /// The cargo that runs us.
    Cargo,
    /// This program.
    Lab,
    /// The cargo-deny of the lab's folder.
    CargoDeny,
    /// Puts it there, if need be.
    InstallCargoDeny,
}

/// What a step counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counting {
    /// One test, which its exit status decides.
    Itself,
    /// As many tests as its output names.
    Tests,
}

/// One step.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) needs_root: bool,
    /// It may run while others run that say the same: it needs one core, and nothing that others need.
    pub(super) shares_machine: bool,
    /// The case that it boots, if it boots one.
    pub(super) case: Option<&'static str>,
    program: Program,
    arguments: Vec<String>,
    environment: Vec<(&'static str, &'static str)>,
    bound: Duration,
    counting: Counting,
}

impl Step {
    pub(super) fn new(name: &str, program: Program, arguments: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            needs_root: false,
            shares_machine: false,
            case: None,
            program,
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
            environment: Vec::new(),
            bound: Duration::from_secs(60),
            counting: Counting::Itself,
        }
    }

    pub(super) fn bound(mut self, bound: Duration) -> Self {
        self.bound = bound;
        self
    }

    pub(super) fn env(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    pub(super) fn counting(mut self, counting: Counting) -> Self {
        self.counting = counting;
        self
    }

    pub(super) fn needing_root(mut self) -> Self {
        self.needs_root = true;
        self
    }

    /// A boot of this case. It has its own namespaces, folder and processes, so it shares the machine.
    pub(super) fn booting(mut self, case: &'static str) -> Self {
        self.case = Some(case);
        self.shares_machine = true;
        self.needing_root()
    }

    /// The command line, as somebody would type it.
    pub(super) fn line(&self) -> String {
        let program = match self.program {
            Program::Cargo => "cargo",
            Program::Lab => "cargo lab",
            Program::CargoDeny => "cargo deny",
            Program::InstallCargoDeny => "cargo install cargo-deny",
        };
        let environment = self.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let words = environment.chain([program.to_owned()]).chain(self.arguments.iter().cloned());
        words.collect::<Vec<_>>().join(" ")
    }
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It ran.
    Done(Counts),
    /// It was left out, for this reason.
    Skipped(String),
}

impl Outcome {
    /// A step that needs root, and there is none. In CI that is a failure.
    pub(super) fn without_root(ci: bool) -> Self {
        if ci { Self::Done(Counts::of_one(false)) } else { Self::Skipped("needs root".to_owned()) }
    }
}

/// What performs steps.
#[derive(Debug)]
pub(super) struct Runner<'a> {
    run: &'a Run,
    /// This program, under a name that stays while cargo builds it anew.
    lab: PathBuf,
    tools: PathBuf,
    console: Console,
}

impl<'a> Runner<'a> {
    pub(super) fn new(run: &'a Run, folder: &LabFolder, console: Console) -> anyhow::Result<Self> {
        let lab = run.folder().join("lab");
        fs::copy("/proc/self/exe", &lab).context("failed to keep a copy of this program")?;
        Ok(Self { run, lab, tools: folder.root().join("tools"), console })
    }

    /// Runs one step to its end, or to its bound. What it prints begins with `prefix`: others may run beside it.
    pub(super) fn perform(&self, step: &Step, prefix: &str) -> Outcome {
        let launched = match self.command_of(step) {
            Some(words) => self.launch(step, words, prefix),
            None => return Outcome::Done(Counts::of_one(true)),
        };
        if step.program == Program::InstallCargoDeny {
            // 300 MB that nobody needs again.
            let _ = fs::remove_dir_all(self.tools.join("build"));
        }
        match launched {
            Ok((succeeded, log)) => Outcome::Done(self.judge(step, succeeded, &log, prefix)),
            Err(error) => {
                self.console.line(format!("{prefix}: {error:#}"));
                Outcome::Done(Counts::of_one(false))
            }
        }
    }

    /// Whether it succeeded, and its log.
    fn launch(&self, step: &Step, words: Vec<OsString>, prefix: &str) -> anyhow::Result<(bool, PathBuf)> {
        let mut launch = Launch::new(step.name.replace(['/', ' '], "-"), "env").args(words).bound(step.bound);
        for (name, value) in &step.environment {
            launch = launch.env(name, value);
        }
        let mut process = launch.spawn(self.run).context("failed to start it")?;
        let log = process.log().to_owned();
        let began = Instant::now();
        while began.elapsed() < step.bound + GRACE {
            if let Some(status) = process.wait(SIGN_OF_LIFE).context("failed to wait for it")? {
                self.explain(status, step, prefix);
                return Ok((status.success(), log));
            }
            let last = last_lines(&read(&log), 1);
            let seconds = began.elapsed().as_secs_f32();
            self.console.line(format!("{prefix}: … {seconds:.0} s: {}", last.trim()));
        }
        process.kill();
        anyhow::bail!("it did not end within {} s and was killed", step.bound.as_secs())
    }

    fn explain(&self, status: ExitStatus, step: &Step, prefix: &str) {
        // 124 is what `timeout` says at a bound (see Process::ended).
        if status.code() == Some(124) {
            self.console.line(format!("{prefix}: it was ended at its bound of {} s", step.bound.as_secs()));
        }
    }

    fn judge(&self, step: &Step, succeeded: bool, log: &Path, prefix: &str) -> Counts {
        let output = read(log);
        let counts = match step.counting {
            Counting::Itself => Counts::of_one(succeeded),
            Counting::Tests => Counts::of_tests(&output, succeeded),
        };
        if counts.failed > 0 {
            self.console.line(format!("{prefix}: {}", words_of_failure(step, &output, log)));
        }
        counts
    }

    /// The arguments of `env`; `None` where nothing is to be done.
    fn command_of(&self, step: &Step) -> Option<Vec<OsString>> {
        let mut words: Vec<OsString> =
            inherited_names().into_iter().flat_map(|name| ["-u".into(), name.into()]).collect();
        match step.program {
            Program::Cargo => words.push(cargo_path()),
            Program::Lab => words.push(self.lab.clone().into()),
            Program::CargoDeny => words.push(self.cargo_deny().into()),
            Program::InstallCargoDeny if is_cargo_deny(&self.cargo_deny()) => return None,
            Program::InstallCargoDeny => words.extend(self.install_cargo_deny()),
        }
        words.extend(step.arguments.iter().map(OsString::from));
        Some(words)
    }

    /// In the lab's folder: which tools users have of their own is not ours to change.
    fn cargo_deny(&self) -> PathBuf {
        self.tools.join("bin/cargo-deny")
    }

    fn install_cargo_deny(&self) -> Vec<OsString> {
        let mut words = vec![cargo_path()];
        // Not optimised: it looks once at a few hundred crates, and to build it takes longer than everything it does.
        let options = ["--locked", "--debug", "--no-default-features", "--version", CARGO_DENY_VERSION];
        words.extend(["install", "cargo-deny"].into_iter().chain(options).map(OsString::from));
        words.extend(["--root".into(), self.tools.clone().into()]);
        words.extend(["--target-dir".into(), self.tools.join("build").into()]);
        words
    }
}

fn is_cargo_deny(path: &Path) -> bool {
    let version = Command::new(path).arg("--version").output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(CARGO_DENY_VERSION))
}

/// The step's command line and the ends of its output, as one text: nothing of another step falls in between.
fn words_of_failure(step: &Step, output: &str, log: &Path) -> String {
    let mut lines = vec![step.line()];
    if step.counting == Counting::Tests {
        lines.extend(failures(output).into_iter().take(SHOWN_FAILURES).map(str::to_owned));
    }
    lines.push(last_lines(output, SHOWN_LINES));
    lines.push(format!("        all of it: {}", log.display()));
    lines.join("\n")
}

/// Logs are other programs' words: whatever is no text is replaced.
fn read(log: &Path) -> String {
    String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned()
}

fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perform(arguments: &[&str], counting: Counting, bound: Duration) -> Outcome {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let lab = LabFolder::at(folder.path());
        let run = Run::begin(&lab).expect("begins");
        let mut runner = Runner::new(&run, &lab, Console::silent()).expect("copied");
        runner.lab = "/bin/sh".into();
        runner
            .perform(&Step::new("a step", Program::Lab, arguments).counting(counting).bound(bound), "a step")
    }

    #[test]
    fn an_exit_status_decides_a_step() {
        let minute = Duration::from_secs(60);
        let done = |passed, failed| Outcome::Done(Counts { passed, failed, ignored: 0 });
        assert_eq!(perform(&["-c", "true"], Counting::Itself, minute), done(1, 0));
        assert_eq!(perform(&["-c", "exit 3"], Counting::Itself, minute), done(0, 1));
        let tests = "echo 'test result: ok. 7 passed; 0 failed; 0 ignored; 0 measured'";
        assert_eq!(perform(&["-c", tests], Counting::Tests, minute), done(7, 0));
        assert_eq!(perform(&["-c", &format!("{tests}; exit 101")], Counting::Tests, minute), done(7, 1));
    }

    #[test]
    fn a_step_ends_at_its_bound() {
        let began = Instant::now();
        let outcome = perform(&["-c", "sleep 30"], Counting::Itself, Duration::from_secs(1));
        assert_eq!(outcome, Outcome::Done(Counts::of_one(false)));
        assert!(began.elapsed() < Duration::from_secs(29), "{:?}", began.elapsed());
    }

    #[test]
    fn the_end_of_a_log_is_shown() {
        assert_eq!(last_lines("a\n\nb\nc\n\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }
}
