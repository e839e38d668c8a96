//! What a round came to, and what rounds come to together.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::goals::Measure;
use super::load::Load;
use super::tree::Usage;
use super::unit::Unit;

/// What a machine's clocks can tell apart in a load's time.
const SHORTEST: f64 = 1e-9;

/// One contender's figures of one cell in one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// In the cell's unit.
    pub amount: u64,
    /// From the first request to the last answer.
    pub seconds: f64,
    /// User and system time of the server's process tree meanwhile.
    pub cpu_seconds: f64,
    /// The server's peak of resident memory since its start, in bytes, summed over its processes.
    pub peak_bytes: u64,
    /// Half of the latencies are not above it, in milliseconds; None: the load has none.
    pub p50_ms: Option<f64>,
    /// 99 of a hundred latencies are not above it, in milliseconds.
    pub p99_ms: Option<f64>,
    /// The longest latency, in milliseconds.
    pub longest_ms: Option<f64>,
    /// What did not come, or came wrong.
    pub failed: u64,
    /// Figures that only this bench has.
    pub extras: BTreeMap<String, f64>,
}

impl Measured {
    /// From a load and what the server had used before and after it.
    #[must_use]
    pub fn of(load: &Load, before: Usage, after: Usage) -> Self {
        let millis =
            |percent| load.latencies.percentile(percent).map(|took: Duration| took.as_secs_f64() * 1e3);
        Self {
            amount: load.amount,
            seconds: load.elapsed.as_secs_f64().max(SHORTEST),
            cpu_seconds: after.cpu.saturating_sub(before.cpu).as_secs_f64(),
            peak_bytes: after.peak,
            p50_ms: millis(50.0),
            p99_ms: millis(99.0),
            longest_ms: load.latencies.longest().map(|took| took.as_secs_f64() * 1e3),
            failed: load.failed,
            extras: load.extras.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        }
    }

    /// One of its figures; None: this load has none of that kind.
    #[must_use]
    pub fn figure(&self, measure: Measure, unit: Unit) -> Option<f64> {
        match measure {
            Measure::Rate => Some(unit.rate(self.amount, self.seconds)),
            // A load that did nothing has no cost.
            Measure::Cost => (self.amount > 0).then(|| unit.cost(self.amount, self.cpu_seconds)),
            Measure::P50 => self.p50_ms,
            Measure::P99 => self.p99_ms,
            Measure::Longest => self.longest_ms,
            Measure::Peak => Some(self.peak_bytes as f64 / f64::from(1 << 20)),
            Measure::Failed => Some(self.failed as f64),
            Measure::Extra(name) => self.extras.get(name).copied(),
        }
    }
}

/// The median of rounds, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Of an even number, the middle of the two middle ones.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The most.
    pub most: f64,
}

impl Spread {
    /// None: there are no figures.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => f64::midpoint(sorted[middle - 1], sorted[middle]),
            _ => sorted[middle],
        };
        Some(Self { median, least, most })
    }
}

impl fmt::Display for Spread {
    /// Median and least to most, with three digits that count.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} [{}–{}]", digits(self.median), digits(self.least), digits(self.most))
    }
}

/// Three digits that count, without an exponent; thousands apart.
#[must_use]
pub fn digits(figure: f64) -> String {
    let size = figure.abs();
    let places = match size {
        _ if size == 0.0 || size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 => 2,
        _ => (2 - size.log10().floor() as i32).clamp(0, 6) as usize,
    };
    let text = format!("{figure:.places$}");
    if size < 10_000.0 { text } else { thousands(&text) }
}

fn thousands(text: &str) -> String {
    let (sign, digits) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_numbers() {
        assert_eq!(Spread::of([3.0, 1.0, 9.0]), Some(Spread { median: 3.0, least: 1.0, most: 9.0 }));
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]).map(|spread| spread.median), Some(3.0));
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn three_digits_count() {
        let written = [0.0, 0.0456, 0.46, 1.0, 15.13, 99.96, 447.4, 9_999.0, 10_428.0, 1_340_000.0];
        let expected =
            ["0", "0.0456", "0.460", "1.00", "15.1", "100.0", "447", "9999", "10,428", "1,340,000"];
        assert_eq!(written.map(digits), expected);
        assert_eq!(digits(-12_345.0), "-12,345");
    }

    #[test]
    fn a_round_knows_its_figures() {
        let mut load = Load::new(2_000_000_000, Duration::from_secs(4));
        load.latencies.extend([Duration::from_millis(10); 3]);
        load.extras.insert("duplicates", 0.5);
        let usage = |millis, peak| Usage { cpu: Duration::from_millis(millis), peak, resident: 0 };
        let measured = Measured::of(&load, usage(1_000, 1), usage(2_500, 3 << 20));
        let figure = |measure| measured.figure(measure, Unit::Bytes);
        assert_eq!(figure(Measure::Rate), Some(500.0));
        assert_eq!(figure(Measure::Cost), Some(0.75));
        assert_eq!(figure(Measure::Peak), Some(3.0));
        assert!((figure(Measure::P99).expect("there are latencies") - 10.0).abs() < 0.02);
        assert_eq!(
            (figure(Measure::Extra("duplicates")), figure(Measure::Extra("other"))),
            (Some(0.5), None)
        );
        assert_eq!(figure(Measure::Failed), Some(0.0));
        let nothing = Measured::of(&Load::new(0, Duration::ZERO), usage(0, 0), usage(0, 0));
        assert_eq!(nothing.figure(Measure::Cost, Unit::Bytes), None);
        assert_eq!(nothing.figure(Measure::Rate, Unit::Bytes), Some(0.0), "no division by nothing");
    }
}
