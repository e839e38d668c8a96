//! Every dashboard can be drawn, from answers and without.

use std::convert::Infallible;

use serde_json::json;

use super::super::dashboards;
use super::*;

const SPAN: Span = Span { from: 1_000.0, to: 1_060.0, step: 5.0 };

fn series(labels: &serde_json::Value, from: f64) -> Series {
    let points = (0..12).map(|point| (SPAN.from + 5.0 * f64::from(point), from + f64::from(point))).collect();
    Series { labels: labels.as_object().cloned().unwrap_or_default(), points }
}

fn drawn(answer: impl Fn(&Panel) -> Answers) -> Vec<String> {
    let draw = |dashboard: &Dashboard| {
        let answer = |panel: &Panel| Ok::<_, Infallible>(answer(panel));
        let Ok(svg) = svg(dashboard, 9, SPAN, answer);
        svg
    };
    dashboards::all().iter().map(draw).collect()
}

#[test]
fn every_dashboard_is_drawn_and_says_what_it_is() {
    let labels =
        json!({ "site": "lyon <1>", "agent": "a", "le": "+Inf", "cause": "no-loader", "outcome": "failed" });
    let answer = |panel: &Panel| {
        let named = |legend| {
            vec![
                Named::new(legend, series(&labels, 1.0)),
                Named::new(legend, series(&json!({ "le": "0.5" }), 0.5)),
            ]
        };
        panel.queries.iter().map(|query| named(query.legend)).collect()
    };
    for svg in drawn(answer) {
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(DISCLAIMER));
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("<1>"), "{svg}");
    }
}

#[test]
fn without_answers_there_is_no_data() {
    let fleet = &drawn(|_| Vec::new())[0];
    assert_eq!(fleet.matches(">no data<").count(), 8);
}

#[test]
fn legends_name_series_by_their_labels() {
    let named = Named::new("{{site}} in", series(&json!({ "site": "lyon" }), 0.0));
    assert_eq!(named.name, "lyon in");
}
