//! Many machines that ask for an image which is still arriving, beside the link that it arrives by.

use anyhow::bail;

use super::{Report, Setting};

/// Runs the bench.
///
/// # Errors
/// When it cannot be set up.
pub fn run(_setting: &Setting<'_>) -> anyhow::Result<Report> {
    bail!("not there yet: bench cache")
}
