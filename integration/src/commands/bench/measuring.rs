//! What the benches that stand beside peers have in common on the command line.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use integration::bench::{Cores, Options, Report, Setting, chart, table};
use integration::binaries::Profile;

use crate::commands::console::Console;
use crate::commands::{Verdict, boot, setup};

/// Goals are asked of medians of at least five.
const ROUNDS: u32 = 5;

#[derive(Debug, Default, clap::Args)]
pub(super) struct Arguments {
    /// How often each piece of work is measured. [default: 5; 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Smaller loads and one round: shows that it works, not how fast.
    #[arg(long)]
    quick: bool,
    /// Measures this piece of work alone, by its name or the beginning of it. May be repeated.
    #[arg(long, value_name = "CELL")]
    only: Vec<String>,
    /// Has servers begin TCP connections with this congestion control, as another kernel would: cubic, reno, bbr.
    #[arg(long, value_name = "NAME")]
    congestion: Option<String>,
    /// Writes everything that was measured, for programs.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes a chart.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Writes the tables that are printed, for docs/benchmarks.md.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Writes all three of them into this folder, under the bench's name.
    #[arg(long, value_name = "FOLDER")]
    into: Option<PathBuf>,
    /// Measures nothing: reads what --json has written, and prints and writes it again.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["rounds", "quick", "only", "congestion", "json"])]
    from: Option<PathBuf>,
}

impl Arguments {
    fn options(&self) -> Options {
        let rounds = self.rounds.unwrap_or(if self.quick { 1 } else { ROUNDS });
        let congestion = self.congestion.clone();
        Options { rounds, quick: self.quick, only: self.only.clone(), congestion }
    }

    /// What is to be written, and how.
    fn files(&self, bench: &str) -> Vec<(PathBuf, Kind)> {
        let named = [(&self.json, Kind::Json), (&self.svg, Kind::Svg), (&self.markdown, Kind::Markdown)];
        let named = named.into_iter().filter_map(|(path, kind)| Some((path.clone()?, kind)));
        let into = |folder: &PathBuf| {
            let file = |ending: &str| folder.join(format!("{bench}.{ending}"));
            [(file("json"), Kind::Json), (file("svg"), Kind::Svg), (file("md"), Kind::Markdown)]
        };
        named.chain(self.into.iter().flat_map(into)).collect()
    }
}

/// A form of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Svg,
    Markdown,
}

impl Arguments {
    /// For a bench of [`super::all`].
    pub(super) fn into(folder: PathBuf, rounds: Option<u32>, quick: bool) -> Self {
        Self { into: Some(folder), rounds, quick, ..Self::default() }
    }
}

/// Sets up, measures, prints and writes. Fails when a goal is missed, but not with `--quick`.
pub(super) fn run(
    arguments: &Arguments,
    console: &Console,
    bench: impl Fn(&Setting<'_>) -> anyhow::Result<Report>,
) -> anyhow::Result<Verdict> {
    let report = match &arguments.from {
        Some(path) => {
            Report::read_json(path).with_context(|| format!("failed to read {}", path.display()))?
        }
        None => measure(arguments, console, bench)?,
    };
    let text = format!("# {}\n\n{}", report.title, table::markdown(&report));
    console.line(format!("\n{text}"));
    for (path, kind) in arguments.files(&report.bench) {
        let written = match kind {
            Kind::Json => report.write_json(&path),
            Kind::Svg => fs::write(&path, chart::svg(&report)),
            Kind::Markdown => fs::write(&path, &text),
        };
        written.with_context(|| format!("failed to write {}", path.display()))?;
    }
    console.line(if report.is_met() { "goals: met" } else { "goals: not all met" });
    Ok(Verdict::of(report.is_met() || report.quick))
}

fn measure(
    arguments: &Arguments,
    console: &Console,
    bench: impl Fn(&Setting<'_>) -> anyhow::Result<Report>,
) -> anyhow::Result<Report> {
    super::release::go_on(console)?;
    let lab = setup::prepare(console)?;
    let binaries = boot::build(Profile::Release, console)?;
    let cores = Cores::available().context("failed to ask for the machine's cores")?;
    cores.take_load_core().context("failed to stay on one core")?;
    if cores.are_one() {
        console.line(cores);
    }
    let options = arguments.options();
    let say = |line: &str| console.line(format!("  {line}"));
    bench(&Setting { lab: &lab, binaries: &binaries, cores, options: &options, say: &say })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn rounds_are_five_unless_it_is_quick_or_said() {
        let rounds = |words: &[&str]| {
            let words = ["bench"].iter().chain(words);
            Line::try_parse_from(words).map(|line| line.arguments.options().rounds).ok()
        };
        assert_eq!(rounds(&[]), Some(5));
        assert_eq!(rounds(&["--quick"]), Some(1));
        assert_eq!(rounds(&["--quick", "--rounds", "3"]), Some(3));
        assert_eq!(rounds(&["--rounds", "0"]), None);
        assert_eq!(rounds(&["--from", "a.json", "--quick"]), None, "nothing is measured then");
    }

    #[test]
    fn a_folder_gets_all_forms_under_the_benchs_name() {
        let line = Line::try_parse_from(["bench", "--into", "docs", "--svg", "chart.svg"]).expect("legal");
        let files = line.arguments.files("tftp");
        let expected = [
            ("chart.svg", Kind::Svg),
            ("docs/tftp.json", Kind::Json),
            ("docs/tftp.svg", Kind::Svg),
            ("docs/tftp.md", Kind::Markdown),
        ];
        assert_eq!(files, expected.map(|(path, kind)| (PathBuf::from(path), kind)));
    }
}
