//! `cargo lab test`: the steps that every change must pass, each bounded in time, none skipped in silence.
//!
//! A failed step does not end the run: all failures show in one go. The last line is `N passed, N failed` over
//! all tests and steps. `--all` adds the long counts, keeps what passed in the lab's folder so that it goes on
//! where it was stopped, and writes a dated page. Boots run beside each other, one for each core.

mod counts;
mod plan;
mod progress;
mod results;
mod schedule;
mod step;

use std::num::NonZeroUsize;
use std::time::Instant;

use anyhow::Context as _;
use integration::lab::{LabFolder, Run};
use time::OffsetDateTime;

use super::console::Console;
use super::{Verdict, setup};
use counts::Counts;
use progress::Progress;
use step::{Outcome, Runner, Step};

/// The most boots at a time, however many cores there are: each machine has a gibibyte of memory.
const MOST_WORKERS: NonZeroUsize = NonZeroUsize::new(4).expect("four is not zero");

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The long counts too; goes on where it was stopped, and writes docs/results/DATE.md.
    #[arg(long)]
    all: bool,
    /// With --all: begins again instead of going on.
    #[arg(long, requires = "all")]
    fresh: bool,
    /// Only the steps whose names begin with one of these.
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Prints the steps, and runs none.
    #[arg(long)]
    list: bool,
}

/// Runs the steps.
pub(crate) fn run(arguments: &Arguments, console: &Console) -> anyhow::Result<Verdict> {
    let steps = chosen(arguments)?;
    if arguments.list {
        steps.iter().for_each(|step| console.line(format!("{:28} {}", step.name, step.line())));
        return Ok(Verdict::Passed);
    }
    let (began, begun_at) = (Instant::now(), OffsetDateTime::now_utc());
    let lab = LabFolder::from_environment();
    let progress = if arguments.all { Progress::open(&lab, arguments.fresh)? } else { Progress::forgetful() };
    let reports = run_steps(&steps, &lab, &progress, console)?;
    if arguments.all && arguments.only.is_empty() {
        let page = results::write(&reports, begun_at).context("failed to write the results")?;
        console.line(format!("written: {}", page.display()));
    }
    Ok(conclude(&reports, began, console))
}

fn chosen(arguments: &Arguments) -> anyhow::Result<Vec<Step>> {
    let mut steps = if arguments.all { plan::all() } else { plan::every_change() };
    let wanted = |step: &Step| {
        arguments.only.is_empty() || arguments.only.iter().any(|name| step.name.starts_with(name.as_str()))
    };
    steps.retain(wanted);
    anyhow::ensure!(!steps.is_empty(), "no step has such a name; `--list` names all");
    Ok(steps)
}

/// What became of one step.
#[derive(Debug)]
struct Report {
    name: String,
    /// The case that was booted, if one was.
    case: Option<&'static str>,
    outcome: Outcome,
    seconds: f32,
    /// Taken over from a run that was stopped.
    kept: bool,
}

/// Runs what did not pass before; each line tells which step it is about, as several run at once.
fn run_steps(
    steps: &[Step],
    lab: &LabFolder,
    progress: &Progress,
    console: &Console,
) -> anyhow::Result<Vec<Report>> {
    let run = Run::begin(lab).context("failed to begin a run")?;
    let runner = Runner::new(&run, lab, *console)?;
    let prefix = |place: usize| {
        let (all, name) = (steps.len(), &steps[place].name);
        format!("[{:>width$}/{all}] {name}", place + 1, width = all.to_string().len())
    };
    let mut reports: Vec<Option<Report>> = steps.iter().map(|step| from_before(step, progress)).collect();
    for (place, report) in (0..).zip(&reports) {
        if let Some(report) = report {
            console.line(format!("{}: {}", prefix(place), line_of(report)));
        }
    }
    let left: Vec<usize> = (0..steps.len()).filter(|&place| reports[place].is_none()).collect();
    let perform = |_, &place: &usize| {
        let prefix = prefix(place);
        console.line(&prefix);
        perform(&steps[place], &runner, &prefix)
    };
    let shares = |&place: &usize| steps[place].shares_machine;
    schedule::run(&left, workers(), shares, perform, |number, report| {
        let place = left[number];
        console.line(format!("{}: {}", prefix(place), line_of(&report)));
        if let Outcome::Done(counts) = &report.outcome {
            progress.keep(&steps[place], counts, report.seconds)?;
        }
        reports[place] = Some(report);
        anyhow::Ok(())
    })?;
    Ok(reports.into_iter().flatten().collect())
}

/// One for each core, within reason.
fn workers() -> NonZeroUsize {
    std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores.min(MOST_WORKERS))
}

/// What a run that was stopped has left of this step.
fn from_before(step: &Step, progress: &Progress) -> Option<Report> {
    let (counts, seconds) = progress.passed(step)?;
    let (name, case) = (step.name.clone(), step.case);
    Some(Report { name, case, outcome: Outcome::Done(counts), seconds, kept: true })
}

fn perform(step: &Step, runner: &Runner<'_>, prefix: &str) -> Report {
    let began = Instant::now();
    let outcome = if step.needs_root && !setup::is_root() {
        Outcome::without_root(is_ci(std::env::var("CI").ok().as_deref()))
    } else {
        runner.perform(step, prefix)
    };
    let (name, case) = (step.name.clone(), step.case);
    Report { name, case, outcome, seconds: began.elapsed().as_secs_f32(), kept: false }
}

/// The convention of CI services: `CI=true`, where nothing may be left out.
fn is_ci(variable: Option<&str>) -> bool {
    !matches!(variable, None | Some("" | "0" | "false"))
}

fn line_of(report: &Report) -> String {
    let kept = if report.kept { ", kept from before" } else { "" };
    match &report.outcome {
        Outcome::Done(counts) if counts.failed == 0 => format!("ok, {counts}, {:.1} s{kept}", report.seconds),
        Outcome::Done(counts) => format!("FAILED, {counts}, {:.1} s", report.seconds),
        Outcome::Skipped(why) => format!("SKIPPED: {why}"),
    }
}

/// Names what failed or was left out, and ends with the counts.
fn conclude(reports: &[Report], began: Instant, console: &Console) -> Verdict {
    console.line(format!("\nafter {:.0} s:", began.elapsed().as_secs_f32()));
    let mut total = Counts::default();
    for report in reports {
        match &report.outcome {
            Outcome::Done(counts) => {
                total = total.and(counts);
                if counts.failed > 0 || counts.ignored > 0 {
                    console.line(format!("  {}: {}", report.name, line_of(report)));
                }
            }
            Outcome::Skipped(_) => console.line(format!("  {}: {}", report.name, line_of(report))),
        }
    }
    console.line(total.last_line());
    Verdict::of(total.failed == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ci_services_are_recognised() {
        for yes in ["true", "1", "yes"] {
            assert!(is_ci(Some(yes)), "{yes}");
        }
        for no in [None, Some(""), Some("0"), Some("false")] {
            assert!(!is_ci(no), "{no:?}");
        }
    }

    #[test]
    fn one_failure_or_a_ci_run_without_root_fails_the_whole() {
        let report =
            |outcome| Report { name: "a step".to_owned(), case: None, outcome, seconds: 1.0, kept: false };
        let done = |passed, failed| report(Outcome::Done(Counts { passed, failed, ignored: 0 }));
        let conclude = |reports: &[Report]| conclude(reports, Instant::now(), &Console::silent());
        assert_eq!(conclude(&[done(3, 0), done(1, 0)]), Verdict::Passed);
        assert_eq!(conclude(&[done(3, 1), done(1, 0)]), Verdict::Failed);
        assert_eq!(conclude(&[done(3, 0), report(Outcome::without_root(false))]), Verdict::Passed);
        assert_eq!(conclude(&[done(3, 0), report(Outcome::without_root(true))]), Verdict::Failed);
    }
}
