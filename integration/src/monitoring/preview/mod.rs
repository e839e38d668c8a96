//! Previews: the panels of a dashboard drawn from a Prometheus' answers, for people who have no Grafana at hand.
//!
//! They show what is asked and what is answered, with Grafana's layout and colours, and are no screenshots; each says so at
//! its foot. A dashboard becomes one SVG file, of which Debian's `rsvg-convert` makes a PNG file.

mod canvas;
mod courses;
mod numbers;
mod table;
mod words;

use std::io;
use std::path::Path;
use std::process::Command;

use super::grafana::{Dashboard, Panel, Placed, View, What};
use super::prometheus::{Series, Span};
use canvas::{Area, Canvas};

/// Pixels of a column and of a row of a dashboard.
const COLUMN: f64 = 50.0;
const ROW: f64 = 32.0;
/// Between panels.
const GAP: f64 = 4.0;
const FOOT: f64 = 30.0;
const DISCLAIMER: &str =
    "Preview drawn by Bootlane's lab from the answers of its Prometheus; this is no screenshot of Grafana.";

/// What a panel was answered: for each of its questions the series, named as its legend says.
pub type Answers = Vec<Vec<Named>>;

/// A series with its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Named {
    /// By the legend.
    pub name: String,
    /// Its labels and points.
    pub series: Series,
}

impl Named {
    /// Names a series by a legend such as `{{site}} in`.
    #[must_use]
    pub fn new(legend: &str, series: Series) -> Self {
        let name = series.labels.iter().fold(legend.to_owned(), |name, (label, value)| {
            name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap_or_default())
        });
        Self { name, series }
    }

    fn last(&self) -> Option<f64> {
        self.series.points.last().map(|(_, value)| *value)
    }
}

/// A dashboard as SVG. `rows`: so many of its rows, from the top. `ask` is asked for each panel's answers.
///
/// # Errors
/// Those of `ask`.
pub fn svg<E>(
    dashboard: &Dashboard,
    rows: usize,
    span: Span,
    mut ask: impl FnMut(&Panel) -> Result<Answers, E>,
) -> Result<String, E> {
    let mut canvas = Canvas::new();
    let placed = first_rows(dashboard, rows);
    let mut bottom = 0.0_f64;
    for Placed { what, x, y } in placed {
        let (left, top) = (f64::from(x) * COLUMN, f64::from(y) * ROW);
        match what {
            What::Title(title) => canvas.row_title(title, top + ROW * 0.7),
            What::Panel(panel) => {
                let (width, height) = (f64::from(panel.size.0) * COLUMN, f64::from(panel.size.1) * ROW);
                let area = Area { left, top, width, height }.smaller(GAP);
                draw(&mut canvas, panel, &ask(panel)?, area, span);
                bottom = bottom.max(top + height);
            }
        }
    }
    canvas.foot(DISCLAIMER, bottom + FOOT * 0.6);
    Ok(canvas.finish(COLUMN * 24.0, bottom + FOOT))
}

fn first_rows(dashboard: &Dashboard, rows: usize) -> Vec<Placed<'_>> {
    let mut titles = 0;
    let mut within = |placed: &Placed<'_>| {
        titles += usize::from(matches!(placed.what, What::Title(_)));
        titles <= rows
    };
    dashboard.places().into_iter().take_while(|placed| within(placed)).collect()
}

fn draw(canvas: &mut Canvas, panel: &Panel, answers: &Answers, area: Area, span: Span) {
    match &panel.view {
        View::Number => return numbers::tile(canvas, panel, answers, area),
        View::Words(_) | View::Traces => return canvas.panel(panel.title, area),
        View::Courses(_) | View::Ranking | View::States | View::Heatmap | View::Table(_) => {}
    }
    canvas.panel(panel.title, area);
    let inner = area.inside_panel();
    match &panel.view {
        View::Courses(shape) => courses::draw(canvas, panel, *shape, answers, inner, span),
        View::Ranking => numbers::ranking(canvas, panel, answers, inner),
        View::States => courses::states(canvas, panel, answers, inner, span),
        View::Heatmap => courses::heatmap(canvas, answers, inner, span),
        View::Table(columns) => table::draw(canvas, panel, columns, answers, inner),
        View::Number | View::Words(_) | View::Traces => {}
    }
}

/// Makes a PNG file of an SVG file, by `rsvg-convert`.
///
/// # Errors
/// When it is not there, or fails.
pub fn png(svg: &Path, png: &Path) -> io::Result<()> {
    let output = Command::new("rsvg-convert").arg("--output").arg(png).arg(svg).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    output.status.success().then_some(()).ok_or_else(|| io::Error::other(said))
}

#[cfg(test)]
mod tests;
