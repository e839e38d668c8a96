//! What holds for every dashboard, found without Grafana and without Prometheus.

use std::collections::BTreeSet;

use super::super::grafana::{Asked, Dashboard, View, panels};
use super::super::{alerts, promql};
use super::*;
use telemetry::metrics::{self, Definition, Kind};

/// What Grafana itself puts in.
const BUILT_IN: &[&str] = &["__interval", "__rate_interval", "__range"];
/// What Prometheus adds to what it scrapes, and what a histogram's buckets have.
const LABELS_OF_PROMETHEUS: &[&str] = &["job", "instance", "le", "alertname", "alertstate"];

/// Every question in PromQL, with where it stands.
fn questions() -> Vec<(String, String)> {
    let of_dashboard = |dashboard: &Dashboard| {
        let named = |panel: &Panel| {
            let place = format!("{} / {}", dashboard.title, panel.title);
            let asked = panel.queries.iter().filter(|query| query.is_promql());
            asked.map(|query| (place.clone(), query.text.clone())).collect::<Vec<_>>()
        };
        panels(dashboard).flat_map(named).collect::<Vec<_>>()
    };
    let alerts = alerts::all();
    let of_alerts = alerts.iter().map(|alert| (alert.name.to_owned(), alert.expression()));
    all().iter().flat_map(of_dashboard).chain(of_alerts).collect()
}

fn definition(name: &str) -> Option<&'static Definition> {
    let of_histogram =
        |whole: &str| ["_bucket", "_sum", "_count"].iter().any(|end| format!("{whole}{end}") == name);
    metrics::all().find(|one| match one.kind {
        Kind::Counter | Kind::Gauge => one.full_name() == name,
        Kind::Histogram(_) => of_histogram(&one.full_name()),
    })
}

fn labels_of(name: &str) -> BTreeSet<&'static str> {
    let defined = definition(name).into_iter().flat_map(Definition::all_labels);
    defined.chain(LABELS_OF_PROMETHEUS.iter().copied()).collect()
}

#[test]
fn every_metric_and_every_label_that_is_asked_for_is_defined() {
    for (place, question) in questions() {
        let selectors = promql::selectors(&question);
        assert!(!selectors.is_empty(), "{place} asks for nothing: {question}");
        let mut labels = BTreeSet::new();
        for selector in selectors {
            let known = promql::OF_PROMETHEUS.contains(&selector.name.as_str());
            assert!(known || definition(&selector.name).is_some(), "{place}: there is no {}", selector.name);
            let of_metric = labels_of(&selector.name);
            for label in &selector.labels {
                assert!(
                    of_metric.contains(label.as_str()),
                    "{place}: {} has no label {label}",
                    selector.name
                );
            }
            labels.extend(of_metric);
        }
        for label in promql::grouping_labels(&question) {
            assert!(labels.contains(label.as_str()), "{place} groups by {label}, which nothing in it has");
        }
    }
}

/// What no dashboard shows, because another metric says more.
const UNSEEN: &[&str] = &[
    // `bootlane_agent_up` and `bootlane_agent_plan_behind`, of the same agents.
    "bootlane_agent_controller_connected",
    "bootlane_agent_plan_adopted_timestamp_seconds",
    "bootlane_agent_plan_epoch",
    "bootlane_agent_plan_revision",
    "bootlane_controller_agents",
    // `bootlane_site_alarms_total`, which outlives the agent.
    "bootlane_agent_alarms_total",
    // `bootlane_agent_pool_leases`: fixed addresses do not run out.
    "bootlane_agent_leases",
    // Their bytes.
    "bootlane_agent_mirror_files",
    "bootlane_agent_mirror_upstream_requests_total",
    "bootlane_controller_blobs",
    // The names of sites come from it.
    "bootlane_site_plan_revision",
    // For who looks for them: versions meet while a fleet is brought up to date, and a revision is a number of no size.
    "bootlane_controller_agent_metrics_refused_total",
    "bootlane_controller_build_info",
    "bootlane_controller_start_timestamp_seconds",
    "bootlane_controller_store_revision",
];

#[test]
fn every_metric_is_shown_or_left_out_on_purpose() {
    let asked: BTreeSet<String> = questions()
        .iter()
        .flat_map(|(_, question)| promql::selectors(question))
        .filter_map(|selector| definition(&selector.name).map(Definition::full_name))
        .collect();
    for name in metrics::all().map(Definition::full_name) {
        let left_out = UNSEEN.contains(&name.as_str());
        assert!(
            asked.contains(&name) != left_out,
            "{name}: shown {}, left out {left_out}",
            asked.contains(&name)
        );
    }
    for name in UNSEEN {
        assert!(metrics::all().any(|one| one.full_name() == *name), "there is no {name} to leave out");
    }
}

#[test]
fn what_is_chosen_at_the_top_is_all_that_queries_name() {
    for dashboard in all() {
        let variables = dashboard.all_variables();
        let known: BTreeSet<&str> =
            variables.iter().map(|variable| variable.name).chain(BUILT_IN.iter().copied()).collect();
        for panel in panels(&dashboard) {
            for query in &panel.queries {
                for name in dollars(&query.text) {
                    assert!(
                        known.contains(name),
                        "{} / {}: no variable {name}",
                        dashboard.title,
                        panel.title
                    );
                }
            }
        }
    }
}

/// The names behind `$` in a query.
fn dollars(text: &str) -> impl Iterator<Item = &str> {
    text.split('$').skip(1).map(|rest| {
        let end = rest.find(|character: char| !character.is_ascii_alphanumeric() && character != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn panels_say_what_to_do_and_fill_their_lines() {
    for dashboard in all() {
        let mut titles = BTreeSet::new();
        for row in &dashboard.rows {
            let widths: u32 = row.panels.iter().map(|panel| panel.size.0).sum();
            assert_eq!(widths % 24, 0, "{} / {} leaves a hole", dashboard.title, row.title);
            for panel in &row.panels {
                let place = format!("{} / {}", dashboard.title, panel.title);
                assert!(titles.insert(panel.title), "{place} is there twice");
                let words = matches!(panel.view, View::Words(_));
                assert!(words || panel.about.ends_with('.'), "{place} says nothing about itself");
                assert!(!panel.about.contains("  "), "{place}: its words have a gap: {}", panel.about);
                assert_eq!(panel.queries.is_empty(), words, "{place}");
            }
        }
        let first = &dashboard.rows[0];
        assert!(first.title.ends_with('?'), "{}: the first row answers a question", dashboard.title);
    }
}

#[test]
fn series_have_names_where_there_are_several() {
    for dashboard in all() {
        for panel in panels(&dashboard) {
            let place = format!("{} / {}", dashboard.title, panel.title);
            for query in &panel.queries {
                let several = !matches!(panel.view, View::Number | View::Traces | View::Words(_));
                assert_eq!(!query.legend.is_empty(), several, "{place}: {}", query.text);
                assert!(!matches!(panel.view, View::Heatmap) || query.asked == Asked::Buckets, "{place}");
            }
            if let View::Table(columns) = &panel.view {
                for query in &panel.queries {
                    assert!(
                        columns.iter().any(|column| column.of == query.legend),
                        "{place}: {}",
                        query.legend
                    );
                }
            }
        }
    }
}

#[test]
fn links_lead_to_dashboards_that_are_there() {
    let all = all();
    let uids: BTreeSet<_> = all.iter().map(|dashboard| dashboard.uid).collect();
    assert_eq!(uids.len(), all.len());
    for dashboard in &all {
        let text = dashboard.json().to_string();
        for rest in text.split("\"/d/").skip(1) {
            let (uid, query) = rest.split_once('?').expect("a link with variables");
            let target = all.iter().find(|other| other.uid == uid);
            let target = target.unwrap_or_else(|| panic!("{} leads to {uid}", dashboard.title));
            let variables = target.all_variables();
            for variable in query.split("var-").skip(1).filter_map(|rest| rest.split('=').next()) {
                assert!(variables.iter().any(|one| one.name == variable), "{uid} has no variable {variable}");
            }
        }
    }
}

#[test]
fn histograms_lead_to_traces() {
    for dashboard in all() {
        for panel in panels(&dashboard) {
            for query in
                panel.queries.iter().filter(|query| query.text.contains("bootlane_boot_stage_duration"))
            {
                assert_eq!(query.asked, Asked::CourseWithTraces, "{} / {}", dashboard.title, panel.title);
            }
        }
    }
}
