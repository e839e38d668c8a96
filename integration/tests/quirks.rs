//! docs/quirks.md tells the truth: it has a line for every quirk, and every test that it names exists.
//!
//! Names of tests are looked up in the sources, so that nothing but this crate is built. Assumes that a module `a::b` is
//! `a/b.rs`, `a/b/mod.rs`, or a module `tests` at the foot of one of them.

use std::fs;
use std::path::{Path, PathBuf};

use integration::cases::CASES;

/// How many quirks are known.
const QUIRKS: usize = 65;

/// Where the sources of each crate are, below the workspace.
const SOURCES: &[(&str, &str)] = &[
    ("netboot", "edge-agent/netboot/src"),
    ("edge_agent", "edge-agent/src"),
    ("controller", "controller/src"),
    ("cli", "controller/cli/src"),
    ("integration", "integration/src"),
    ("proto", "proto/src"),
];

#[test]
fn every_quirk_has_a_line() {
    let numbers: Vec<usize> = rows().iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=QUIRKS).collect::<Vec<_>>());
    for row in rows() {
        assert!(row.tests.iter().any(|name| name.contains("::")) || row.answer.len() > 5, "{}", row.number);
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let rows = rows();
    let missing: Vec<_> = rows
        .iter()
        .flat_map(|row| row.tests.iter().map(move |name| (row.number, name)))
        .filter(|(_, name)| !exists(name))
        .collect();
    assert_eq!(missing, [], "tests that docs/quirks.md names and that are not there");
}

#[test]
fn every_case_that_is_named_exists() {
    let text = fs::read_to_string(workspace().join("docs/quirks.md")).expect("docs/quirks.md is there");
    let quoted = text.split('`').skip(1).step_by(2);
    let named: Vec<_> = quoted.filter_map(|name| name.strip_prefix("lab boot ")).collect();
    let known = |name: &&str| *name == "NAME" || CASES.iter().any(|case| case.name == *name);
    let missing: Vec<_> = named.iter().filter(|name| !known(name)).collect();
    assert!(missing.is_empty() && named.len() > 5, "no cases of the lab: {missing:?}, of {}", named.len());
}

#[test]
fn a_name_that_is_not_there_is_noticed() {
    assert!(exists("netboot::tftp::name::tests::quirk_45_slashes"));
    assert!(!exists("netboot::tftp::name::tests::quirk_45_slash"));
    assert!(!exists("netboot::tftp::tests::quirk_45_slashes"));
    assert!(!exists("nobody::tests::quirk_45_slashes"));
}

/// A line of the table.
struct Row {
    number: usize,
    answer: String,
    /// What stands in backticks and has `::` in it.
    tests: Vec<String>,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(workspace().join("docs/quirks.md")).expect("docs/quirks.md is there");
    text.lines().filter_map(row).collect()
}

fn row(line: &str) -> Option<Row> {
    let mut cells = line.strip_prefix("| ")?.splitn(3, " | ");
    let number = cells.next()?.parse().ok()?;
    let answer = cells.nth(1)?.trim_end_matches(" |").to_owned();
    let quoted = answer.split('`').skip(1).step_by(2);
    let tests = quoted.filter(|name| name.contains("::")).map(str::to_owned).collect();
    Some(Row { number, answer, tests })
}

fn exists(name: &str) -> bool {
    let parts: Vec<&str> = name.split("::").collect();
    let [krate, modules @ .., test] = parts.as_slice() else { return false };
    let Some((_, source)) = SOURCES.iter().find(|(known, _)| known == krate) else { return false };
    let inline = modules.strip_suffix(&["tests"]).unwrap_or(modules);
    let files = [modules, inline].into_iter().flat_map(|modules| files(&workspace().join(source), modules));
    let defined = format!("fn {test}(");
    files.filter_map(|file| fs::read_to_string(file).ok()).any(|text| text.contains(&defined))
}

fn files(source: &Path, modules: &[&str]) -> [PathBuf; 2] {
    let folder = modules.iter().fold(source.to_owned(), |path, module| path.join(module));
    [folder.with_extension("rs"), folder.join("mod.rs")]
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a crate of the workspace")
}
