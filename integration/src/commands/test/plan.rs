//! Which steps there are.
//!
//! All `cargo test` steps name the whole workspace, also those that run one test: so they share one build.

use std::time::Duration;

use integration::cases::{CASES, Case};

use super::step::{Counting, Program, Step};

/// The variable that says how often the kill loops kill.
const KILLS: &str = "BOOTLANE_KILLS";
/// How often each case that every change must pass must boot in a row in `--all`.
const BOOTS_IN_A_ROW: usize = 5;

const MINUTE: Duration = Duration::from_secs(60);

/// What every change must pass.
pub(super) fn every_change() -> Vec<Step> {
    let mut steps = vec![
        Step::new("setup", Program::Lab, &["setup"]).bound(10 * MINUTE).needing_root(),
        Step::new("format", Program::Cargo, &["fmt", "--all", "--check"]).bound(MINUTE),
        // Before the tests: those that kill and measure real processes build the same.
        Step::new("build", Program::Cargo, &["build", "--workspace", "--bins"]).bound(20 * MINUTE),
        lints(),
        documentation(),
        Step::new("cargo-deny", Program::InstallCargoDeny, &[])
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .bound(15 * MINUTE),
        Step::new("supply-chain", Program::CargoDeny, &["--offline", "check", "bans", "licenses", "sources"])
            .bound(2 * MINUTE),
        tests("tests", &[]).env(KILLS, "5"),
    ];
    steps.extend(CASES.iter().filter(|case| case.everyday).map(|case| boot(case.name, case)));
    steps
}

/// With the long counts.
pub(super) fn all() -> Vec<Step> {
    let mut steps = every_change();
    // Booting once is contained in booting several times.
    steps.retain(|step| !step.name.starts_with("boot "));
    steps.extend([
        // The kill loops say so in their tests' names.
        tests("kills", &["--", "kill"]).env(KILLS, "50").bound(90 * MINUTE),
        tests("many random cases", &["--", "--skip", "kill"])
            .env("PROPTEST_CASES", "2048")
            .bound(90 * MINUTE),
    ]);
    for case in CASES {
        let boots = boots_of(case);
        steps.extend((1..=boots).map(|time| boot(&format!("{} {time}/{boots}", case.name), case)));
    }
    steps
}

/// How often a case boots in `--all`.
fn boots_of(case: &Case) -> usize {
    if case.everyday { BOOTS_IN_A_ROW } else { 1 }
}

fn lints() -> Step {
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    Step::new("lints", Program::Cargo, &arguments).bound(20 * MINUTE)
}

fn documentation() -> Step {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items", "--keep-going"];
    Step::new("documentation", Program::Cargo, &arguments)
        // Private items are documented too, so links to them lead somewhere.
        .env("RUSTDOCFLAGS", "-D warnings -A rustdoc::private-intra-doc-links")
        .bound(20 * MINUTE)
}

fn tests(name: &str, more: &[&str]) -> Step {
    let arguments = [&["test", "--workspace", "--no-fail-fast"], more].concat();
    Step::new(name, Program::Cargo, &arguments).counting(Counting::Tests).bound(30 * MINUTE)
}

fn boot(name: &str, case: &Case) -> Step {
    Step::new(&format!("boot {name}"), Program::Lab, &["boot", case.name])
        .bound(case.bound)
        .booting(case.name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_tell_steps_apart_because_progress_is_kept_by_name() {
        for steps in [every_change(), super::all()] {
            let names: BTreeSet<_> = steps.iter().map(|step| step.name.as_str()).collect();
            assert_eq!(names.len(), steps.len());
        }
    }

    #[test]
    fn all_contains_whatever_every_change_must_pass() {
        let all = super::all();
        for step in every_change() {
            let contained = all.iter().any(|other| other.name.starts_with(step.name.as_str()));
            assert!(contained, "{}", step.name);
        }
        for case in CASES {
            let boots =
                all.iter().filter(|step| step.line().ends_with(&format!("boot {}", case.name))).count();
            assert_eq!(boots, boots_of(case), "{}", case.name);
        }
    }
}
