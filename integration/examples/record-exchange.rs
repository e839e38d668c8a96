//! Records a client's DHCP exchange out of a case's capture, for netboot's tests (CONTRIBUTING, "Recorded clients").
//!
//! `cargo lab boot --keep-logs CASE`, then `cargo run -p integration --example record-exchange -- CAPTURE MAC SITE HOST ABOUT`
//! prints the recording. SITE is the lab's network (`demo`, `short-leases`, `relayed`, `beside`), HOST the name of the catalog's
//! host or `-`.

#![expect(clippy::print_stdout, reason = "the recording is what this program is for")]

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, bail};
use integration::lab::pcap::{Datagram, Packet, frames};
use netboot::dhcp::{Message, Operation};

/// The agent of the lab.
const AGENT: Ipv4Addr = Ipv4Addr::new(192, 168, 77, 1);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [capture, mac, site, host, about] = arguments.as_slice() else {
        bail!("usage: record-exchange CAPTURE MAC SITE HOST ABOUT");
    };
    let file = std::fs::read(capture).with_context(|| format!("failed to read {capture}"))?;
    let mut exchange = Vec::new();
    for frame in frames(&file)? {
        let heard = Packet::of(frame).and_then(Datagram::of).and_then(Heard::of);
        exchange.extend(heard.filter(|heard| heard.message.mac.to_string() == *mac));
    }
    let mut text = format!("# {about}\nsite {site}\n");
    if host != "-" {
        writeln!(text, "host {host} {mac}")?;
    }
    text.push_str(&recording(&exchange, site == "short-leases")?);
    print!("{text}");
    Ok(())
}

/// A message to the agent or from it.
struct Heard<'a> {
    from: SocketAddrV4,
    to: SocketAddrV4,
    bytes: &'a [u8],
    message: Message,
}

impl<'a> Heard<'a> {
    fn of(datagram: Datagram<'a>) -> Option<Self> {
        let Datagram { from, to, payload: bytes } = datagram;
        let message = matches!(to.port(), 67 | 68 | 4011).then(|| Message::parse(bytes).ok())??;
        let ours = match message.operation {
            Operation::Request => to.ip().is_broadcast() || *to.ip() == AGENT,
            Operation::Reply => *from.ip() == AGENT,
        };
        ours.then_some(Self { from, to, bytes, message })
    }

    fn option(&self, code: u8) -> &[u8] {
        self.message.options.as_ref().and_then(|options| options.get(code)).unwrap_or_default()
    }

    /// What the agent had been told to say.
    fn answer(&self) -> String {
        let name = if self.option(67).is_empty() { self.message.file.as_slice() } else { self.option(67) };
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        match name.rsplit_once("/l/") {
            Some((_, "none")) => "local-disk".to_owned(),
            Some((_, loader)) => format!("loader {loader}"),
            None if name.contains("/boot.ipxe") => format!("script {name}"),
            None if !name.is_empty() => format!("loader {name}"),
            None if self.option(43).starts_with(&[6, 1, 8, 8]) => "local-disk".to_owned(),
            None => "nothing".to_owned(),
        }
    }
}

/// `deaf`: the agent did not hear the REQUESTs that it did not answer.
fn recording(exchange: &[Heard<'_>], deaf: bool) -> anyhow::Result<String> {
    let (mut text, mut answer) = (String::new(), String::new());
    for (place, heard) in exchange.iter().enumerate() {
        let behind = exchange.get(place + 1).filter(|next| next.message.operation == Operation::Reply);
        match (heard.message.operation, behind) {
            (Operation::Request, None) if deaf && heard.option(53) == [3] => continue,
            (Operation::Request, Some(reply)) if reply.answer() != answer => {
                answer = reply.answer();
                writeln!(text, "answer {answer}")?;
            }
            (Operation::Request | Operation::Reply, _) => {}
        }
        match heard.message.operation {
            Operation::Request => writeln!(text, "heard {} {}", heard.from, heard.to)?,
            Operation::Reply => writeln!(text, "said {}", heard.to)?,
        }
        let digits: String = heard.bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(text, "  {digits}")?;
    }
    Ok(text)
}
