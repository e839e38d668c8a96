//! A reply as bytes: which options, in which order, within what the client takes, and where it goes.

use std::{net::Ipv4Addr, time::Duration};

use ipnet::Ipv4Net;
use proto::plan::Subnet;

use super::{
    Context, Destination, Effect, Message, MessageType, Operation, Options, Request,
    boot::{Boot, boot},
    message, option,
    request::Port,
};

/// The port of DHCP clients.
const CLIENT_PORT: u16 = 68;

/// An IP and a UDP header: option 57 counts them.
const HEADERS: usize = 28;

/// What an Ethernet frame carries; firmware that claims 65,280 cannot put fragments together (QUIRKS 5, 40).
const MAX_DATAGRAM: usize = 1500;

/// What a client gets that sends no option 55.
const DEFAULT_PARAMETERS: [u8; 4] = [option::ROUTER, option::DNS, option::DOMAIN_NAME, option::HOST_NAME];

/// What every client gets (LAB: the Debian installer stops and asks when one of them is missing).
const FORCED_PARAMETERS: [u8; 2] = [option::ROUTER, option::DNS];

/// The message types that a server sends (RFC 2132 §9.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Offer = 2,
    Ack = 5,
}

/// Who asked what under which circumstances: what every reply is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Exchange<'a> {
    pub(super) request: &'a Request,
    pub(super) context: &'a Context<'a>,
    pub(super) subnet: &'a Subnet,
}

impl<'a> Exchange<'a> {
    /// The subnets of the machine's link: the one that its message came from first.
    pub(super) fn subnets(self) -> impl Iterator<Item = &'a Subnet> {
        let others = self.context.network.on_link_of(self.subnet);
        let others = others.filter(move |other| other.network != self.subnet.network);
        std::iter::once(self.subnet).chain(others)
    }

    /// The subnet of the link that an address is in; None: it is not on the link.
    pub(super) fn subnet_with(self, address: Ipv4Addr) -> Option<&'a Subnet> {
        self.subnets().find(|subnet| subnet.network.contains(&address))
    }

    /// Names the link: leases are a machine's on a link.
    pub(super) fn link(self) -> Ipv4Net {
        self.context.network.link_of(self.subnet)
    }

    /// How replies to this machine differ from the usual: the host's word, then the site's.
    fn custom(&self, code: u8) -> Option<Vec<u8>> {
        let host = self.context.host.and_then(|host| host.reply.option(code));
        host.or_else(|| self.context.network.reply.option(code)).map(<[u8]>::to_vec)
    }

    /// What an operator has set for this machine. QUIRKS 28: 114 and 160 once meant other things to boot programs; and
    /// what the boot says itself is not said twice.
    fn custom_codes(&self) -> impl Iterator<Item = u8> {
        let host = self.context.host.map(|host| &host.reply.options);
        let all = host.into_iter().flatten().chain(&self.context.network.reply.options);
        let boots = self.request.is_boot_class();
        all.map(|option| option.code)
            .filter(move |code| !boots || !matches!(*code, option::VENDOR_SPECIFIC | 114 | 160))
    }

    /// OFFER or ACK of an address, with its lease and what goes with its subnet.
    pub(super) fn lease(&self, kind: Kind, address: Ipv4Addr) -> Effect {
        let there = Exchange { subnet: self.subnet_with(address).unwrap_or(self.subnet), ..*self };
        let mut head = there.head(kind as u8);
        head.extend(lease_times(there.subnet.lease));
        there.send(address, head, &boot(there.request, there.context))
    }

    /// RFC 2131 §4.3.5: neither an address nor a lease.
    pub(super) fn inform(&self) -> Effect {
        let head = self.head(Kind::Ack as u8);
        self.send(Ipv4Addr::UNSPECIFIED, head, &boot(self.request, self.context))
    }

    /// RFC 951 and 1534: no message type, no lease.
    pub(super) fn bootp(&self, address: Ipv4Addr) -> Effect {
        let there = Exchange { subnet: self.subnet_with(address).unwrap_or(self.subnet), ..*self };
        there.send(address, Vec::new(), &boot(self.request, self.context))
    }

    /// OFFER or ACK of a proxy or boot server: what to boot and nothing else, without an address (PXE 2.1 §2.2.3).
    pub(super) fn boot_only(&self, kind: Kind, to: Destination) -> Effect {
        let (request, mut boot) = (self.request, boot(self.request, self.context));
        if let (Some(item), Port::BootService(_)) = (request.boot_item_echo, request.port) {
            boot.choose(item);
        }
        let mut reply = self.blank(Ipv4Addr::UNSPECIFIED);
        reply.siaddr = boot.siaddr.unwrap_or(Ipv4Addr::UNSPECIFIED);
        reply.file.clone_from(&boot.file);
        let mut chosen = self.fitting();
        self.identify(&mut chosen, &self.head(kind as u8), &boot);
        reply.options = Some(self.with_relay_agent(chosen.options));
        Effect::Send { datagram: reply.emit(), to }
    }

    /// Where a reply goes that gives no address.
    pub(super) fn without_address(&self) -> Destination {
        self.request.giaddr.map_or(Destination::Broadcast, Destination::Relay)
    }

    /// RFC 2131 §4.3.2: broadcast, since the client's address is wrong; through a relay agent with the broadcast
    /// flag, so that the agent does the same.
    pub(super) fn nak(&self, why: &str) -> Effect {
        let (request, mut chosen) = (self.request, self.fitting());
        for (code, value) in self.head(6) {
            chosen.put(code, &value);
        }
        chosen.put(option::MESSAGE, why.as_bytes());
        chosen.put_some(option::CLIENT_ID, request.client_id.as_deref());
        let options = self.with_relay_agent(chosen.options);
        let mut reply = self.blank(Ipv4Addr::UNSPECIFIED);
        (reply.broadcast, reply.ciaddr) = (true, Ipv4Addr::UNSPECIFIED);
        reply.options = Some(options);
        let to = request.giaddr.map_or(Destination::Broadcast, Destination::Relay);
        Effect::Send { datagram: reply.emit(), to }
    }

    /// The address that stands in option 54 (RFC 5107).
    pub(super) fn server_id(&self) -> Ipv4Addr {
        self.request.server_id_override().unwrap_or(self.context.server)
    }

    /// QUIRKS 9: type and server identifier are in every reply.
    fn head(&self, kind: u8) -> Vec<(u8, Vec<u8>)> {
        vec![(option::MESSAGE_TYPE, vec![kind]), (option::SERVER_ID, self.server_id().octets().into())]
    }

    fn blank(&self, yiaddr: Ipv4Addr) -> Message {
        let request = self.request;
        let mut reply = Message::new(Operation::Reply, request.mac, request.xid);
        reply.broadcast = request.broadcast;
        reply.yiaddr = yiaddr;
        reply.giaddr = request.giaddr.unwrap_or(Ipv4Addr::UNSPECIFIED);
        // RFC 2131 table 3: an OFFER has none, an ACK has the REQUEST's.
        reply.ciaddr =
            request.ciaddr.filter(|_| request.kind != MessageType::Discover).unwrap_or(Ipv4Addr::UNSPECIFIED);
        reply
    }

    fn send(&self, yiaddr: Ipv4Addr, head: Vec<(u8, Vec<u8>)>, boot: &Boot) -> Effect {
        let mut reply = self.blank(yiaddr);
        reply.siaddr = boot.siaddr.unwrap_or(Ipv4Addr::UNSPECIFIED);
        reply.file.clone_from(&boot.file);
        reply.options = self.request.has_cookie.then(|| self.options(head, boot));
        Effect::Send { datagram: reply.emit(), to: self.destination(yiaddr) }
    }

    /// The most important first: what does not fit any more is what the client misses least.
    fn options(&self, head: Vec<(u8, Vec<u8>)>, boot: &Boot) -> Options {
        let mut chosen = self.fitting();
        self.identify(&mut chosen, &head, boot);
        for code in self.parameters() {
            chosen.put_some(code, self.parameter(code).as_deref());
        }
        self.with_relay_agent(chosen.options)
    }

    /// What every reply begins with: what it is, what to boot, and whom it is for.
    fn identify(&self, chosen: &mut Fitting, head: &[(u8, Vec<u8>)], boot: &Boot) {
        for (code, value) in head.iter().chain(&boot.options) {
            chosen.put(*code, value);
        }
        // RFC 6842 and QUIRKS 4; RFC 4578 §2.3 and QUIRKS 16: verbatim.
        chosen.put_some(option::CLIENT_ID, self.request.client_id.as_deref());
        chosen.put_some(option::MACHINE_ID, self.request.machine_id.as_deref());
        // RFC 3011: whoever selects a subnet is told that it was heard.
        let selected = self.request.subnet_selection.filter(|_| self.request.selects_subnet());
        chosen.put_some(
            option::SUBNET_SELECTION,
            selected.map(|subnet| subnet.octets()).as_ref().map(|o| &o[..]),
        );
    }

    /// Option 82 stands last, unchanged, and its room is set aside (RFC 3046 §2.2, QUIRKS 2).
    fn fitting(&self) -> Fitting {
        let reserved = self.request.relay_agent.as_deref().map_or(0, option::wire_size);
        Fitting { room: self.room().saturating_sub(reserved), options: Options::default() }
    }

    fn with_relay_agent(&self, mut options: Options) -> Options {
        if let Some(relay_agent) = &self.request.relay_agent {
            options.set(option::RELAY_AGENT, relay_agent.as_slice());
        }
        options
    }

    /// How many bytes of options the client takes.
    fn room(&self) -> usize {
        // RFC 1542 §2.1: 64 bytes of vendor information are all that a BOOTP client must take.
        if self.request.kind == MessageType::Bootp {
            return message::MIN_MESSAGE - message::size(0);
        }
        let datagram = usize::from(self.request.max_datagram).min(MAX_DATAGRAM);
        datagram - HEADERS - message::size(0)
    }

    /// RFC 2132 §3.3: the mask stands before the router; then the client's order (QUIRKS 10).
    fn parameters(&self) -> Vec<u8> {
        let asked = self.request.parameters.as_deref().unwrap_or(&DEFAULT_PARAMETERS);
        let mut codes = vec![option::SUBNET_MASK];
        let custom: Vec<u8> = self.custom_codes().collect();
        for code in asked.iter().chain(&FORCED_PARAMETERS).chain(&custom) {
            if !codes.contains(code) {
                codes.push(*code);
            }
        }
        codes
    }

    /// What the site says under a code; None for what it does not say and for what is no parameter.
    fn parameter(&self, code: u8) -> Option<Vec<u8>> {
        let subnet = self.subnet;
        if let Some(value) = self.custom(code).filter(|_| self.custom_codes().any(|known| known == code)) {
            return Some(value);
        }
        match code {
            option::SUBNET_MASK => Some(subnet.network.netmask().octets().into()),
            option::BROADCAST_ADDRESS => Some(subnet.network.broadcast().octets().into()),
            option::ROUTER => subnet.router.map(|router| router.octets().into()),
            option::DNS => addresses(&subnet.dns),
            option::NTP => addresses(&subnet.ntp),
            option::DOMAIN_NAME => subnet.domain.as_ref().map(|name| name.clone().into_bytes()),
            // The plan's name, never what the machine calls itself (S9).
            option::HOST_NAME => self.context.host.map(|host| host.name.clone().into_bytes()),
            _ => None,
        }
    }

    /// RFC 2131 §4.1 (QUIRKS 1, 3). A `ciaddr` is only answered where it is the address that was granted, or was
    /// found to be on the link: nobody's packets are turned on a third party.
    fn destination(&self, yiaddr: Ipv4Addr) -> Destination {
        let request = self.request;
        let ciaddr = request.ciaddr.filter(|ciaddr| *ciaddr == yiaddr || request.kind == MessageType::Inform);
        if let Some(giaddr) = request.giaddr {
            Destination::Relay(giaddr)
        } else if let Some(ciaddr) = ciaddr {
            Destination::Address(ciaddr, CLIENT_PORT)
        } else if request.broadcast || yiaddr.is_unspecified() {
            Destination::Broadcast
        } else {
            Destination::Unicast { address: yiaddr, mac: request.mac }
        }
    }
}

/// Options that fit a message.
struct Fitting {
    room: usize,
    options: Options,
}

impl Fitting {
    fn put(&mut self, code: u8, value: &[u8]) {
        if let Some(rest) = self.room.checked_sub(option::wire_size(value)) {
            self.room = rest;
            self.options.set(code, value);
        }
    }

    fn put_some(&mut self, code: u8, value: Option<&[u8]>) {
        if let Some(value) = value {
            self.put(code, value);
        }
    }
}

/// Options 51, 58 and 59: the lease, half of it, seven eighths (RFC 2131 §4.4.5).
fn lease_times(lease: Duration) -> [(u8, Vec<u8>); 3] {
    // 0xffffffff means for ever (RFC 2131 §3.3); no lease of ours does.
    let seconds = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX).min(u32::MAX - 1);
    let rebinding = seconds - seconds / 8;
    [(option::LEASE_TIME, seconds), (option::RENEWAL_TIME, seconds / 2), (option::REBINDING_TIME, rebinding)]
        .map(|(code, seconds)| (code, seconds.to_be_bytes().into()))
}

fn addresses(list: &[Ipv4Addr]) -> Option<Vec<u8>> {
    (!list.is_empty()).then(|| list.iter().flat_map(|address| address.octets()).collect())
}
