//! Everything that a bench has found out: what its tables, charts and files are made of.
//!
//! The JSON file is this structure. Its `schema` changes when a reader of the former would misread it.

use std::path::Path;
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::contender::Role;
use super::figures::{Measured, Spread};
use super::goals::{Against, Goal, Judged, Measure};
use super::machine::Taken;
use super::unit::Unit;

/// The form of the JSON file.
pub const SCHEMA: &str = "bootlane-bench/1";

/// A bench that was run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: String,
    /// The bench's name on the command line.
    pub bench: String,
    /// Its title.
    pub title: String,
    /// When, where, of what, and how busy the machine was.
    pub taken: Taken,
    /// How often each cell was measured.
    pub rounds: u32,
    /// Was it made short? Then its figures are for trying it out.
    pub quick: bool,
    /// Which cores.
    pub cores: String,
    /// What was measured.
    pub cells: Vec<CellReport>,
}

/// A piece of work, and how everybody did it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CellReport {
    /// As `--only` takes it.
    pub name: String,
    /// What amounts are counted in.
    pub unit: Unit,
    /// Ours, the peers, the limit.
    pub sides: Vec<Side>,
    /// What is asked of ours.
    pub goals: Vec<Judged>,
}

/// One contender in one cell.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Side {
    /// Who.
    pub name: String,
    /// What it is in the comparison.
    pub role: Role,
    /// Of the program.
    pub version: String,
    /// Why there is no figure; None: there are some.
    pub absent: Option<String>,
    /// What went wrong in rounds that are not in `rounds`.
    pub errors: Vec<String>,
    /// One for each round, in order.
    pub rounds: Vec<Measured>,
}

impl Report {
    /// Are all goals met?
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.cells.iter().flat_map(|cell| &cell.goals).all(Judged::is_met)
    }

    /// Writes the JSON file.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn write_json(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        fs::write(path, text)
    }

    /// Reads one that was written before.
    ///
    /// # Errors
    /// When it cannot be read, or is of another schema.
    pub fn read_json(path: &Path) -> io::Result<Self> {
        let report: Self = serde_json::from_slice(&fs::read(path)?)?;
        match report.schema == SCHEMA {
            true => Ok(report),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, format!("schema {}", report.schema))),
        }
    }
}

impl CellReport {
    /// Judges ours by `goals`.
    #[must_use]
    pub fn judged(mut self, goals: &[Goal]) -> Self {
        let measured = |goal: &Goal| Judged::of(goal, self.unit, self.measured(*goal));
        self.goals = goals.iter().map(measured).collect();
        self
    }

    /// A contender's figures, over the rounds.
    #[must_use]
    pub fn spread(&self, side: &Side, measure: Measure) -> Option<Spread> {
        Spread::of(side.rounds.iter().filter_map(|round| round.figure(measure, self.unit)))
    }

    /// Ours.
    #[must_use]
    pub fn ours(&self) -> Option<&Side> {
        self.sides.iter().find(|side| side.role == Role::Ours)
    }

    /// What the kernel can do.
    #[must_use]
    pub fn limit(&self) -> Option<&Side> {
        self.sides.iter().find(|side| side.role == Role::Limit)
    }

    /// The peer with the best median in this measure. One whose work failed is no peer to be beside: what fails costs
    /// nothing and ends soon.
    #[must_use]
    pub fn best_peer(&self, measure: Measure) -> Option<&Side> {
        let peers = self.sides.iter().filter(|side| side.role == Role::Peer && side.never_failed());
        let medians = peers.filter_map(|side| Some((side, self.spread(side, measure)?.median)));
        let sign = if measure.more_is_better(self.unit) { 1.0 } else { -1.0 };
        medians.max_by(|(_, one), (_, other)| (sign * one).total_cmp(&(sign * other))).map(|(side, _)| side)
    }

    /// Our median over another's.
    #[must_use]
    pub fn ratio(&self, other: &Side, measure: Measure) -> Option<f64> {
        let ours = self.spread(self.ours()?, measure)?.median;
        Some(ours / self.spread(other, measure)?.median)
    }

    /// Ours over another's, of the rounds that both have done.
    #[must_use]
    pub fn ratio_in_rounds(&self, other: &Side, measure: Measure) -> Option<Spread> {
        let figure = |round: &Measured| round.figure(measure, self.unit);
        let rounds = self.ours()?.rounds.iter().zip(&other.rounds);
        Spread::of(rounds.filter_map(|(ours, theirs)| Some(figure(ours)? / figure(theirs)?)))
    }

    fn side_named(&self, name: &str) -> Result<&Side, String> {
        self.sides.iter().find(|side| side.name == name).ok_or_else(|| format!("{name} was not there"))
    }

    fn measured(&self, goal: Goal) -> Result<f64, String> {
        let Goal { measure, against, .. } = goal;
        let ours = self.ours().ok_or("we were not there")?;
        if let Some(error) = ours.errors.first() {
            return Err(format!("a round failed: {error}"));
        }
        let median = self.spread(ours, measure).ok_or("we have no such figure")?.median;
        let other = match against {
            // What must not be, must be in no round.
            Against::Nobody if measure == Measure::Failed => {
                return Ok(self.spread(ours, measure).map_or(median, |spread| spread.most));
            }
            Against::Nobody => return Ok(median),
            Against::BestPeer => self.best_peer(measure).ok_or("no peer has done it")?,
            Against::Limit => self.limit().ok_or("the limit was not measured")?,
            Against::Peer(name) => self.side_named(name)?,
            Against::InRounds(name) => {
                let ratios = self.ratio_in_rounds(self.side_named(name)?, measure);
                return ratios.map(|ratios| ratios.median).ok_or_else(|| format!("{name} has no figure"));
            }
        };
        self.ratio(other, measure).ok_or_else(|| format!("{} has no figure", other.name))
    }
}

impl Side {
    fn never_failed(&self) -> bool {
        self.rounds.iter().all(|round| round.failed == 0)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::super::figures::digits;
    use super::super::goals::Bound;
    use super::*;

    /// A round with this rate in MB/s and cost in CPU-s/GB.
    fn round(rate: f64, cost: f64, failed: u64) -> Measured {
        Measured {
            amount: (rate * 1e6) as u64,
            seconds: 1.0,
            cpu_seconds: cost * rate / 1e3,
            peak_bytes: 10 << 20,
            p50_ms: Some(1.0),
            p99_ms: Some(2.0),
            longest_ms: Some(3.0),
            failed,
            extras: BTreeMap::new(),
        }
    }

    fn side(name: &str, role: Role, rounds: Vec<Measured>) -> Side {
        let absent = rounds.is_empty().then(|| "no such option".to_owned());
        Side { name: name.into(), role, version: "1.0".into(), absent, errors: vec![], rounds }
    }

    /// A cell as a bench leaves it.
    pub(crate) fn cell() -> CellReport {
        let sides = vec![
            side(
                "bootlane",
                Role::Ours,
                vec![round(200.0, 0.5, 0), round(220.0, 0.6, 0), round(210.0, 0.4, 0)],
            ),
            side("cheap", Role::Peer, vec![round(50.0, 1.0, 0)]),
            side("quick", Role::Peer, vec![round(100.0, 2.0, 0)]),
            side("broken", Role::Peer, vec![round(900.0, 0.1, 7)]),
            side("none", Role::Peer, vec![]),
            side("kernel", Role::Limit, vec![round(420.0, 0.3, 0)]),
        ];
        CellReport { name: "1468-1-64".into(), unit: Unit::Bytes, sides, goals: vec![] }
    }

    #[test]
    fn the_best_peer_is_the_best_in_that_measure() {
        let cell = cell();
        let best = |measure| cell.best_peer(measure).map(|side| side.name.as_str());
        assert_eq!(best(Measure::Rate), Some("quick"));
        assert_eq!(best(Measure::Cost), Some("cheap"));
        assert_eq!(best(Measure::Extra("duplicates")), None);
    }

    #[test]
    fn goals_are_judged_by_medians() {
        let goals = [
            Goal::rate(2.1),
            Goal::rate(2.2),
            Goal::cost(0.5),
            Goal::rate(0.5).beside("none"),
            Goal { measure: Measure::Rate, against: Against::Limit, bound: Bound::AtLeast(0.5) },
            Goal::none_failed(),
            Goal::memory(),
        ];
        let cell = cell().judged(&goals);
        let met: Vec<bool> = cell.goals.iter().map(Judged::is_met).collect();
        assert_eq!(met, [true, false, true, false, true, true, true], "{:#?}", cell.goals);
        let why = &cell.goals[3].verdict;
        assert_eq!(*why, super::super::goals::Verdict::Unknown { why: "none has no figure".into() });
    }

    #[test]
    fn what_slows_both_down_in_a_round_does_not_count_beside_each_other() {
        let rounds = |rates: [f64; 3]| rates.map(|rate| round(rate, 1.0, 0)).to_vec();
        let ours = side("bootlane", Role::Ours, rounds([98.0, 49.0, 200.0]));
        let other = side("peer", Role::Peer, rounds([100.0, 50.0, 190.0]));
        let cell = CellReport { sides: vec![ours, other], ..cell() };
        let ratios = cell.ratio_in_rounds(&cell.sides[1], Measure::Rate).expect("three rounds");
        assert_eq!((digits(ratios.median), digits(ratios.most)), ("0.980".into(), "1.05".into()));
        let judged = |goal: Goal| cell.clone().judged(&[goal]).goals.remove(0).is_met();
        assert!(judged(Goal::rate(0.97).in_rounds("peer")) && !judged(Goal::rate(0.99).in_rounds("peer")));
        assert!(!judged(Goal::rate(0.1).in_rounds("nobody")));
    }

    #[test]
    fn a_round_that_failed_is_not_left_out() {
        let mut cell = cell();
        cell.sides[0].errors.push("it was not there".into());
        let judged = cell.judged(&[Goal::rate(0.1)]);
        assert!(!judged.goals[0].is_met());
        let mut cell = self::cell();
        cell.sides[0].rounds[1].failed = 1;
        assert!(!cell.judged(&[Goal::none_failed()]).goals[0].is_met(), "one of three");
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("report.json");
        let report = Report {
            schema: SCHEMA.into(),
            bench: "tftp".into(),
            title: "Files over TFTP".into(),
            taken: Taken::default(),
            rounds: 3,
            quick: true,
            cores: String::new(),
            cells: vec![cell().judged(&[Goal::rate(2.2)])],
        };
        report.write_json(&path).expect("written");
        let read = Report::read_json(&path).expect("read");
        assert_eq!(serde_json::to_value(&read).expect("json"), serde_json::to_value(&report).expect("json"));
        assert!(!read.is_met());
        fs::write(&path, fs::read_to_string(&path).expect("read").replace(SCHEMA, "bench/0"))
            .expect("written");
        assert!(Report::read_json(&path).is_err());
    }
}
