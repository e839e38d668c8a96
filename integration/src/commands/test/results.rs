//! The dated page that `cargo lab test --all` leaves in docs/results.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use integration::binaries::source_root;
use time::OffsetDateTime;
use time::macros::format_description;

use super::counts::Counts;
use super::{Outcome, Report, line_of, workers};

/// Where the pages are, from the root of the sources.
pub(super) const RESULTS: &str = "docs/results/";

/// Writes today's page and returns its path from the root. A second run of a day replaces the first.
pub(super) fn write(reports: &[Report], began: OffsetDateTime) -> anyhow::Result<PathBuf> {
    let ended = OffsetDateTime::now_utc();
    let date = ended.date().to_string();
    let path = PathBuf::from(format!("{RESULTS}{date}.md"));
    fs::create_dir_all(source_root().join(RESULTS)).context("create the folder")?;
    let surroundings = format!("{}{}", span(began, ended)?, surroundings());
    fs::write(source_root().join(&path), page(&date, &surroundings, reports)).context("write the page")?;
    Ok(path)
}

fn span(began: OffsetDateTime, ended: OffsetDateTime) -> anyhow::Result<String> {
    let minute = format_description!("[year]-[month]-[day] [hour]:[minute]");
    let (from, to) = (began.format(minute)?, ended.format(minute)?);
    Ok(format!("- {from} to {to} UTC; what was kept from a run that was stopped is marked\n"))
}

fn page(date: &str, surroundings: &str, reports: &[Report]) -> String {
    let mut text = format!("# `cargo lab test --all`, {date}\n\n{surroundings}\n");
    text.push_str("| step | result |\n|---|---|\n");
    // Writing to a string does not fail.
    for report in reports.iter().filter(|report| report.case.is_none() || !is_passed(report)) {
        let _ = writeln!(text, "| {} | {} |", report.name, line_of(report));
    }
    text.push_str(&boots(reports));
    let total = reports.iter().fold(Counts::default(), |total, report| match &report.outcome {
        Outcome::Done(counts) => total.and(counts),
        Outcome::Skipped(_) => total,
    });
    let seconds: f32 = reports.iter().map(|report| report.seconds).sum();
    let _ = writeln!(text, "\n{}; the steps took {seconds:.0} s together", total.last_line());
    text
}

/// Each case in a line: how many of its boots passed, and how long these took.
fn boots(reports: &[Report]) -> String {
    let mut text = String::new();
    let mut cases: Vec<_> = reports.iter().filter_map(|report| report.case).collect();
    cases.dedup();
    if !cases.is_empty() {
        text.push_str(
            "\n| boots of a case | passed | shortest | median | longest |\n|---|---|---|---|---|\n",
        );
    }
    for case in cases {
        let of_case = || reports.iter().filter(|report| report.case == Some(case));
        let mut seconds: Vec<f32> =
            of_case().filter(|report| is_passed(report)).map(|report| report.seconds).collect();
        seconds.sort_by(f32::total_cmp);
        let (passed, all) = (seconds.len(), of_case().count());
        let kept = match of_case().filter(|report| report.kept).count() {
            0 => String::new(),
            kept => format!(", {kept} kept"),
        };
        let times = match (seconds.first(), seconds.last()) {
            (Some(least), Some(most)) => format!("{least:.1} s | {:.1} s | {most:.1} s", median(&seconds)),
            _ => "- | - | -".to_owned(),
        };
        let _ = writeln!(text, "| {case} | {passed} of {all}{kept} | {times} |");
    }
    text
}

fn is_passed(report: &Report) -> bool {
    matches!(&report.outcome, Outcome::Done(counts) if counts.failed == 0)
}

/// Of sorted numbers, at least one.
fn median(sorted: &[f32]) -> f32 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { f32::midpoint(sorted[middle - 1], sorted[middle]) }
}

/// What the numbers were taken on.
fn surroundings() -> String {
    let changed = said("git", &["status", "--porcelain", "--", ".", &format!(":!{RESULTS}")]);
    let changed = if changed.is_empty() { "" } else { ", with changes" };
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "- commit {}{changed}\n- {}\n- {cores} cores ({}), {} of memory, {}, Linux {}\n- machines: {}, by emulation \
         (TCG), {} at a time; {}\n- {}\n",
        said("git", &["rev-parse", "HEAD"]),
        said("rustc", &["--version"]),
        proc("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".to_owned()),
        proc("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown amount".to_owned()),
        proc("/etc/os-release", "PRETTY_NAME=").unwrap_or_else(|| "unknown system".to_owned()),
        said("uname", &["-r"]),
        said("qemu-system-x86_64", &["--version"]).lines().next().unwrap_or("no QEMU"),
        workers(),
        if Path::new("/dev/kvm").exists() { "KVM is there and not used" } else { "there is no KVM" },
        firmware(),
    )
}

/// The packages whose code machines run before ours.
fn firmware() -> String {
    let listed =
        said("dpkg-query", &["-W", "-f", "${Package} ${Version}\n", "seabios", "ovmf", "ipxe-qemu", "ipxe"]);
    listed.lines().collect::<Vec<_>>().join(", ")
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).current_dir(source_root()).args(arguments).output();
    output.map_or_else(
        |_| "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// The value behind `key` in a file of lines.
fn proc(file: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key))?;
    Some(value.trim_matches([':', ' ', '\t', '"']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str, case: Option<&'static str>, outcome: Outcome, seconds: f32) -> Report {
        Report { name: name.to_owned(), case, outcome, seconds, kept: false }
    }

    fn boot(case: &'static str, number: u8, passed: bool, seconds: f32) -> Report {
        let outcome = Outcome::Done(Counts::of_one(passed));
        report(&format!("boot {case} {number}/4"), Some(case), outcome, seconds)
    }

    #[test]
    fn a_page_names_every_step_and_the_total() {
        let tests = Outcome::Done(Counts { passed: 12, failed: 1, ignored: 0 });
        let reports = [
            report("tests", None, tests, 2.0),
            report("setup", None, Outcome::Skipped("needs root".to_owned()), 0.0),
        ];
        let page = page("2026-01-02", "- commit abc\n", &reports);
        assert!(page.starts_with("# `cargo lab test --all`, 2026-01-02\n\n- commit abc\n"), "{page}");
        assert!(page.contains("| tests | FAILED, 12 passed, 1 failed, 2.0 s |"), "{page}");
        assert!(page.contains("| setup | SKIPPED: needs root |"), "{page}");
        assert!(page.contains("\n12 passed, 1 failed; the steps took 2 s together"), "{page}");
    }

    #[test]
    fn the_boots_of_a_case_are_one_line_and_each_that_failed_another() {
        let boots = [
            boot("uefi", 1, true, 31.0),
            boot("uefi", 2, true, 29.5),
            boot("uefi", 3, false, 300.0),
            boot("uefi", 4, true, 40.0),
            Report { kept: true, ..boot("disk", 1, true, 10.0) },
            boot("disk", 2, true, 20.0),
            boot("never", 1, false, 1.0),
        ];
        let page = page("2026-01-02", "", &boots);
        assert!(page.contains("| uefi | 3 of 4 | 29.5 s | 31.0 s | 40.0 s |"), "{page}");
        assert!(page.contains("| boot uefi 3/4 | FAILED, 0 passed, 1 failed, 300.0 s |"), "{page}");
        assert!(page.contains("| disk | 2 of 2, 1 kept | 10.0 s | 15.0 s | 20.0 s |"), "{page}");
        assert!(page.contains("| never | 0 of 1 | - | - | - |"), "{page}");
        assert!(!page.contains("boot uefi 1/4"), "{page}");
    }

    #[test]
    fn the_surroundings_name_commit_compiler_and_machine() {
        let text = surroundings();
        assert!(text.contains("- commit ") && text.contains("- rustc 1.") && text.contains(" KVM"), "{text}");
    }
}
