//! Tests on a disk that is really full: the test binary runs one of its tests again, in a mount namespace
//! of its own with a tmpfs of 1 MiB, which ends with the process.

use std::path::PathBuf;
use std::process::Command;

const MOUNT: &str = "BOOTLANE_TINY_TMPFS";
const PASSED: &str = "passed on a tiny tmpfs";

/// Runs the test `child` on the tmpfs, and fails if it does, or if it did not run to its end.
///
/// Mounting needs root. Without it the test is left out, but never under `CI=true`.
pub(crate) fn run(child: &str) {
    if !rustix::process::geteuid().is_root() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "this test needs root for its tmpfs");
        return;
    }
    let dir = tempfile::tempdir().expect("tempdir");
    let script = format!(r#"mount -t tmpfs -o size=1m none "${MOUNT}" && exec "$0" "$@""#);
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script])
        .arg(std::env::current_exe().expect("own path"))
        .args(["--exact", child, "--nocapture", "--test-threads=1"])
        .env(MOUNT, dir.path())
        .output()
        .expect("unshare");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains(PASSED), "{said}");
}

/// Where the tmpfs is, in a child that [`run`] started.
pub(crate) fn mounted() -> Option<PathBuf> {
    std::env::var_os(MOUNT).map(PathBuf::from)
}

/// To be called by the child at its end.
#[expect(clippy::print_stdout, reason = "the parent reads it")]
pub(crate) fn passed() {
    println!("{PASSED}");
}
