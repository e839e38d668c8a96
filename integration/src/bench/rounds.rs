//! The order of a run: every contender starts anew for every cell in every round, warms up, is measured and ends.
//!
//! Who comes first changes with the round, so that a machine that grows slower hurts everybody alike.

use std::time::Duration;

use anyhow::{Context as _, ensure};

use super::contender::{Contender, Server};
use super::figures::Measured;
use super::goals::{Goal, Measure};
use super::ground::{Ground, Place};
use super::load::Load;
use super::machine::Taken;
use super::report::{CellReport, Report, SCHEMA, Side};
use super::unit::Unit;

/// What a server still does after the last answer (leases that it writes, events that it keeps) counts for so long.
const AFTERMATH: Duration = Duration::from_millis(100);

/// A bench: its pieces of work, and how they are measured.
pub trait Work: Sync {
    /// What a cell asks of a server.
    type Piece: Sync;

    /// On the command line.
    fn name(&self) -> &'static str;

    /// Over its tables.
    fn title(&self) -> String;

    /// All of it.
    fn cells(&self) -> Vec<Cell<Self::Piece>>;

    /// Where the load of a piece stands.
    fn place(&self, piece: &Self::Piece) -> Place;

    /// Lets a server that was just started reach its stride. By default it is loaded once and the figures are thrown away.
    ///
    /// # Errors
    /// When it cannot be loaded.
    fn warm_up(&self, ground: &Ground, server: &Server, piece: &Self::Piece) -> anyhow::Result<()> {
        self.load(ground, server, piece).map(drop)
    }

    /// Loads the server, and says what came of it. Runs on the load's core, in the namespace of [`Self::place`].
    ///
    /// # Errors
    /// When nothing could be measured. What merely fails is counted in [`Load::failed`].
    fn load(&self, ground: &Ground, server: &Server, piece: &Self::Piece) -> anyhow::Result<Load>;
}

/// A piece of work that everybody does.
#[derive(Debug)]
pub struct Cell<P> {
    /// As `--only` takes it.
    pub name: String,
    /// What amounts are counted in.
    pub unit: Unit,
    /// What is asked of ours.
    pub goals: Vec<Goal>,
    /// What is asked of a server.
    pub piece: P,
}

/// How a bench is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often each cell is measured.
    pub rounds: u32,
    /// Is it made short, to try it out? Loads are then smaller too.
    pub quick: bool,
    /// The cells to measure, each by its name or the beginning of it; none: all.
    pub only: Vec<String>,
    /// The TCP congestion control that every contender's connections begin with; None: the kernel's own choice.
    pub congestion: Option<String>,
}

impl Options {
    /// Is the cell of this name to be measured?
    #[must_use]
    pub fn takes(&self, cell: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| cell.starts_with(only.as_str()))
    }
}

/// Whoever does the work, ours among them.
pub type Contenders<P> = Vec<Box<dyn Contender<P>>>;

/// Measures every chosen cell with every contender, `rounds` times by turns. `say` is told of each figure.
///
/// # Errors
/// When no cell is chosen, or the ground gives way. A contender that fails has its errors in the report.
pub fn run<W: Work>(
    work: &W,
    contenders: &mut Contenders<W::Piece>,
    ground: &Ground,
    options: &Options,
    say: &dyn Fn(&str),
) -> anyhow::Result<Report> {
    let cells = chosen(work.cells(), options)?;
    if let Some(congestion) = &options.congestion {
        ground.begin_connections_with(congestion)?;
    }
    let mut taken = Taken::now(options.congestion.as_deref());
    say(&format!("{}; {}", taken.line(), ground.cores()));
    let mut reports: Vec<_> = cells.iter().map(|cell| empty(cell, contenders)).collect();
    for round in 0..options.rounds {
        for (cell, report) in cells.iter().zip(&mut reports) {
            for turn in 0..contenders.len() {
                let number = (turn + round as usize) % contenders.len();
                let side = &mut report.sides[number];
                if side.absent.is_some() {
                    continue;
                }
                let outcome = measure(work, contenders[number].as_mut(), ground, cell)?;
                say(&format!("round {}, {}, {}: {}", round + 1, cell.name, side.name, words(&outcome, cell)));
                match outcome {
                    Ok(measured) => side.rounds.push(measured),
                    Err(error) => side.errors.push(format!("{error:#}")),
                }
            }
        }
    }
    taken.end();
    let good = reports.iter().flat_map(|cell| &cell.sides).all(|side| side.errors.is_empty());
    ground.went(good);
    if !good {
        say(&format!("logs: {}", ground.run().folder().display()));
    }
    let judged = |(report, cell): (CellReport, &Cell<W::Piece>)| report.judged(&cell.goals);
    Ok(Report {
        schema: SCHEMA.into(),
        bench: work.name().into(),
        title: work.title(),
        taken,
        rounds: options.rounds,
        quick: options.quick,
        cores: ground.cores().to_string(),
        cells: reports.into_iter().zip(&cells).map(judged).collect(),
    })
}

fn chosen<P>(cells: Vec<Cell<P>>, options: &Options) -> anyhow::Result<Vec<Cell<P>>> {
    let names: Vec<String> = cells.iter().map(|cell| cell.name.clone()).collect();
    let chosen: Vec<_> = cells.into_iter().filter(|cell| options.takes(&cell.name)).collect();
    ensure!(!chosen.is_empty(), "no cell has such a name; there are: {}", names.join(", "));
    Ok(chosen)
}

fn empty<P>(cell: &Cell<P>, contenders: &Contenders<P>) -> CellReport {
    let side = |contender: &dyn Contender<P>| Side {
        name: contender.name().to_owned(),
        role: contender.role(),
        version: contender.version(),
        absent: contender.unable(&cell.piece),
        errors: vec![],
        rounds: vec![],
    };
    let sides = contenders.iter().map(|contender| side(contender.as_ref())).collect();
    CellReport { name: cell.name.clone(), unit: cell.unit, sides, goals: vec![] }
}

/// The outer error is the ground's, the inner one the contender's.
fn measure<W: Work>(
    work: &W,
    contender: &mut dyn Contender<W::Piece>,
    ground: &Ground,
    cell: &Cell<W::Piece>,
) -> anyhow::Result<anyhow::Result<Measured>> {
    let piece = &cell.piece;
    let mut server = match contender.start(ground, piece) {
        Ok(server) => server,
        Err(error) => return Ok(Err(error.context("failed to start"))),
    };
    let here = &server;
    let loaded = ground.at(work.place(piece), || {
        work.warm_up(ground, here, piece).context("failed to warm up")?;
        let before = here.usage();
        let load = work.load(ground, here, piece).context("failed to load")?;
        std::thread::sleep(AFTERMATH);
        Ok(Measured::of(&load, before, here.usage()))
    })?;
    // A server that fell over is the reason, whatever the load made of it.
    Ok(server.check().and(loaded))
}

fn words<P>(outcome: &anyhow::Result<Measured>, cell: &Cell<P>) -> String {
    let measured = match outcome {
        Ok(measured) => measured,
        Err(error) => return format!("failed: {error:#}"),
    };
    let figure = |measure: Measure| {
        let figure = measured.figure(measure, cell.unit)?;
        Some(format!("{} {}", super::figures::digits(figure), measure.name(cell.unit)))
    };
    let measures = [Measure::Rate, Measure::Cost, Measure::P99, Measure::Peak];
    let failed = (measured.failed > 0).then(|| format!("{} FAILED", measured.failed));
    measures.into_iter().filter_map(figure).chain(failed).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_chosen_by_the_beginning_of_their_names() {
        let cells = || {
            ["w1-c64", "w1-c200", "w32-c1"].map(|name| Cell {
                name: name.to_owned(),
                unit: Unit::Bytes,
                goals: vec![],
                piece: (),
            })
        };
        let named = |only: &[&str]| {
            let only = only.iter().map(|only| (*only).to_owned()).collect();
            let options = Options { rounds: 1, quick: true, only, congestion: None };
            chosen(cells().into(), &options).map(|cells| cells.into_iter().map(|cell| cell.name).collect())
        };
        let all: Vec<String> = named(&[]).expect("all");
        assert_eq!(all.len(), 3);
        assert_eq!(named(&["w1-"]).expect("two"), ["w1-c64", "w1-c200"]);
        assert_eq!(named(&["w32", "w1-c2"]).expect("two"), ["w1-c200", "w32-c1"]);
        let error = named(&["x"]).expect_err("none").to_string();
        assert!(error.contains("w32-c1"), "{error}");
    }
}
