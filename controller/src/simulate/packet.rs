//! A DHCP message as people read it: the fields that a boot turns on, with their names.

use std::net::Ipv4Addr;

use netboot::dhcp::{Message, Operation};
use proto::event::{Client, clean};
use proto::{Architecture, Mac};

use super::step::{Packet, Sender};

/// The longest text of one option, in characters.
const TEXT: usize = 256;

/// A message, and who sends it.
pub(super) fn describe(message: &Message, from: Sender, program: &'static str) -> Packet {
    Packet { from, kind: kind(message), program, fields: fields(message), times: 1 }
}

/// Which program of the boot speaks.
pub(super) fn program(client: Client) -> &'static str {
    match client {
        Client::PxeRom => "the PXE ROM",
        Client::HttpRom => "HTTP Boot",
        Client::Ipxe => "iPXE",
        Client::Gpxe => "gPXE",
        Client::Bootp => "a BOOTP client",
        Client::Os => "the operating system",
    }
}

/// RFC 2132 §9.6.
fn kind(message: &Message) -> &'static str {
    let kind = message.options.as_ref().and_then(|options| options.get(53)).and_then(<[u8]>::first);
    match (kind, message.operation) {
        (Some(1), _) => "DISCOVER",
        (Some(2), _) => "OFFER",
        (Some(3), _) => "REQUEST",
        (Some(4), _) => "DECLINE",
        (Some(5), _) => "ACK",
        (Some(6), _) => "NAK",
        (Some(7), _) => "RELEASE",
        (Some(8), _) => "INFORM",
        (_, Operation::Request) => "BOOTREQUEST",
        (_, Operation::Reply) => "BOOTREPLY",
    }
}

fn fields(message: &Message) -> Vec<(String, String)> {
    let address =
        |name: &str, value: Ipv4Addr| (!value.is_unspecified()).then(|| (name.to_owned(), value.to_string()));
    let fixed = [
        address("ciaddr", message.ciaddr),
        address("yiaddr", message.yiaddr),
        address("siaddr", message.siaddr),
        address("giaddr", message.giaddr),
        (!message.file.is_empty()).then(|| ("file".to_owned(), clean(&message.file, TEXT))),
        message.broadcast.then(|| ("flags".to_owned(), "broadcast".to_owned())),
    ];
    let options = message.options.iter().flat_map(|options| options.iter());
    let options = options.filter(|(code, _)| *code != 53).map(|(code, value)| option(code, value));
    fixed.into_iter().flatten().chain(options).collect()
}

/// An option by number and name, and its value in the form that its definition gives it (IANA, "BOOTP Vendor Extensions and DHCP
/// Options").
fn option(code: u8, value: &[u8]) -> (String, String) {
    let (name, shown) = match code {
        1 => ("subnet mask", addresses(value)),
        3 => ("router", addresses(value)),
        6 => ("DNS", addresses(value)),
        12 => ("host name", text(value)),
        15 => ("domain", text(value)),
        28 => ("broadcast address", addresses(value)),
        42 => ("NTP", addresses(value)),
        43 => ("vendor-specific", vendor(value)),
        50 => ("requested address", addresses(value)),
        51 => ("lease time", seconds(value)),
        54 => ("server identifier", addresses(value)),
        55 => ("parameter list", numbers(value)),
        57 => ("longest message", seconds_or_number(value)),
        58 => ("renewal time", seconds(value)),
        59 => ("rebinding time", seconds(value)),
        60 => ("vendor class", text(value)),
        61 => ("client identifier", client_id(value)),
        66 => ("TFTP server", text(value)),
        67 => ("boot file", text(value)),
        77 => ("user class", text(value)),
        93 => ("architecture", architecture(value)),
        94 => ("network interface", hex(value)),
        97 => ("machine identifier", hex(value)),
        175 => ("iPXE", hex(value)),
        210 => ("path prefix", text(value)),
        _ => return (format!("option {code}"), hex(value)),
    };
    (format!("option {code}, {name}"), shown)
}

fn addresses(value: &[u8]) -> String {
    let address = |four: &[u8; 4]| Ipv4Addr::from(*four).to_string();
    value.as_chunks().0.iter().map(address).collect::<Vec<_>>().join(", ")
}

fn text(value: &[u8]) -> String {
    clean(value, TEXT)
}

fn seconds(value: &[u8]) -> String {
    match <[u8; 4]>::try_from(value) {
        Ok(value) => format!("{} s", u32::from_be_bytes(value)),
        Err(_) => hex(value),
    }
}

fn seconds_or_number(value: &[u8]) -> String {
    match <[u8; 2]>::try_from(value) {
        Ok(value) => u16::from_be_bytes(value).to_string(),
        Err(_) => hex(value),
    }
}

fn numbers(value: &[u8]) -> String {
    value.iter().map(u8::to_string).collect::<Vec<_>>().join(" ")
}

fn architecture(value: &[u8]) -> String {
    let name = |two: &[u8; 2]| Architecture::describe(u16::from_be_bytes(*two));
    value.as_chunks().0.iter().map(name).collect::<Vec<_>>().join("; ")
}

fn client_id(value: &[u8]) -> String {
    match value {
        [1, mac @ ..] => <[u8; 6]>::try_from(mac).map_or_else(|_| hex(value), |mac| Mac(mac).to_string()),
        _ => hex(value),
    }
}

/// PXE 2.1 §2.1: what a ROM does with the reply.
fn vendor(value: &[u8]) -> String {
    let mut words = Vec::new();
    let mut rest = value;
    while let [code @ 1..=254, length, tail @ ..] = rest {
        let Some((value, tail)) = tail.split_at_checked(usize::from(*length)) else { break };
        words.push(match code {
            6 => format!("discovery control {}", value.first().copied().unwrap_or_default()),
            8 => "boot servers".to_owned(),
            9 => format!("menu {:?}", text(value.get(3..).unwrap_or_default())),
            10 => format!("prompt {:?}", text(value.get(1..).unwrap_or_default())),
            _ => format!("{code}: {}", hex(value)),
        });
        rest = tail;
    }
    if words.is_empty() { hex(value) } else { words.join(", ") }
}

fn hex(value: &[u8]) -> String {
    value.iter().take(TEXT / 2).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_as_they_are_defined() {
        let shown = |code, value: &[u8]| option(code, value).1;
        assert_eq!(shown(3, &[10, 1, 0, 1, 10, 1, 0, 2]), "10.1.0.1, 10.1.0.2");
        assert_eq!(shown(51, &[0, 0, 0x0e, 0x10]), "3600 s");
        assert_eq!(shown(93, &[0, 7]), "0x0007, x64 UEFI");
        assert_eq!(shown(67, b"a\x1b[2Jb\0"), "a[2Jb", "nothing of it steers a terminal");
        assert_eq!(shown(61, &[1, 2, 0, 0, 0, 0, 9]), "02:00:00:00:00:09");
        assert_eq!(
            shown(43, &[6, 1, 8, 9, 8, 0, 0, 5, b'L', b'o', b'c', b'a', b'l', 255]),
            "discovery control 8, menu \"Local\""
        );
        assert_eq!(shown(43, &[6, 9, 1]), "060901", "cut short");
        assert_eq!(option(224, &[0xff]), ("option 224".to_owned(), "ff".to_owned()));
    }
}
