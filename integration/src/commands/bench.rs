//! `cargo lab bench`: measurements, side by side with what others use.

mod boot;
mod fleet;

use anyhow::bail;
use clap::Subcommand;

use super::Verdict;
use super::console::Console;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Bench {
    /// Files over TFTP, beside dnsmasq and tftpd-hpa.
    Tftp,
    /// Images over HTTP, beside nginx.
    Http,
    /// Leases, beside Kea.
    Dhcp,
    /// Many machines that ask for an image which is still arriving.
    Cache,
    /// Machines from power-on to their system, over the network and from their disk, beside dnsmasq and nginx.
    Boot(boot::Arguments),
    /// The time from a change to a hundred agents that have applied it; an idle agent's memory.
    Fleet,
}

/// Measures one thing.
pub(crate) fn run(arguments: &Arguments, console: &Console) -> anyhow::Result<Verdict> {
    match arguments.bench {
        Bench::Tftp => bail!("not there yet: bench tftp"),
        Bench::Http => bail!("not there yet: bench http"),
        Bench::Dhcp => bail!("not there yet: bench dhcp"),
        Bench::Cache => bail!("not there yet: bench cache"),
        Bench::Boot(arguments) => boot::run(arguments, console),
        Bench::Fleet => fleet::run(console),
    }
}
