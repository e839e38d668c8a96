//! The fleet: what goes on, what failed of late, and the sites.

use axum::extract::{Extension, Query, State};
use axum::response::Html;
use maud::{Markup, html};
use proto::Wall;
use proto::words::size;
use serde::Deserialize;

use super::{framed, parts};
use crate::overview::{AgentLine, Day, SITES, SiteLine, SitePage, day, sites};
use crate::page::guard::Visitor;
use crate::page::problem::Problem;
use crate::page::state::Page;

/// Which page of the sites.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    after: String,
}

/// `GET /`.
pub(super) async fn show(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Problem> {
    let day = day(&page.app, None).await?;
    let sites = sites(&page.app, &asked.after, &day).await?;
    let view = render(&day, &sites, page.app.clock.wall());
    Ok(framed(&page, &visitor, "Fleet", "/live", &view))
}

fn render(day: &Day, sites: &SitePage, now: Wall) -> Markup {
    html! {
        h1 { "Fleet" }
        div id="boots" data-part { (boots(day, now)) }
        div id="sites" data-part { (site_table(sites, now)) }
    }
}

/// What goes on and what failed; on a site's view as well.
pub(super) fn boots(day: &Day, now: Wall) -> Markup {
    let ended = format!("{} of the last 24 hours came to a good end", parts::count(day.good, "boot"));
    html! {
        h2 { "Under way" }
        @if day.under_way.is_empty() { p { "No machine boots now." } }
        @else { (parts::boots(&day.under_way, &parts::count(day.under_way.len(), "boot"), now)) }
        h2 { "Failed in the last 24 hours" }
        @if day.failed.is_empty() { p { "None. " (ended) "." } }
        @else { (parts::boots(&day.failed, &format!("{}; {ended}", parts::count(day.failed.len(), "boot")), now)) }
        @if day.unexamined > 0 {
            p class="warn" { (parts::count(day.unexamined, "older boot")) " not examined: there are too many. See " a href="/boots" { "Boots" } "." }
        }
    }
}

fn site_table(page: &SitePage, now: Wall) -> Markup {
    let last = page.sites.last().filter(|_| page.more);
    html! {
        h2 { "Sites" }
        @if page.all == 0 { p { "There is none yet: " code { "bootlane site add" } " makes one." } }
        @else {
            div class="scroll" { table {
                caption { (parts::count(page.all, "site")) }
                thead { tr {
                    th scope="col" { "Site" } th scope="col" { "Agent" } th scope="col" { "State" } th scope="col" { "Plan" }
                    th scope="col" class="number" { "Events waiting" } th scope="col" class="number" { "Leases" }
                    th scope="col" { "Images" } th scope="col" class="number" { "Under way" } th scope="col" class="number" { "Failed" }
                } }
                tbody { @for site in &page.sites { (site_rows(site, now)) } }
            } }
            @if let Some(last) = last {
                p { a href={ "/?after=" (last.name) } { "The next " (SITES) " sites" } }
            }
        }
    }
}

/// A row for each agent; a site without any has one too.
fn site_rows(site: &SiteLine, now: Wall) -> Markup {
    let first = site.agents.first();
    html! {
        tr {
            th scope="row" rowspan=[(site.agents.len() > 1).then_some(site.agents.len())] {
                (parts::site(&site.name))
                @if site.problems > 0 { " " span class="warn" { (parts::count(site.problems, "problem")) } }
            }
            @match first {
                Some(agent) => { (agent_cells(agent, now)) }
                None => { td colspan="6" { span class="warn" { "no agent has enrolled" } } }
            }
            (number(site.under_way, "busy", site.agents.len()))
            (number(site.failed, "bad", site.agents.len()))
        }
        @for agent in site.agents.iter().skip(1) { tr { (agent_cells(agent, now)) } }
    }
}

fn number(number: usize, class: &str, rows: usize) -> Markup {
    let class = if number == 0 { "number quiet".to_owned() } else { format!("number {class}") };
    html! { td class=(class) rowspan=[(rows > 1).then_some(rows)] { (number) } }
}

fn agent_cells(agent: &AgentLine, now: Wall) -> Markup {
    let status = agent.status.clone().unwrap_or_default();
    html! {
        td { (agent.name) }
        td { (parts::presence(agent, now)) }
        td { (parts::following(agent)) }
        td class="number" { (status.journal_events) }
        td class="number" { (status.leases) }
        td { (images(agent)) }
    }
}

/// What an agent's cache lacks.
pub(super) fn images(agent: &AgentLine) -> Markup {
    let Some(status) = &agent.status else { return html! { span class="quiet" { "unknown" } } };
    html! {
        @if status.missing_blobs == 0 { span class="good" { "all held" } }
        @else { span class="warn" { (parts::count(status.missing_blobs as usize, "file")) " missing" } }
        ", " (size(status.cache_bytes))
        @if status.disk_low { ", " span class="bad" { "disk filling up" } }
    }
}

#[cfg(test)]
mod tests {
    use proto::Following;
    use proto::catalog::AgentStatus;

    use super::*;

    fn site(name: &str, agents: Vec<AgentLine>) -> SiteLine {
        SiteLine { name: name.into(), problems: 1, agents, under_way: 2, failed: 0 }
    }

    #[test]
    fn an_agent_that_is_away_is_seen_at_a_glance() {
        let status = AgentStatus {
            last_contact_ms: Wall(1_000),
            journal_events: 7,
            leases: 3,
            missing_blobs: 2,
            cache_bytes: 2_048,
            ..AgentStatus::default()
        };
        let agent = AgentLine {
            name: "lyon-1".into(),
            revoked: false,
            status: Some(status),
            following: Following::Behind,
        };
        let rows = site_rows(&site("lyon", vec![agent]), Wall(61_000)).into_string();
        let expected = concat!(
            r#"<tr><th scope="row"><a href="/sites/lyon">lyon</a> <span class="warn">1 problem</span></th>"#,
            r#"<td>lyon-1</td><td><span class="bad">away</span>, heard "#,
            r#"<time datetime="1970-01-01T00:00:01Z" title="1970-01-01T00:00:01Z">1m ago</time></td>"#,
            r#"<td><span class="warn">older</span></td><td class="number">7</td><td class="number">3</td>"#,
            r#"<td><span class="warn">2 files missing</span>, 2.0 KiB</td>"#,
            r#"<td class="number busy">2</td><td class="number quiet">0</td></tr>"#,
        );
        assert_eq!(rows, expected);
    }

    #[test]
    fn a_site_without_agents_says_so_and_two_agents_share_their_site() {
        let none = site_rows(&site("lyon", vec![]), Wall(0)).into_string();
        assert!(none.contains("no agent has enrolled"), "{none}");
        let agent = |name: &str| AgentLine {
            name: name.into(),
            revoked: false,
            status: None,
            following: Following::Unknown,
        };
        let two = site_rows(&site("lyon", vec![agent("lyon-1"), agent("lyon-2")]), Wall(0)).into_string();
        assert_eq!((two.matches("rowspan=\"2\"").count(), two.matches("<tr>").count()), (3, 2), "{two}");
    }
}
