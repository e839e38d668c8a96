//! The dated page that `cargo lab test --all` leaves in docs/results.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use time::OffsetDateTime;

use super::counts::Counts;
use super::{Outcome, Report, line_of};

/// Where the pages are, from the root of the sources.
pub(super) const RESULTS: &str = "docs/results/";

/// The root of the sources.
pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate stands in the workspace's folder")
}

/// Writes today's page and returns its path from the root. A second run of a day replaces the first.
pub(super) fn write(reports: &[Report], elapsed: Duration) -> anyhow::Result<PathBuf> {
    let date = OffsetDateTime::now_utc().date().to_string();
    let path = PathBuf::from(format!("{RESULTS}{date}.md"));
    fs::create_dir_all(root().join(RESULTS)).context("create the folder")?;
    fs::write(root().join(&path), page(&date, &surroundings(), reports, elapsed))
        .context("write the page")?;
    Ok(path)
}

fn page(date: &str, surroundings: &str, reports: &[Report], elapsed: Duration) -> String {
    let mut text = format!("# `cargo lab test --all`, {date}\n\n{surroundings}\n");
    text.push_str("| step | result |\n|---|---|\n");
    let mut total = Counts::default();
    for report in reports {
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} | {} |", report.name, line_of(report));
        if let Outcome::Done(counts) = &report.outcome {
            total = total.and(counts);
        }
    }
    let _ = writeln!(
        text,
        "\n{}, {:.0} s for what was not kept from before",
        total.last_line(),
        elapsed.as_secs_f32()
    );
    text
}

/// What the numbers were taken on.
fn surroundings() -> String {
    let said = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).current_dir(root()).args(arguments).output().ok();
        output.map_or_else(
            || "unknown".to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let changed = if said("git", &["status", "--porcelain"]).is_empty() { "" } else { ", with changes" };
    let proc = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.lines()
            .find_map(|line| Some(line.strip_prefix(key)?.trim_start_matches([':', ' ', '\t']).to_owned()))
    };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "- commit {}{changed}\n- {}\n- {} × {}, {} of memory, Linux {}\n",
        said("git", &["rev-parse", "HEAD"]),
        said("rustc", &["--version"]),
        cores,
        proc("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned()),
        proc("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned()),
        said("uname", &["-r"]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_names_every_step_and_the_total() {
        let report =
            |name: &str, outcome| Report { name: name.to_owned(), outcome, seconds: 2.0, kept: false };
        let reports = [
            report("tests", Outcome::Done(Counts { passed: 12, failed: 1, ignored: 0 })),
            report("boot uefi-pxe 1/10", Outcome::Skipped("needs root".to_owned())),
        ];
        let page = page("2026-01-02", "- commit abc\n", &reports, Duration::from_secs(90));
        assert!(page.starts_with("# `cargo lab test --all`, 2026-01-02\n"), "{page}");
        assert!(page.contains("| tests | FAILED, 12 passed, 1 failed, 2.0 s |"), "{page}");
        assert!(page.contains("| boot uefi-pxe 1/10 | SKIPPED: needs root |"), "{page}");
        assert!(page.contains("\n12 passed, 1 failed, 90 s"), "{page}");
    }

    #[test]
    fn the_surroundings_name_commit_and_compiler() {
        let text = surroundings();
        assert!(text.contains("- commit ") && text.contains("- rustc 1."), "{text}");
    }
}
