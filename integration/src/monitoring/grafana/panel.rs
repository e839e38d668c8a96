//! A panel: a question or several, how the answers are drawn, and what to do about them.

use serde_json::{Value, json};

use super::field::{Colour, Levels, Link, Meaning, Unit};
use super::query::{Query, references, source};
use super::table;
use super::variable::{PROMETHEUS, TEMPO};
use super::view::{Shape, View};

/// A panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// Above it.
    pub title: &'static str,
    /// Behind the small "i": what is seen, and what to do about it.
    pub about: &'static str,
    /// How it draws.
    pub view: View,
    /// What it asks.
    pub queries: Vec<Query>,
    /// Of its numbers.
    pub unit: Unit,
    /// Of its numbers.
    pub levels: Levels,
    /// Columns of the 24 that a dashboard has, and rows.
    pub size: (u32, u32),
    bounds: (Option<f64>, Option<f64>),
    decimals: Option<u32>,
    least_interval: Option<&'static str>,
    meanings: Vec<Meaning>,
    colours: Vec<(&'static str, Colour)>,
    links: Vec<Link>,
    field_links: Vec<(&'static str, Link)>,
}

impl Panel {
    fn new(title: &'static str, about: &'static str, view: View) -> Self {
        Self {
            title,
            about,
            size: view.usual_size(),
            view,
            queries: Vec::new(),
            unit: Unit::Count,
            levels: Levels::none(),
            bounds: (None, None),
            decimals: None,
            least_interval: None,
            meanings: Vec::new(),
            colours: Vec::new(),
            links: Vec::new(),
            field_links: Vec::new(),
        }
    }

    /// One number.
    #[must_use]
    pub fn number(title: &'static str, about: &'static str, expression: impl Into<String>) -> Self {
        Self::new(title, about, View::Number).asks(Query::course(expression, ""))
    }

    /// Courses beside each other.
    #[must_use]
    pub fn lines(title: &'static str, about: &'static str) -> Self {
        Self::new(title, about, View::Courses(Shape::Lines))
    }

    /// Courses on top of each other.
    #[must_use]
    pub fn stacked(title: &'static str, about: &'static str) -> Self {
        Self::new(title, about, View::Courses(Shape::Stacked))
    }

    /// What is counted by the interval.
    #[must_use]
    pub fn bars(title: &'static str, about: &'static str) -> Self {
        Self { least_interval: Some("1m"), ..Self::new(title, about, View::Courses(Shape::Bars)) }
    }

    /// Bars beside their names.
    #[must_use]
    pub fn ranking(title: &'static str, about: &'static str) -> Self {
        Self::new(title, about, View::Ranking)
    }

    /// Bands of states.
    #[must_use]
    pub fn states(title: &'static str, about: &'static str, meanings: &[Meaning]) -> Self {
        Self::new(title, about, View::States).meaning(meanings)
    }

    /// A histogram over time.
    #[must_use]
    pub fn heatmap(title: &'static str, about: &'static str) -> Self {
        Self { least_interval: Some("1m"), ..Self::new(title, about, View::Heatmap) }
    }

    /// A row for each of something.
    #[must_use]
    pub fn table(title: &'static str, about: &'static str, columns: Vec<table::Column>) -> Self {
        Self::new(title, about, View::Table(columns))
    }

    /// Traces, newest first.
    #[must_use]
    pub fn traces(title: &'static str, about: &'static str, traceql: impl Into<String>) -> Self {
        Self::new(title, about, View::Traces).asks(Query::traces(traceql))
    }

    /// Words.
    #[must_use]
    pub fn words(title: &'static str, words: impl Into<String>) -> Self {
        Self::new(title, "", View::Words(words.into()))
    }

    /// Asks this too.
    #[must_use]
    pub fn asks(mut self, query: Query) -> Self {
        self.queries.push(query);
        self
    }

    /// Its numbers are these.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        if unit == Unit::Share {
            self.bounds = (Some(0.0), Some(1.0));
        }
        self
    }

    /// From where on they are a worry.
    #[must_use]
    pub fn levels(mut self, levels: Levels) -> Self {
        self.levels = levels;
        self
    }

    /// Digits behind the point.
    #[must_use]
    pub fn decimals(mut self, decimals: u32) -> Self {
        self.decimals = Some(decimals);
        self
    }

    /// So many of 24 columns.
    #[must_use]
    pub fn wide(mut self, columns: u32) -> Self {
        self.size.0 = columns;
        self
    }

    /// So many rows.
    #[must_use]
    pub fn high(mut self, rows: u32) -> Self {
        self.size.1 = rows;
        self
    }

    /// Words for numbers.
    #[must_use]
    pub fn meaning(mut self, meanings: &[Meaning]) -> Self {
        self.meanings = meanings.to_vec();
        self
    }

    /// The series of these names have these colours.
    #[must_use]
    pub fn coloured(mut self, colours: &[(&'static str, Colour)]) -> Self {
        self.colours = colours.to_vec();
        self
    }

    /// Where a click on a value leads.
    #[must_use]
    pub fn leading(mut self, link: Link) -> Self {
        self.links.push(link);
        self
    }

    /// Where a click on a value of this field leads.
    #[must_use]
    pub fn field_leading(mut self, field: &'static str, link: Link) -> Self {
        self.field_links.push((field, link));
        self
    }

    /// The word that stands for a number, if one does.
    #[must_use]
    pub fn words_of(&self, value: f64) -> Option<String> {
        let meaning = self.meanings.iter().find(|meaning| meaning.value as f64 == value);
        meaning.map(|meaning| meaning.word.to_owned())
    }

    /// The colour of the series of this name, if it has one of its own.
    #[must_use]
    pub fn colour_of(&self, name: &str) -> Option<Colour> {
        self.colours.iter().find(|(series, _)| *series == name).map(|(_, colour)| *colour)
    }

    pub(super) fn json(&self, id: u32, (x, y): (u32, u32)) -> Value {
        let table = matches!(self.view, View::Table(_));
        let targets: Vec<_> =
            self.queries.iter().zip(references()).map(|(query, name)| query.json(&name, table)).collect();
        let mut panel = json!({
            "id": id, "type": self.view.kind(), "title": self.title, "description": self.about,
            "gridPos": { "x": x, "y": y, "w": self.size.0, "h": self.size.1 },
            "options": self.view.options(self.unit),
        });
        if let Some(interval) = self.least_interval {
            panel["interval"] = json!(interval);
        }
        if let View::Table(columns) = &self.view {
            panel["transformations"] = table::transformations(columns, &self.queries);
        }
        if !targets.is_empty() {
            panel["datasource"] = source(self.source());
            panel["targets"] = json!(targets);
            panel["fieldConfig"] = json!({ "defaults": self.field(), "overrides": self.overrides() });
        }
        panel
    }

    fn source(&self) -> &'static str {
        if self.queries.iter().all(Query::is_promql) { PROMETHEUS } else { TEMPO }
    }

    fn field(&self) -> Value {
        let mode = if matches!(self.view, View::Courses(_)) {
            "palette-classic-by-name"
        } else if self.levels == Levels::none() {
            "fixed"
        } else {
            "thresholds"
        };
        let mut colour = json!({ "mode": mode });
        if mode == "fixed" {
            colour["fixedColor"] = json!(self.levels.base.name());
        }
        let mut field = json!({
            "color": colour, "custom": self.view.custom(), "mappings": Meaning::json(&self.meanings),
            "thresholds": self.levels.json(), "unit": self.unit.id(),
            "links": self.links.iter().map(Link::json).collect::<Vec<_>>(),
        });
        let bounds = [
            ("min", self.bounds.0.map(|bound| json!(bound))),
            ("max", self.bounds.1.map(|bound| json!(bound))),
        ];
        let decimals = [("decimals", self.decimals.map(|digits| json!(digits)))];
        for (name, value) in bounds.into_iter().chain(decimals) {
            if let Some(value) = value {
                field[name] = value;
            }
        }
        field
    }

    fn overrides(&self) -> Vec<Value> {
        let by_name = |name: &str, properties: Value| json!({ "matcher": { "id": "byName", "options": name }, "properties": properties });
        let link =
            |(field, link): &(&str, Link)| by_name(field, json!([{ "id": "links", "value": [link.json()] }]));
        let colour = |(name, colour): &(&str, Colour)| {
            let value = json!({ "mode": "fixed", "fixedColor": colour.name() });
            by_name(name, json!([{ "id": "color", "value": value }]))
        };
        let columns = if let View::Table(columns) = &self.view { columns.as_slice() } else { &[] };
        let columns = columns.iter().map(table::Column::override_json);
        columns.chain(self.field_links.iter().map(link)).chain(self.colours.iter().map(colour)).collect()
    }
}
