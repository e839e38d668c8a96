//! `cargo lab bench`: measurements, side by side with what others use.

mod all;
mod boot;
mod delta;
mod fleet;
mod measuring;
mod release;

use clap::Subcommand;
use integration::bench;

use super::Verdict;
use super::console::Console;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// Files over TFTP, beside dnsmasq, tftpd-hpa, atftpd and rs-tftpd.
    Tftp(measuring::Arguments),
    /// Images over HTTP, beside nginx, lighttpd and apache.
    Http(measuring::Arguments),
    /// Leases, beside Kea and dnsmasq.
    Dhcp(measuring::Arguments),
    /// Many machines that ask for an image which is still arriving.
    Cache(measuring::Arguments),
    /// What a new version of an image costs the WAN: real initial RAM disks, an ISO image, a file system, or OLD and NEW.
    Delta(delta::Arguments),
    /// Two hundred machines that boot at once through all stages, beside dnsmasq with nginx.
    Swarm(measuring::Arguments),
    /// The agent's memory under everything at once.
    Soak {
        /// For how long; --quick makes it twenty seconds.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
        minutes: u32,
        #[command(flatten)]
        arguments: measuring::Arguments,
    },
    /// What captures, metrics and traces cost: the agent with all of them beside the agent with none.
    Telemetry {
        #[command(subcommand)]
        of: Costing,
    },
    /// Whether we and all peers do their work at all: one file or lease from each.
    Trial(measuring::Arguments),
    /// All of the above, one after the other, with everything written into a folder.
    All(all::Arguments),
    /// Machines from power-on to their system, over the network and from their disk, beside dnsmasq and nginx.
    Boot(boot::Arguments),
    /// The time from a change to a hundred agents that have applied it; an idle agent's memory.
    Fleet,
    /// Is the kernel's limit that a bench stands beside, until it is ended.
    #[command(hide = true)]
    Limit { name: String, words: Vec<String> },
}

/// Work that telemetry may cost something.
#[derive(Debug, Subcommand)]
enum Costing {
    /// Files over TFTP.
    Tftp(measuring::Arguments),
    /// Images over HTTP.
    Http(measuring::Arguments),
    /// Leases.
    Dhcp(measuring::Arguments),
}

/// Measures one thing. Whatever loads a server or is timed by the millisecond goes on as a release build.
pub(crate) fn run(arguments: &Arguments, console: &Console) -> anyhow::Result<Verdict> {
    match &arguments.bench {
        Bench::Tftp(arguments) => measuring::run(arguments, console, bench::tftp::run),
        Bench::Http(arguments) => measuring::run(arguments, console, bench::http::run),
        Bench::Dhcp(arguments) => measuring::run(arguments, console, bench::dhcp::run),
        Bench::Cache(arguments) => measuring::run(arguments, console, bench::cache::run),
        Bench::Delta(arguments) => delta::run(arguments, console),
        Bench::Swarm(arguments) => measuring::run(arguments, console, bench::swarm::run),
        Bench::Telemetry { of } => match of {
            Costing::Tftp(arguments) => measuring::run(arguments, console, bench::tftp::telemetry),
            Costing::Http(arguments) => measuring::run(arguments, console, bench::http::telemetry),
            Costing::Dhcp(arguments) => measuring::run(arguments, console, bench::dhcp::telemetry),
        },
        Bench::Trial(arguments) => measuring::run(arguments, console, bench::trial::run),
        Bench::Soak { minutes, arguments } => {
            measuring::run(arguments, console, |setting| bench::soak::run(setting, *minutes))
        }
        Bench::All(arguments) => all::run(arguments, console),
        Bench::Boot(arguments) => boot::run(*arguments, console),
        Bench::Fleet => fleet::run(console),
        Bench::Limit { name, words } => bench::limit::run(name, words).map(|()| Verdict::Passed),
    }
}
