//! `cargo lab bench delta`.

use std::path::PathBuf;

use anyhow::Context as _;
use integration::binaries::Profile;
use integration::delta_bench::{Outcome, Pair, Transfer, files, measure};
use integration::fleet::Interrupt;
use integration::lab::{Run, packages};

use crate::commands::console::Console;
use crate::commands::{Verdict, boot, setup};

/// What the files are made with, beside what the lab has anyway.
const NEEDED: &[(&str, &str)] = &[("xorriso", "ISO images"), ("e2fsprogs", "file systems")];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Two versions of a file of one's own, instead of those that are made of Debian's packages.
    #[arg(num_args = 2, value_names = ["OLD", "NEW"])]
    files: Vec<PathBuf>,
}

/// Makes the files, measures and prints. There is no goal: what two versions have in common is theirs.
pub(super) fn run(arguments: &Arguments, console: &Console) -> anyhow::Result<Verdict> {
    super::release::go_on(console)?;
    let lab = setup::prepare(console)?;
    let binaries = boot::build(Profile::Release, console)?;
    let making = tempfile::tempdir_in(lab.root()).context("failed to make a folder")?;
    let pairs = match &arguments.files[..] {
        [old, new] => {
            let name = new.file_name().unwrap_or_default().to_string_lossy().into_owned();
            vec![Pair { name, old: old.clone(), new: new.clone() }]
        }
        _ => {
            packages::ensure_installed(NEEDED, &mut |line| console.line(line))?;
            files::pairs(making.path(), &|line| console.line(line))?
        }
    };
    console.line("\n| two versions of | size | WAN bytes, nothing held | WAN bytes, the old one held | saved | import |");
    console.line("|---|---|---|---|---|---|");
    for pair in &pairs {
        let run = Run::begin(&lab).context("failed to begin a run")?;
        let outcome = measure(&run, &binaries, pair, &Interrupt::default())?;
        console.line(row(&outcome));
    }
    Ok(Verdict::Passed)
}

fn row(outcome: &Outcome) -> String {
    let Outcome { name, first, second } = outcome;
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let of = |transfer: &Transfer| {
        let part = percent(transfer.wan, transfer.bytes);
        format!("{} ({part:.1} %), {:.1} s", transfer.wan, transfer.took.as_secs_f64())
    };
    let rate = second.bytes as f64 / 1e6 / second.import.as_secs_f64();
    let saved = 100.0 - percent(second.wan, second.bytes);
    format!("| {name} | {} | {} | {} | {saved:.1} % | {rate:.0} MB/s |", second.bytes, of(first), of(second))
}
