//! Tables: one question for each column, joined by the labels that all answers share.

use serde_json::{Value, json};

use super::field::{Levels, Link, Meaning, Unit};
use super::query::{Query, references};

/// A column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// What stands above it.
    pub title: &'static str,
    /// Where its values come from: a label of the answers, or the answer of a question by its legend.
    pub of: &'static str,
    /// Of its values.
    pub unit: Unit,
    /// Of its values.
    pub levels: Option<Levels>,
    /// Words for values.
    pub meanings: Vec<Meaning>,
    /// Where a click on a value leads.
    pub link: Option<Link>,
}

impl Column {
    /// A label of the answers.
    #[must_use]
    pub fn label(title: &'static str, label: &'static str) -> Self {
        Self { title, of: label, unit: Unit::Text, levels: None, meanings: Vec::new(), link: None }
    }

    /// The answers to the question whose legend is the title.
    #[must_use]
    pub fn value(title: &'static str, unit: Unit) -> Self {
        Self { title, of: title, unit, levels: None, meanings: Vec::new(), link: None }
    }

    /// Colours its cells.
    #[must_use]
    pub fn levels(mut self, levels: Levels) -> Self {
        self.levels = Some(levels);
        self
    }

    /// Shows words.
    #[must_use]
    pub fn meaning(mut self, meanings: &[Meaning]) -> Self {
        self.meanings = meanings.to_vec();
        self
    }

    /// Leads somewhere.
    #[must_use]
    pub fn leading(mut self, link: Link) -> Self {
        self.link = Some(link);
        self
    }

    /// What is different in its field.
    pub(super) fn override_json(&self) -> Value {
        let mut properties = vec![json!({ "id": "unit", "value": self.unit.id() })];
        if let Some(levels) = &self.levels {
            properties.push(json!({ "id": "thresholds", "value": levels.json() }));
            properties.push(json!({ "id": "color", "value": { "mode": "thresholds" } }));
            let cell = json!({ "type": "color-text" });
            properties.push(json!({ "id": "custom.cellOptions", "value": cell }));
        }
        if !self.meanings.is_empty() {
            properties.push(json!({ "id": "mappings", "value": Meaning::json(&self.meanings) }));
        }
        if let Some(link) = &self.link {
            properties.push(json!({ "id": "links", "value": [link.json()] }));
        }
        json!({ "matcher": { "id": "byName", "options": self.title }, "properties": properties })
    }
}

/// Joins the answers, drops what no column names, and orders what is left.
pub(super) fn transformations(columns: &[Column], queries: &[Query]) -> Value {
    let field = |column: &Column| {
        let question = queries.iter().zip(references()).find(|(query, _)| query.legend == column.of);
        question.map_or_else(|| column.of.to_owned(), |(_, reference)| format!("Value #{reference}"))
    };
    let fields: Vec<_> = columns.iter().map(|column| (field(column), column.title)).collect();
    let wanted = fields.iter().map(|(field, _)| field);
    let order: serde_json::Map<_, _> =
        (0..).zip(wanted.clone()).map(|(place, field)| (field.clone(), json!(place))).collect();
    let names: serde_json::Map<_, _> =
        fields.iter().map(|(field, title)| (field.clone(), json!(title))).collect();
    json!([
        { "id": "merge", "options": {} },
        { "id": "filterFieldsByName", "options": { "include": { "names": wanted.collect::<Vec<_>>() } } },
        { "id": "organize", "options": { "excludeByName": {}, "indexByName": order, "renameByName": names } },
    ])
}
