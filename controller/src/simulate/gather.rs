//! Reads what is known of a machine and its site.

use std::net::Ipv4Addr;
use std::sync::Arc;

use netboot::site::Disk;
use netboot::time::{Mono, Now};
use proto::catalog::{AgentStatus, Kind, OrderStatus};
use proto::event::OrderPhase;
use proto::ledger::{Lease, LeaseKey, OrderState, Record};
use proto::plan::{BlobRef, Boot, OrderPlan, SitePlan, Subnet};
use proto::{Following, Mac, Wall};
use rom::Firmware;

use super::scenario::{Flag, Scenario};
use super::{hide, supplies};
use crate::app::App;
use crate::catalog::ReadError;
use crate::plan::PlanProblem;
use crate::planner::Published;
use crate::status::last_heard;

/// Leases of a site that are looked at; a site has rarely more.
const LEASES: usize = 20_000;
/// Of them at a time.
const PAGE: usize = 1_000;

/// Who is to boot.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    /// A host's name, or a link address.
    pub(crate) machine: String,
    pub(crate) firmware: Firmware,
    /// "": the host's.
    pub(crate) site: String,
    /// "": the order's, or the site's first.
    pub(crate) agent: String,
    /// In bytes, if it is known.
    pub(crate) memory: Option<u64>,
}

/// Why no boot can be simulated.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    /// The catalog cannot be read.
    #[error(transparent)]
    Catalog(#[from] ReadError),
    /// Events cannot be read.
    #[error("leases cannot be read")]
    Leases(#[from] crate::events::ReadError),
    /// What the question names is not there.
    #[error("there is no {0}")]
    Missing(String),
    /// It is no host's address, and no site is named.
    #[error("{0} is no host's address: name the site at which it is to boot")]
    Site(Mac),
    /// The plan is not one that an agent of this version takes.
    #[error("the plan of site {site} cannot be read: {why}")]
    Plan {
        /// Whose.
        site: String,
        /// What is wrong.
        why: String,
    },
}

/// The machine that the question names.
struct Machine {
    mac: Mac,
    host: Option<String>,
    /// The host's order that is not at its end.
    order: Option<String>,
    site: String,
}

/// Everything that the boot rests on, as of now.
///
/// # Errors
/// [`GatherError`].
pub(crate) async fn gather(app: &App, question: &Question) -> Result<(Scenario, String), GatherError> {
    let machine = machine(app, question).await?;
    let site = machine.site.clone();
    let missing = || GatherError::Missing(format!("site {}", site.escape_debug()));
    let published = app.planner.latest(&site).ok_or_else(missing)?;
    let plan = decoded(&site, &published).await?;
    let host = plan.host_of(machine.mac);
    let order = host.and_then(|host| plan.orders_of(host.id).next());
    let mut flags = problems(&published, &machine);
    flags.extend(waiting(&published, &machine));
    let agent = agent(question, order, &published, &mut flags)?;
    let status = match &agent {
        Some(agent) => agent_status(app, agent, &published, &mut flags).await?,
        None => AgentStatus::default(),
    };
    let (server, relay) = server(&plan, machine.mac, &status, &mut flags);
    let now = Now { mono: Mono::default(), wall: app.clock.wall() };
    let mut ledger = leases(app, &site, &plan, now.wall).await?;
    ledger.extend(order_state(app, &machine, order).await?);
    let boot = order.map(|order| &order.boot).or(host.and_then(|host| host.boot.as_ref()));
    let blobs = boot.map(|boot| blobs(&plan, boot)).unwrap_or_default();
    let (held, out_of_reach) = match &agent {
        Some(agent) => supplies::of(app, &site, agent, &blobs).await,
        None => supplies::Supplies::default(),
    };
    let architecture = architecture(app, boot).await?;
    let scenario = Scenario {
        plan: Arc::new(plan),
        mac: machine.mac,
        firmware: question.firmware,
        agent,
        server,
        relay,
        now,
        ledger,
        out_of_reach,
        held,
        architecture,
        disk: if status.disk_low { Disk::Full } else { Disk::Fine },
        memory: question.memory,
        flags,
    };
    Ok((scenario, site))
}

async fn machine(app: &App, question: &Question) -> Result<Machine, GatherError> {
    let named = question.machine.parse::<Mac>().ok();
    let host = match named {
        Some(mac) => app.catalog.host_of_mac(mac).await?,
        None => Some(question.machine.clone()),
    };
    let found = match &host {
        Some(name) => {
            let missing = || GatherError::Missing(format!("host {}", name.escape_debug()));
            Some(app.catalog.get_host(name).await?.ok_or_else(missing)?)
        }
        None => None,
    };
    let of_host = found.as_ref().map(|host| host.spec.site.clone());
    let mac = named.or_else(|| found.as_ref()?.spec.macs.first().copied());
    let mac = mac.ok_or_else(|| GatherError::Missing("link address of this host".into()))?;
    let asked = Some(question.site.clone()).filter(|site| !site.is_empty());
    let site = asked.or(of_host).ok_or(GatherError::Site(mac))?;
    let order = match &host {
        Some(host) => app.catalog.host_orders(host).await?.live,
        None => None,
    };
    Ok(Machine { mac, host, order, site })
}

/// Read apart from what serves others: a plan may have 100,000 entries.
async fn decoded(site: &str, published: &Arc<Published>) -> Result<SitePlan, GatherError> {
    let published = Arc::clone(published);
    let read = tokio::task::spawn_blocking(move || SitePlan::decode(&published.document));
    let why = |why: String| GatherError::Plan { site: site.to_owned(), why };
    let mut plan =
        read.await.map_err(|error| why(error.to_string()))?.map_err(|error| why(error.to_string()))?;
    hide::secrets(&mut plan);
    Ok(plan)
}

/// What the planner could not do for this machine.
fn problems(published: &Published, machine: &Machine) -> Vec<Flag> {
    let concerns = |kind: Kind, name: &str| match kind {
        Kind::Host => machine.host.as_deref() == Some(name),
        Kind::Order => machine.order.as_deref() == Some(name),
        Kind::Site => true,
        Kind::Agent
        | Kind::Image
        | Kind::Profile
        | Kind::Mirror
        | Kind::Secret
        | Kind::Token
        | Kind::Operator => false,
    };
    let ours = published.problems.iter().filter(|problem| concerns(problem.kind, &problem.name));
    ours.map(of_plan).collect()
}

fn of_plan(problem: &PlanProblem) -> Flag {
    let PlanProblem { kind, name, field, message } = problem;
    let place = if field.is_empty() { String::new() } else { format!(": {field}") };
    let what = format!("{kind} {name}{place} {message}");
    if *kind == Kind::Site { Flag::notice(what, "") } else { Flag::fails(what, "correct it in the catalog") }
}

/// The host's order is no permission yet.
fn waiting(published: &Published, machine: &Machine) -> Option<Flag> {
    let name = machine.order.as_ref()?;
    published.orders.get(name).is_some_and(|need| need.waits_until.is_some()).then(|| {
        let what = format!("order {name} is not armed: it waits until the site holds what it takes");
        Flag::fails(what, format!("`bootlane order get {name}` says what is missing"))
    })
}

fn agent(
    question: &Question,
    order: Option<&OrderPlan>,
    published: &Published,
    flags: &mut Vec<Flag>,
) -> Result<Option<String>, GatherError> {
    if !question.agent.is_empty() {
        let known = published.agents.contains(&question.agent);
        let missing =
            || GatherError::Missing(format!("agent {} at this site", question.agent.escape_debug()));
        return if known { Ok(Some(question.agent.clone())) } else { Err(missing()) };
    }
    let of_order = order.map(|order| order.agent.clone()).filter(|agent| published.agents.contains(agent));
    let agent = of_order.or_else(|| published.agents.first().cloned());
    if agent.is_none() {
        flags.push(Flag::fails("no agent serves the site", "make a join token and enrol one"));
    }
    if published.agents.len() > 1 && question.agent.is_empty() {
        let others = published.agents.len() - 1;
        let agent = agent.as_deref().unwrap_or_default();
        let what = format!("agent {agent} is asked; {others} more may answer the machine instead");
        flags.push(Flag::notice(what, "--agent chooses another"));
    }
    Ok(agent)
}

async fn agent_status(
    app: &App,
    agent: &str,
    published: &Published,
    flags: &mut Vec<Flag>,
) -> Result<AgentStatus, GatherError> {
    let stored = app.catalog.status(Kind::Agent, agent).await?;
    let status: AgentStatus =
        stored.and_then(|stored| serde_json::from_value(stored).ok()).unwrap_or_default();
    if let Some(heard) = last_heard(app, agent).await {
        let what = match heard.0 {
            0 => format!("agent {agent} was never heard: nobody answers the machine"),
            _ => format!("agent {agent} is away: it obeys the plan that it has, or is off"),
        };
        let flag = if heard.0 == 0 { Flag::fails } else { Flag::notice };
        flags.push(flag(what, "start the agent, or mend its link"));
    }
    let newest = published.document.id().to_string();
    if Following::of(&newest, &status.applied) == Following::Behind {
        let what = format!("agent {agent} obeys plan {} still, not the newest", short(&status.applied));
        flags.push(Flag::notice(what, ""));
    }
    if status.disk_low {
        let what = format!("the disk of agent {agent} is full: new orders and new addresses of pools wait");
        flags.push(Flag::notice(what, "make room on the agent's disk"));
    }
    Ok(status)
}

/// `EPOCH.REVISION` of what agents report.
fn short(applied: &str) -> &str {
    applied.split('/').next().unwrap_or(applied)
}

/// The agent's address on the machine's subnet, or else one that it might have there; and the relay agent between them, where the
/// agent is known to stand elsewhere.
fn server(
    plan: &SitePlan,
    mac: Mac,
    status: &AgentStatus,
    flags: &mut Vec<Flag>,
) -> (Ipv4Addr, Option<Ipv4Addr>) {
    let known: Vec<Ipv4Addr> = status.addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let fixed = plan.host_of(mac).and_then(|host| host.address);
    if let Some(own) = fixed.filter(|address| known.contains(address)) {
        let what = format!("{own} is the agent's own address: the machine gets one of a pool, if any");
        flags.push(Flag::fails(what, "give the host another `address`"));
    }
    let of_host = fixed.and_then(|address| plan.network.subnet_of(address));
    let served = || known.iter().find_map(|address| plan.network.subnet_of(*address));
    let Some(subnet) = of_host.or_else(served).or_else(|| plan.network.subnets.first()) else {
        flags.push(Flag::fails("the site has no subnet", "give it one"));
        return (Ipv4Addr::UNSPECIFIED, None);
    };
    if let Some(address) = known.iter().find(|address| subnet.network.contains(*address)) {
        return (*address, None);
    }
    let assumed = free_address(plan, subnet);
    if let Some(elsewhere) = known.first() {
        let relay = subnet.router.unwrap_or(assumed);
        let what = format!(
            "the agent has no address in {}: a relay agent at {relay} is assumed to send to {elsewhere}",
            subnet.network
        );
        flags.push(Flag::notice(what, ""));
        return (*elsewhere, Some(relay));
    }
    let what = format!("the agent's address in {} is not known: {assumed} is assumed", subnet.network);
    flags.push(Flag::notice(what, ""));
    (assumed, None)
}

/// One that is no host's, no router's and in no pool.
fn free_address(plan: &SitePlan, subnet: &Subnet) -> Ipv4Addr {
    let taken = |address: &Ipv4Addr| {
        subnet.router == Some(*address)
            || subnet.pools.iter().any(|pool| pool.contains(*address))
            || plan.hosts.values().any(|host| host.address == Some(*address))
    };
    subnet.network.hosts().take(LEASES).find(|address| !taken(address)).unwrap_or(subnet.network.network())
}

/// The leases that stand, as the agents told of them.
async fn leases(app: &App, site: &str, plan: &SitePlan, now: Wall) -> Result<Vec<Record>, GatherError> {
    let (mut records, mut after) = (Vec::new(), Vec::new());
    while records.len() < LEASES {
        let page = app.events.leases(Some(site.to_owned()), after, PAGE).await?;
        let standing = page.leases.iter().filter(|lease| lease.end.is_none() && lease.until_ms > now);
        records.extend(standing.filter_map(|lease| {
            let network = plan.network.link_of(plan.network.subnet_of(lease.address)?);
            let key = LeaseKey { mac: lease.mac, network };
            Some(Record::Lease(Lease { key, address: lease.address, until: lease.until_ms }))
        }));
        match page.next {
            Some(next) => after = next,
            None => break,
        }
    }
    Ok(records)
}

/// How far the host's order has come. A token is the agent's secret: one that the machine has is not known here.
async fn order_state(
    app: &App,
    machine: &Machine,
    order: Option<&OrderPlan>,
) -> Result<Option<Record>, GatherError> {
    let (Some(name), Some(order)) = (&machine.order, order) else { return Ok(None) };
    let Some(stored) = app.catalog.status(Kind::Order, name).await? else { return Ok(None) };
    let Ok(status) = serde_json::from_value::<OrderStatus>(stored) else { return Ok(None) };
    let started = (status.phase == OrderPhase::Started).then_some(status.since_ms);
    Ok(Some(Record::Order(OrderState {
        order: order.id,
        host: order.host,
        number: order.number,
        phase: status.phase,
        attempts: u32::from(status.attempt.is_some()),
        attempt: status.attempt,
        token: None,
        started,
        not_after: order.not_after,
    })))
}

/// What the boot may fetch: its own blobs, and the loaders of the sets that it may be begun with.
fn blobs(plan: &SitePlan, boot: &Boot) -> Vec<BlobRef> {
    let named = boot.loaders.iter().filter_map(|name| plan.loaders.get(name));
    let default = plan.loaders.values().filter(|set| set.site_default);
    let loaders = named.chain(default).flat_map(|set| set.files.values().copied());
    boot.blobs().chain(loaders).collect()
}

async fn architecture(app: &App, boot: Option<&Boot>) -> Result<String, GatherError> {
    let Some(boot) = boot.filter(|boot| !boot.image.is_empty()) else { return Ok(String::new()) };
    Ok(app.catalog.get_image(&boot.image).await?.map(|image| image.spec.architecture).unwrap_or_default())
}
