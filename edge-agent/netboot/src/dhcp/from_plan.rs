//! What can be said without a record: fixed addresses of known hosts. The plan decides them, so that another agent of
//! the site, or this one after a crash, says the same and gives them to nobody else (DESIGN §5 "Two agents", §6 "A full
//! disk").

use std::time::Duration;

use proto::plan::{DhcpMode, Subnet};

use super::{
    Context, Destination, Effect, MessageType, Request, Server,
    exchange::Exchange,
    reply::Kind,
    request::Port,
    server::{is_for_us, subnet_of},
};

/// The longest lease that no record stands behind. Only a plan that moves the address to another host, adopted after a
/// crash, could give it away before its end: such a lease is short, so that this passes soon.
const UNRECORDED_LEASE: Duration = Duration::from_secs(600);

impl Server {
    /// The reply that rests on the plan alone. Nothing is remembered of it and nothing is to be persisted before it.
    /// None: the machine has no fixed address that it could have now, or asks for something else.
    #[must_use]
    pub fn reply_from_plan(
        &self,
        request: &Request,
        context: &Context<'_>,
    ) -> Option<(Vec<u8>, Destination)> {
        if context.network.dhcp != DhcpMode::Authoritative || request.port != Port::Dhcp {
            return None;
        }
        let subnet = subnet_of(request, context)?;
        let subnet = Subnet { lease: subnet.lease.min(UNRECORDED_LEASE), ..subnet.clone() };
        let exchange = Exchange { request, context, subnet: &subnet };
        let address = self.book.fixed(exchange)?;
        let wanted = request.requested.or(request.ciaddr) == Some(address);
        let reply = match request.kind {
            MessageType::Discover => exchange.lease(Kind::Offer, address, &exchange.boot()),
            MessageType::Request if wanted && is_for_us(exchange) => {
                exchange.lease(Kind::Ack, address, &exchange.boot())
            }
            MessageType::Bootp => exchange.bootp(address, &exchange.boot()),
            MessageType::Request | MessageType::Decline | MessageType::Release | MessageType::Inform => {
                return None;
            }
        };
        match reply {
            Effect::Send { datagram, to } => Some((datagram, to)),
            Effect::Persist(_)
            | Effect::Report(_)
            | Effect::Probe(_)
            | Effect::ProbeAhead { .. }
            | Effect::Wait { .. } => None,
        }
    }
}
