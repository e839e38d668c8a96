//! The options of a reply: which, in which order, and within what the client takes.

use std::{net::Ipv4Addr, time::Duration};

use super::{MessageType, Options, boot::Boot, exchange::Exchange, message, option, reply::Kind};

/// An IP and a UDP header: option 57 counts them.
const HEADERS: usize = 28;

/// What an Ethernet frame carries; firmware that claims 65,280 cannot put fragments together (QUIRKS 5, 40).
const MAX_DATAGRAM: usize = 1500;

/// What a client gets that sends no option 55.
const DEFAULT_PARAMETERS: [u8; 4] = [option::ROUTER, option::DNS, option::DOMAIN_NAME, option::HOST_NAME];

/// What every client gets (LAB: the Debian installer stops and asks when one of them is missing).
const FORCED_PARAMETERS: [u8; 2] = [option::ROUTER, option::DNS];

impl Exchange<'_> {
    /// The most important first: what does not fit any more is what the client misses least.
    pub(super) fn options(&self, head: &Head, boot: &Boot) -> Options {
        let mut chosen = self.fitting();
        self.identify(&mut chosen, head, boot);
        for code in self.parameters() {
            self.put_parameter(&mut chosen, code);
        }
        self.with_relay_agent(chosen.options)
    }

    /// Without an address: nothing of the subnet.
    pub(super) fn boot_options(&self, head: &Head, boot: &Boot) -> Options {
        let mut chosen = self.fitting();
        self.identify(&mut chosen, head, boot);
        self.with_relay_agent(chosen.options)
    }

    /// RFC 2131 table 3: a NAK says why and nothing else.
    pub(super) fn refusal_options(&self, why: &str) -> Options {
        let mut chosen = self.fitting();
        self.put_head(&mut chosen, &Head::of(Kind::Nak));
        chosen.put(option::MESSAGE, why.as_bytes());
        chosen.put_some(option::CLIENT_ID, self.request.client_id.as_deref());
        self.with_relay_agent(chosen.options)
    }

    /// QUIRKS 9: type and server identifier are in every reply.
    fn put_head(&self, chosen: &mut Fitting, head: &Head) {
        let Some(kind) = head.kind else { return };
        chosen.put(option::MESSAGE_TYPE, &[kind as u8]);
        chosen.put(option::SERVER_ID, &self.server_id().octets());
        for (code, seconds) in head.lease.map(lease_times).into_iter().flatten() {
            chosen.put(code, &seconds.to_be_bytes());
        }
    }

    /// What every reply begins with: what it is, what to boot, and whom it is for.
    fn identify(&self, chosen: &mut Fitting, head: &Head, boot: &Boot) {
        self.put_head(chosen, head);
        for (code, value) in boot.options.iter() {
            chosen.put(code, value);
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
        Fitting { room: self.room().saturating_sub(reserved), options: Options::with_room() }
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

    /// RFC 2132 §3.3: the mask stands before the router; then the client's order (QUIRKS 10). Each code once.
    fn parameters(&self) -> impl Iterator<Item = u8> {
        let asked = self.request.parameters.as_deref().unwrap_or(&DEFAULT_PARAMETERS).iter().copied();
        let all = std::iter::once(option::SUBNET_MASK).chain(asked).chain(FORCED_PARAMETERS);
        let mut seen = [false; 256];
        all.chain(self.custom_codes())
            .filter(move |code| !std::mem::replace(&mut seen[usize::from(*code)], true))
    }

    /// What the site says under a code; nothing for what it does not say and for what is no parameter.
    fn put_parameter(&self, chosen: &mut Fitting, code: u8) {
        let subnet = self.subnet;
        if let Some(value) = self.custom(code).filter(|_| self.custom_codes().any(|known| known == code)) {
            return chosen.put(code, value);
        }
        match code {
            option::SUBNET_MASK => chosen.put(code, &subnet.network.netmask().octets()),
            option::BROADCAST_ADDRESS => chosen.put(code, &subnet.network.broadcast().octets()),
            option::ROUTER => chosen.put_addresses(code, subnet.router.as_slice()),
            option::DNS => chosen.put_addresses(code, &subnet.dns),
            option::LOG_SERVER if self.context.network.syslog => {
                chosen.put(code, &self.context.server.octets());
            }
            option::NTP => chosen.put_addresses(code, &subnet.ntp),
            option::DOMAIN_NAME => chosen.put_some(code, subnet.domain.as_deref().map(str::as_bytes)),
            // The plan's name, never what the machine calls itself (S9).
            option::HOST_NAME => chosen.put_some(code, self.context.host.map(|host| host.name.as_bytes())),
            _ => {}
        }
    }

    /// How replies to this machine differ from the usual: the host's word, then the site's.
    fn custom(&self, code: u8) -> Option<&[u8]> {
        let host = self.context.host.and_then(|host| host.reply.option(code));
        host.or_else(|| self.context.network.reply.option(code))
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

    fn put_addresses(&mut self, code: u8, list: &[Ipv4Addr]) {
        match list {
            [] => {}
            [one] => self.put(code, &one.octets()),
            several => self.put(code, &several.iter().flat_map(Ipv4Addr::octets).collect::<Vec<_>>()),
        }
    }
}

/// What a reply is, and the lease that it tells of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// None: BOOTP.
    kind: Option<Kind>,
    lease: Option<Duration>,
}

impl Head {
    /// RFC 951: no message type, no lease.
    pub(super) const BOOTP: Self = Self { kind: None, lease: None };

    /// A message without a lease.
    pub(super) fn of(kind: Kind) -> Self {
        Self { kind: Some(kind), lease: None }
    }

    /// A message with one.
    pub(super) fn with_lease(kind: Kind, lease: Duration) -> Self {
        Self { kind: Some(kind), lease: Some(lease) }
    }
}

/// Options 51, 58 and 59: the lease, half of it, seven eighths (RFC 2131 §4.4.5).
fn lease_times(lease: Duration) -> [(u8, u32); 3] {
    // 0xffffffff means for ever (RFC 2131 §3.3); no lease of ours does.
    let seconds = u32::try_from(lease.as_secs()).unwrap_or(u32::MAX).min(u32::MAX - 1);
    let rebinding = seconds - seconds / 8;
    [(option::LEASE_TIME, seconds), (option::RENEWAL_TIME, seconds / 2), (option::REBINDING_TIME, rebinding)]
}
