//! Records how transfers by TFTP began, out of a case's capture, for netboot's tests (CONTRIBUTING, "Recorded clients").
//!
//! `cargo lab boot --keep-logs CASE`, then `cargo run -p integration --example record-transfers -- CAPTURE ABOUT NAME…`
//! prints every request of a name that ends with one of these, and what was said up to the client's third packet.

#![expect(clippy::print_stdout, reason = "the recording is what this program is for")]

use std::net::SocketAddrV4;

use anyhow::{Context as _, bail};
use integration::lab::pcap::{Datagram, Packet, frames};

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [capture, about, names @ ..] = arguments.as_slice() else {
        bail!("usage: record-transfers CAPTURE ABOUT NAME…");
    };
    let file = std::fs::read(capture).with_context(|| format!("failed to read {capture}"))?;
    let datagrams: Vec<_> =
        frames(&file)?.filter_map(|frame| Packet::of(frame).and_then(Datagram::of)).collect();
    println!("# {about}");
    for (place, datagram) in datagrams.iter().enumerate() {
        let request = (datagram.to.port() == 69).then(|| words(datagram.payload));
        let wanted = request.as_ref().is_some_and(|words| names.iter().any(|name| words[1].ends_with(name)));
        if wanted {
            print_transfer(&datagrams[place..], datagram.from);
        }
    }
    Ok(())
}

/// From the request on; `client` is the end that it came from.
fn print_transfer(datagrams: &[Datagram<'_>], client: SocketAddrV4) {
    let of_transfer = datagrams.iter().filter(|datagram| datagram.from == client || datagram.to == client);
    let (mut sizes, mut lines, mut heard) = (Vec::new(), Vec::new(), 0);
    let mut data = 0;
    for datagram in of_transfer {
        let is_heard = datagram.from == client;
        // A request from the same port again is another transfer.
        if is_heard && heard > 0 && datagram.to.port() == 69 {
            break;
        }
        heard += usize::from(is_heard);
        if datagram.payload.starts_with(&[0, 3]) {
            data += datagram.payload.len() - 4;
        }
        if heard < 3 {
            let words = words(datagram.payload);
            sizes.extend(words.iter().position(|word| word == "tsize").map(|at| words[at + 1].clone()));
            lines.push(format!("{} {}", if is_heard { '>' } else { '<' }, words.join(" ")));
        }
    }
    let size = sizes.into_iter().find(|size| size != "0").unwrap_or_else(|| data.to_string());
    let absent = lines.get(1).is_some_and(|line| line.starts_with("< ERROR"));
    println!("{}", if absent { "absent".to_owned() } else { format!("size {size}") });
    lines.iter().for_each(|line| println!("{line}"));
}

/// The packet's kind, and its fields (RFC 1350 §5, RFC 2347).
fn words(payload: &[u8]) -> Vec<String> {
    let text = |bytes: &[u8]| -> Vec<String> {
        let bytes = bytes.strip_suffix(&[0]).unwrap_or(bytes);
        bytes.split(|byte| *byte == 0).map(|field| String::from_utf8_lossy(field).into_owned()).collect()
    };
    let number = |high: u8, low: u8| u16::from_be_bytes([high, low]).to_string();
    match *payload {
        [0, 1, ref fields @ ..] => [vec!["RRQ".to_owned()], text(fields)].concat(),
        [0, 3, high, low, ..] => vec!["DATA".to_owned(), number(high, low)],
        [0, 4, high, low, ..] => vec!["ACK".to_owned(), number(high, low)],
        [0, 5, high, low, ref fields @ ..] => {
            [vec!["ERROR".to_owned(), number(high, low)], text(fields)].concat()
        }
        [0, 6, ref fields @ ..] => [vec!["OACK".to_owned()], text(fields)].concat(),
        _ => vec!["?".to_owned(), String::new()],
    }
}
