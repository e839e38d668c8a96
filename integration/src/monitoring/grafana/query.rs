//! What a panel asks, and of whom.

use serde_json::{Value, json};

use super::variable::{PROMETHEUS, TEMPO};

/// One question of a panel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// In PromQL or TraceQL, with Grafana's variables in it.
    pub text: String,
    /// The name of each series, such as `{{site}}`; of a table, its column.
    pub legend: &'static str,
    /// Of whom, and for what.
    pub asked: Asked,
}

/// Of whom a question is asked, and for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Prometheus: how it was over the time that is shown.
    Course,
    /// The same, with the traces that stand for single values.
    CourseWithTraces,
    /// Prometheus: how it is at the end of the time that is shown.
    Present,
    /// Prometheus: the buckets of a histogram over time, with traces.
    Buckets,
    /// Tempo: the spans that match, each with what the question selects of it and a way to its trace.
    Traces,
}

impl Query {
    /// How it was over time.
    #[must_use]
    pub fn course(text: impl Into<String>, legend: &'static str) -> Self {
        Self { text: text.into(), legend, asked: Asked::Course }
    }

    /// How it was over time, with exemplars.
    #[must_use]
    pub fn with_traces(text: impl Into<String>, legend: &'static str) -> Self {
        Self { text: text.into(), legend, asked: Asked::CourseWithTraces }
    }

    /// How it is now.
    #[must_use]
    pub fn present(text: impl Into<String>, legend: &'static str) -> Self {
        Self { text: text.into(), legend, asked: Asked::Present }
    }

    /// A histogram.
    #[must_use]
    pub fn buckets(text: impl Into<String>) -> Self {
        Self { text: text.into(), legend: "{{le}}", asked: Asked::Buckets }
    }

    /// Traces, by TraceQL.
    #[must_use]
    pub fn traces(text: impl Into<String>) -> Self {
        Self { text: text.into(), legend: "", asked: Asked::Traces }
    }

    /// Whether Prometheus is asked.
    #[must_use]
    pub fn is_promql(&self) -> bool {
        self.asked != Asked::Traces
    }

    /// `reference`: the letter by which the panel tells its questions apart.
    pub(super) fn json(&self, reference: &str, table: bool) -> Value {
        let (text, legend) = (&self.text, self.legend);
        let format = if table { "table" } else { "time_series" };
        match self.asked {
            Asked::Course | Asked::CourseWithTraces => json!({
                "refId": reference, "datasource": source(PROMETHEUS), "editorMode": "code",
                "expr": text, "legendFormat": legend, "range": true, "instant": false,
                "format": format, "exemplar": self.asked == Asked::CourseWithTraces,
            }),
            Asked::Present => json!({
                "refId": reference, "datasource": source(PROMETHEUS), "editorMode": "code",
                "expr": text, "legendFormat": legend, "range": false, "instant": true,
                "format": format, "exemplar": false,
            }),
            Asked::Buckets => json!({
                "refId": reference, "datasource": source(PROMETHEUS), "editorMode": "code",
                "expr": text, "legendFormat": legend, "range": true, "instant": false,
                "format": "heatmap", "exemplar": true,
            }),
            Asked::Traces => json!({
                "refId": reference, "datasource": source(TEMPO), "queryType": "traceql",
                "query": text, "tableType": "spans", "limit": 50, "filters": [],
            }),
        }
    }
}

/// A source of data, which the dashboard's variable of that name chooses.
pub(super) fn source(kind: &str) -> Value {
    json!({ "type": kind, "uid": format!("${{{kind}}}") })
}

/// `A`, `B`, … in the order of the questions.
pub(super) fn references() -> impl Iterator<Item = String> {
    ('A'..='Z').map(String::from)
}
