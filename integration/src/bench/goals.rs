//! What is asked of our figures, as data, and whether they reach it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::figures::digits;
use super::unit::Unit;

/// A figure of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Amount over time; [`Unit::rate_name`].
    Rate,
    /// CPU time over amount; [`Unit::cost_name`].
    Cost,
    /// Median latency, in milliseconds.
    P50,
    /// In milliseconds.
    P99,
    /// The longest latency, in milliseconds.
    Longest,
    /// Peak of resident memory, in MiB.
    Peak,
    /// What did not come, or came wrong.
    Failed,
    /// One that only this bench has.
    Extra(&'static str),
}

impl Measure {
    /// Is more of it better?
    #[must_use]
    pub fn more_is_better(self, unit: Unit) -> bool {
        match self {
            Self::Rate => unit.more_is_better(),
            Self::Cost | Self::P50 | Self::P99 | Self::Longest | Self::Peak | Self::Failed => false,
            Self::Extra(_) => false,
        }
    }

    /// For tables.
    #[must_use]
    pub fn name(self, unit: Unit) -> &'static str {
        match self {
            Self::Rate => unit.rate_name(),
            Self::Cost => unit.cost_name(),
            Self::P50 => "p50 ms",
            Self::P99 => "p99 ms",
            Self::Longest => "longest ms",
            Self::Peak => "peak RSS MiB",
            Self::Failed => "failed",
            Self::Extra(name) => name,
        }
    }
}

/// Whom our median is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// Nobody: the figure itself is bounded.
    Nobody,
    /// The peer that is best in this very measure.
    BestPeer,
    /// The peer of this name.
    Peer(&'static str),
    /// The peer of this name, round by round: the median of the rounds' ratios.
    InRounds(&'static str),
    /// What the kernel can do, measured in the same run.
    Limit,
}

/// What the figure, or the ratio, is to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// Not less.
    AtLeast(f64),
    /// Not more.
    AtMost(f64),
    /// Less.
    Below(f64),
}

/// One thing that is asked of a cell.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Goal {
    /// Of which figure.
    pub measure: Measure,
    /// Beside whose.
    pub against: Against,
    /// How far.
    pub bound: Bound,
}

impl Goal {
    /// Our rate is at least so many times the best peer's.
    #[must_use]
    pub fn rate(times: f64) -> Self {
        Self { measure: Measure::Rate, against: Against::BestPeer, bound: Bound::AtLeast(times) }
    }

    /// Our CPU time for the same amount is at most so many times the best peer's.
    #[must_use]
    pub fn cost(times: f64) -> Self {
        Self { measure: Measure::Cost, against: Against::BestPeer, bound: Bound::AtMost(times) }
    }

    /// Our p99 is below the best peer's.
    #[must_use]
    pub fn lower_p99() -> Self {
        Self { measure: Measure::P99, against: Against::BestPeer, bound: Bound::Below(1.0) }
    }

    /// The figure itself is at most this.
    #[must_use]
    pub fn at_most(measure: Measure, most: f64) -> Self {
        Self { measure, against: Against::Nobody, bound: Bound::AtMost(most) }
    }

    /// Nothing fails.
    #[must_use]
    pub fn none_failed() -> Self {
        Self::at_most(Measure::Failed, 0.0)
    }

    /// The agent's memory, of which the issue asks under every load.
    #[must_use]
    pub fn memory() -> Self {
        Self { measure: Measure::Peak, against: Against::Nobody, bound: Bound::Below(128.0) }
    }

    /// The same, beside one peer.
    #[must_use]
    pub fn beside(self, peer: &'static str) -> Self {
        Self { against: Against::Peer(peer), ..self }
    }

    /// The same, beside one peer in the same round: for small differences, since both then had the same machine.
    #[must_use]
    pub fn in_rounds(self, peer: &'static str) -> Self {
        Self { against: Against::InRounds(peer), ..self }
    }

    /// What is asked, in words.
    #[must_use]
    pub fn text(&self, unit: Unit) -> String {
        let (name, bound) = (self.measure.name(unit), self.bound);
        match self.against {
            Against::Nobody => format!("{name} {bound}"),
            Against::BestPeer => format!("{name} {bound} × best peer"),
            Against::Peer(peer) => format!("{name} {bound} × {peer}"),
            Against::InRounds(peer) => format!("{name} {bound} × {peer} in the same round"),
            Against::Limit => format!("{name} {bound} × limit"),
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(out, "≥ {least}"),
            Self::AtMost(most) => write!(out, "≤ {most}"),
            Self::Below(most) => write!(out, "< {most}"),
        }
    }
}

/// Whether a goal is reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// It is.
    Met,
    /// It is not.
    Missed {
        /// By this part of the bound; of a bound of 0, by so much.
        by: f64,
    },
    /// A figure is missing.
    Unknown {
        /// Which.
        why: String,
    },
}

impl Bound {
    /// Judges a figure. What is not a number reaches no bound.
    #[must_use]
    pub fn judge(self, figure: f64) -> Verdict {
        let (good, bound, too_much) = match self {
            Self::AtLeast(bound) => (figure >= bound, bound, bound - figure),
            Self::AtMost(bound) => (figure <= bound, bound, figure - bound),
            Self::Below(bound) => (figure < bound, bound, figure - bound),
        };
        match good {
            true => Verdict::Met,
            false if bound == 0.0 => Verdict::Missed { by: too_much },
            false => Verdict::Missed { by: too_much / bound },
        }
    }

    fn is_zero(self) -> bool {
        let (Self::AtLeast(bound) | Self::AtMost(bound) | Self::Below(bound)) = self;
        bound == 0.0
    }
}

/// A goal with what was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// [`Goal::text`].
    pub goal: String,
    /// The figure, or the ratio.
    pub measured: Option<f64>,
    /// Is the bound none that parts can be told of?
    pub bound_is_zero: bool,
    /// Whether it is reached.
    #[serde(flatten)]
    pub verdict: Verdict,
}

impl Judged {
    /// Judges what was measured, or why nothing was.
    #[must_use]
    pub fn of(goal: &Goal, unit: Unit, measured: Result<f64, String>) -> Self {
        let (figure, verdict) = match measured {
            Ok(figure) => (Some(figure), goal.bound.judge(figure)),
            Err(why) => (None, Verdict::Unknown { why }),
        };
        Self { goal: goal.text(unit), measured: figure, bound_is_zero: goal.bound.is_zero(), verdict }
    }

    /// Is it reached?
    #[must_use]
    pub fn is_met(&self) -> bool {
        self.verdict == Verdict::Met
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figure = self.measured.map(digits).unwrap_or_default();
        match &self.verdict {
            Verdict::Met => write!(out, "{figure}: met"),
            Verdict::Missed { by } if self.bound_is_zero => {
                write!(out, "{figure}: missed by {}", digits(*by))
            }
            Verdict::Missed { by } => write!(out, "{figure}: missed by {:.1} %", by * 100.0),
            Verdict::Unknown { why } => write!(out, "not known: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_hold_at_their_edge_or_not() {
        assert_eq!(Bound::AtLeast(1.2).judge(1.2), Verdict::Met);
        assert_eq!(Bound::AtMost(1.2).judge(1.2), Verdict::Met);
        assert_eq!(Bound::Below(1.0).judge(1.0), Verdict::Missed { by: 0.0 });
        assert_eq!(Bound::AtLeast(2.0).judge(1.5), Verdict::Missed { by: 0.25 });
        assert_eq!(Bound::AtMost(2.0).judge(3.0), Verdict::Missed { by: 0.5 });
        assert_eq!(Bound::AtMost(0.0).judge(3.0), Verdict::Missed { by: 3.0 });
        assert!(matches!(Bound::AtLeast(1.0).judge(f64::NAN), Verdict::Missed { .. }));
    }

    #[test]
    fn goals_and_verdicts_in_words() {
        let judged = |goal: Goal, measured| Judged::of(&goal, Unit::Bytes, measured);
        let said = |goal, measured| {
            let judged = judged(goal, measured);
            format!("{}: {judged}", judged.goal)
        };
        assert_eq!(said(Goal::rate(1.08), Ok(1.1)), "MB/s ≥ 1.08 × best peer: 1.10: met");
        assert_eq!(
            said(Goal::cost(0.3).beside("nginx"), Ok(0.33)),
            "CPU-s/GB ≤ 0.3 × nginx: 0.330: missed by 10.0 %"
        );
        assert_eq!(said(Goal::none_failed(), Ok(2.0)), "failed ≤ 0: 2.00: missed by 2.00");
        assert_eq!(
            said(Goal::lower_p99(), Err("no peer".into())),
            "p99 ms < 1 × best peer: not known: no peer"
        );
        assert!(!judged(Goal::memory(), Ok(128.0)).is_met());
    }

    #[test]
    fn what_is_better() {
        assert!(Measure::Rate.more_is_better(Unit::Bytes) && !Measure::Rate.more_is_better(Unit::Boots));
        assert!(!Measure::Cost.more_is_better(Unit::Bytes));
    }
}
