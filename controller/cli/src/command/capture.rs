//! `bootlane boot capture`.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Context, boot};
use crate::client::next;
use crate::failure::{Exit, Failure};
use crate::output::words;

/// So many bytes of a file are no packets (the header of pcap).
const HEADER: u64 = 24;
/// As many digits of the attempt name the file.
const DIGITS: usize = 12;

/// `boot capture`.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The attempt, or its first digits as `boot list` shows them
    attempt: String,
    /// Where it is written, `-` for standard output [default: boot-DIGITS.pcap]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Does it. A capture is small: it is fetched first and written as a whole.
pub(crate) async fn run(context: &mut Context, arguments: &Arguments) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    let attempt = boot::find(&mut client, &arguments.attempt).await?;
    let mut pieces = client.get_capture(attempt).await?;
    let mut pcap = Vec::new();
    while let Some(piece) = next("fetch the capture", &mut pieces).await? {
        pcap.extend_from_slice(&piece.pcap);
    }
    let digits: String = attempt.to_string().chars().take(DIGITS).collect();
    let file = arguments.out.clone().unwrap_or_else(|| format!("boot-{digits}.pcap").into());
    if file == Path::new("-") {
        return std::io::stdout().write_all(&pcap).map_err(|error| failed(&file, &error));
    }
    std::fs::write(&file, &pcap).map_err(|error| failed(&file, &error))?;
    let size = words::size(pcap.len() as u64);
    context
        .output
        .line(&format!("{} written, {size}: open it with Wireshark, or with tcpdump -r", file.display()))?;
    if pcap.len() as u64 <= HEADER {
        context.output.remark("no packet of this boot was kept");
    }
    Ok(())
}

fn failed(file: &Path, error: &std::io::Error) -> Failure {
    Failure::because(Exit::Failed, &format!("write {}", file.display()), error)
}
