//! How a panel draws, and the options that Grafana wants for it.

use serde_json::{Value, json};

use super::field::Unit;
use super::table::Column;

/// A way to draw.
#[derive(Debug, Clone, PartialEq)]
pub enum View {
    /// One number, large, with its course behind it.
    Number,
    /// Several courses.
    Courses(Shape),
    /// Bars beside their names, longest first.
    Ranking,
    /// States over time, a band for each.
    States,
    /// A histogram over time.
    Heatmap,
    /// A row for each of something.
    Table(Vec<Column>),
    /// A table of traces, each a link to itself.
    Traces,
    /// Words, in Markdown.
    Words(String),
}

/// How several courses stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Each by itself.
    Lines,
    /// On top of each other, as parts of a whole.
    Stacked,
    /// Bars on top of each other, for what is counted by the interval.
    Bars,
}

impl View {
    /// Grafana's name for it.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Number => "stat",
            Self::Courses(_) => "timeseries",
            Self::Ranking => "bargauge",
            Self::States => "state-timeline",
            Self::Heatmap => "heatmap",
            Self::Table(_) | Self::Traces => "table",
            Self::Words(_) => "text",
        }
    }

    /// Columns of 24, and rows of some 30 pixels.
    pub(super) fn usual_size(&self) -> (u32, u32) {
        match self {
            Self::Number => (3, 4),
            Self::Courses(_) | Self::Ranking | Self::Heatmap | Self::States => (12, 8),
            Self::Table(_) | Self::Traces => (24, 9),
            Self::Words(_) => (24, 5),
        }
    }

    pub(super) fn options(&self, unit: Unit) -> Value {
        match self {
            Self::Number => json!({
                "colorMode": "background", "graphMode": "area", "justifyMode": "auto", "orientation": "auto",
                "percentChangeColorMode": "standard", "reduceOptions": last(), "showPercentChange": false,
                "textMode": "value", "wideLayout": true,
            }),
            Self::Courses(_) => json!({ "legend": legend(&["lastNotNull", "max"]), "tooltip": tooltip() }),
            Self::Ranking => json!({
                "displayMode": "basic", "legend": hidden_legend(), "maxVizHeight": 300, "minVizHeight": 16,
                "minVizWidth": 8, "namePlacement": "left", "orientation": "horizontal", "reduceOptions": last(),
                "showUnfilled": false, "sizing": "auto", "valueMode": "color",
            }),
            Self::States => json!({
                "alignValue": "left", "legend": legend(&[]), "mergeValues": true, "rowHeight": 0.9,
                "showValue": "auto", "tooltip": { "mode": "single", "sort": "none" },
            }),
            Self::Heatmap => heatmap(unit),
            Self::Table(_) | Self::Traces => json!({
                "cellHeight": "sm", "frameIndex": 0, "showHeader": true, "sortBy": [],
            }),
            Self::Words(words) => json!({ "content": words, "mode": "markdown" }),
        }
    }

    /// The part of a field's configuration that this way to draw has of its own.
    pub(super) fn custom(&self) -> Value {
        match self {
            Self::Courses(Shape::Lines) => course("line", 1, 8, "none"),
            Self::Courses(Shape::Stacked) => course("line", 1, 30, "normal"),
            Self::Courses(Shape::Bars) => course("bars", 0, 80, "normal"),
            Self::States => json!({ "fillOpacity": 70, "lineWidth": 0 }),
            Self::Heatmap => json!({ "scaleDistribution": { "type": "linear" } }),
            Self::Table(_) | Self::Traces => {
                json!({ "align": "auto", "cellOptions": { "type": "auto" }, "filterable": true, "inspect": false })
            }
            Self::Number | Self::Ranking | Self::Words(_) => json!({}),
        }
    }
}

fn course(style: &str, line: u32, fill: u32, stacking: &str) -> Value {
    json!({
        "drawStyle": style, "lineWidth": line, "fillOpacity": fill, "lineInterpolation": "linear",
        "showPoints": "auto", "pointSize": 4, "spanNulls": false, "axisSoftMin": 0,
        "stacking": { "group": "A", "mode": stacking }, "thresholdsStyle": { "mode": "off" },
    })
}

fn last() -> Value {
    json!({ "calcs": ["lastNotNull"], "fields": "", "values": false })
}

fn legend(calculations: &[&str]) -> Value {
    let mode = if calculations.is_empty() { "list" } else { "table" };
    json!({ "calcs": calculations, "displayMode": mode, "placement": "bottom", "showLegend": true })
}

fn hidden_legend() -> Value {
    json!({ "calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": false })
}

fn tooltip() -> Value {
    json!({ "mode": "multi", "sort": "desc" })
}

fn heatmap(unit: Unit) -> Value {
    json!({
        "calculate": false, "cellGap": 1,
        "color": {
            "exponent": 0.5, "fill": "dark-orange", "mode": "scheme", "reverse": false,
            "scale": "exponential", "scheme": "Oranges", "steps": 64,
        },
        "exemplars": { "color": "rgba(255,0,255,0.7)" }, "filterValues": { "le": 1e-9 },
        "legend": { "show": true }, "rowsFrame": { "layout": "auto" }, "showValue": "never",
        "tooltip": { "mode": "single", "showColorScale": true, "yHistogram": true },
        "yAxis": { "axisPlacement": "left", "reverse": false, "unit": unit.id() },
    })
}
