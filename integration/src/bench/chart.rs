//! A report as a bar chart: one SVG file that reads well on light and dark pages.
//!
//! Cells have rates of very different sizes, so each bar's length is the rate beside the best peer's in the same cell,
//! and the rate itself is written behind it. A line marks the best peer.

use std::fmt::Write as _;

use super::contender::Role;
use super::figures::digits;
use super::goals::Measure;
use super::report::{CellReport, Report, Side};

/// In user units, which are pixels at their natural size.
const WIDTH: f64 = 860.0;
const LEFT: f64 = 210.0;
/// Room for the figure behind the longest bar.
const RIGHT: f64 = 150.0;
const BAR: f64 = 14.0;
const GAP: f64 = 14.0;
const HEAD: f64 = 64.0;
const FOOT: f64 = 16.0;

/// Colours that differ in lightness too: ours, peers in their order, the limit. They have enough contrast on white and on
/// the dark grey of the pages that are read at night.
const STYLE: &str = "text{font:12px system-ui,sans-serif;fill:#24292f}.title{font-size:15px;font-weight:600}\
                     .small{font-size:11px;fill:#57606a}.ours{fill:#0969da}.peer{fill:#8c959f}.limit{fill:none;stroke:#8c959f}\
                     .mark{stroke:#cf222e;stroke-dasharray:3 3}\
                     @media(prefers-color-scheme:dark){text{fill:#e6edf3}.small{fill:#9198a1}.ours{fill:#4493f8}\
                     .peer{fill:#6e7681}.limit{stroke:#6e7681}.mark{stroke:#f85149}}";

/// The whole file.
#[must_use]
pub fn svg(report: &Report) -> String {
    let longest = report.cells.iter().flat_map(bars).map(|bar| bar.length).fold(1.0, f64::max);
    let scale = (WIDTH - LEFT - RIGHT) / longest;
    let mut body = String::new();
    let mut top = HEAD;
    for cell in &report.cells {
        top = draw_cell(&mut body, cell, top, scale);
    }
    let height = top + FOOT;
    let title = escaped(&report.title);
    let when = escaped(&format!(
        "{}, commit {}; {} rounds, medians; the dashed line is the best peer",
        report.taken.date.get(..10).unwrap_or_default(),
        report.taken.commit,
        report.rounds
    ));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"{title}\"><style>{STYLE}</style>\n\
         <text class=\"title\" x=\"8\" y=\"22\">{title}</text>\n<text class=\"small\" x=\"8\" y=\"42\">{when}</text>\n\
         {body}</svg>\n"
    )
}

/// One contender's rate in one cell.
struct Bar<'a> {
    side: &'a Side,
    rate: f64,
    /// Beside the best peer's.
    length: f64,
}

fn bars(cell: &CellReport) -> Vec<Bar<'_>> {
    let rate = |side| cell.spread(side, Measure::Rate).map(|spread| spread.median);
    let best = cell.best_peer(Measure::Rate).or_else(|| cell.ours()).and_then(rate);
    let bar = |side| {
        let (rate, best) = (rate(side)?, best?);
        Some(Bar { side, rate, length: rate / best }).filter(|bar| bar.length.is_finite())
    };
    cell.sides.iter().filter_map(bar).collect()
}

/// Returns where the next cell begins.
fn draw_cell(body: &mut String, cell: &CellReport, top: f64, scale: f64) -> f64 {
    let bars = bars(cell);
    let bottom = top + BAR * bars.len() as f64;
    for (row, bar) in bars.iter().enumerate() {
        draw_bar(body, cell, bar, top + BAR * row as f64, scale);
    }
    let label = escaped(&cell.name);
    let _ = writeln!(body, "<text x=\"8\" y=\"{:.1}\">{label}</text>", top + BAR - 3.0);
    let mark = LEFT + scale;
    let _ = writeln!(
        body,
        "<line class=\"mark\" x1=\"{mark:.1}\" x2=\"{mark:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>"
    );
    bottom + GAP
}

fn draw_bar(body: &mut String, cell: &CellReport, bar: &Bar<'_>, top: f64, scale: f64) {
    let class = match bar.side.role {
        Role::Ours => "ours",
        Role::Peer => "peer",
        Role::Limit => "limit",
    };
    let (width, name) = (bar.length * scale, escaped(&bar.side.name));
    let baseline = top + BAR - 3.0;
    let _ = writeln!(
        body,
        "<text class=\"small\" text-anchor=\"end\" x=\"{:.1}\" y=\"{baseline:.1}\">{name}</text>\
         <rect class=\"{class}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"{:.1}\"/>\
         <text class=\"small\" x=\"{:.1}\" y=\"{baseline:.1}\">{} {}</text>",
        LEFT - 6.0,
        top + 1.0,
        BAR - 2.0,
        LEFT + width + 5.0,
        digits(bar.rate),
        cell.unit.rate_name(),
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::machine::Taken;
    use super::super::report::{SCHEMA, tests::cell};
    use super::*;

    #[test]
    fn bars_stand_beside_the_best_peer() {
        let cell = cell();
        let bars = bars(&cell);
        let names: Vec<&str> = bars.iter().map(|bar| bar.side.name.as_str()).collect();
        assert_eq!(names, ["bootlane", "cheap", "quick", "broken", "kernel"], "who has no figure has no bar");
        assert_eq!((bars[0].length, bars[2].length), (2.1, 1.0));
    }

    #[test]
    fn the_file_is_one_element_with_a_bar_for_each() {
        let report = Report {
            schema: SCHEMA.into(),
            bench: "tftp".into(),
            title: "Files <by> TFTP & others".into(),
            taken: Taken::default(),
            rounds: 3,
            quick: false,
            cores: String::new(),
            cells: vec![cell(), cell()],
        };
        let text = svg(&report);
        assert!(text.starts_with("<svg ") && text.ends_with("</svg>\n"));
        assert_eq!(text.matches("<rect class=\"ours\"").count(), 2);
        assert_eq!(text.matches("<rect ").count(), 10);
        assert!(text.contains("Files &lt;by&gt; TFTP &amp; others") && !text.contains("NaN"));
    }
}
