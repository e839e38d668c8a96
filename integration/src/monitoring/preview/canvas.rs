//! What everything is drawn with: rectangles, lines and words in SVG, in Grafana's dark colours.

use std::fmt::Write as _;

use super::super::grafana::Colour;

const STYLE: &str = "text{font-family:DejaVu Sans,sans-serif;fill:#ccccdc}";
const BACKGROUND: &str = "#111217";
const PANEL: &str = "#181b1f";
const BORDER: &str = "#2c2f36";
/// Of text that is no number.
pub(super) const FAINT: &str = "#8e8ea0";
/// Room of a panel's title.
const TITLE: f64 = 26.0;
const PADDING: f64 = 10.0;

/// Colours of series, in their order.
const SERIES: [&str; 8] =
    ["#73bf69", "#f2cc0c", "#5794f2", "#ff780a", "#b877d9", "#37872d", "#fade2a", "#8ab8ff"];

/// A rectangle, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Area {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Area {
    /// Without so much at each side.
    pub(super) fn smaller(self, by: f64) -> Self {
        Self {
            left: self.left + by,
            top: self.top + by,
            width: self.width - 2.0 * by,
            height: self.height - 2.0 * by,
        }
    }

    /// What a panel leaves below its title.
    pub(super) fn inside_panel(self) -> Self {
        let inner = Self { top: self.top + TITLE, height: self.height - TITLE, ..self };
        Self {
            left: inner.left + PADDING,
            width: inner.width - 2.0 * PADDING,
            height: inner.height - PADDING,
            ..inner
        }
    }

    pub(super) fn right(self) -> f64 {
        self.left + self.width
    }

    pub(super) fn bottom(self) -> f64 {
        self.top + self.height
    }
}

/// Where a text stands to its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// What is drawn so far.
#[derive(Debug)]
pub(super) struct Canvas {
    body: String,
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self { body: String::new() }
    }

    pub(super) fn finish(self, width: f64, height: f64) -> String {
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\"><style>{STYLE}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"{BACKGROUND}\"/>\n{}</svg>\n",
            self.body
        )
    }

    pub(super) fn row_title(&mut self, title: &str, y: f64) {
        self.text(title, (8.0, y), 14.0, "#ccccdc", Anchor::Start);
    }

    pub(super) fn foot(&mut self, words: &str, y: f64) {
        self.text(words, (8.0, y), 11.0, FAINT, Anchor::Start);
    }

    /// An empty panel with its title.
    pub(super) fn panel(&mut self, title: &str, area: Area) {
        self.framed(area, PANEL);
        self.text(title, (area.left + PADDING, area.top + 18.0), 12.0, "#ccccdc", Anchor::Start);
    }

    pub(super) fn framed(&mut self, area: Area, fill: &str) {
        let Area { left, top, width, height } = area;
        let _ = writeln!(
            self.body,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" rx=\"2\" fill=\"{fill}\" \
             stroke=\"{BORDER}\"/>"
        );
    }

    pub(super) fn block(&mut self, area: Area, fill: &str, opacity: f64) {
        let Area { left, top, width, height } = area;
        let _ = writeln!(
            self.body,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\" fill-opacity=\"{opacity:.2}\"/>",
            width.max(0.0),
            height.max(0.0)
        );
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), stroke: &str) {
        let _ = writeln!(
            self.body,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{stroke}\" stroke-width=\"0.7\"/>"
        );
    }

    pub(super) fn polyline(&mut self, points: &[(f64, f64)], stroke: &str) {
        let points = list(points);
        let _ = writeln!(
            self.body,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"1.6\"/>"
        );
    }

    pub(super) fn polygon(&mut self, points: &[(f64, f64)], fill: &str, opacity: f64) {
        let points = list(points);
        let _ =
            writeln!(self.body, "<polygon points=\"{points}\" fill=\"{fill}\" fill-opacity=\"{opacity}\"/>");
    }

    pub(super) fn text(&mut self, text: &str, (x, y): (f64, f64), size: f64, fill: &str, anchor: Anchor) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let text = escaped(text);
        let _ = writeln!(
            self.body,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"{size}\" style=\"fill:{fill}\" text-anchor=\"{anchor}\">{text}</text>"
        );
    }
}

fn list(points: &[(f64, f64)]) -> String {
    points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect::<Vec<_>>().join(" ")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A colour as Grafana draws it.
pub(super) fn paint(colour: Colour) -> &'static str {
    match colour {
        Colour::Green => "#73bf69",
        Colour::Orange => "#ff9830",
        Colour::Red => "#f2495c",
        Colour::Blue => "#5794f2",
        Colour::Plain => "#ccccdc",
    }
}

/// The colour of the series at this place.
pub(super) fn of_series(place: usize) -> &'static str {
    SERIES[place % SERIES.len()]
}
