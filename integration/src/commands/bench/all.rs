//! `cargo lab bench all`: everything that stands beside peers, for docs/benchmarks.

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use integration::bench::{self, Report, Setting};

use super::{measuring, release};
use crate::commands::Verdict;
use crate::commands::console::Console;

/// The soak's length where nothing is said.
const MINUTES: u32 = 10;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where tables, charts and JSON go.
    #[arg(long, value_name = "FOLDER")]
    into: PathBuf,
    /// How often each piece of work is measured. [default: 5; 1 with --quick]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
    /// Smaller loads and one round: shows that it works, not how fast.
    #[arg(long)]
    quick: bool,
}

type Bench = fn(&Setting<'_>) -> anyhow::Result<Report>;

/// In the order of docs/benchmarks.md.
const BENCHES: [(&str, Bench); 6] = [
    ("tftp", bench::tftp::run),
    ("http", bench::http::run),
    ("dhcp", bench::dhcp::run),
    ("cache", bench::cache::run),
    ("swarm", bench::swarm::run),
    ("soak", |setting| bench::soak::run(setting, MINUTES)),
];

/// Runs each to its end, also behind one that fails.
pub(super) fn run(arguments: &Arguments, console: &Console) -> anyhow::Result<Verdict> {
    release::go_on(console)?;
    fs::create_dir_all(&arguments.into).context("failed to make the folder")?;
    let mut good = Vec::new();
    for (name, bench) in BENCHES {
        console.line(format!("\nbench {name}"));
        let own = measuring::Arguments::into(arguments.into.clone(), arguments.rounds, arguments.quick);
        let verdict = measuring::run(&own, console, bench).unwrap_or_else(|error| {
            console.error(&error.context(format!("bench {name}")));
            Verdict::Failed
        });
        good.push((name, verdict));
    }
    for (name, verdict) in &good {
        console.line(format!("{name}: {}", if *verdict == Verdict::Passed { "met" } else { "not met" }));
    }
    Ok(Verdict::of(good.iter().all(|(_, verdict)| *verdict == Verdict::Passed)))
}
