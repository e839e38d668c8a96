//! Every question of every dashboard and alert, asked, and what is wrong with the answers.

use anyhow::ensure;
use serde_json::Value;

use crate::monitoring::alerts;
use crate::monitoring::grafana::{Asked, Dashboard, Panel, Query, panels};
use crate::monitoring::preview::{Answers, Named};
use crate::monitoring::prometheus::{Prometheus, PrometheusError, Series, Span};
use crate::monitoring::{dashboards, promql};

/// What stands for what somebody chooses at the top: everything, but of the dashboard of one site that site.
const EVERYTHING: &str = ".*";
const ONE_SITE: &str = "oslo";
/// Grafana's step and window for rates, which hold two tellings of an agent.
const INTERVAL: &str = "5s";
const RATE_INTERVAL: &str = "40s";
/// Seconds.
const BEFORE: f64 = 60.0;

/// Parts of what a run may have none of, and why a question that asks for it is sound all the same.
const MAY_BE_ABSENT: &[(&str, &str)] = &[("ALERTS{", "Prometheus has it while something fires")];

/// Asks all of them. Returns how many there are.
///
/// # Errors
/// What is not answered, all of it.
pub(super) fn must_answer(prometheus: &Prometheus<'_>, span: Span) -> anyhow::Result<usize> {
    let (mut asked, mut wrong) = (0, Vec::new());
    for dashboard in dashboards::all() {
        for panel in panels(&dashboard) {
            for query in panel.queries.iter().filter(|query| query.is_promql()) {
                let place = format!("{} / {}", dashboard.title, panel.title);
                let text = filled(&dashboard, &query.text, span);
                wrong.extend(
                    faults(prometheus, query, &text, span)?.map(|fault| format!("{place}: {fault}: {text}")),
                );
                wrong.extend(
                    absent(prometheus, &text, span)?.into_iter().map(|name| format!("{place}: no {name}")),
                );
                asked += 1;
            }
        }
    }
    for alert in alerts::all() {
        for measure in &alert.measures {
            let answers = prometheus.present(&measure.of)?;
            wrong.extend(no_number(&answers).map(|fault| format!("{}: {fault}: {}", alert.name, measure.of)));
            wrong.extend(
                absent(prometheus, &measure.of, span)?
                    .into_iter()
                    .map(|name| format!("{}: no {name}", alert.name)),
            );
            asked += 1;
        }
        // The whole is a question, too; that it has an answer would be an alarm.
        prometheus.present(&alert.expression())?;
    }
    ensure!(
        wrong.is_empty(),
        "{} of {asked} questions are not well answered:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    must_lead_to_traces(prometheus, span)?;
    Ok(asked)
}

/// What a panel is answered, for its picture.
pub(super) fn of_panel(
    prometheus: &Prometheus<'_>,
    dashboard: &Dashboard,
    panel: &Panel,
    span: Span,
) -> Result<Answers, PrometheusError> {
    let promql = panel.queries.iter().filter(|query| query.is_promql());
    promql
        .map(|query| {
            let series = answers(prometheus, query, &filled(dashboard, &query.text, span), span)?;
            Ok(series.into_iter().map(|series| Named::new(query.legend, series)).collect())
        })
        .collect()
}

fn answers(
    prometheus: &Prometheus<'_>,
    query: &Query,
    text: &str,
    span: Span,
) -> Result<Vec<Series>, PrometheusError> {
    match query.asked {
        Asked::Present => prometheus.present(text),
        Asked::Course | Asked::CourseWithTraces | Asked::Buckets => prometheus.course(text, span),
        Asked::Traces => Ok(Vec::new()),
    }
}

/// As Grafana would send it.
fn filled(dashboard: &Dashboard, text: &str, span: Span) -> String {
    // All of the run, and what lies before: there what is counted has not begun.
    let range = format!("{:.0}s", span.to - span.from + BEFORE);
    let one_site = dashboard.uid == "bootlane-site";
    let mut values = vec![("__interval", INTERVAL), ("__rate_interval", RATE_INTERVAL), ("__range", &*range)];
    values.extend(dashboard.variables.iter().map(|variable| {
        (variable.name, if one_site && variable.name == "site" { ONE_SITE } else { EVERYTHING })
    }));
    promql::fill(text, &values)
}

fn may_be_absent(selector: &str) -> bool {
    MAY_BE_ABSENT.iter().any(|(part, _)| selector.contains(part))
}

fn faults(
    prometheus: &Prometheus<'_>,
    query: &Query,
    text: &str,
    span: Span,
) -> Result<Option<String>, PrometheusError> {
    let answers = answers(prometheus, query, text, span)?;
    if answers.is_empty() && promql::selectors(text).iter().all(|selector| may_be_absent(&selector.text)) {
        return Ok(None);
    }
    Ok(no_number(&answers).or_else(|| no_name(query.legend, &answers)))
}

fn no_number(answers: &[Series]) -> Option<String> {
    answers.iter().all(|series| series.points.is_empty()).then(|| "no number".to_owned())
}

/// A label that a legend names and a series has not, or has empty.
fn no_name(legend: &str, answers: &[Series]) -> Option<String> {
    let labels = legend.split("{{").skip(1).filter_map(|rest| rest.split_once("}}")).map(|(label, _)| label);
    let of_all = |label: &&str| {
        answers.iter().all(|series| {
            series.labels.get(*label).and_then(Value::as_str).is_some_and(|value| !value.is_empty())
        })
    };
    labels.into_iter().find(|label| !of_all(label)).map(|label| format!("a series without {label}"))
}

/// The parts of a question that name a metric and have no numbers by themselves: a whole may hide that.
fn absent(prometheus: &Prometheus<'_>, text: &str, span: Span) -> Result<Vec<String>, PrometheusError> {
    let mut absent = Vec::new();
    for selector in promql::selectors(text) {
        let window = format!("{:.0}s", span.to - span.from);
        if !may_be_absent(&selector.text)
            && prometheus.present(&format!("count_over_time({}[{window}])", selector.text))?.is_empty()
        {
            absent.push(selector.text);
        }
    }
    Ok(absent)
}

/// Points of both histograms lead to traces, whose ids are ids.
fn must_lead_to_traces(prometheus: &Prometheus<'_>, span: Span) -> anyhow::Result<()> {
    for metric in ["bootlane_boot_duration_seconds_bucket", "bootlane_boot_stage_duration_seconds_bucket"] {
        let exemplars = prometheus.exemplars(metric, span)?;
        let is_id = |labels: &Value| labels["trace_id"].as_str().is_some_and(|id| id.len() == 32);
        ensure!(!exemplars.is_empty() && exemplars.iter().all(is_id), "exemplars of {metric}: {exemplars:?}");
    }
    Ok(())
}
