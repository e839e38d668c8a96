//! DISCOVER, OFFER, REQUEST, ACK as a client does them, for one program of the boot chain.

use std::{net::Ipv4Addr, time::Duration};

use netboot::{
    dhcp::{Message, Operation, Options},
    time::Mono,
};
use proto::{Mac, event::Client};

/// When a message is sent again: EDK2's times (QUIRKS 8).
pub(super) const PATIENCE: [Duration; 4] =
    [Duration::from_secs(4), Duration::from_secs(8), Duration::from_secs(16), Duration::from_secs(32)];

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;

/// How long offers are collected where the first is not simply taken (LAB: OVMF).
const COLLECTING: Duration = Duration::from_secs(4);

/// Which program speaks, and on what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Speaker {
    pub(super) client: Client,
    pub(super) architecture: u16,
    pub(super) proxy: Proxy,
}

/// What it makes of a proxy's offer, which comes beside that of the server that leases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proxy {
    /// It stands alone with one server, and takes the first offer at once.
    None,
    /// It goes by the offer, as iPXE does (LAB).
    Offer,
    /// It asks the proxy's boot service.
    BootService,
}

/// One program's way to an address.
#[derive(Debug)]
pub(super) struct Dora {
    discover: Message,
    offer: Option<Message>,
    heeds: Proxy,
    /// The proxy's offer that it goes by.
    proxy: Option<Message>,
    sent: usize,
    due: Mono,
}

/// What a datagram or the passing of time led to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// Nothing to do.
    Wait,
    /// Send this.
    Send(Vec<u8>),
    /// The ACK.
    Bound(Box<Message>),
    /// Nobody answers, or the server says no.
    Failed,
}

impl Dora {
    /// Begins; the DISCOVER is due at once.
    pub(super) fn new(now: Mono, mac: Mac, uuid: [u8; 16], xid: u32, speaker: Speaker) -> Self {
        let mut discover = Message::new(Operation::Request, mac, xid);
        // LAB: OVMF wants broadcast, iPXE and BIOS ROMs unicast.
        discover.broadcast =
            matches!(speaker.client, Client::PxeRom | Client::HttpRom) && speaker.architecture != 0;
        discover.options = Some(options(mac, uuid, speaker));
        Self { discover, offer: None, heeds: speaker.proxy, proxy: None, sent: 0, due: now }
    }

    pub(super) fn due(&self) -> Mono {
        self.due
    }

    /// What was sent first, and the proxy's offer that came beside the lease.
    pub(super) fn proxy(&self) -> Option<(&Message, &Message)> {
        self.proxy.as_ref().map(|offer| (&self.discover, offer))
    }

    pub(super) fn handle_timeout(&mut self, now: Mono) -> Progress {
        if now < self.due {
            return Progress::Wait;
        }
        let Some(patience) = PATIENCE.get(self.sent) else { return Progress::Failed };
        self.sent += 1;
        self.due = now.plus(*patience);
        Progress::Send(self.message().emit())
    }

    pub(super) fn handle(&mut self, now: Mono, datagram: &[u8]) -> Progress {
        let Some(reply) = self.for_us(datagram) else { return Progress::Wait };
        match (kind(&reply), &self.offer) {
            (Some(OFFER), _) if self.heeds != Proxy::None && reply.yiaddr.is_unspecified() => {
                self.hear_proxy(reply);
                Progress::Wait
            }
            (Some(OFFER), None) if self.heeds != Proxy::None => {
                (self.offer, self.sent, self.due) = (Some(reply), 0, now.plus(COLLECTING));
                Progress::Wait
            }
            (Some(OFFER), None) => {
                (self.offer, self.sent, self.due) = (Some(reply), 0, now);
                self.handle_timeout(now)
            }
            (Some(ACK), Some(offer)) if reply.yiaddr == offer.yiaddr => Progress::Bound(Box::new(reply)),
            // QUIRKS 7: that is the end for a ROM.
            (Some(NAK), Some(_)) => Progress::Failed,
            _ => Progress::Wait,
        }
    }

    fn hear_proxy(&mut self, offer: Message) {
        let good = match self.heeds {
            Proxy::None => false,
            // LAB: both, or it is no offer.
            Proxy::Offer => !offer.siaddr.is_unspecified() && !offer.file.is_empty(),
            Proxy::BootService => leads_to_boot_service(&offer),
        };
        if good {
            self.proxy = Some(offer);
        }
    }

    /// A reply to this exchange.
    fn for_us(&self, datagram: &[u8]) -> Option<Message> {
        let reply = Message::parse(datagram).ok()?;
        let ours = reply.operation == Operation::Reply
            && (reply.xid, reply.mac) == (self.discover.xid, self.discover.mac);
        ours.then_some(reply)
    }

    fn message(&self) -> Message {
        let mut message = self.discover.clone();
        let options = message.options.get_or_insert_default();
        if let Some(offer) = &self.offer {
            options.set(53, [REQUEST]);
            options.set(50, offer.yiaddr.octets());
            options.set(54, server_id(offer).octets());
        }
        message
    }
}

/// Option 53.
fn kind(message: &Message) -> Option<u8> {
    message.options.as_ref()?.get(53)?.first().copied()
}

/// Is this the one form of a proxy's offer after which its boot service is asked? The vendor's class, and nothing in option
/// 43 that says how to discover servers.
fn leads_to_boot_service(offer: &Message) -> bool {
    let class = option(offer, 60).starts_with(b"PXEClient");
    offer.yiaddr.is_unspecified() && class && option(offer, 43).is_empty()
}

/// The option's bytes; none, where it is not there.
pub(super) fn option(message: &Message, code: u8) -> &[u8] {
    message.options.as_ref().and_then(|options| options.get(code)).unwrap_or_default()
}

pub(super) fn server_id(message: &Message) -> Ipv4Addr {
    message.options.as_ref().and_then(|options| options.address(54)).unwrap_or(Ipv4Addr::UNSPECIFIED)
}

/// As the lab's clients send them.
fn options(mac: Mac, uuid: [u8; 16], speaker: Speaker) -> Options {
    let Speaker { client, architecture, .. } = speaker;
    let mut options = Options::default();
    options.set(53, [DISCOVER]);
    options.set(57, 1472_u16.to_be_bytes());
    options.set(55, [1, 3, 6, 12, 15, 28, 43, 60, 66, 67, 175]);
    if client == Client::Os {
        return options;
    }
    let class = if client == Client::HttpRom { "HTTPClient" } else { "PXEClient" };
    options.set(60, format!("{class}:Arch:{architecture:05}:UNDI:003000").into_bytes());
    options.set(93, architecture.to_be_bytes());
    options.set(94, [1, 3, 0]);
    options.set(97, machine_id(uuid));
    if client == Client::Ipxe {
        options.set(61, [&[1], mac.0.as_slice()].concat());
        options.set(77, *b"iPXE");
        options.set(175, [177, 5, 1, 0x1a, 0xf4, 0x10, 0, 235, 3, 1, 0, 0, 19, 1, 1]);
    }
    options
}

/// Option 97: type 0 and SMBIOS's order of bytes (QUIRKS 16).
fn machine_id(uuid: [u8; 16]) -> Vec<u8> {
    let [a, b, c, d, e, f, g, h, rest @ ..] = uuid;
    [&[0, d, c, b, a, f, e, h, g], rest.as_slice()].concat()
}
