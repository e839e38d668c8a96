//! Leases, beside Kea and dnsmasq.

use anyhow::bail;

use super::{Report, Setting};

/// Runs the bench.
///
/// # Errors
/// When it cannot be set up.
pub fn run(_setting: &Setting<'_>) -> anyhow::Result<Report> {
    bail!("not there yet: bench dhcp")
}

/// Is the kernel's limit of this bench; see [`super::limit`].
///
/// # Errors
/// When its sockets fail.
pub fn limit(_words: &[String]) -> anyhow::Result<()> {
    bail!("not there yet: the limit of bench dhcp")
}
