//! What is chosen at the top of a dashboard.

use serde_json::{Value, json};

use super::query::source;

/// The type of Prometheus' data source, and the variable that chooses one.
pub(super) const PROMETHEUS: &str = "prometheus";
/// The same of Tempo.
pub(super) const TEMPO: &str = "tempo";

/// Something to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// As queries name it: `$name`.
    pub name: &'static str,
    /// As people read it.
    pub label: &'static str,
    /// Out of what.
    pub choice: Choice,
}

/// Out of what is chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The data sources of a type.
    Source,
    /// The values of a label; any number of them, at first all.
    Some(String),
    /// The values of a label; one of them.
    One(String),
    /// A text of one's own, with what stands there at first.
    Text(&'static str),
}

impl Variable {
    /// Both sources of data, which every dashboard has.
    #[must_use]
    pub fn sources() -> [Self; 2] {
        [(PROMETHEUS, "Prometheus"), (TEMPO, "Tempo")].map(|(name, label)| Self {
            name,
            label,
            choice: Choice::Source,
        })
    }

    /// Any number of a label's values, by `label_values(…)`.
    #[must_use]
    pub fn some(name: &'static str, label: &'static str, query: impl Into<String>) -> Self {
        Self { name, label, choice: Choice::Some(query.into()) }
    }

    /// One of a label's values.
    #[must_use]
    pub fn one(name: &'static str, label: &'static str, query: impl Into<String>) -> Self {
        Self { name, label, choice: Choice::One(query.into()) }
    }

    /// A text.
    #[must_use]
    pub fn text(name: &'static str, label: &'static str, first: &'static str) -> Self {
        Self { name, label, choice: Choice::Text(first) }
    }

    pub(super) fn json(&self) -> Value {
        let (name, label) = (self.name, self.label);
        match &self.choice {
            Choice::Source => json!({
                "type": "datasource", "name": name, "label": label, "query": name,
                "refresh": 1, "hide": 0, "multi": false, "includeAll": false, "options": [],
            }),
            Choice::Some(query) => json!({
                "type": "query", "name": name, "label": label, "datasource": source(PROMETHEUS),
                "query": label_values(query), "refresh": 2, "sort": 5, "hide": 0,
                "multi": true, "includeAll": true, "allValue": ".*", "options": [],
                "current": { "text": "All", "value": "$__all" },
            }),
            Choice::One(query) => json!({
                "type": "query", "name": name, "label": label, "datasource": source(PROMETHEUS),
                "query": label_values(query), "refresh": 2, "sort": 5, "hide": 0,
                "multi": false, "includeAll": false, "options": [],
            }),
            Choice::Text(first) => json!({
                "type": "textbox", "name": name, "label": label, "query": first, "hide": 0,
                "current": { "text": first, "value": first }, "options": [],
            }),
        }
    }
}

fn label_values(query: &str) -> Value {
    json!({ "qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery" })
}
