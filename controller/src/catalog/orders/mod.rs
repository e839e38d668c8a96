//! Orders: one live one per host, made by operators, moved on by what agents report (DESIGN §6).
//!
//! A number is never given twice to a host name: it counts on from the host's last order, and after a restore from the
//! store's epoch, which is beyond every number that the lost time can have given out. A host has one live order. A new
//! one takes its place only where two cannot be obeyed: at the same agent once the old one is revoked or has run out,
//! since that agent keeps the two apart; at another agent only when the old one's agent has confirmed its end, or could
//! not be obeying it any more by any clock ([`over`]).

mod over;
mod phase;
mod wait;

use std::time::Duration;

use proto::{
    Wall,
    catalog::{
        AgentSpec, AnyResource, HostSpec, Kind, Mode, OrderSpec, OrderStatus, Problem, ProfileSpec, Resource,
        check_name,
    },
    event::OrderPhase,
};

use super::{
    Catalog, ReadError,
    draft::{CommitError, Draft, Edit},
    keys,
    read::HostOrders,
    roles::Actor,
    write::{ChangeError, new_meta},
};
use crate::store::Epoch;

pub(super) use over::why_it_stays;
pub use phase::{PhaseReport, RecordError};
pub use wait::{DEFAULT_WAIT, Waited};

/// How long an order lasts if nothing is said.
pub const DEFAULT_LIFE: Duration = Duration::from_secs(2 * 3_600);
/// How long an order may last.
pub const LONGEST_LIFE: Duration = Duration::from_secs(30 * 24 * 3_600);
/// How far the clocks of agent and controller may be apart.
pub const CLOCK_ERROR: Duration = Duration::from_secs(300);
/// As many ended orders of a host are kept.
const KEPT: usize = 10;

/// What an operator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// The host to install.
    pub host: String,
    /// With which profile; None: the host's own.
    pub profile: Option<String>,
    /// How long until it must have started; None: [`DEFAULT_LIFE`].
    pub life: Option<Duration>,
    /// Which agent may obey it; None: the site's only one.
    pub agent: Option<String>,
    /// For how long it may wait until the site holds what it needs; its life begins only then. None: it waits for nothing.
    pub wait: Option<Duration>,
}

/// Will it never be obeyed again, as far as its agent has confirmed?
pub(super) fn at_end(order: &Resource<OrderSpec>) -> bool {
    end_of(order).is_some()
}

/// The phase that ended it.
fn end_of(order: &Resource<OrderSpec>) -> Option<OrderPhase> {
    let status: OrderStatus = serde_json::from_value(order.status.clone()?).ok()?;
    status.phase.is_end().then_some(status.phase)
}

fn not_at_end(order: &Resource<OrderSpec>) -> Result<(), ChangeError> {
    let Some(phase) = end_of(order) else { return Ok(()) };
    let text = format!("order {} is at its end: {}", order.name, phase.word());
    Err(ChangeError::Precondition(text))
}

impl Catalog {
    /// Makes an order.
    ///
    /// # Errors
    /// [`ChangeError`]; every mistake at once, by field of the request.
    pub async fn create_order(
        &self,
        actor: &Actor,
        new: &NewOrder,
        now: Wall,
    ) -> Result<Resource<OrderSpec>, ChangeError> {
        let host = self.host_to_order(actor, new).await?;
        let meta = new_meta(now)?;
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let order = Resource { meta: Some(meta.clone()), ..blank() };
            let name = fill(&mut draft, &host.name, new, order, now).await?;
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                drop(attempts);
                return self.get_order(&name).await?.ok_or(ChangeError::NotFound { kind: Kind::Order, name });
            }
        }
    }

    /// Takes an order back. Its agent confirms by reporting the phase `revoked`; one that has started ends too,
    /// and its installer gets no further file.
    ///
    /// # Errors
    /// [`ChangeError`]: unknown, or at its end already.
    pub async fn revoke_order(
        &self,
        actor: &Actor,
        name: &str,
        now: Wall,
    ) -> Result<Resource<OrderSpec>, ChangeError> {
        let not_found = || ChangeError::NotFound { kind: Kind::Order, name: name.to_owned() };
        let order = self.get_order(name).await?.ok_or_else(not_found)?;
        actor.require_site(&order.spec.site, &format!("revoking order {name}"))?;
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            let Some(AnyResource::Order(before)) = draft.get(Kind::Order, name).await? else {
                return Err(not_found());
            };
            not_at_end(&before)?;
            if before.spec.waiting.is_some() {
                wait::cancel(&mut draft, before, actor, now).await?;
            } else if !before.spec.revoked {
                let mut after = before.clone();
                after.spec.revoked = true;
                after.spec.revoked_by = Some(actor.label());
                edit_order(&mut draft, Some(before), after, "revoke", String::new());
            }
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                drop(attempts);
                return self.get_order(name).await?.ok_or_else(not_found);
            }
        }
    }

    async fn host_to_order(&self, actor: &Actor, new: &NewOrder) -> Result<Resource<HostSpec>, ChangeError> {
        let not_found = || ChangeError::NotFound { kind: Kind::Host, name: new.host.clone() };
        let host = self.get_host(&new.host).await?.ok_or_else(not_found)?;
        actor.require_site(&host.spec.site, &format!("ordering an installation of host {}", host.name))?;
        Ok(host)
    }
}

fn blank() -> Resource<OrderSpec> {
    let spec = OrderSpec {
        site: String::new(),
        host: String::new(),
        host_id: proto::HostId([0; 16]),
        profile: String::new(),
        agent: String::new(),
        number: 0,
        not_after_ms: Wall(0),
        install_time: None,
        waiting: None,
        armed_ms: None,
        revoked: false,
        revoked_by: None,
    };
    Resource::new("", spec)
}

/// Fills the draft with the order; its name.
async fn fill(
    draft: &mut Draft,
    host: &str,
    new: &NewOrder,
    mut order: Resource<OrderSpec>,
    now: Wall,
) -> Result<String, ChangeError> {
    let Some(AnyResource::Host(host)) = draft.get(Kind::Host, host).await? else {
        return Err(ChangeError::NotFound { kind: Kind::Host, name: host.to_owned() });
    };
    if host.spec.locked {
        let text = format!("host {} is locked: unlock it first, if it may really be overwritten", host.name);
        return Err(ChangeError::Precondition(text));
    }
    let mut problems = Vec::new();
    let profile = profile(draft, new, &host, &mut problems).await?;
    let agent = agent(draft, new, &host.spec.site, &mut problems).await?;
    let life = new.life.unwrap_or(DEFAULT_LIFE);
    if life.is_zero() || life > LONGEST_LIFE {
        problems.push(Problem::new("seconds", "expected 1 second to 30 days"));
    }
    if new.wait.is_some_and(|wait| wait.is_zero() || wait > LONGEST_LIFE) {
        problems.push(Problem::new("wait_seconds", "expected 1 second to 30 days"));
    }
    let (Some(profile), Some(agent), true) = (profile, agent, problems.is_empty()) else {
        return Err(ChangeError::Refused { problems });
    };
    let orders = draft.catalog().host_orders(&host.name).await?;
    if let Some(live) = &orders.live {
        replace(draft, live, &agent, now).await?;
    }
    let number = next_number(orders.number, draft.catalog().store().epoch().await.map_err(ReadError::from)?);
    let waiting = new.wait.map(|wait| wait::begin(wait, life, now));
    order.name = order_name(&host.name, number, &order);
    order.spec = OrderSpec {
        site: host.spec.site.clone(),
        host: host.name.clone(),
        host_id: host.id().unwrap_or(proto::Uid([0; 16])).into(),
        profile: profile.name,
        agent,
        number,
        not_after_ms: wait::not_after(waiting.as_ref(), life, now),
        install_time: Some(profile.spec.install_time),
        waiting,
        armed_ms: None,
        revoked: false,
        revoked_by: None,
    };
    forget_oldest(draft, &host).await?;
    let next = HostOrders { number, live: Some(order.name.clone()) };
    put_host_orders(draft, &host.name, &next)?;
    let (name, detail) = (order.name.clone(), format!("host {} profile {}", host.name, order.spec.profile));
    edit_order(draft, None, order, "create", detail);
    Ok(name)
}

async fn profile(
    draft: &Draft,
    new: &NewOrder,
    host: &Resource<HostSpec>,
    problems: &mut Vec<Problem>,
) -> Result<Option<Resource<ProfileSpec>>, ReadError> {
    let Some(name) = new.profile.as_ref().or(host.spec.profile.as_ref()) else {
        let message = format!("is missing, and host {} has none of its own", host.name);
        problems.push(Problem::new("profile", message));
        return Ok(None);
    };
    let message = match draft.get(Kind::Profile, name).await? {
        Some(AnyResource::Profile(profile)) if profile.spec.mode == Mode::Install => {
            return Ok(Some(profile));
        }
        Some(_) if new.profile.is_none() => {
            format!("is missing: the host's own, {name}, is of mode run and installs nothing")
        }
        Some(_) => format!("{name} is of mode run: it installs nothing and needs no order"),
        None => format!("there is no Profile {name}"),
    };
    problems.push(Problem::new("profile", message));
    Ok(None)
}

async fn agent(
    draft: &Draft,
    new: &NewOrder,
    site: &str,
    problems: &mut Vec<Problem>,
) -> Result<Option<String>, ReadError> {
    let all = draft.catalog().list::<AgentSpec>(Some(site)).await?.items;
    let (revoked, serving): (Vec<_>, Vec<_>) = all.into_iter().partition(|agent| agent.spec.revoked);
    let names =
        |agents: Vec<Resource<AgentSpec>>| agents.into_iter().map(|agent| agent.name).collect::<Vec<_>>();
    let (revoked, names) = (names(revoked), names(serving));
    let message = match (&new.agent, names.as_slice()) {
        (Some(wanted), _) if names.contains(wanted) => return Ok(Some(wanted.clone())),
        (Some(wanted), _) if revoked.contains(wanted) => format!("agent {wanted} is revoked"),
        (Some(wanted), _) => format!("site {site} has no agent {wanted}"),
        (None, [only]) => return Ok(Some(only.clone())),
        (None, []) if revoked.is_empty() => format!("site {site} has no agent yet: enrol one"),
        (None, []) => format!("site {site} has only revoked agents ({}): enrol another", revoked.join(", ")),
        (None, several) => format!("site {site} has several, name one of {}", several.join(", ")),
    };
    problems.push(Problem::new("agent", message));
    Ok(None)
}

/// Ends the live order for a new one, or refuses where it may still be obeyed.
async fn replace(draft: &mut Draft, live: &str, agent: &str, now: Wall) -> Result<(), ChangeError> {
    let Some(AnyResource::Order(before)) = draft.get(Kind::Order, live).await? else { return Ok(()) };
    if at_end(&before) {
        return Ok(());
    }
    if let (Some(_), host) = (&before.spec.waiting, &before.spec.host) {
        let text = format!(
            "host {host} has the order {live}, which waits until its site holds what it needs: revoke it first"
        );
        return Err(ChangeError::Precondition(text));
    }
    let seen = draft.catalog().status(Kind::Order, live).await?;
    let seen: Option<OrderStatus> = seen.and_then(|seen| serde_json::from_value(seen).ok());
    let phase = seen.map_or(OrderPhase::Armed, |seen| seen.phase);
    let over = over::over_at(&before.spec, draft.get(Kind::Profile, &before.spec.profile).await?.as_ref());
    let (same, entered) = (before.spec.agent == agent, over::entered_by(&before.spec));
    let (end, reason) = match (before.spec.revoked, phase) {
        (true, _) if same => (OrderPhase::Revoked, "a new order took its place"),
        (false, OrderPhase::Armed | OrderPhase::Offered) if same && now > entered => {
            (OrderPhase::Expired, "never started, as far as its agent reported")
        }
        _ if now > over => (OrderPhase::Expired, "its agent did not report its end"),
        _ => {
            let agent = draft.agent_of(&before.spec).await?;
            let text = over::still_stands(live, &before.spec, phase, agent, over.since(now));
            return Err(ChangeError::Precondition(text));
        }
    };
    Ok(over::end(draft, before, end, reason, now)?)
}

/// Keeps the history of a host short.
async fn forget_oldest(draft: &mut Draft, host: &Resource<HostSpec>) -> Result<(), ReadError> {
    let mut ended = ended_orders(draft, &host.spec.site, &host.name).await?;
    ended.sort_by_key(|order| std::cmp::Reverse(order.spec.number));
    for order in ended.into_iter().skip(KEPT - 1) {
        remove_order(draft, order, "oldest of its host");
    }
    Ok(())
}

/// The orders of a host that are at their end, as they are stored.
pub(super) async fn ended_orders(
    draft: &Draft,
    site: &str,
    host: &str,
) -> Result<Vec<Resource<OrderSpec>>, ReadError> {
    let all = draft.catalog().list::<OrderSpec>(Some(site)).await?.items;
    let ended = all.into_iter().filter(|order| order.spec.host == host && at_end(order));
    Ok(ended.filter(|order| !draft.touches(Kind::Order, &order.name)).collect())
}

/// Takes an order at its end out of the catalog.
pub(super) fn remove_order(draft: &mut Draft, order: Resource<OrderSpec>, why: &str) {
    let name = order.name.clone();
    let edit = Edit {
        before: Some(AnyResource::Order(order)),
        after: None,
        action: "remove".into(),
        detail: why.into(),
    };
    draft.edit(Kind::Order, &name, edit);
}

fn edit_order(
    draft: &mut Draft,
    before: Option<Resource<OrderSpec>>,
    after: Resource<OrderSpec>,
    action: &str,
    detail: String,
) {
    let name = after.name.clone();
    let (before, after) = (before.map(AnyResource::Order), Some(AnyResource::Order(after)));
    draft.edit(Kind::Order, &name, Edit { before, after, action: action.into(), detail });
}

fn put_host_orders(draft: &mut Draft, host: &str, orders: &HostOrders) -> Result<(), CommitError> {
    let json = serde_json::to_vec(orders).expect("plain text and numbers");
    draft.put_along(keys::host_orders(host)?, Some(json));
    Ok(())
}

/// Higher than any that was given out, also by a store that a restore has replaced.
fn next_number(last: u64, epoch: Epoch) -> u64 {
    let restored = if epoch == Epoch::FIRST { 0 } else { epoch.0 };
    last.max(restored).saturating_add(1)
}

/// `HOST-NUMBER`, or the order's id where that is no name.
fn order_name(host: &str, number: u64, order: &Resource<OrderSpec>) -> String {
    let name = format!("{host}-{number}");
    match check_name("name", &name) {
        None => name,
        Some(_) => format!("order-{}", order.id().unwrap_or(proto::Uid([0; 16]))),
    }
}
