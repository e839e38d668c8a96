//! What a metric is: the form of every definition.

/// A metric, as it is defined once.
#[derive(Debug, PartialEq)]
pub struct Definition {
    /// Without its unit and without `_total`: see [`Definition::full_name`].
    pub name: &'static str,
    /// How its numbers behave.
    pub kind: Kind,
    /// In what they are counted; None: things.
    pub unit: Option<Unit>,
    /// What it means, for people; ends with a full stop.
    pub help: &'static str,
    /// Its labels, but for those of [`Process::owner_labels`].
    pub labels: &'static [&'static str],
    /// Which process has it.
    pub process: Process,
}

/// How the numbers of a metric behave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram(Buckets),
}

/// Upper bounds that double: 2^`from` to 2^`to`.
///
/// These are the bounds of Prometheus' native histograms of schema 0, so that a server which turns classic histograms
/// into native ones, and a later version of ours that sends native ones, put what they count into the same buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets {
    /// The exponent of the lowest bound.
    pub from: i8,
    /// The exponent of the highest finite bound.
    pub to: i8,
}

impl Buckets {
    /// The bounds, ascending, without infinity.
    pub fn bounds(self) -> impl Iterator<Item = f64> {
        (self.from..=self.to).map(|exponent| 2.0_f64.powi(exponent.into()))
    }
}

/// A base unit, as Prometheus wants it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Of time, and of the Unix epoch for a `timestamp`.
    Seconds,
    /// Of data.
    Bytes,
}

impl Unit {
    /// As it stands in names.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Seconds => "seconds",
            Self::Bytes => "bytes",
        }
    }
}

/// Which process has a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Process {
    /// Each agent; the controller passes on what its agents tell.
    Agent,
    /// The controller, at `/metrics`.
    Controller,
    /// The controller, of each agent, beside what agents tell: at `/metrics/agents`.
    ControllerOfAgents,
}

impl Process {
    /// The labels that stand before a metric's own.
    #[must_use]
    pub const fn owner_labels(self) -> &'static [&'static str] {
        match self {
            Self::Agent | Self::ControllerOfAgents => &["site", "agent"],
            Self::Controller => &[],
        }
    }
}

impl Definition {
    /// A number that only grows.
    pub(super) const fn counter(process: Process, name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Counter, unit: None, help, labels: &[], process }
    }

    /// A number that goes up and down.
    pub(super) const fn gauge(process: Process, name: &'static str, help: &'static str) -> Self {
        Self { name, kind: Kind::Gauge, unit: None, help, labels: &[], process }
    }

    /// Seconds, counted by size.
    pub(super) const fn seconds(
        process: Process,
        name: &'static str,
        buckets: Buckets,
        help: &'static str,
    ) -> Self {
        Self { name, kind: Kind::Histogram(buckets), unit: Some(Unit::Seconds), help, labels: &[], process }
    }

    pub(super) const fn unit(mut self, unit: Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    pub(super) const fn labels(mut self, labels: &'static [&'static str]) -> Self {
        self.labels = labels;
        self
    }

    /// The name to ask Prometheus for: with unit, and with `_total` for what only grows.
    #[must_use]
    pub fn full_name(&self) -> String {
        let total = if self.kind == Kind::Counter { "_total" } else { "" };
        format!("{}{total}", self.family_name())
    }

    /// The name of the family in OpenMetrics: with unit, without `_total`.
    #[must_use]
    pub fn family_name(&self) -> String {
        let unit = self.unit.map(|unit| format!("_{}", unit.word())).unwrap_or_default();
        format!("{}{unit}", self.name)
    }

    /// All its labels, in order.
    pub fn all_labels(&self) -> impl Iterator<Item = &'static str> {
        self.process.owner_labels().iter().chain(self.labels).copied()
    }
}
