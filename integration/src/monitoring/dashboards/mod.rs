//! The dashboards, one in each file, and the questions that several of them ask.
//!
//! Each begins with the row that answers "is anything wrong?", from which one clicks on. A panel's description says what is seen
//! and what to do about it. Metrics have no labels for machines, so what one machine did is asked of its traces.

mod boots;
mod cache;
mod fleet;
mod host;
mod processes;
mod site;

use super::grafana::{Colour, Dashboard, Levels, Link, Meaning, Panel, Query, Unit, Variable};
use super::promql::lately;

/// All of them, in the order in which one reads.
#[must_use]
pub fn all() -> Vec<Dashboard> {
    vec![
        fleet::dashboard(),
        site::dashboard(),
        boots::dashboard(),
        host::dashboard(),
        cache::dashboard(),
        processes::dashboard(),
    ]
}

/// What addresses name them by.
mod uid {
    pub(super) const FLEET: &str = "bootlane-fleet";
    pub(super) const SITE: &str = "bootlane-site";
    pub(super) const BOOTS: &str = "bootlane-boots";
    pub(super) const HOST: &str = "bootlane-host";
    pub(super) const CACHE: &str = "bootlane-cache";
    pub(super) const PROCESSES: &str = "bootlane-processes";
}

/// The traces of whole boots for which this holds, with a way from each host to its attempts. `controller/src/attempts` gives
/// those spans their attributes.
fn boots_traced(title: &'static str, about: &'static str, which: &str) -> Panel {
    let traceql = format!(
        r#"{{ resource.service.name = "{}" && {which} }} | select({HOST}, span.bootlane.site, span.bootlane.outcome, span.bootlane.cause)"#,
        telemetry::boots::SERVICE
    );
    let attempts = Link::from_value("Attempts of this host", uid::HOST, "host");
    Panel::traces(title, about, traceql).field_leading("bootlane.host", attempts)
}

/// The host's name, in TraceQL.
const HOST: &str = "span.bootlane.host";

/// How an attempt ends that did not go well.
const WRONG: &str = r#"outcome=~"failed|silent""#;

/// Colours of outcomes, the same everywhere.
const OUTCOMES: &[(&str, Colour)] = &[
    ("up", Colour::Green),
    ("installed", Colour::Blue),
    ("silent", Colour::Orange),
    ("failed", Colour::Red),
];

const HEARD: &[Meaning] = &[
    Meaning { value: 0, word: "not heard", colour: Colour::Red },
    Meaning { value: 1, word: "heard", colour: Colour::Green },
];

fn sites() -> Variable {
    Variable::some("site", "Site", "label_values(bootlane_site_plan_revision, site)")
}

fn agents() -> Variable {
    Variable::some("agent", "Agent", r#"label_values(bootlane_agent_up{site=~"$site"}, agent)"#)
}

/// Attempts over a window, by these labels; `chosen` are matchers beside the site.
fn boots_by(label: &str, chosen: &str, window: &str) -> String {
    let selector = format!(r#"bootlane_boots_total{{site=~"$site"{chosen}}}"#);
    format!("sum by ({label}) ({})", lately(&selector, window))
}

/// The part of attempts over a window that did not go well.
fn share_of_wrong(label: &str, chosen: &str, window: &str) -> String {
    let wrong = boots_by(label, &format!("{chosen}, {WRONG}"), window);
    // Where nothing went wrong there is no series of what did.
    let all = boots_by(label, chosen, window);
    format!("({wrong} or 0 * {all}) / {all}")
}

/// How long most boots or stages took over an hour, from a histogram.
fn quantile(quantile: &str, buckets: &str, label: &str) -> String {
    let by = if label.is_empty() { "le".to_owned() } else { format!("le, {label}") };
    format!("histogram_quantile({quantile}, sum by ({by}) ({}))", lately(buckets, "1h"))
}

/// The first number of most dashboards.
fn went_well(chosen: &str) -> Panel {
    Panel::number(
        "Boots that went well",
        "The part of all boot attempts of the time shown that neither failed nor fell silent. Below 98 %: see what the causes \
         are in the dashboard Boots; `bootlane boot list` names the machines.",
        format!("1 - {}", share_of_wrong("", chosen, "$__range")),
    )
    .unit(Unit::Share)
    .decimals(1)
    .levels(Levels::falling(0.9, 0.98))
}

fn foreign_servers(chosen: &str) -> Panel {
    Panel::number(
        "Foreign DHCP servers",
        "Other DHCP servers that agents heard within the last hour and that their sites do not name as known. Above 0: \
         machines may take their offers; `bootlane alarm list` says which server, docs/dhcp.md how to live with one.",
        format!("sum(max by (site, agent) (bootlane_agent_foreign_dhcp_servers{{{chosen}}})) or vector(0)"),
    )
    .levels(Levels::none_wanted())
}

fn under_way_by_stage() -> Panel {
    Panel::stacked(
        "Boots under way, by stage",
        "Attempts that have begun and not ended, by the stage they are in. A layer that stays while others come and go is \
         where machines get stuck.",
    )
    .asks(Query::course(
        r#"sum by (stage) (bootlane_boots_in_progress{site=~"$site"})"#,
        "{{stage}}",
    ))
}

fn boots_by_outcome(chosen: &str) -> Panel {
    Panel::bars(
        "Boots by outcome",
        "Attempts that ended or fell silent, counted where they did. Red and orange belong to causes: see beside it.",
    )
    .asks(Query::course(boots_by("outcome", chosen, "$__interval"), "{{outcome}}"))
    .coloured(OUTCOMES)
}

fn causes(chosen: &str) -> Panel {
    Panel::ranking(
        "Why boots did not go well",
        "Attempts of the time shown by the cause that was found, most frequent first. docs/diagnosis.md has a \
         section for each; click for the boots of one.",
    )
    .asks(Query::present(
        format!("topk(12, {})", boots_by("cause", &format!(r#"{chosen}, cause!="none""#), "$__range")),
        "{{cause}}",
    ))
    .levels(Levels { base: Colour::Orange, steps: Vec::new() })
    .leading(Link::dashboard("Boots of this cause", uid::BOOTS, "cause", "cause"))
}

#[cfg(test)]
mod tests;
