//! What another DHCP server says to a machine, read from the frame in which it passes by.
//!
//! ```text
//!  0 destination | source | 0x0800
//! 14 version, IHL | TOS | length | id | flags, offset | TTL | 17 | checksum | source | destination | options
//!    source port 67 | destination port 68 | length | checksum | message
//! ```

use std::net::Ipv4Addr;

use proto::{Mac, event::clean};

use super::{Message, Operation, option, option::Options};

const ETHERNET_HEADER: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const UDP: u8 = 17;
const UDP_HEADER: usize = 8;
/// From port 67 to port 68.
const SERVER_TO_CLIENT: [u8; 4] = [0, 67, 0, 68];

/// The longest text of a server that is kept, in characters.
const TEXT: usize = 64;

/// A message of a DHCP server to a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerMessage {
    /// The link address that it came from: the server's, or its relay agent's.
    pub mac: Mac,
    /// The address that it came from.
    pub from: Ipv4Addr,
    /// Option 54, or the address that it came from.
    pub server: Ipv4Addr,
    /// The machine that it is for.
    pub machine: Mac,
    /// The address that the machine gets.
    pub address: Option<Ipv4Addr>,
    /// What it says about booting.
    pub boot: BootHints,
}

/// What a server says about booting. Texts are cleaned; see [`proto::event::clean`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootHints {
    /// `siaddr`. Many servers put themselves there whether or not they boot anything.
    pub next_server: Option<Ipv4Addr>,
    /// Option 67, or `file`; "" for none.
    pub file: String,
    /// Option 66; "" for none.
    pub tftp_server: String,
    /// Option 60; "" for none.
    pub class: String,
}

impl BootHints {
    /// Would a machine that hears it boot from it, or not boot from us? (QUIRKS 19, 22)
    #[must_use]
    pub fn tells_of_booting(&self) -> bool {
        let class = ["PXEClient", "HTTPClient"].iter().any(|class| self.class.starts_with(class));
        class || !self.file.is_empty() || !self.tftp_server.is_empty()
    }
}

impl ServerMessage {
    /// Reads a frame; None: it is no server's word to a machine. The checksum of UDP is not looked at: what comes from the same
    /// machine has none yet.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let (link, rest) = frame.split_first_chunk::<ETHERNET_HEADER>()?;
        let (from, datagram) = server_datagram(rest).filter(|_| link[12..] == IPV4)?;
        let message = Message::parse(datagram).ok()?;
        let options = message.options.unwrap_or_default();
        // OFFER, ACK, NAK (RFC 2132 §9.6), or BOOTP.
        let said = matches!(options.get(option::MESSAGE_TYPE), None | Some([2 | 5 | 6]));
        let given = |address: Ipv4Addr| (!address.is_unspecified()).then_some(address);
        (message.operation == Operation::Reply && said).then(|| Self {
            mac: Mac([link[6], link[7], link[8], link[9], link[10], link[11]]),
            from,
            server: options.address(option::SERVER_ID).and_then(given).unwrap_or(from),
            machine: message.mac,
            address: given(message.yiaddr),
            boot: hints(&options, &message.file, given(message.siaddr)),
        })
    }
}

fn hints(options: &Options, file: &[u8], next_server: Option<Ipv4Addr>) -> BootHints {
    let text = |code| clean(options.get(code).unwrap_or_default(), TEXT);
    let file = options.get(option::BOOT_FILE).unwrap_or(file);
    BootHints {
        next_server,
        file: clean(file, TEXT),
        tftp_server: text(option::TFTP_SERVER),
        class: text(option::VENDOR_CLASS),
    }
}

/// The sender of an unfragmented IPv4 packet and its UDP payload, if it goes from a server to a client.
fn server_datagram(packet: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let header_length = usize::from(packet.first()? & 0x0f) * 4;
    let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
    let (header, payload) = packet.get(..total)?.split_at_checked(header_length)?;
    let header = header.first_chunk::<20>()?;
    // RFC 791 §3.1: neither "more fragments" nor an offset.
    let whole = u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0;
    let source = Ipv4Addr::new(header[12], header[13], header[14], header[15]);
    let (udp, datagram) = payload.split_first_chunk::<UDP_HEADER>()?;
    let known = header[0] >> 4 == 4 && header[9] == UDP && udp[..4] == SERVER_TO_CLIENT;
    (known && whole).then_some((source, datagram))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 9);
    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);
    const MACHINE: Mac = Mac([2, 0, 0, 0, 1, 1]);

    fn offer() -> Message {
        let mut offer = Message::new(Operation::Reply, MACHINE, 7);
        (offer.yiaddr, offer.siaddr) = ([10, 1, 0, 50].into(), SERVER);
        offer.file = b"pxelinux.0".to_vec();
        let options = offer.options.get_or_insert_default();
        options.set(option::MESSAGE_TYPE, [2]);
        options.set(option::SERVER_ID, SERVER.octets());
        options.set(option::VENDOR_CLASS, *b"PXEClient");
        offer
    }

    fn frame(message: &Message) -> Vec<u8> {
        let datagram = message.emit();
        let total = u16::try_from(20 + 8 + datagram.len()).expect("short");
        let [high, low] = total.to_be_bytes();
        let mut frame = [&[0xff; 6][..], &MAC.0, &IPV4].concat();
        frame.extend([0x45, 0, high, low, 0, 0, 0x40, 0, 64, UDP, 0, 0, 10, 1, 0, 8, 255, 255, 255, 255]);
        frame.extend(SERVER_TO_CLIENT);
        frame.extend([0; 4]);
        frame.extend(datagram);
        frame
    }

    #[test]
    fn an_offer_is_read_as_it_passes_by() {
        let heard = ServerMessage::parse(&frame(&offer())).expect("a server's");
        let boot = BootHints {
            next_server: Some(SERVER),
            file: "pxelinux.0".into(),
            tftp_server: String::new(),
            class: "PXEClient".into(),
        };
        assert!(boot.tells_of_booting());
        let expected = ServerMessage {
            mac: MAC,
            from: [10, 1, 0, 8].into(),
            server: SERVER,
            machine: MACHINE,
            address: Some([10, 1, 0, 50].into()),
            boot,
        };
        assert_eq!(heard, expected);
    }

    #[test]
    fn an_address_and_a_next_server_alone_are_no_boot() {
        let mut plain = offer();
        plain.file.clear();
        plain.options.get_or_insert_default().set(option::VENDOR_CLASS, *b"MSFT 5.0");
        let heard = ServerMessage::parse(&frame(&plain)).expect("a server's");
        assert!(!heard.boot.tells_of_booting());
    }

    #[test]
    fn what_is_cut_or_goes_elsewhere_is_nobodys_word() {
        let good = frame(&offer());
        for length in 0..ETHERNET_HEADER + 20 + 8 + 236 {
            assert_eq!(ServerMessage::parse(&good[..length]), None, "{length} bytes");
        }
        // The ethertype, the version, a header without end, a fragment, the protocol, either port, a request.
        for (at, byte) in [(13, 6), (14, 0x65), (14, 0x41), (20, 0x20), (23, 6), (35, 68), (37, 67), (42, 1)]
        {
            let mut bad = good.clone();
            bad[at] = byte;
            assert_eq!(ServerMessage::parse(&bad), None, "byte {at}");
        }
        let mut discover = offer();
        discover.options.get_or_insert_default().set(option::MESSAGE_TYPE, [1]);
        assert_eq!(ServerMessage::parse(&frame(&discover)), None);
    }
}
