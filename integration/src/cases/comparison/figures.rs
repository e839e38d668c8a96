//! What was measured, and what it comes to.

use std::fmt;
use std::time::Duration;

use super::{Goal, Scenario};

/// From power-on to each mark of one boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times(pub [Duration; 2]);

impl fmt::Display for Times {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.1} s, {:.1} s", self.0[0].as_secs_f64(), self.0[1].as_secs_f64())
    }
}

/// All boots of one scenario.
#[derive(Debug)]
pub struct Figures {
    /// Which.
    pub scenario: Scenario,
    /// Bootlane's boots.
    pub ours: Vec<Times>,
    /// Those of dnsmasq and nginx.
    pub theirs: Vec<Times>,
}

impl Figures {
    pub(super) fn of(scenario: Scenario) -> Self {
        Self { scenario, ours: Vec::new(), theirs: Vec::new() }
    }

    /// The head of the table of [`Figures::rows`].
    pub const HEAD: &str = "| case | until | Bootlane | dnsmasq + nginx | ratio |\n|---|---|---|---|---|";

    /// A line of a table for each mark: median, and least to most, in seconds; the ratio of the medians.
    #[must_use]
    pub fn rows(&self) -> Vec<String> {
        let row = |(mark, (_, until)): (usize, &(&str, &str))| {
            let (ours, theirs) = (self.spread(&self.ours, mark), self.spread(&self.theirs, mark));
            let ratio = ours.median / theirs.median;
            format!("| {} | {until} | {ours} | {theirs} | {ratio:.2} |", self.scenario.name)
        };
        self.scenario.marks.iter().enumerate().map(row).collect()
    }

    /// Is what the issue asks for reached?
    #[must_use]
    pub fn good(&self) -> bool {
        match self.scenario.goal {
            Goal::Part(part) => {
                self.spread(&self.ours, 1).median <= part * self.spread(&self.theirs, 1).median
            }
            Goal::Within(most) => self.spread(&self.ours, 0).median <= most.as_secs_f64(),
        }
    }

    fn spread(&self, boots: &[Times], mark: usize) -> Spread {
        Spread::of(boots.iter().map(|times| times.0[mark].as_secs_f64()).collect())
    }
}

/// In seconds.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    /// Of nothing it is not a number, which is below no goal.
    fn of(mut seconds: Vec<f64>) -> Self {
        seconds.sort_by(f64::total_cmp);
        let at = |place: usize| seconds.get(place).copied().unwrap_or(f64::NAN);
        let (last, middle) = (seconds.len().saturating_sub(1), seconds.len() / 2);
        let median = if seconds.len() % 2 == 1 {
            at(middle)
        } else {
            f64::midpoint(at(middle.wrapping_sub(1)), at(middle))
        };
        Self { median, least: at(0), most: at(last) }
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.1} ({:.1} to {:.1})", self.median, self.least, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::comparison::scenarios;

    fn figures(place: usize, ours: &[u64], theirs: &[u64]) -> Figures {
        let boots = |seconds: &[u64]| {
            seconds.iter().map(|s| Times([*s, s + 1].map(Duration::from_secs))).collect::<Vec<_>>()
        };
        let scenario = scenarios().into_iter().nth(place).expect("there are four");
        Figures { scenario, ours: boots(ours), theirs: boots(theirs) }
    }

    #[test]
    fn the_median_counts_and_the_spread_is_shown() {
        let rows = figures(0, &[4, 90, 5], &[20, 21]).rows();
        assert_eq!(
            rows[0],
            "| bios-network | it has its script | 5.0 (4.0 to 90.0) | 20.5 (20.0 to 21.0) | 0.24 |"
        );
        assert_eq!(rows.len(), 2);
    }

    #[test]
    fn goals_are_parts_of_the_other_side_or_seconds() {
        assert!(figures(0, &[9], &[19]).good() && !figures(0, &[10], &[19]).good());
        assert!(figures(2, &[10], &[1]).good() && !figures(2, &[11], &[100]).good());
        assert!(!figures(0, &[], &[]).good(), "nothing was measured");
    }
}
