//! One site: its agents, networks, images, hosts, boots and alarms.

use axum::extract::{Extension, Path, State};
use axum::response::Html;
use maud::{Markup, html};
use proto::catalog::{Dhcp, HostSpec, Resource, SiteSpec, SubnetSpec, Unknown};
use proto::words::{plain, rough, size};
use proto::{Wall, v1};

use super::{fleet, framed, parts};
use crate::app::App;
use crate::catalog::Alarm;
use crate::overview::{self, AgentLine, Day};
use crate::page::guard::Visitor;
use crate::page::problem::Problem;
use crate::page::state::Page;
use crate::plan::PlanProblem;
use crate::readiness::Images;

/// Hosts of the table; `bootlane host list` has all.
const HOSTS: usize = 1_000;
/// Alarms of the table.
const ALARMS: usize = 20;

/// `GET /sites/SITE`.
pub(super) async fn show(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Path(name): Path<String>,
) -> Result<Html<String>, Problem> {
    let view = SiteView::read(&page.app, &name).await?;
    let live = format!("/live?site={}", view.site.name);
    Ok(framed(&page, &visitor, &format!("Site {}", view.site.name), &live, &view.render()))
}

struct SiteView {
    site: Resource<SiteSpec>,
    agents: Vec<AgentLine>,
    problems: Vec<PlanProblem>,
    images: Vec<v1::Readiness>,
    hosts: Vec<Resource<HostSpec>>,
    day: Day,
    alarms: Vec<Alarm>,
    now: Wall,
}

impl SiteView {
    async fn read(app: &App, name: &str) -> Result<Self, Problem> {
        let site = app.catalog.get_site(name).await?.ok_or_else(|| Problem::NotFound("such site".into()))?;
        let problems = app.planner.latest(name).map(|plan| plan.problems.clone()).unwrap_or_default();
        let mut alarms: Vec<_> =
            app.catalog.alarms(Some(name)).await?.into_iter().map(|(_, alarm)| alarm).collect();
        alarms.truncate(ALARMS);
        Ok(Self {
            agents: overview::agents(app, name).await?,
            problems,
            images: Images::new(app).of_site(name, None).await?,
            hosts: app.catalog.list::<HostSpec>(Some(name)).await?.items,
            day: overview::day(app, Some(name)).await?,
            alarms,
            now: app.clock.wall(),
            site,
        })
    }

    fn render(&self) -> Markup {
        html! {
            h1 { "Site " (self.site.name) }
            div id="problems" data-part { (problems(&self.problems)) }
            div id="agents" data-part { (agents(&self.agents, self.now)) }
            div id="boots" data-part { (fleet::boots(&self.day, self.now)) }
            div id="alarms" data-part { (alarms(&self.alarms, self.now)) }
            div id="images" data-part { (images(&self.images, self.now)) }
            (networks(&self.site.spec))
            (hosts(&self.hosts))
        }
    }
}

fn problems(problems: &[PlanProblem]) -> Markup {
    html! {
        @if !problems.is_empty() {
            h2 { "What its plan lacks" }
            ul { @for problem in problems {
                li class="warn" { (problem.kind.word()) " " (problem.name) ": " (plain(&problem.field)) " " (plain(&problem.message)) }
            } }
        }
    }
}

fn agents(agents: &[AgentLine], now: Wall) -> Markup {
    html! {
        h2 { "Agents" }
        @if agents.is_empty() { p { "None has enrolled: " code { "bootlane token create" } " lets one in." } }
        @else { div class="scroll" { table {
            thead { tr {
                th scope="col" { "Agent" } th scope="col" { "State" } th scope="col" { "Plan" } th scope="col" { "Version" }
                th scope="col" class="number" { "Events waiting" } th scope="col" class="number" { "Leases" } th scope="col" { "Images" }
            } }
            tbody { @for agent in agents { (agent_row(agent, now)) } }
        } } }
    }
}

fn agent_row(agent: &AgentLine, now: Wall) -> Markup {
    let status = agent.status.clone().unwrap_or_default();
    html! {
        tr {
            th scope="row" { (agent.name) }
            td { (parts::presence(agent, now)) }
            td { (parts::following(agent)) " " span class="quiet mono" { (plain(&status.applied)) } }
            td { (plain(&status.version)) }
            td class="number" { (status.journal_events) }
            td class="number" { (status.leases) }
            td { (fleet::images(agent)) }
        }
    }
}

fn alarms(alarms: &[Alarm], now: Wall) -> Markup {
    html! {
        @if !alarms.is_empty() {
            h2 { "Alarms" }
            div class="scroll" { table {
                caption { "The latest; " code { "bootlane alarm list" } " has all that are kept" }
                thead { tr { th scope="col" { "Last" } th scope="col" { "What" } th scope="col" { "Detail" } th scope="col" class="number" { "Times" } } }
                tbody { @for alarm in alarms { tr {
                    td class="time" { (parts::when(alarm.last_ms, now)) }
                    th scope="row" { (alarm.kind.words()) }
                    td { (plain(&alarm.detail)) @if let Some(mac) = alarm.mac { " " span class="mono" { (mac) } } }
                    td class="number" { (alarm.times) }
                } } }
            } }
        }
    }
}

fn images(images: &[v1::Readiness], now: Wall) -> Markup {
    html! {
        @if !images.is_empty() {
            h2 { "Images" }
            div class="scroll" { table {
                thead { tr { th scope="col" { "Image" } th scope="col" { "Agent" } th scope="col" { "State" } th scope="col" { "Held" } th scope="col" { "Why" } } }
                tbody { @for image in images { (image_row(image, now)) } }
            } }
        }
    }
}

fn image_row(image: &v1::Readiness, now: Wall) -> Markup {
    let class = match image.state.as_str() {
        "ready" => "good",
        "arriving" | "waiting" => "busy",
        "failed" => "bad",
        _ => "warn",
    };
    html! {
        tr {
            th scope="row" { (image.image) }
            td { (image.agent) }
            td { span class=(class) { (image.state) } @if image.done_ms > now.0 { ", there in " (rough(Wall(image.done_ms).since(now))) } }
            td { (size(image.held_bytes)) " of " (size(image.bytes)) }
            td { (plain(&image.why)) @if !image.remedy.is_empty() { ". " (plain(&image.remedy)) } }
        }
    }
}

fn networks(site: &SiteSpec) -> Markup {
    let dhcp = match site.dhcp {
        Dhcp::Authoritative => "the segment's DHCP server",
        Dhcp::Proxy => "beside another DHCP server",
        Dhcp::Off => "silent",
    };
    let unknown = match site.unknown {
        Unknown::Ignore => "get no answer",
        Unknown::Lease => "get an address of a pool, and their disk",
    };
    html! {
        h2 { "Networks" }
        p { "Its agents are " (dhcp) ". Machines that are no host " (unknown) "." }
        div class="scroll" { table {
            thead { tr { th scope="col" { "Subnet" } th scope="col" { "Pools" } th scope="col" class="number" { "Addresses" } th scope="col" { "Router" } th scope="col" { "Lease" } } }
            tbody { @for subnet in &site.subnets { (subnet_row(subnet)) } }
        } }
    }
}

fn subnet_row(subnet: &SubnetSpec) -> Markup {
    let leasable = subnet.leasable();
    let addresses: u64 = leasable
        .iter()
        .map(|range| u64::from(range.last().to_bits()) - u64::from(range.first().to_bits()) + 1)
        .sum();
    let pools: Vec<_> = leasable.iter().map(ToString::to_string).collect();
    html! {
        tr {
            th scope="row" class="mono" { (subnet.network) }
            td class="mono" { (pools.join(", ")) }
            td class="number" { (addresses) }
            td class="mono" { @if let Some(router) = subnet.router { (router) } }
            td { (subnet.lease) }
        }
    }
}

fn hosts(hosts: &[Resource<HostSpec>]) -> Markup {
    html! {
        h2 { "Hosts" }
        @if hosts.is_empty() { p { "There is none yet: " code { "bootlane host add" } " makes one." } }
        @else { div class="scroll" { table {
            caption { (parts::count(hosts.len(), "host")) @if hosts.len() > HOSTS { ", the first " (HOSTS) } }
            thead { tr { th scope="col" { "Host" } th scope="col" { "Cards" } th scope="col" { "Address" } th scope="col" { "Profile" } } }
            tbody { @for host in hosts.iter().take(HOSTS) { (host_row(host)) } }
        } } }
    }
}

fn host_row(host: &Resource<HostSpec>) -> Markup {
    let macs: Vec<_> = host.spec.macs.iter().map(ToString::to_string).collect();
    html! {
        tr {
            th scope="row" { (parts::host(&host.name)) @if host.spec.locked { " " span class="warn" { "locked" } } }
            td class="mono" { (macs.join(", ")) }
            td class="mono" { @if let Some(address) = host.spec.address { (address) } @else { "from a pool" } }
            td { (host.spec.profile.as_deref().unwrap_or("its disk")) }
        }
    }
}
