//! The programs under test: those of the same build as the test, built by cargo if need be.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds a program in the profile of this test and says where it is.
///
/// # Panics
/// When it does not build: there is nothing to test then.
#[must_use]
pub fn build(package: &str, program: &str) -> PathBuf {
    let target = target_folder();
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--package", package, "--bin", program]);
    command.arg("--target-dir").arg(&target).current_dir(env!("CARGO_MANIFEST_DIR"));
    if is_release() {
        command.arg("--release");
    }
    // Build scripts watch what `cargo test` sets for us, and would run again.
    for (name, _) in std::env::vars_os() {
        if name
            .to_str()
            .is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
        {
            command.env_remove(name);
        }
    }
    let status = command.status().expect("cargo runs: it runs this test");
    assert!(status.success(), "{program} does not build");
    target.join(profile_folder()).join(program)
}

fn is_release() -> bool {
    !cfg!(debug_assertions)
}

fn profile_folder() -> &'static str {
    if is_release() { "release" } else { "debug" }
}

/// A test's own program lies in `TARGET/PROFILE/deps`.
fn target_folder() -> PathBuf {
    let own = std::env::current_exe().expect("a running program knows its path");
    let profile = own.ancestors().find(|path| path.ends_with(profile_folder()));
    let target = profile.and_then(Path::parent).expect("tests lie in TARGET/PROFILE/deps");
    target.to_owned()
}
