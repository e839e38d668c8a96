//! Nothing was heard of the machine, or its agent has nothing told.

use netboot::decide::ORDERS_WAIT;
use proto::plan::{DhcpMode, UnknownMachines};

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::context::{AgentFacts, Context, OrderFacts, OrderState};
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::neighbour::machines;
use crate::diagnosis::stage::Step;
use crate::diagnosis::standing::{Standing, silent_from};
use crate::diagnosis::words::{ago, length};

/// What the attempt did since is with an agent that cannot be reached, and was not when the machine's silence was one.
pub(super) fn agent_away(case: &Case<'_>) -> Option<Finding> {
    let open = match case.standing {
        Standing::UnderWay | Standing::Silent => case.context.next_began.is_none(),
        Standing::Ended => false,
    };
    let agent = case.context.agent.as_ref().filter(|agent| open && !agent.connected)?;
    if agent.last_heard.is_some_and(|heard| heard >= silent_from(case.boot, case.stages)) {
        return None;
    }
    Some(away(case.context, agent, "nothing newer is known of this boot".into()))
}

/// Nothing can be known of a site whose agent is away.
pub(super) fn agent_silent(context: &Context) -> Option<Finding> {
    let agent = context.agent.as_ref().filter(|agent| !agent.connected)?;
    Some(away(context, agent, "nothing newer is known of this machine".into()))
}

fn away(context: &Context, agent: &AgentFacts, stopped_at: String) -> Finding {
    let since = agent.last_heard.map_or_else(
        || "was never heard by this controller".to_owned(),
        |heard| format!("was last heard {}", ago(context.now.since(heard))),
    );
    Finding {
        cause: Cause::AgentAway,
        stopped_at,
        expected: format!("the events of agent {}", agent.name),
        likely: format!("agent {} {since}; it serves its site alone, and tells what happened when it is back", agent.name),
        remedy: "see that the agent runs (`systemctl status bootlane-agent` on its machine) and reaches the controller".into(),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    }
}

/// No host of the catalog has its address.
pub(super) fn unknown_machine(context: &Context) -> Option<Finding> {
    if context.host.is_some() {
        return None;
    }
    let likely = match context.site {
        Some((_, UnknownMachines::Ignore)) => "its site ignores such machines (`unknown: ignore`)",
        Some((_, UnknownMachines::Lease)) => "such machines get an address and their disk",
        None => "such machines get what their site's `unknown` says",
    };
    Some(Finding {
        cause: Cause::UnknownMachine,
        stopped_at: "no host of the catalog has this address".into(),
        expected: "a host with this MAC address".into(),
        likely: likely.into(),
        remedy: "make it a host (`bootlane host add`), or correct the `macs` of the host that it should be"
            .into(),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// The agent lives by an older plan.
pub(super) fn plan_not_obeyed(context: &Context) -> Option<Finding> {
    waiting_order(context)?;
    let agent = context.agent.as_ref().filter(|agent| agent.connected && !agent.current)?;
    let likely = match agent.refused.as_str() {
        "" => format!("agent {} has not taken the newest plan of its site yet", agent.name),
        why => format!("agent {} refused the newest plan of its site: {why}", agent.name),
    };
    Some(Finding {
        cause: Cause::PlanNotObeyed,
        stopped_at: "its site's agent does not know its order".into(),
        expected: "the agent's word that it obeys the newest plan".into(),
        likely,
        remedy: match agent.refused.as_str() {
            "" => format!(
                "wait a moment; if `bootlane agent get {}` says the same then, restart that agent",
                agent.name
            ),
            _ => format!(
                "update agent {} to the controller's version (`bootlane agent get {0}` has its own)",
                agent.name
            ),
        },
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// No order starts while its agent's disk is full.
pub(super) fn order_waits_for_room(context: &Context) -> Option<Finding> {
    let order = context.order.as_ref().filter(|order| match order.state {
        OrderState::Waiting | OrderState::Armed => true,
        OrderState::Offered | OrderState::Started | OrderState::Ended => false,
    })?;
    let agent = context.agent.as_ref().filter(|agent| agent.disk_low)?;
    Some(Finding {
        cause: Cause::OrderNotObeyed,
        stopped_at: format!("order {} waits", order.number),
        expected: "its permission to be installed".into(),
        likely: ORDERS_WAIT.into(),
        remedy: format!("make room on the disk of agent {}", agent.name),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// No order is obeyed for a locked host.
pub(super) fn host_locked(context: &Context) -> Option<Finding> {
    let order = waiting_order(context)?;
    let host = context.host.as_ref().filter(|host| host.locked)?;
    Some(Finding {
        cause: Cause::OrderNotObeyed,
        stopped_at: format!("order {} waits for it", order.number),
        expected: "its permission to be installed".into(),
        likely: format!("host {} is locked, and no order is obeyed for it", host.name),
        remedy: format!("unlock it if it may be installed (`bootlane host set {} --unlock`)", host.name),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// Nobody answers DHCP there.
pub(super) fn dhcp_off(context: &Context) -> Option<Finding> {
    let (DhcpMode::Off, _) = context.site? else { return None };
    Some(Finding {
        cause: Cause::DhcpOff,
        stopped_at: "its site's agent answers no machine".into(),
        expected: "an agent that answers DHCP".into(),
        likely: "its site says `dhcp: off`".into(),
        remedy:
            "set the site's `dhcp` to `authoritative`, or to `proxy` where another server gives the addresses"
                .into(),
        certainty: Certainty::Seen,
        evidence: Vec::new(),
    })
}

/// An order waits, and its machine does not come. Right after it was made, that is to be expected.
pub(super) fn not_heard(context: &Context) -> Option<Finding> {
    let order = waiting_order(context)?;
    let waits = context.now.since(order.since);
    if waits < Step::RomAddress.patience() {
        return None;
    }
    let last = context.former.first().map_or_else(
        || "it was never heard here".to_owned(),
        |last| format!("it was last heard {}", ago(context.now.since(last.last_ms))),
    );
    Some(Finding {
        cause: Cause::NotHeard,
        stopped_at: format!(
            "order {} has waited for {} and its machine has sent no DHCPDISCOVER; {last}",
            order.number,
            length(waits)
        ),
        expected: "its DHCPDISCOVER".into(),
        likely: "it is off or still starts up, does not boot from the network first, is on another VLAN than the agent, or \
                 has another MAC address than its host"
            .into(),
        remedy: "look for the host's MAC address in the switch's table: not there, the machine is off or unplugged or has \
                 another address; in another VLAN, move the port; in the agent's VLAN, put network boot first in its setup \
                 and set the port to edge (portfast)"
            .into(),
        certainty: Certainty::Possible,
        evidence: vec![heard_since(context, order)],
    })
}

/// Does the agent hear anybody there?
fn heard_since(context: &Context, order: &OrderFacts) -> String {
    let since: Vec<_> = context.neighbours.iter().filter(|other| other.last >= order.since).collect();
    match since.first() {
        Some(last) => {
            let (machines, ago) = (machines(since.len()), ago(context.now.since(last.last)));
            format!(
                "the agent hears others: {machines} since the order was made, the last {}, {ago}",
                last.name
            )
        }
        None => {
            "the agent has heard no other machine at this site since the order was made either".to_owned()
        }
    }
}

fn waiting_order(context: &Context) -> Option<&OrderFacts> {
    context.order.as_ref().filter(|order| order.is_awaited())
}
