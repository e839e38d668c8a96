//! Nothing was heard of the machine, or its agent has nothing told.

use proto::plan::{DhcpMode, UnknownMachines};

use crate::diagnosis::case::Case;
use crate::diagnosis::cause::Cause;
use crate::diagnosis::context::{AgentFacts, Context, OrderFacts, OrderState};
use crate::diagnosis::finding::{Certainty, Finding};
use crate::diagnosis::standing::{Standing, silent_from};
use crate::diagnosis::words::length;

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
        |heard| format!("was last heard {} ago", length(context.now.since(heard))),
    );
    Finding {
        cause: Cause::AgentAway,
        stopped_at,
        expected: format!("the events of agent {}", agent.name),
        likely: format!("agent {} {since}; it goes on alone, and tells when it is back", agent.name),
        remedy: "start the agent, or mend its link to the controller".into(),
        certainty: Certainty::Seen,
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
        None => "what such machines get is their site's to say",
    };
    Some(Finding {
        cause: Cause::UnknownMachine,
        stopped_at: "no host of the catalog has this address".into(),
        expected: "a host with this MAC address".into(),
        likely: likely.into(),
        remedy: "make it a host (`bootlane host add`), or correct the `macs` of the one that it is".into(),
        certainty: Certainty::Seen,
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
        stopped_at: "its order is not known at its site".into(),
        expected: "the agent's word that it obeys the newest plan".into(),
        likely,
        remedy: format!("look at `bootlane agent get {}`; update or restart that agent", agent.name),
        certainty: Certainty::Seen,
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
        remedy: "take the lock away (`locked: false`), or mend what its site's status says of its plan"
            .into(),
        certainty: Certainty::Seen,
    })
}

/// Nobody answers DHCP there.
pub(super) fn dhcp_off(context: &Context) -> Option<Finding> {
    let (DhcpMode::Off, _) = context.site? else { return None };
    Some(Finding {
        cause: Cause::DhcpOff,
        stopped_at: "nothing is answered at its site".into(),
        expected: "an agent that answers DHCP".into(),
        likely: "its site says `dhcp: off`".into(),
        remedy: "set the site's `dhcp` to `authoritative` or `proxy`".into(),
        certainty: Certainty::Seen,
    })
}

/// An order waits, and its machine does not come.
pub(super) fn not_heard(context: &Context) -> Option<Finding> {
    let order = waiting_order(context)?;
    let waits = length(context.now.since(order.since));
    let last = context.former.first().map_or_else(
        || "it was never heard here".to_owned(),
        |last| format!("it was last heard {} ago", length(context.now.since(last.last_ms))),
    );
    let others = match context.foreign_servers.first() {
        Some(other) => format!("; another DHCP server answers there, too: {other}"),
        None => String::new(),
    };
    Some(Finding {
        cause: Cause::NotHeard,
        stopped_at: format!("order {} waits since {waits} and no DHCPDISCOVER came of its machine; {last}", order.number),
        expected: "its DHCPDISCOVER".into(),
        likely: format!(
            "it is off, does not boot from the network first, is on another VLAN, or its port does not forward yet \
             (spanning tree){others}"
        ),
        remedy: "turn it on and look at its screen; put network boot first in its setup, set its switch port to the \
                 agent's VLAN and to edge (portfast), and compare its MAC address with the host's"
            .into(),
        certainty: Certainty::Possible,
    })
}

fn waiting_order(context: &Context) -> Option<&OrderFacts> {
    context.order.as_ref().filter(|order| order.state == OrderState::Armed)
}
