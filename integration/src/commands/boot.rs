//! `cargo lab boot`: virtual machines with real firmware, case by case.
//!
//! A case sets up its own network, servers and machines, and takes everything away again. It bounds its own waits;
//! `cargo lab test` bounds the whole.

use std::fs;
use std::time::Instant;

use anyhow::{Context as _, bail};
use integration::binaries::{Binaries, Profile};
use integration::cases::{BY_CARGO, Bench, CASES, Case};
use integration::fleet::last_lines;
use integration::lab::{LabFolder, Run};

use super::Verdict;
use super::console::Console;
use super::setup;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The cases to run, in this order.
    #[arg(value_name = "CASE", required_unless_present = "list")]
    cases: Vec<String>,
    /// Prints what there is, and runs nothing.
    #[arg(long)]
    list: bool,
    /// Runs the list so many times.
    #[arg(long, visible_alias = "times", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeat: u32,
    /// Keeps logs and captures of cases that passed too.
    #[arg(long)]
    keep_logs: bool,
}

/// Lists or runs cases. All are run, also behind one that failed; the last line counts.
pub(crate) fn run(arguments: &Arguments, console: &Console) -> anyhow::Result<Verdict> {
    if arguments.list {
        all().for_each(|case| console.line(format!("{:20} {}", case.name, case.about)));
        return Ok(Verdict::Passed);
    }
    let cases = arguments.cases.iter().map(|name| find(name)).collect::<anyhow::Result<Vec<_>>>()?;
    let lab = setup::prepare(console)?;
    let binaries = build(Profile::Debug, console)?;
    let (mut passed, mut failed) = (0_u32, 0_u32);
    for _ in 0..arguments.repeat {
        for case in &cases {
            let good = boot(case, &lab, &binaries, arguments.keep_logs, console)?;
            *if good { &mut passed } else { &mut failed } += 1;
        }
    }
    console.line(format!("{passed} passed, {failed} failed"));
    Ok(Verdict::of(failed == 0))
}

/// The programs that operators run, built now.
pub(crate) fn build(profile: Profile, console: &Console) -> anyhow::Result<Binaries> {
    console.line("building the controller, the agent and the CLI");
    Ok(Binaries::build(profile)?)
}

fn all() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(BY_CARGO)
}

fn find(name: &str) -> anyhow::Result<&'static Case> {
    match all().find(|case| case.name == name) {
        Some(case) => Ok(case),
        None => bail!("no case is called `{name}`; `cargo lab boot --list` names all"),
    }
}

/// Whether the case passed; its time and its failure are printed.
fn boot(
    case: &Case,
    lab: &LabFolder,
    binaries: &Binaries,
    keep_logs: bool,
    console: &Console,
) -> anyhow::Result<bool> {
    console.line(format!("{}: {}", case.name, case.about));
    let run = Run::begin(lab).context("failed to begin a run")?;
    let began = Instant::now();
    let say = |line: &str| console.line(format!("  {line}"));
    let outcome = case.run(&Bench { lab, run: run.clone(), binaries, say: &say });
    let seconds = began.elapsed().as_secs_f32();
    match &outcome {
        Ok(()) => console.line(format!("{}: ok, {seconds:.1} s", case.name)),
        Err(error) => {
            console.line(last_lines(run.folder()));
            console.line(format!("{}: FAILED, {seconds:.1} s: {error:#}", case.name));
        }
    }
    if outcome.is_err() || keep_logs {
        console.line(format!("  logs and captures: {}", run.folder().display()));
    } else {
        fs::remove_dir_all(run.folder()).context("failed to remove the run's folder")?;
    }
    Ok(outcome.is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        for case in all() {
            assert_eq!(all().filter(|other| other.name == case.name).count(), 1, "{}", case.name);
            assert!(std::ptr::eq(find(case.name).expect("it is in the list"), case));
        }
        let error = find("warp-drive").expect_err("no such case").to_string();
        assert!(error.contains("warp-drive") && error.contains("--list"), "{error}");
    }
}
