//! What goes over time: lines, layers, bars, bands and the cells of a histogram.

use std::collections::BTreeMap;

use super::super::grafana::{Panel, Shape, Unit};
use super::super::prometheus::Span;
use super::canvas::{Anchor, Area, Canvas, FAINT, of_series, paint};
use super::{Answers, Named, words};

/// Room of the axis' words at the left, of the times below, and of the names below these.
const LEFT: f64 = 62.0;
const TIMES: f64 = 16.0;
const NAMES: f64 = 18.0;
/// Lines across.
const TICKS: u32 = 4;
/// Names that are shown below a graph at most.
const MOST_NAMES: usize = 8;
const GRID: &str = "#2c2f36";

/// Where time and value lie.
struct Plane {
    area: Area,
    span: Span,
    highest: f64,
}

impl Plane {
    fn new(area: Area, span: Span, highest: f64) -> Self {
        let area = Area {
            left: area.left + LEFT,
            width: area.width - LEFT,
            height: area.height - TIMES - NAMES,
            ..area
        };
        Self { area, span, highest: if highest > 0.0 { highest * 1.05 } else { 1.0 } }
    }

    fn x(&self, time: f64) -> f64 {
        let part = (time - self.span.from) / (self.span.to - self.span.from);
        self.area.left + self.area.width * part.clamp(0.0, 1.0)
    }

    fn y(&self, value: f64) -> f64 {
        self.area.bottom() - self.area.height * (value / self.highest).clamp(0.0, 1.0)
    }

    fn step(&self) -> f64 {
        self.area.width * self.span.step / (self.span.to - self.span.from)
    }

    fn values(&self, canvas: &mut Canvas, unit: Unit) {
        for tick in 0..=TICKS {
            let value = self.highest * f64::from(tick) / f64::from(TICKS);
            let y = self.y(value);
            canvas.line((self.area.left, y), (self.area.right(), y), GRID);
            canvas.text(
                &words::value(unit, value),
                (self.area.left - 6.0, y + 4.0),
                10.0,
                FAINT,
                Anchor::End,
            );
        }
    }

    /// Seconds since the beginning: whose clock it was is nobody's matter.
    fn times(&self, canvas: &mut Canvas) {
        for tick in 0..=TICKS {
            let passed = (self.span.to - self.span.from) * f64::from(tick) / f64::from(TICKS);
            let place = (self.x(self.span.from + passed), self.area.bottom() + 13.0);
            let anchor = if tick == TICKS { Anchor::End } else { Anchor::Middle };
            canvas.text(&format!("+{}", words::value(Unit::Seconds, passed)), place, 10.0, FAINT, anchor);
        }
    }
}

/// Several courses.
pub(super) fn draw(
    canvas: &mut Canvas,
    panel: &Panel,
    shape: Shape,
    answers: &Answers,
    area: Area,
    span: Span,
) {
    let series: Vec<&Named> = answers.iter().flatten().collect();
    let layers = layers(&series, shape != Shape::Lines);
    let highest = layers.iter().flatten().map(|(_, _, top)| *top).fold(0.0, f64::max);
    let plane = Plane::new(area, span, highest);
    plane.values(canvas, panel.unit);
    plane.times(canvas);
    let colour = |place: usize| panel.colour_of(&series[place].name).map_or_else(|| of_series(place), paint);
    for (place, layer) in layers.iter().enumerate() {
        match shape {
            Shape::Lines => line(canvas, &plane, layer, colour(place), 0.06),
            Shape::Stacked => line(canvas, &plane, layer, colour(place), 0.3),
            Shape::Bars => bars(canvas, &plane, layer, colour(place)),
        }
    }
    names(canvas, &series, colour, area);
}

/// A point of a layer: when, where it begins, and where it ends.
type Layer = Vec<(f64, f64, f64)>;

fn layers(series: &[&Named], stacked: bool) -> Vec<Layer> {
    let mut below: BTreeMap<u64, f64> = BTreeMap::new();
    let mut layer = |named: &&Named| {
        let point = |(time, value): &(f64, f64)| {
            let base = below.entry(time.to_bits()).or_default();
            let from = if stacked { *base } else { 0.0 };
            *base += value;
            (*time, from, from + value)
        };
        named.series.points.iter().map(point).collect()
    };
    series.iter().map(&mut layer).collect()
}

fn line(canvas: &mut Canvas, plane: &Plane, layer: &Layer, colour: &str, fill: f64) {
    let tops: Vec<_> = layer.iter().map(|(time, _, top)| (plane.x(*time), plane.y(*top))).collect();
    let bottoms = layer.iter().rev().map(|(time, bottom, _)| (plane.x(*time), plane.y(*bottom)));
    canvas.polygon(&tops.iter().copied().chain(bottoms).collect::<Vec<_>>(), colour, fill);
    canvas.polyline(&tops, colour);
}

fn bars(canvas: &mut Canvas, plane: &Plane, layer: &Layer, colour: &str) {
    let width = (plane.step() * 0.8).max(1.0);
    for (time, bottom, top) in layer.iter().filter(|(_, bottom, top)| top > bottom) {
        let (y, end) = (plane.y(*top), plane.y(*bottom));
        canvas.block(Area { left: plane.x(*time) - width, top: y, width, height: end - y }, colour, 0.85);
    }
}

fn names(canvas: &mut Canvas, series: &[&Named], colour: impl Fn(usize) -> &'static str, area: Area) {
    let shown = series.len().min(MOST_NAMES);
    let room = area.width / shown.max(1) as f64;
    for (place, named) in series.iter().take(MOST_NAMES).enumerate() {
        let left = area.left + room * place as f64;
        let letters = ((room - 16.0) / 6.4) as usize;
        let name: String = named.name.chars().take(letters.max(1)).collect();
        let mark = Area { left, top: area.bottom() - 9.0, width: 10.0, height: 4.0 };
        canvas.block(mark, colour(place), 1.0);
        canvas.text(&name, (left + 13.0, area.bottom() - 2.0), 10.0, "#ccccdc", Anchor::Start);
    }
}

/// A band for each series.
pub(super) fn states(canvas: &mut Canvas, panel: &Panel, answers: &Answers, area: Area, span: Span) {
    let plane = Plane::new(area, span, 1.0);
    plane.times(canvas);
    let series: Vec<&Named> = answers.iter().flatten().collect();
    let height = (plane.area.height / series.len().max(1) as f64).min(30.0);
    for (row, named) in series.iter().enumerate() {
        let top = plane.area.top + height * row as f64;
        canvas.text(&named.name, (plane.area.left - 6.0, top + height * 0.6), 10.0, "#ccccdc", Anchor::End);
        for (time, value) in &named.series.points {
            let band = Area {
                left: plane.x(*time),
                top: top + 2.0,
                width: plane.step() + 0.5,
                height: height - 4.0,
            };
            canvas.block(band, paint(panel.levels.colour(*value)), 0.7);
        }
    }
}

/// The cells of a histogram, of which the series are the numbers up to each bound.
pub(super) fn heatmap(canvas: &mut Canvas, answers: &Answers, area: Area, span: Span) {
    let mut bounds: Vec<(f64, &Named)> =
        answers.iter().flatten().filter_map(|named| Some((named.name.parse().ok()?, named))).collect();
    bounds.sort_by(|one, other| one.0.total_cmp(&other.0));
    let plane = Plane::new(area, span, bounds.len() as f64);
    plane.times(canvas);
    let height = plane.area.height / bounds.len().max(1) as f64;
    let mut below: BTreeMap<u64, f64> = BTreeMap::new();
    for (row, (bound, named)) in bounds.iter().enumerate() {
        let top = plane.area.bottom() - height * (row + 1) as f64;
        if row % 3 == 0 && bound.is_finite() {
            canvas.text(
                &words::value(Unit::Seconds, *bound),
                (plane.area.left - 6.0, top + 4.0),
                10.0,
                FAINT,
                Anchor::End,
            );
        }
        for (time, up_to) in &named.series.points {
            let before = below.insert(time.to_bits(), *up_to).unwrap_or_default();
            let cell = Area { left: plane.x(*time) - plane.step(), top, width: plane.step(), height };
            if up_to - before > 0.01 {
                canvas.block(cell.smaller(0.5), "#ff9830", ((up_to - before) / 4.0).clamp(0.25, 1.0));
            }
        }
    }
}
