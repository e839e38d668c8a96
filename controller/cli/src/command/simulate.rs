//! `bootlane host simulate`.

use clap::Args;
use proto::ByteSize;
use proto::v1::SimulateBootRequest;

use super::Context;
use crate::failure::Failure;
use crate::output::{Format, document, words, yaml};
use crate::simulation;

/// What machine, and where.
#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// A host's name, or the link address of any machine
    machine: String,
    /// What it starts with: bios, bios-ipxe, uefi-x64, uefi-ia32, uefi-arm64, uefi-http, uefi-arm64-http, raspberry-pi, …
    #[arg(long)]
    firmware: String,
    /// Where it boots, if not at its host's site
    #[arg(long)]
    site: Option<String>,
    /// The agent that answers it, if not its order's or the site's first
    #[arg(long)]
    agent: Option<String>,
    /// How much memory it has, for example 4GiB: says whether kernel and initial RAM disks fit
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
}

/// Does it; a boot that would fail is a failure.
pub(crate) async fn run(context: &mut Context, arguments: Simulate) -> Result<(), Failure> {
    let request = SimulateBootRequest {
        machine: arguments.machine,
        firmware: arguments.firmware,
        site: arguments.site.unwrap_or_default(),
        agent: arguments.agent.unwrap_or_default(),
        memory_bytes: arguments.memory.map_or(0, |memory| memory.0),
    };
    let answer = context.connect().await?.simulate_boot(request).await?;
    match context.output.format_or(Format::Table) {
        Format::Table => context.output.text(&simulation::text(&answer, words::now()))?,
        Format::Json => context.output.line(&document::json(&simulation::value(&answer)))?,
        Format::Yaml => {
            let yaml = yaml::text(&simulation::value(&answer));
            context.output.text(&yaml)?;
        }
    }
    if simulation::fails(&answer) { Err(Failure::failed("this boot would fail")) } else { Ok(()) }
}
