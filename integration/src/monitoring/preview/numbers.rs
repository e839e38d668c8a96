//! Single numbers, and bars beside their names.

use super::super::grafana::{Levels, Panel};
use super::canvas::{Anchor, Area, Canvas, paint};
use super::{Answers, Named, words};

/// One number on its colour, its course behind it.
pub(super) fn tile(canvas: &mut Canvas, panel: &Panel, answers: &Answers, area: Area) {
    let series = answers.first().and_then(|series| series.first());
    let value = series.and_then(Named::last);
    let fill = value.map_or("#2c2f36", |value| paint(panel.levels.colour(value)));
    canvas.framed(area, fill);
    if let Some(series) = series {
        sparkline(canvas, &series.series.points, area);
    }
    let text = value.map_or_else(
        || "no data".to_owned(),
        |value| panel.words_of(value).unwrap_or_else(|| words::value(panel.unit, value)),
    );
    let middle = area.left + area.width / 2.0;
    let size = if text.len() > 9 { 20.0 } else { 28.0 };
    canvas.text(panel.title, (area.left + 8.0, area.top + 17.0), 11.0, "#111217", Anchor::Start);
    canvas.text(&text, (middle, area.top + area.height * 0.62), size, "#111217", Anchor::Middle);
}

fn sparkline(canvas: &mut Canvas, points: &[(f64, f64)], area: Area) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
    let highest = points.iter().map(|(_, value)| *value).fold(f64::MIN, f64::max);
    let lowest = points.iter().map(|(_, value)| *value).fold(f64::MAX, f64::min);
    if highest <= lowest || last.0 <= first.0 {
        return;
    }
    let place = |(time, value): &(f64, f64)| {
        let x = area.left + area.width * (time - first.0) / (last.0 - first.0);
        (x, area.bottom() - area.height * 0.3 * (value - lowest) / (highest - lowest))
    };
    let mut outline: Vec<_> = points.iter().map(place).collect();
    outline.extend([(area.right(), area.bottom()), (area.left, area.bottom())]);
    canvas.polygon(&outline, "#111217", 0.18);
}

/// Bars, longest first.
pub(super) fn ranking(canvas: &mut Canvas, panel: &Panel, answers: &Answers, area: Area) {
    let mut bars: Vec<(&str, f64)> =
        answers.iter().flatten().filter_map(|one| Some((one.name.as_str(), one.last()?))).collect();
    bars.sort_by(|one, other| other.1.total_cmp(&one.1));
    let longest = bars.iter().map(|(_, value)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let height = 22.0;
    let names = area.width * 0.36;
    for (row, (name, value)) in (0..).zip(bars).take((area.height / height) as usize) {
        let top = area.top + height * f64::from(row);
        let room = area.width - names - 70.0;
        let bar = Area {
            left: area.left + names,
            top: top + 3.0,
            width: room * value / longest,
            height: height - 6.0,
        };
        let fill = paint(colour(&panel.levels, value));
        canvas.text(name, (area.left + names - 8.0, top + 15.0), 11.0, "#ccccdc", Anchor::End);
        canvas.block(bar, fill, 0.85);
        canvas.text(
            &words::value(panel.unit, value),
            (bar.right() + 6.0, top + 15.0),
            11.0,
            fill,
            Anchor::Start,
        );
    }
}

fn colour(levels: &Levels, value: f64) -> super::super::grafana::Colour {
    levels.colour(value)
}
