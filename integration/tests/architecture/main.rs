//! The shape of the workspace (DESIGN §2), asserted from what cargo says of it, and the rules that hold for
//! every file.
//!
//! A new crate or a new arrow fails here first: then change the design, or the crate.

mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{Dependency, Metadata, MetadataCommand, Package};
use integration::binaries::cargo_path;

/// Which of our crates each of our crates may use, in any way: tests and build scripts included.
const ARROWS: &[(&str, &[&str])] = &[
    ("proto", &[]),
    ("certs", &[]),
    ("telemetry", &[]),
    ("netboot", &["proto"]),
    ("rom", &["proto", "netboot"]),
    ("edge-agent", &["proto", "netboot", "certs", "telemetry"]),
    ("controller", &["proto", "certs", "telemetry", "netboot", "rom"]),
    ("cli", &["proto", "certs", "telemetry"]),
    ("integration", &["proto", "netboot", "rom", "certs", "telemetry", "edge-agent", "controller"]),
];

/// Arrows that the design draws and that must not be lost: a crate that copies what it should use is as wrong.
const DRAWN: &[(&str, &str)] = &[
    ("netboot", "proto"),
    ("rom", "netboot"),
    ("edge-agent", "netboot"),
    ("controller", "proto"),
    ("controller", "rom"),
];

/// The crates of engines, below `edge-agent/`.
const PURE: &[&str] = &["netboot", "rom"];

/// Crates that do what the engines leave to their shell (DESIGN §3): sockets, files, clocks, threads, runtimes.
const IMPURE: &[&str] = &[
    "tokio",
    "tokio-stream",
    "tokio-util",
    "futures",
    "async-trait",
    "mio",
    "socket2",
    "rustix",
    "libc",
    "nix",
    "quinn-udp",
    "hyper",
    "hyper-util",
    "axum",
    "tonic",
    "tower",
    "reqwest",
    "object_store",
    "sled",
    "tempfile",
    "rustls",
    "ring",
    "chrono",
    "time",
    "rayon",
    "crossbeam",
    "parking_lot",
    "tracing-subscriber",
    "certs",
    "telemetry",
];

fn metadata() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    // Offline: whoever runs a test has what it was built from.
    let mut command = MetadataCommand::new();
    command.manifest_path(manifest).no_deps().other_options(["--offline".to_owned()]);
    command.exec().expect("cargo describes the workspace it just built")
}

fn root() -> PathBuf {
    metadata().workspace_root.into_std_path_buf()
}

/// Our crates by name.
fn ours(metadata: &Metadata) -> BTreeMap<String, &Package> {
    metadata.workspace_packages().into_iter().map(|package| (package.name.to_string(), package)).collect()
}

#[test]
fn every_crate_has_its_place() {
    let metadata = metadata();
    let placed: BTreeSet<_> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let found: BTreeSet<_> = ours(&metadata).into_keys().collect();
    assert_eq!(found, placed, "a crate is missing or has no place in the design");
}

#[test]
fn no_arrow_points_where_the_design_draws_none() {
    let metadata = metadata();
    let ours = ours(&metadata);
    for (name, allowed) in ARROWS {
        let uses = ours[*name].dependencies.iter().map(|dependency| dependency.name.as_str());
        let forbidden: Vec<_> = uses
            .filter(|used| ours.contains_key(*used) && *used != *name && !allowed.contains(used))
            .collect();
        assert!(forbidden.is_empty(), "{name} must not use {forbidden:?}");
    }
}

#[test]
fn the_arrows_that_carry_the_design_are_there() {
    let metadata = metadata();
    let ours = ours(&metadata);
    for (name, used) in DRAWN {
        assert!(
            ours[*name].dependencies.iter().any(|found| found.name == *used),
            "{name} does not use {used}"
        );
    }
}

#[test]
fn the_engines_are_pure() {
    let metadata = metadata();
    let is_shipped = |dependency: &&Dependency| dependency.kind == cargo_metadata::DependencyKind::Normal;
    for engines in PURE {
        let dependencies = ours(&metadata)[*engines].dependencies.iter().filter(is_shipped);
        let impure: Vec<_> =
            dependencies.map(|used| used.name.as_str()).filter(|name| IMPURE.contains(name)).collect();
        assert!(impure.is_empty(), "{engines} must not use {impure:?}");
    }
}

#[test]
fn no_crate_comes_from_elsewhere_than_crates_io() {
    let lock = fs::read_to_string(root().join("Cargo.lock")).expect("the lock file is in the sources");
    let sources: BTreeSet<_> = lock.lines().filter_map(|line| line.strip_prefix("source = ")).collect();
    let expected = BTreeSet::from(["\"registry+https://github.com/rust-lang/crates.io-index\""]);
    assert_eq!(sources, expected);
}

#[test]
fn every_crate_takes_lints_and_facts_from_the_workspace() {
    let metadata = metadata();
    for (name, package) in ours(&metadata) {
        let text = fs::read_to_string(&package.manifest_path).expect("cargo has read it");
        let manifest: toml::Table = toml::from_str(&text).expect("cargo has parsed it");
        let inherits = |table: &str, key: Option<&str>| {
            let value = manifest.get(table);
            let value = key.map_or(value, |key| value.and_then(|value| value.get(key)));
            value.and_then(|value| value.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
        };
        assert!(inherits("lints", None), "{name}: [lints] workspace = true");
        for key in ["version", "edition", "rust-version", "license", "publish"] {
            assert!(inherits("package", Some(key)), "{name}: {key}.workspace = true");
        }
    }
}

#[test]
fn the_engines_have_their_own_bans() {
    for engines in PURE {
        bans_what_is_impure(engines);
    }
}

fn bans_what_is_impure(engines: &str) {
    let file = root().join("edge-agent").join(engines).join("clippy.toml");
    let bans = fs::read_to_string(file).expect("it is in the sources");
    let bans: toml::Table = toml::from_str(&bans).expect("clippy reads it too");
    let banned: BTreeSet<_> = ["disallowed-methods", "disallowed-types"]
        .iter()
        .flat_map(|table| bans[*table].as_array().expect("a list"))
        .map(|ban| {
            assert!(ban["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{ban} has no reason");
            ban["path"].as_str().expect("a path")
        })
        .collect();
    for path in [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "std::net::UdpSocket",
        "std::collections::HashMap",
    ] {
        assert!(banned.contains(path), "{engines}: {path}");
    }
}

/// Cargo chooses the features of libraries by what is built together. Where the lab's differ from the workspace's, all
/// that stands on them is built twice, in every fresh clone.
#[test]
fn the_lab_shares_its_libraries_with_the_workspace() {
    let libraries = |selected: &[&str]| -> BTreeSet<String> {
        let arguments = ["tree", "--edges", "normal,build", "--prefix", "none", "--format", "{p} {f}"];
        let mut cargo = Command::new(cargo_path());
        let output = cargo.current_dir(root()).args(arguments).args(selected).output().expect("cargo runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().map(|line| line.trim_end_matches(" (*)").trim_end().to_owned()).collect()
    };
    let (lab, workspace) = (libraries(&["--package", "integration"]), libraries(&["--workspace"]));
    assert!(lab.len() > 100, "{lab:?}");
    let others: Vec<_> = lab.difference(&workspace).collect();
    assert!(others.is_empty(), "with other features in the workspace: {others:#?}");
}

#[test]
fn every_file_says_what_it_is_for() {
    let silent: Vec<_> = files(&root())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter(|path| !fs::read_to_string(path).expect("sources are text").starts_with("//! "))
        .collect();
    assert!(silent.is_empty(), "without `//!` at the top: {silent:#?}");
}

#[test]
fn no_file_names_a_place_on_somebodys_machine() {
    let root = root();
    let mut places = vec!["/home/".to_owned()];
    // A checkout in, say, `/src` is too short to be told from a path in an image.
    places.extend(root.to_str().filter(|path| path.matches('/').count() > 1).map(str::to_owned));
    for name in ["CARGO_HOME", "RUSTUP_HOME"] {
        places.extend(std::env::var(name).ok().filter(|path| path.matches('/').count() > 1));
    }
    for path in files(&root) {
        // What is no text names nothing that people read.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for place in &places {
            let named = text
                .match_indices(place.as_str())
                .any(|(at, _)| names_a_place(&text[at + place.len()..], place));
            assert!(!named, "{} names {place}", path.display());
        }
    }
}

/// `/home/` alone is a word of the field; with somebody's name behind it, it is a place.
fn names_a_place(rest: &str, place: &str) -> bool {
    !place.ends_with('/') || rest.starts_with(|next: char| next.is_ascii_alphanumeric())
}

/// All files of the sources: what is built, and what git keeps for itself, left out.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("the sources are readable") {
        let entry = entry.expect("the sources are readable");
        let (kind, name) = (entry.file_type().expect("the sources are readable"), entry.file_name());
        if kind.is_dir() && !matches!(name.to_str(), Some("target" | ".git" | "lab-out" | "node_modules")) {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}
