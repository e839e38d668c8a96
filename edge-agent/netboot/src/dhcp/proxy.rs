//! Proxy DHCP and the boot service: what to boot, and never an address (PXE 2.1 §2.2 and §2.4, QUIRKS 19-22).
//!
//! Beside another server an OFFER without an address answers the machine's DISCOVER; its REQUEST goes to that server,
//! and comes by here only to be overheard. Port 4011 answers whoever asks there, in the authoritative mode too: the
//! words "PXEClient" in a reply are the promise of it (QUIRKS 13).

use std::net::{Ipv4Addr, SocketAddrV4};

use proto::{
    event::{Client, EventKind},
    ledger::Sighting,
};

use super::{
    BootAnswer, Destination, Effect, MessageType, Request, Server, exchange::Exchange, reply::Kind,
    request::Port, server::is_for_us, sighting::Word,
};

impl Server {
    /// Port 67 beside another server.
    pub(super) fn proxy(&mut self, exchange: Exchange<'_>) -> Vec<Effect> {
        let mut effects = self.sight(exchange);
        effects.extend(match exchange.request.kind {
            MessageType::Discover => offer(exchange),
            // To the other server, almost always; QUIRKS 9.
            MessageType::Request => acknowledge(exchange),
            // The address is not ours: nobody can give it back here, or have it explained.
            MessageType::Decline | MessageType::Release | MessageType::Inform | MessageType::Bootp => {
                Vec::new()
            }
        });
        effects
    }

    /// Port 4011. QUIRKS 21: from the machine's new address, and answered to the port that it came from.
    pub(super) fn boot_service(&mut self, exchange: Exchange<'_>, from: SocketAddrV4) -> Vec<Effect> {
        let request = exchange.request;
        let own = request.ciaddr.is_none_or(|ciaddr| ciaddr == *from.ip());
        if !own || exchange.subnet_with(*from.ip()).is_none() {
            return Vec::new();
        }
        let mut effects = self.sight(exchange);
        effects.extend(match request.kind {
            MessageType::Request | MessageType::Discover | MessageType::Inform
                if says_something(exchange) =>
            {
                vec![offered(exchange), exchange.boot_only(Kind::Ack, Destination::BootService(from))]
            }
            MessageType::Request
            | MessageType::Discover
            | MessageType::Inform
            | MessageType::Decline
            | MessageType::Release
            | MessageType::Bootp => Vec::new(),
        });
        effects
    }

    /// A known machine names the address that it uses, or is about to.
    fn sight(&mut self, exchange: Exchange<'_>) -> Vec<Effect> {
        let (request, network) = (exchange.request, exchange.context.network);
        let asks = matches!(request.kind, MessageType::Request | MessageType::Inform);
        if !network.is_proxy() || exchange.context.host.is_none() || !asks {
            return Vec::new();
        }
        let address = request.requested.or(request.ciaddr);
        match address.filter(|address| network.subnet_of(*address).is_some()) {
            Some(address) => {
                let sighting = Sighting { mac: request.mac, address };
                let noted = self.sightings.note(sighting, word_for(request, address));
                noted.map(Effect::Persist).into_iter().collect()
            }
            None => Vec::new(),
        }
    }
}

/// RFC 2131 §4.3.2, table 4.
fn word_for(request: &Request, address: Ipv4Addr) -> Word {
    let has = match request.port {
        Port::BootService(_) => true,
        Port::Dhcp => request.server_id.is_some() || request.ciaddr == Some(address),
    };
    if has { Word::Has } else { Word::Wishes }
}

fn offer(exchange: Exchange<'_>) -> Vec<Effect> {
    if !says_something(exchange) {
        return Vec::new();
    }
    vec![offered(exchange), exchange.boot_only(Kind::Offer, exchange.without_address())]
}

/// Some clients take a proxy's offer as they take any: by a REQUEST that names it.
fn acknowledge(exchange: Exchange<'_>) -> Vec<Effect> {
    if exchange.request.server_id.is_none() || !is_for_us(exchange) || !says_something(exchange) {
        return Vec::new();
    }
    vec![exchange.boot_only(Kind::Ack, exchange.without_address())]
}

/// Is there anything to say to this program without an address?
fn says_something(exchange: Exchange<'_>) -> bool {
    let boots = match exchange.request.client {
        Client::PxeRom | Client::HttpRom | Client::Ipxe | Client::Gpxe => true,
        Client::Bootp | Client::Os => false,
    };
    boots && *exchange.context.answer != BootAnswer::AddressOnly
}

fn offered(exchange: Exchange<'_>) -> Effect {
    let (client, file) = (exchange.request.client, exchange.boot().label);
    Effect::Report(EventKind::Offered { address: None, file, client })
}
