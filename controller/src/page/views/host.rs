//! One host: what it would be given and why, its order, and its boots with what was found.

use axum::extract::{Extension, Path, State};
use axum::response::Html;
use maud::{Markup, html};
use proto::Wall;
use proto::catalog::{AnyResource, HostSpec, Kind, Mode, OrderSpec, OrderStatus, Resource};
use proto::words::plain;

use super::{framed, parts};
use crate::app::App;
use crate::diagnosis::Finding;
use crate::events::BootFilter;
use crate::explain::{Inquiry, Subject};
use crate::overview::{self, BootLine};
use crate::page::guard::Visitor;
use crate::page::problem::Problem;
use crate::page::state::Page;

/// Boots of the table.
const BOOTS: usize = 20;

/// `GET /hosts/HOST`.
pub(super) async fn show(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Html<String>, Problem> {
    let view = HostView::read(&page.app, &name).await?;
    let live = format!("/live?site={}", view.host.spec.site);
    Ok(framed(&page, &visitor, &format!("Host {}", view.host.name), &live, &view.render()))
}

struct HostView {
    host: Resource<HostSpec>,
    /// What its profile does, if it has one.
    mode: Option<Mode>,
    order: Option<(Resource<OrderSpec>, Option<OrderStatus>)>,
    /// Of `bootlane host explain`: the answer in one sentence, and what is wrong.
    answer: String,
    findings: Vec<Finding>,
    boots: Vec<BootLine>,
    now: Wall,
}

impl HostView {
    async fn read(app: &App, name: &str) -> Result<Self, Problem> {
        let host = app.catalog.get_host(name).await?.ok_or_else(|| Problem::NotFound("such host".into()))?;
        let mode = match &host.spec.profile {
            Some(profile) => app.catalog.get_profile(profile).await?.map(|profile| profile.spec.mode),
            None => None,
        };
        let filter = BootFilter { host: host.id().map(Into::into), limit: BOOTS, ..BootFilter::default() };
        let boots = overview::lines(app, app.events.boots(filter).await?).await?;
        let mut inquiry = Inquiry::new(app);
        let explained = inquiry.host(Subject::Host(Box::new(host.clone()))).await?;
        let order = live_order(app, name).await?;
        let (answer, findings) = (explained.answer, explained.findings);
        Ok(Self { mode, order, answer, findings, boots, now: inquiry.now(), host })
    }

    fn render(&self) -> Markup {
        html! {
            h1 { "Host " (self.host.name) }
            div id="answer" data-part { (self.answer()) }
            div id="next" data-part { (self.next()) }
            div id="boots" data-part { (self.past()) }
            h2 { "What it is" }
            (facts(&self.host.spec))
        }
    }

    /// The answer, and what is wrong. A finding's sentence is the answer, where there is one.
    fn answer(&self) -> Markup {
        html! {
            @if self.findings.is_empty() { p { (plain(&self.answer)) } }
            @for finding in &self.findings { (parts::finding(finding)) }
        }
    }

    /// What it gets when it boots now.
    fn next(&self) -> Markup {
        html! {
            h2 { "When it boots" }
            @if let Some((order, status)) = &self.order {
                (order_text(order, status.as_ref(), self.host.spec.locked, self.now))
            } @else {
                p { (without_order(self.host.spec.profile.as_deref(), self.mode)) }
            }
        }
    }

    fn past(&self) -> Markup {
        html! {
            h2 { "Boots" }
            @if self.boots.is_empty() { p { "None that is kept: it was not heard." } }
            @else { (parts::boots(&self.boots, &format!("The latest {}", parts::count(self.boots.len(), "boot")), self.now)) }
        }
    }
}

async fn live_order(
    app: &App,
    host: &str,
) -> Result<Option<(Resource<OrderSpec>, Option<OrderStatus>)>, Problem> {
    let Some(name) = app.catalog.host_orders(host).await?.live else { return Ok(None) };
    let found = app.catalog.get_with_status(Kind::Order, &name).await?;
    let Some(AnyResource::Order(order)) = found else { return Ok(None) };
    let status = order.status.clone().and_then(|status| serde_json::from_value(status).ok());
    Ok(Some((order, status)))
}

/// What a machine gets that no order concerns.
fn without_order(profile: Option<&str>, mode: Option<Mode>) -> Markup {
    html! {
        @match (profile, mode) {
            (Some(profile), Some(Mode::Run)) => { "It runs profile " strong { (profile) } ", at every boot." }
            (Some(profile), Some(Mode::Install)) => {
                "It gets its disk, or its menu: profile " strong { (profile) } " installs, which takes an order, and none stands."
            }
            (Some(profile), None) => { "It gets its disk: there is no profile " strong { (profile) } "." }
            (None, _) => { "It gets its disk, or its menu: it has no profile, and no order stands." }
        }
    }
}

fn order_text(order: &Resource<OrderSpec>, status: Option<&OrderStatus>, locked: bool, now: Wall) -> Markup {
    let spec = &order.spec;
    let phase = status.map(|status| status.phase.word());
    html! {
        p {
            "Order " strong { (order.name) } " installs profile " strong { (spec.profile) } ", by agent " (spec.agent) ": "
            @if let Some(waiting) = &spec.waiting { "it waits until its site holds what it takes, until " (parts::when(waiting.until_ms, now)) "." }
            @else { (phase.unwrap_or("its agent has not heard of it")) "; it may start until " (parts::when(spec.not_after_ms, now)) "." }
            @if let Some(status) = status.filter(|status| !status.reason.is_empty()) { " " (plain(&status.reason)) }
        }
        @if locked { p class="warn" { "The host is locked: no order is obeyed, and it gets its disk." } }
    }
}

fn facts(host: &HostSpec) -> Markup {
    let macs: Vec<_> = host.macs.iter().map(ToString::to_string).collect();
    html! {
        dl {
            dt { "Site" } dd { (parts::site(&host.site)) }
            dt { "Cards" } dd class="mono" { (macs.join(", ")) }
            dt { "Address" } dd class="mono" { @if let Some(address) = host.address { (address) } @else { "from a pool" } }
            @if let Some(uuid) = &host.uuid { dt { "UUID" } dd class="mono" { (plain(uuid)) } }
            @if let Some(serial) = &host.serial { dt { "Serial number" } dd { (plain(serial)) } }
            @if let Some(tag) = &host.asset_tag { dt { "Asset tag" } dd { (plain(tag)) } }
            @if host.locked { dt { "Lock" } dd class="warn" { "set: no order can be made or obeyed" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_gets_without_an_order_is_said_with_its_reason() {
        let said = |profile, mode| without_order(profile, mode).into_string();
        assert_eq!(
            said(Some("live"), Some(Mode::Run)),
            "It runs profile <strong>live</strong>, at every boot."
        );
        assert!(said(Some("debian"), Some(Mode::Install)).contains("takes an order"));
        assert!(said(Some("gone"), None).contains("there is no profile"));
        assert!(said(None, None).contains("it has no profile"));
    }
}
