//! `bootlane order`.

use clap::{Args, Subcommand};
use proto::catalog::Kind;
use proto::event::OrderPhase;
use proto::{Span, Wall, v1};
use serde::Deserialize as _;
use serde_json::Value;

use super::catalog::{self, Column, List, One, cell, when};
use super::{Context, readiness};
use crate::client::Stored;
use crate::failure::Failure;
use crate::output::{Format, document, words};
use crate::question::agreed;

/// What to do with orders.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// List orders
    #[command(visible_alias = "ls")]
    List(List),
    /// Show one
    Get(One),
    /// Permit one installation of one host
    ///
    /// What the site lacks of it is told. The machine may boot before all is there: what it asks for is then served as it
    /// arrives. With --when-ready it gets no permission before its site's agent holds everything.
    #[command(visible_aliases = ["add", "install"])]
    Create(Create),
    /// Take an order back. One that has started ends too: its installer gets no further file, and may leave half a system
    ///
    /// The order ends when its agent confirms that. While the agent cannot be reached, it may obey the order until the
    /// order expires; then, and after the install time that its profile had when it was made, it is over in any case,
    /// and `order get` says when that is. An agent that was revoked can confirm nothing any more: see --abandon.
    Revoke(Revoke),
    /// Remove an order that is at its end
    Rm(One),
}

/// `order revoke`.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Its name
    name: String,
    /// End it at once, though its agent cannot confirm that: only where that agent is revoked, and only if it is gone
    /// for good. One that still runs may obey the order until its time is over, and overwrite the machine's disk
    #[arg(long)]
    abandon: bool,
    /// Do not ask, though the installation has started
    #[arg(long)]
    force: bool,
}

/// `order create`.
#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The host to install
    host: String,
    /// What to install [default: the host's own profile]
    #[arg(long)]
    profile: Option<String>,
    /// How long the installation may wait for its start [default: 2h]
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    /// The agent that may obey it; needed where a site has several
    #[arg(long)]
    agent: Option<String>,
    /// No permission before the site's agent holds everything that the installation fetches; then the controller arms the
    /// order by itself, and --expires counts from there. `order revoke` ends the wait
    #[arg(long)]
    when_ready: bool,
    /// How long it may wait for that before it ends by itself [default: 1d]
    #[arg(long, value_name = "TIME", requires = "when_ready")]
    wait: Option<Span>,
}

const COLUMNS: &[Column] = &[
    Column::new("host", |order, _| cell(order, "/spec/host")),
    Column::new("site", |order, _| cell(order, "/spec/site")),
    Column::new("profile", |order, _| cell(order, "/spec/profile")),
    Column::new("agent", |order, _| cell(order, "/spec/agent")),
    Column::new("phase", |order, _| phase(order)),
    Column::new("expires", expires),
    Column::new("reason", reason),
];

fn is(order: &Value, pointer: &str) -> bool {
    order.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

fn waits(order: &Value) -> bool {
    order.pointer("/spec/waiting").is_some() && order.pointer("/status/phase").is_none()
}

/// When it ends by itself: one that waits, the wait; "" for one at its end.
fn expires(order: &Value, now: Wall) -> String {
    if at_end(order) {
        return String::new();
    }
    let end = if waits(order) { "/spec/waiting/until_ms" } else { "/spec/not_after_ms" };
    when(order, end, now)
}

/// What the agent has reported; until then it stands as it was made.
fn phase(order: &Value) -> String {
    let reported = cell(order, "/status/phase");
    let phase = match (reported.as_str(), is(order, "/spec/revoked")) {
        _ if waits(order) => "waiting".into(),
        ("", false) => "sent".into(),
        ("", true) => "being revoked".into(),
        ("armed" | "offered", true) => format!("{reported}, being revoked"),
        _ => reported,
    };
    // The lock matters until the installer has begun.
    let held = is(order, "/status/host_locked") && !phase.starts_with("started");
    if held { format!("{phase}, host locked") } else { phase }
}

/// Why its agent would not start it now, as the controller knows of that agent.
fn held_up(order: &Value) -> Option<String> {
    let begun = cell(order, "/status/phase") == OrderPhase::Started.word();
    Some(cell(order, "/status/held_up")).filter(|why| !why.is_empty() && !begun && !at_end(order))
}

/// Why it stands as it does: of one at its end what was reported, before that who or what holds it up.
fn reason(order: &Value, now: Wall) -> String {
    let agent = cell(order, "/spec/agent");
    let held_up = held_up(order);
    if waits(order) {
        let lacks = readiness::of_order(order).map(|entry| readiness::lacks(&entry, now));
        return match lacks {
            Some(None) if held_up.is_some() => held_up.unwrap_or_default(),
            Some(None) if is(order, "/status/host_locked") => {
                let host = cell(order, "/spec/host");
                format!("all is there; its host is locked: bootlane host set {host} --unset locked")
            }
            Some(None) => "all is there: it is armed in a moment".into(),
            Some(Some(lacks)) => lacks,
            None => format!("agent {agent} is to hold everything first"),
        };
    }
    if is(order, "/status/agent_revoked") {
        return format!("agent {agent} is revoked; over {}", when(order, "/status/over_ms", now));
    }
    if let Some(why) = held_up.filter(|_| !is(order, "/spec/revoked")) {
        return why;
    }
    match (cell(order, "/status/reason"), cell(order, "/spec/revoked_by")) {
        (reason, by) if !is(order, "/spec/revoked") || by.is_empty() || at_end(order) => reason,
        (_, by) => format!("taken back by {by}; agent {agent} has not confirmed it yet"),
    }
}

/// The controller says of an order when it will be over until it is.
fn at_end(order: &Value) -> bool {
    order.pointer("/status/over_ms").is_none() && order.pointer("/status/phase").is_some()
}

/// Does it.
pub(crate) async fn run(context: &mut Context, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::List(list) => catalog::list(context, Kind::Order, COLUMNS, list).await,
        Verb::Get(one) => catalog::get(context, Kind::Order, COLUMNS, &one).await,
        Verb::Create(create) => self::create(context, create).await,
        Verb::Revoke(revoke) => self::revoke(context, revoke).await,
        Verb::Rm(one) => catalog::remove(context, Kind::Order, &one).await,
    }
}

async fn create(context: &mut Context, create: Create) -> Result<(), Failure> {
    if create.wait.is_some_and(|wait| wait.as_seconds() == 0) {
        return Err(Failure::usage("--wait: expected 1s to 30d, found 0s")
            .remedy("leave --when-ready out to order now"));
    }
    let mut client = context.connect().await?;
    // One that does not know of waiting would arm the order at once.
    if create.when_ready && !client.knows_readiness().await? {
        let message = "this controller does not know --when-ready: nothing was ordered";
        return Err(Failure::failed(message).remedy("update bootlane-controller"));
    }
    let request = v1::CreateOrderRequest {
        host: create.host,
        profile: create.profile.unwrap_or_default(),
        seconds: create.expires.map_or(0, |span| span.as_seconds().into()),
        agent: create.agent.unwrap_or_default(),
        when_ready: create.when_ready,
        wait_seconds: create.wait.map_or(0, |span| span.as_seconds().into()),
    };
    let order = client.create_order(request).await?;
    let host = cell(&order.json, "/spec/host");
    // As it is shown, with what the controller knows of its agent. It stands, whether or not that can be asked.
    let order = client.find(Kind::Order, &order.name).await.ok().flatten().unwrap_or(order);
    told(context, &order, created)?;
    // It is only asked to tell: an older controller cannot, and the order stands.
    let lacks = client.order_readiness(&order.name).await.ok().flatten();
    if let Some(lacks) = lacks.and_then(|entry| readiness::lacks(&entry, words::now())) {
        context.output.remark(&format!("its site does not hold everything yet: {lacks}"));
    }
    context.output.remark(&format!("follow it with: bootlane boot watch --host {host} --until-end"));
    Ok(())
}

fn created(order: &Stored) -> String {
    let (name, host) = (&order.name, cell(&order.json, "/spec/host"));
    let expires = expires(&order.json, words::now());
    if waits(&order.json) {
        return format!(
            "Order {name} created: it waits until its site holds everything, {expires} at the latest; then {host} is \
             installed at its next network boot"
        );
    }
    if let Some(why) = held_up(&order.json) {
        return format!(
            "Order {name} created, and not obeyed yet: {why}. Make room on the disk of agent {}; then {host} is installed \
             at its next network boot; expires {expires}",
            cell(&order.json, "/spec/agent")
        );
    }
    format!("Order {name} created: {host} is installed at its next network boot; expires {expires}")
}

async fn revoke(context: &mut Context, revoke: Revoke) -> Result<(), Failure> {
    let mut client = context.connect().await?;
    if !revoke.force && !revoke.abandon {
        confirm_started(&client.get(Kind::Order, &revoke.name).await?)?;
    }
    let order = client.revoke_order(&revoke.name, revoke.abandon).await?;
    if revoke.abandon {
        if !has_ended(&order.json) {
            return Err(abandon_unknown(&order.name));
        }
        return told(context, &order, |order| format!("Order {} is abandoned", order.name));
    }
    if has_ended(&order.json) {
        return told(context, &order, |order| {
            format!("Order {} is taken back: it had not been armed", order.name)
        });
    }
    told(context, &order, |order| format!("Order {} is being revoked", order.name))?;
    // As it is shown, with what the controller knows of its agent.
    if let Some(remains) = client.find(Kind::Order, &order.name).await?.as_ref().and_then(unconfirmed) {
        context.output.remark(&remains);
    }
    Ok(())
}

/// Half a system may be left of an installation that is taken back.
fn confirm_started(order: &Stored) -> Result<(), Failure> {
    if cell(&order.json, "/status/phase") != OrderPhase::Started.word() {
        return Ok(());
    }
    let (name, host) = (&order.name, cell(&order.json, "/spec/host"));
    let warning =
        format!("host {host} is being installed under order {name}: it may be left with half a system");
    match agreed(&format!("{warning}. Revoke it?"))? {
        Some(true) => Ok(()),
        Some(false) => Err(Failure::failed(format!("order {name} stays as it is"))),
        None => Err(Failure::failed(warning).remedy(format!("bootlane order revoke {name} --force"))),
    }
}

/// By the phase that the answer to a change has: an older controller's says nothing more.
fn has_ended(order: &Value) -> bool {
    let phase = order.pointer("/status/phase").and_then(|phase| OrderPhase::deserialize(phase).ok());
    phase.is_some_and(OrderPhase::is_end)
}

/// An older controller does not see that more is asked of it than to take the order back.
fn abandon_unknown(name: &str) -> Failure {
    let message = format!(
        "this controller does not know --abandon: order {name} is being revoked, and holds its host until its agent \
         confirms that or its time is over"
    );
    Failure::failed(message).remedy("update bootlane-controller, then abandon the order again")
}

/// What remains of an order whose agent is revoked: until when it holds its host.
pub(super) fn unconfirmed(order: &Stored) -> Option<String> {
    let over = order.json.pointer("/status/over_ms").and_then(Value::as_u64)?;
    let (agent, host) = (cell(&order.json, "/spec/agent"), cell(&order.json, "/spec/host"));
    is(&order.json, "/status/agent_revoked").then(|| {
        format!(
            "{agent}, revoked, cannot confirm the end of order {name}: until {} that agent may obey it, and host {host} \
             gets no other order; then it ends by itself\n\
             if {agent} is gone for good: bootlane order revoke {name} --abandon",
            words::moment(Wall(over)),
            name = order.name,
        )
    })
}

fn told(context: &mut Context, order: &Stored, words: impl Fn(&Stored) -> String) -> Result<(), Failure> {
    match context.output.format_or(Format::Table) {
        Format::Table => context.output.line(&words(order)),
        Format::Yaml => context.output.text(&document::yaml(&order.json)),
        Format::Json => context.output.line(&document::json(&order.json)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: Wall = Wall(1_000_000);

    fn shown(spec: Value, status: Value) -> (String, String) {
        let order = json!({"spec": spec, "status": status});
        (phase(&order), reason(&order, NOW))
    }

    #[test]
    fn an_order_says_what_holds_it_up() {
        let status = |phase: &str, revoked: bool, locked: bool| json!({"phase": phase, "over_ms": NOW.0 + 7_200_000, "agent_revoked": revoked, "host_locked": locked});
        let spec = json!({"agent": "edge-1"});
        assert_eq!(shown(spec.clone(), status("armed", false, true)).0, "armed, host locked");
        assert_eq!(shown(spec.clone(), status("started", false, true)).0, "started");
        assert_eq!(shown(spec, status("armed", true, false)).1, "agent edge-1 is revoked; over in 2h");
        let spec = json!({"agent": "edge-1", "revoked": true, "revoked_by": "operator/carl"});
        let (phase, reason) = shown(spec.clone(), status("offered", false, false));
        assert_eq!(phase, "offered, being revoked");
        assert_eq!(reason, "taken back by operator/carl; agent edge-1 has not confirmed it yet");
        let full = "the agent's disk is full: orders wait until there is room";
        let held = |phase: &str| json!({"phase": phase, "over_ms": NOW.0 + 7_200_000, "held_up": full});
        let spec_of = json!({"agent": "edge-1"});
        assert_eq!(shown(spec_of.clone(), held("armed")), ("armed".into(), full.into()));
        assert_eq!(shown(spec_of, held("started")), ("started".into(), String::new()), "it goes on");
        let ended = json!({"phase": "revoked", "reason": "taken back by operator/carl"});
        assert_eq!(shown(spec, ended), ("revoked".into(), "taken back by operator/carl".into()));
    }
}
