//! Tables: the answers joined by the labels that columns name.

use std::collections::BTreeMap;

use super::super::grafana::{Column, Panel};
use super::canvas::{Anchor, Area, Canvas, FAINT, paint};
use super::{Answers, Named, words};

const ROW: f64 = 24.0;

/// A header, and as many rows as there is room for.
pub(super) fn draw(canvas: &mut Canvas, panel: &Panel, columns: &[Column], answers: &Answers, area: Area) {
    let width = area.width / columns.len().max(1) as f64;
    let left = |column: usize| area.left + width * column as f64 + 4.0;
    for (place, column) in columns.iter().enumerate() {
        canvas.text(column.title, (left(place), area.top + 14.0), 11.0, "#6e9fff", Anchor::Start);
    }
    let room = (area.height / ROW) as usize;
    for (row, cells) in rows(panel, columns, answers).into_iter().enumerate().take(room.saturating_sub(1)) {
        let y = area.top + ROW * (row + 1) as f64;
        canvas.line((area.left, y - 2.0), (area.right(), y - 2.0), "#2c2f36");
        for (place, (text, colour)) in cells.iter().enumerate() {
            canvas.text(text, (left(place), y + 14.0), 12.0, colour, Anchor::Start);
        }
    }
}

type Cell = (String, &'static str);

fn rows(panel: &Panel, columns: &[Column], answers: &Answers) -> Vec<Vec<Cell>> {
    let label = |named: &Named, column: &Column| {
        named.series.labels.get(column.of).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    };
    let labels: Vec<&Column> = columns.iter().filter(|column| !is_value(panel, column)).collect();
    let mut rows: BTreeMap<Vec<String>, BTreeMap<&str, f64>> = BTreeMap::new();
    for (query, series) in panel.queries.iter().zip(answers) {
        for named in series {
            let key = labels.iter().map(|column| label(named, column)).collect();
            let row = rows.entry(key).or_default();
            row.extend(named.last().map(|value| (query.legend, value)));
        }
    }
    let cells = |(key, values): (Vec<String>, BTreeMap<&str, f64>)| {
        let mut key = key.into_iter();
        let cell = |column: &Column| {
            if is_value(panel, column) {
                cell(column, values.get(column.of).copied())
            } else {
                (key.next().unwrap_or_default(), "#ccccdc")
            }
        };
        columns.iter().map(cell).collect()
    };
    rows.into_iter().map(cells).collect()
}

fn is_value(panel: &Panel, column: &Column) -> bool {
    panel.queries.iter().any(|query| query.legend == column.of)
}

fn cell(column: &Column, value: Option<f64>) -> Cell {
    let Some(value) = value else { return (String::from("–"), FAINT) };
    let word = column.meanings.iter().find(|meaning| meaning.value as f64 == value);
    let text = word.map_or_else(|| words::value(column.unit, value), |meaning| meaning.word.to_owned());
    (text, column.levels.as_ref().map_or("#ccccdc", |levels| paint(levels.colour(value))))
}
