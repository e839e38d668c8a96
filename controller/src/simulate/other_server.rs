//! The DHCP server that leases the addresses where the agent serves beside one (`dhcp: proxy`). Nothing is known of it: it is assumed to give
//! a machine its host's address, or the first of the subnet, and to say nothing of booting.

use std::net::Ipv4Addr;

use netboot::dhcp::{Message, Operation};
use proto::plan::Subnet;

use super::scenario::Scenario;

/// An assumption.
#[derive(Debug)]
pub(super) struct OtherServer {
    address: Ipv4Addr,
    machine: Ipv4Addr,
    mask: Ipv4Addr,
}

impl OtherServer {
    /// Where the site has one.
    pub(super) fn beside(scenario: &Scenario) -> Option<Self> {
        let network = &scenario.plan.network;
        let subnet = network.subnet_of(scenario.server).filter(|_| network.is_proxy())?;
        let fixed = scenario.host().and_then(|host| host.address);
        let address = subnet.router.or_else(|| free(subnet, &[scenario.server]))?;
        let machine = fixed.or_else(|| free(subnet, &[scenario.server, address]))?;
        Some(Self { address, machine, mask: subnet.network.netmask() })
    }

    /// To a message that goes to every server.
    pub(super) fn reply(&self, message: &Message) -> Option<Message> {
        let options = message.options.as_ref()?;
        let kind = match options.get(53)? {
            [1] => 2,
            [3] if options.address(54) == Some(self.address) => 5,
            _ => return None,
        };
        let mut reply = Message::new(Operation::Reply, message.mac, message.xid);
        reply.yiaddr = self.machine;
        let options = reply.options.get_or_insert_default();
        options.set(53, [kind]);
        options.set(54, self.address.octets());
        options.set(51, 3_600_u32.to_be_bytes());
        options.set(1, self.mask.octets());
        Some(reply)
    }
}

fn free(subnet: &Subnet, taken: &[Ipv4Addr]) -> Option<Ipv4Addr> {
    subnet.network.hosts().find(|address| !taken.contains(address))
}
