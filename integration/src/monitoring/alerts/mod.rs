//! Alerts: when Prometheus wakes somebody, and what that person reads first.
//!
//! An alert is what is measured and what makes that a reason. So a test can ask a healthy fleet's Prometheus for the measure
//! and find that there is something to compare; that the whole fires when it must, and only then, `promtool test rules` shows
//! on made-up series (deploy/prometheus/tests).

mod rules;

pub use rules::all;

use serde::Serialize;

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Its name, which is its heading in docs/monitoring.md too.
    pub name: &'static str,
    /// How soon somebody is needed.
    pub severity: Severity,
    /// How long it must hold before it fires, such as `5m`.
    pub lasting: &'static str,
    /// All of them must hold, for the same labels.
    pub measures: Vec<Measure>,
    /// One line, with the labels' values in it.
    pub summary: &'static str,
    /// What it means and what to do first.
    pub description: &'static str,
}

/// Something that is measured, and what about it is a reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measure {
    /// In PromQL.
    pub of: String,
    /// The comparison, such as `> 0.9`.
    pub breach: &'static str,
}

/// How soon somebody is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Now: machines do not boot, or nobody would know.
    Critical,
    /// Today: it will become worse by itself.
    Warning,
}

impl Severity {
    /// The word in the label `severity`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
        }
    }
}

impl Alert {
    /// The whole expression.
    #[must_use]
    pub fn expression(&self) -> String {
        let of = |measure: &Measure| format!("{} {}", measure.of, measure.breach);
        self.measures.iter().map(of).collect::<Vec<_>>().join("\nand\n")
    }
}

const HEAD: &str = "\
# Bootlane's alerts. Made of integration/src/monitoring/alerts by a test:
# `BOOTLANE_BLESS=1 cargo test -p integration --test monitoring`.
# Name this file under `rule_files` of Prometheus' configuration. What each alert means and what to do is in
# docs/monitoring.md, under its name.
";

#[derive(Serialize)]
struct File {
    groups: [Group; 1],
}

#[derive(Serialize)]
struct Group {
    name: &'static str,
    rules: Vec<Rule>,
}

#[derive(Serialize)]
struct Rule {
    alert: &'static str,
    expr: String,
    r#for: &'static str,
    labels: Labels,
    annotations: Annotations,
}

#[derive(Serialize)]
struct Labels {
    severity: &'static str,
}

#[derive(Serialize)]
struct Annotations {
    summary: &'static str,
    description: &'static str,
    runbook: String,
}

impl From<&Alert> for Rule {
    fn from(alert: &Alert) -> Self {
        let runbook = format!("docs/monitoring.md#{}", alert.name.to_lowercase());
        let Alert { summary, description, .. } = *alert;
        Self {
            alert: alert.name,
            expr: alert.expression(),
            r#for: alert.lasting,
            labels: Labels { severity: alert.severity.word() },
            annotations: Annotations { summary, description, runbook },
        }
    }
}

/// The file of rules, as Prometheus reads it.
///
/// # Panics
/// Never: there are only texts in it.
#[must_use]
pub fn file() -> String {
    let rules = all().iter().map(Rule::from).collect();
    let file = File { groups: [Group { name: "bootlane", rules }] };
    let yaml = serde_yaml_ng::to_string(&file).expect("texts and lists alone");
    format!("{HEAD}{yaml}")
}
