//! *Boots*: what became of them, why, how long they took, and the trace of each.

use super::super::grafana::{Dashboard, Levels, Panel, Query, Row, Unit, Variable};
use super::super::promql::lately;
use super::{
    boots_by, boots_by_outcome, boots_traced, causes, quantile, share_of_wrong, sites, uid,
    under_way_by_stage, went_well,
};

/// Matchers of what is chosen at the top, beside the site.
const CHOSEN: &str = r#", outcome=~"$outcome", cause=~"$cause", firmware=~"$firmware", family=~"$family""#;

pub(super) fn dashboard() -> Dashboard {
    let of = |label: &str| format!(r#"label_values(bootlane_boots_total{{site=~"$site"}}, {label})"#);
    Dashboard {
        uid: uid::BOOTS,
        title: "Boots",
        about: "Boot attempts by outcome, cause, firmware and system; how long they took; and their traces.",
        shows: "6h",
        variables: vec![
            sites(),
            Variable::some("outcome", "Outcome", of("outcome")),
            Variable::some("cause", "Cause", of("cause")),
            Variable::some("firmware", "Firmware", of("firmware")),
            Variable::some("family", "System", of("family")),
        ],
        rows: vec![
            Row::new("Is anything wrong?", wrong()),
            Row::new("What became of them", outcomes()),
            Row::new("How long they took", times()),
            Row::new("Which they were", traces()),
        ],
    }
}

fn wrong() -> Vec<Panel> {
    let whole = r#"bootlane_boot_duration_seconds_bucket{site=~"$site"}"#;
    let sum = |chosen: &str| boots_by("", chosen, "$__range");
    vec![
        went_well(CHOSEN).wide(4),
        Panel::number("Boots", "Attempts of the time shown that ended or fell silent.", format!("{} or vector(0)", sum(CHOSEN)))
            .wide(4),
        Panel::number(
            "Failed or silent",
            "Attempts of the time shown that did not go well. Below: why, and each with its trace.",
            format!(r#"{} or vector(0)"#, sum(&format!("{CHOSEN}, {}", super::WRONG))),
        )
        .levels(Levels::rising(1.0, 10.0))
        .wide(4),
        Panel::number(
            "Half of them took at most",
            "From the first packet to the last event, of the boots of the last hour.",
            quantile("0.5", whole, ""),
        )
        .unit(Unit::Seconds)
        .wide(4),
        Panel::number(
            "19 of 20 took at most",
            "From the first packet to the last event, of the boots of the last hour. Installations are among them.",
            quantile("0.95", whole, ""),
        )
        .unit(Unit::Seconds)
        .wide(4),
        Panel::number(
            "Not followed",
            "Attempts of the time shown that were not counted, because too many were under way at once. They are in \
             `bootlane boot list` all the same.",
            format!("sum({}) or vector(0)", lately("bootlane_boots_missed_total", "$__range")),
        )
        .levels(Levels::rising(1.0, 100.0))
        .wide(4),
    ]
}

fn outcomes() -> Vec<Panel> {
    vec![
        boots_by_outcome(CHOSEN),
        causes(CHOSEN).wide(6),
        under_way_by_stage().wide(6),
        Panel::bars("Boots by firmware", "Attempts by what the machine's firmware is.")
            .asks(Query::course(boots_by("firmware", CHOSEN, "$__interval"), "{{firmware}}"))
            .wide(8),
        Panel::ranking(
            "Went wrong, by firmware",
            "The part of each firmware's attempts that did not go well. One that stands out: docs/quirks.md, and \
             `bootlane host simulate`.",
        )
        .asks(Query::present(share_of_wrong("firmware", CHOSEN, "$__range"), "{{firmware}}"))
        .unit(Unit::Share)
        .levels(Levels::rising(0.02, 0.1))
        .wide(8),
        Panel::bars("Boots by operating system", "Attempts by the family of what was booted; `none`: nothing of an image, as the local disk.")
            .asks(Query::course(boots_by("family", CHOSEN, "$__interval"), "{{family}}"))
            .wide(8),
    ]
}

fn times() -> Vec<Panel> {
    let whole = r#"bootlane_boot_duration_seconds_bucket{site=~"$site", outcome=~"$outcome"}"#;
    let stages = r#"bootlane_boot_stage_duration_seconds_bucket{site=~"$site"}"#;
    vec![
        Panel::heatmap(
            "Whole boots",
            "How many boots took how long. The points are single boots: click on one for its trace.",
        )
        .asks(Query::buckets(format!("sum by (le) ({})", lately(whole, "$__interval"))))
        .unit(Unit::Seconds),
        Panel::lines(
            "Time by stage, 19 of 20 boots",
            "Nineteen of twenty boots of the last hour took at most so long for this stage. The points are single \
             boots: click on one for its trace.",
        )
        .asks(Query::with_traces(quantile("0.95", stages, "stage"), "{{stage}}"))
        .unit(Unit::Seconds),
    ]
}

fn traces() -> Vec<Panel> {
    // A boot that went well has no cause, and a span without an attribute matches nothing.
    let chosen = r#"span.bootlane.site =~ "$site" && span.bootlane.outcome =~ "$outcome""#;
    vec![
        boots_traced(
            "Boots that did not go well",
            "Attempts that failed or fell silent, newest first. Click on a span for its trace, whose id is that of the attempt: \
             `bootlane boot show ID` draws the same. Click on a host for all its attempts.",
            &format!(r#"status = error && {chosen} && span.bootlane.cause =~ "$cause""#),
        ),
        boots_traced(
            "All boots",
            "All attempts, newest first, whatever their cause. Click on a host for all its attempts.",
            chosen,
        ),
    ]
}
