//! Tables of a report: Markdown whose columns are padded, so that it reads well on a terminal too.

use std::fmt::Write as _;

use super::contender::Role;
use super::figures::digits;
use super::goals::Measure;
use super::report::{CellReport, Report, Side};

/// All tables of a report, as docs/benchmarks.md has them.
#[must_use]
pub fn markdown(report: &Report) -> String {
    let mut text = format!("**{}.** {}.\n", report.taken.line(), conditions(report));
    for (title, table) in [
        ("Rate: median [least–most] (server's CPU)", rates(report)),
        ("Latency, memory, failures: medians", latencies(report)),
        ("Goals: ratios are of medians", goals(report)),
    ] {
        let _ = write!(text, "\n{title}\n\n{table}");
    }
    let versions = versions(report);
    let _ = writeln!(text, "\nVersions: {versions}.");
    for error in errors(report) {
        let _ = writeln!(text, "\n{error}");
    }
    text
}

fn conditions(report: &Report) -> String {
    let quick = if report.quick { ", cut short to try it out" } else { "" };
    let rounds = if report.rounds == 1 { "round" } else { "rounds" };
    format!("{} {rounds}{quick}; {}", report.rounds, report.cores)
}

fn rates(report: &Report) -> String {
    let names = side_names(report);
    let mut head = vec!["work".to_owned(), "unit".to_owned()];
    head.extend(names.iter().cloned());
    head.extend(["× best peer".into(), "CPU × best".into()]);
    if report.cells.iter().any(|cell| cell.limit().is_some()) {
        head.push("of limit".into());
    }
    let row = |cell: &CellReport| {
        let unit = format!("{} ({})", cell.unit.rate_name(), cell.unit.cost_name());
        let mut row = vec![cell.name.clone(), unit];
        row.extend(names.iter().map(|name| rate(cell, name)));
        row.extend([beside_best(cell, Measure::Rate), beside_best(cell, Measure::Cost), of_limit(cell)]);
        row
    };
    table(&head, report.cells.iter().map(row))
}

fn rate(cell: &CellReport, name: &str) -> String {
    let Some(side) = cell.sides.iter().find(|side| side.name == name) else { return "–".into() };
    let Some(rate) = cell.spread(side, Measure::Rate) else {
        return side.absent.clone().unwrap_or_else(|| "failed".into());
    };
    let cost = cell.spread(side, Measure::Cost).map(|cost| format!(" ({})", digits(cost.median)));
    format!("{rate}{}", cost.unwrap_or_default())
}

fn beside_best(cell: &CellReport, measure: Measure) -> String {
    let best = cell.best_peer(measure);
    let ratio = best.and_then(|best| Some((best, cell.ratio(best, measure)?)));
    ratio.map_or_else(|| "–".into(), |(best, ratio)| format!("{} ({})", digits(ratio), best.name))
}

fn of_limit(cell: &CellReport) -> String {
    let ratio = cell.limit().and_then(|limit| cell.ratio(limit, Measure::Rate));
    ratio.map_or_else(|| "–".into(), |ratio| format!("{:.0} %", ratio * 100.0))
}

fn latencies(report: &Report) -> String {
    let extras = extra_names(report);
    let mut head: Vec<String> =
        ["work", "who", "p50 ms", "p99 ms", "longest ms", "peak RSS MiB", "failed"].map(str::to_owned).into();
    head.extend(extras.iter().cloned());
    let row = |cell: &CellReport, side: &Side| {
        let median = |figures: Vec<f64>| {
            super::figures::Spread::of(figures).map_or_else(|| "–".into(), |spread| digits(spread.median))
        };
        let figures =
            |measure| side.rounds.iter().filter_map(|round| round.figure(measure, cell.unit)).collect();
        let measures = [Measure::P50, Measure::P99, Measure::Longest, Measure::Peak];
        let mut row = vec![cell.name.clone(), side.name.clone()];
        row.extend(measures.map(|measure| median(figures(measure))));
        row.push(side.rounds.iter().map(|round| round.failed).sum::<u64>().to_string());
        row.extend(extras.iter().map(|name| {
            median(side.rounds.iter().filter_map(|round| round.extras.get(name).copied()).collect())
        }));
        row
    };
    let rows = report.cells.iter().flat_map(|cell| {
        let there = cell.sides.iter().filter(|side| !side.rounds.is_empty() && side.role != Role::Limit);
        there.map(move |side| (cell, side))
    });
    table(&head, rows.map(|(cell, side)| row(cell, side)))
}

fn goals(report: &Report) -> String {
    let head = ["work", "goal", "measured"].map(str::to_owned);
    let rows = report.cells.iter().flat_map(|cell| {
        cell.goals.iter().map(|judged| {
            let verdict = if judged.is_met() { judged.to_string() } else { format!("**{judged}**") };
            vec![cell.name.clone(), judged.goal.clone(), verdict]
        })
    });
    table(&head, rows)
}

fn versions(report: &Report) -> String {
    let mut seen: Vec<String> = Vec::new();
    for side in report.cells.iter().flat_map(|cell| &cell.sides).filter(|side| !side.version.is_empty()) {
        let line = format!("{} {}", side.name, side.version);
        if !seen.contains(&line) {
            seen.push(line);
        }
    }
    seen.join(", ")
}

fn errors(report: &Report) -> Vec<String> {
    let line = |cell: &CellReport, side: &Side, error: &String| {
        format!("{}, {}: a round failed: {error}", cell.name, side.name)
    };
    let sides = report.cells.iter().flat_map(|cell| cell.sides.iter().map(move |side| (cell, side)));
    sides.flat_map(|(cell, side)| side.errors.iter().map(move |error| line(cell, side, error))).collect()
}

/// In the order of the contenders; those that can do none of the cells are left out.
fn side_names(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for side in report.cells.iter().flat_map(|cell| &cell.sides) {
        if !names.contains(&side.name) {
            names.push(side.name.clone());
        }
    }
    names
}

fn extra_names(report: &Report) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let rounds = report.cells.iter().flat_map(|cell| &cell.sides).flat_map(|side| &side.rounds);
    for name in rounds.flat_map(|round| round.extras.keys()) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

/// A Markdown table with padded columns. Rows may be longer than the head; what is too much is left out.
#[must_use]
pub fn table(head: &[String], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).chain(head.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:<width$} "));
        format!("|{}|\n", padded.collect::<Vec<_>>().join("|"))
    };
    let rule = widths.iter().map(|width| "-".repeat(width + 2)).collect::<Vec<_>>().join("|");
    let mut text = format!("{}|{rule}|\n", line(head));
    rows.iter().for_each(|row| text.push_str(&line(row)));
    text
}

#[cfg(test)]
mod tests {
    use super::super::goals::Goal;
    use super::super::machine::Taken;
    use super::super::report::{SCHEMA, tests::cell};
    use super::*;

    fn report() -> Report {
        Report {
            schema: SCHEMA.into(),
            bench: "tftp".into(),
            title: "Files over TFTP".into(),
            taken: Taken::default(),
            rounds: 3,
            quick: false,
            cores: "server on core 0, load on core 1".into(),
            cells: vec![cell().judged(&[Goal::rate(2.0), Goal::rate(3.0)])],
        }
    }

    #[test]
    fn columns_are_padded() {
        let rows = [vec!["a".to_owned(), "–1".to_owned()], vec!["long".to_owned(), "2".to_owned()]];
        let text = table(&["x".to_owned(), "y".to_owned()], rows.into_iter());
        assert_eq!(text, "| x    | y  |\n|------|----|\n| a    | –1 |\n| long | 2  |\n");
    }

    #[test]
    fn everything_is_in_the_tables() {
        let text = markdown(&report());
        for part in [
            "210 [200–220] (0.500)",
            "2.10 (quick)",
            "0.500 (cheap)",
            "50 %",
            "no such option",
            "| MB/s ≥ 2 × best peer | 2.10: met ",
            "**2.10: missed by 30.0 %**",
            "3 rounds; server on core 0",
            "quick 1.0",
        ] {
            assert!(text.contains(part), "{part:?} is not in\n{text}");
        }
    }

    #[test]
    fn failures_show() {
        let mut report = report();
        report.cells[0].sides[1].errors.push("it fell over".into());
        let text = markdown(&report);
        assert!(text.contains("1468-1-64, cheap: a round failed: it fell over"), "{text}");
        let broken = text.lines().rfind(|line| line.contains("| broken ")).expect("it has a line");
        assert!(broken.trim_end_matches([' ', '|']).ends_with('7'), "{broken}");
    }
}
