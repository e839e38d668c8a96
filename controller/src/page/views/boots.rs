//! The latest boots, of all sites or of one, by how they ended and why.

use axum::extract::{Extension, Query, State};
use axum::response::Html;
use maud::{Markup, html};
use serde::Deserialize;

use super::{framed, parts};
use crate::diagnosis::{Cause, Standing};
use crate::events::{BootFilter, Outcome};
use crate::overview::{BootLine, lines};
use crate::page::guard::Visitor;
use crate::page::problem::Problem;
use crate::page::state::Page;

/// The latest attempts that are looked through.
const LOOKED_AT: usize = 500;
/// As many are shown.
const SHOWN: usize = 200;

/// Which boots.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    site: String,
    #[serde(default)]
    outcome: String,
    #[serde(default)]
    cause: String,
}

/// How a boot stands, as the filter names it.
const OUTCOMES: [&str; 6] = ["under way", "silent", "failed", "local disk", "installed", "up"];

/// `GET /boots`.
pub(super) async fn show(
    State(page): State<Page>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
) -> Result<Html<String>, Problem> {
    let app = &page.app;
    let sites: Vec<_> = app.planner.sites().into_keys().collect();
    let site = Some(asked.site.clone()).filter(|site| !site.is_empty());
    if site.as_ref().is_some_and(|site| !sites.contains(site)) {
        return Err(Problem::NotFound("such site".into()));
    }
    let filter = BootFilter { site: site.clone(), limit: LOOKED_AT, ..BootFilter::default() };
    let mut found = lines(app, app.events.boots(filter).await?).await?;
    let looked_at = found.len();
    found.retain(|line| asked.takes(line));
    found.truncate(SHOWN);
    let view = html! {
        h1 { "Boots" }
        (form(&asked, &sites))
        div id="boots" data-part { (table(&found, looked_at, app.clock.wall())) }
    };
    let live = site.map_or_else(|| "/live".to_owned(), |site| format!("/live?site={site}"));
    Ok(framed(&page, &visitor, "Boots", &live, &view))
}

impl Asked {
    fn takes(&self, line: &BootLine) -> bool {
        let cause =
            self.cause.is_empty() || line.diagnosis.cause().is_some_and(|cause| cause.word() == self.cause);
        cause && (self.outcome.is_empty() || word(line) == self.outcome)
    }
}

fn word(line: &BootLine) -> &'static str {
    match (line.diagnosis.standing, line.boot.outcome) {
        (Standing::UnderWay, _) => "under way",
        (Standing::Silent, _) => "silent",
        (
            Standing::Ended,
            outcome @ (Outcome::Running
            | Outcome::LocalDisk
            | Outcome::Installed
            | Outcome::Failed
            | Outcome::Up),
        ) => outcome.word(),
    }
}

fn table(found: &[BootLine], looked_at: usize, now: proto::Wall) -> Markup {
    let caption = format!("{} of the latest {looked_at}", parts::count(found.len(), "boot"));
    html! {
        @if found.is_empty() { p { "None of the latest " (looked_at) " boots." } }
        @else { (parts::boots(found, &caption, now)) }
    }
}

fn form(asked: &Asked, sites: &[String]) -> Markup {
    html! {
        form class="filter" method="get" action="/boots" {
            (select("site", "Site", &asked.site, sites.iter().map(String::as_str)))
            (select("outcome", "Outcome", &asked.outcome, OUTCOMES.into_iter()))
            (select("cause", "Cause", &asked.cause, Cause::ALL.iter().map(|cause| cause.word())))
            button type="submit" { "Show" }
        }
    }
}

fn select<'a>(name: &str, label: &str, chosen: &str, words: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        label { (label)
            select name=(name) {
                option value="" { "any" }
                @for word in words { option value=(word) selected[word == chosen] { (word) } }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_offers_what_there_is_and_keeps_what_was_chosen() {
        let words = ["lyon", "oslo"].into_iter();
        let expected = concat!(
            r#"<label>Site<select name="site"><option value="">any</option>"#,
            r#"<option value="lyon">lyon</option><option value="oslo" selected>oslo</option></select></label>"#,
        );
        assert_eq!(select("site", "Site", "oslo", words).into_string(), expected);
    }
}
