//! What a process has to say of itself at one moment, and how it is written.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit as ClientUnit};

use super::definition::{Definition, Kind, Process, Unit};
use super::live::{CounterFamily, Counters, HistogramFamily, Histograms, Label};
use super::prometheus;

/// Characters of a label's value; what is longer is cut.
const LABEL: usize = 128;
/// A whole number below this is exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// In which words metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Prometheus' own text format, 0.0.4.
    Prometheus,
    /// OpenMetrics 1.0.0: with units and exemplars.
    OpenMetrics,
}

impl Form {
    /// The type of what is written.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Whose metrics they are, where one place serves those of several.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Owner {
    /// The site's name; "" before enrolment.
    pub site: String,
    /// The agent's name.
    pub agent: String,
}

/// One number of a counter or a gauge, with the values of its own labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Of [`Definition::labels`], in that order.
    pub labels: Vec<String>,
    /// In the metric's unit.
    pub value: f64,
}

/// Everything that is served at one time.
#[derive(Debug, Default)]
pub struct Exposition {
    owner: Owner,
    families: BTreeMap<&'static str, Family>,
}

struct Family {
    definition: &'static Definition,
    numbers: Numbers,
}

enum Numbers {
    /// As they were gathered, each with all its labels.
    Samples(Vec<(Vec<Label>, f64)>),
    /// As they are counted.
    Counters(CounterFamily),
    Histograms(HistogramFamily),
}

impl Exposition {
    /// Of a process that is none of several.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Of an agent.
    #[must_use]
    pub fn of_agent(owner: Owner) -> Self {
        Self { owner, families: BTreeMap::new() }
    }

    /// The samples that follow are of this agent.
    pub fn owned_by(&mut self, owner: Owner) {
        self.owner = owner;
    }

    /// A number that a metric without labels has.
    pub fn set(&mut self, definition: &'static Definition, value: f64) {
        self.set_with(definition, &[], value);
    }

    /// The same of a metric with labels: their values in the order of the definition.
    pub fn set_with(&mut self, definition: &'static Definition, labels: &[&str], value: f64) {
        debug_assert_eq!(labels.len(), definition.labels.len(), "{}", definition.name);
        let owner = [self.owner.site.as_str(), self.owner.agent.as_str()];
        let owner = owner.into_iter().take(definition.process.owner_labels().len());
        let values = owner.chain(labels.iter().copied()).map(cut);
        let labels = definition.all_labels().zip(values).collect();
        let empty = || Family { definition, numbers: Numbers::Samples(Vec::new()) };
        if let Numbers::Samples(samples) =
            &mut self.families.entry(definition.name).or_insert_with(empty).numbers
        {
            samples.push((labels, value));
        }
    }

    /// What is counted as it happens.
    pub fn add_counters(&mut self, counters: &Counters) {
        self.add(counters.definition(), Numbers::Counters(counters.family()));
    }

    /// The same by size.
    pub fn add_histograms(&mut self, histograms: &Histograms) {
        self.add(histograms.definition(), Numbers::Histograms(histograms.family()));
    }

    fn add(&mut self, definition: &'static Definition, numbers: Numbers) {
        self.families.insert(definition.name, Family { definition, numbers });
    }

    /// The gathered numbers of agents' metrics, by metric, without the labels of their owner: what an agent tells.
    pub fn samples(&self) -> impl Iterator<Item = (&'static Definition, Vec<Sample>)> + '_ {
        self.families.values().filter_map(|family| match &family.numbers {
            Numbers::Samples(samples) if family.definition.process == Process::Agent => {
                Some((family.definition, samples.iter().map(without_owner).collect()))
            }
            Numbers::Samples(_) | Numbers::Counters(_) | Numbers::Histograms(_) => None,
        })
    }

    /// Writes all of it.
    #[must_use]
    pub fn text(self, form: Form) -> String {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // A String takes whatever is written.
        let _ = encode(&mut text, &registry);
        match form {
            Form::OpenMetrics => text,
            Form::Prometheus => prometheus::text(&text),
        }
    }
}

fn cut(value: &str) -> String {
    value.chars().take(LABEL).collect()
}

fn without_owner((labels, value): &(Vec<Label>, f64)) -> Sample {
    let own = labels.iter().skip(Process::Agent.owner_labels().len());
    Sample { labels: own.map(|(_, value)| value.clone()).collect(), value: *value }
}

impl Collector for Exposition {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.families.values().try_for_each(|family| family.encode(&mut encoder))
    }
}

impl Family {
    fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Definition { name, help, unit, kind, .. } = self.definition;
        let unit = unit.map(|unit| match unit {
            Unit::Seconds => ClientUnit::Seconds,
            Unit::Bytes => ClientUnit::Bytes,
        });
        let counts = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
            Kind::Histogram(_) => MetricType::Histogram,
        };
        let mut metric = encoder.encode_descriptor(name, help, unit.as_ref(), counts)?;
        match &self.numbers {
            Numbers::Samples(samples) => samples.iter().try_for_each(|(labels, value)| {
                let sample = metric.encode_family(labels)?;
                encode_number(*kind, *value, sample)
            }),
            Numbers::Counters(counters) => counters.encode(metric),
            Numbers::Histograms(histograms) => histograms.encode(metric),
        }
    }
}

/// Whole numbers without a point: most are, and people read them.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and small enough")]
fn encode_number(kind: Kind, value: f64, encoder: MetricEncoder<'_>) -> fmt::Result {
    let whole = value.fract() == 0.0 && value.abs() < EXACT;
    match kind {
        Kind::Counter if whole && value >= 0.0 => ConstCounter::new(value as u64).encode(encoder),
        Kind::Counter => ConstCounter::new(value).encode(encoder),
        Kind::Gauge | Kind::Histogram(_) if whole => ConstGauge::new(value as i64).encode(encoder),
        Kind::Gauge | Kind::Histogram(_) => ConstGauge::new(value).encode(encoder),
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Family").field(&self.definition.name).finish()
    }
}
