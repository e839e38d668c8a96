//! What is counted as it happens, where nobody keeps a number anyway.
//!
//! A family finds its number by a lock and a hash, so none of them stands on a hot path. Each holds so many sets of labels at
//! most: what would be one more is counted with [`OTHER`] in the place of its first label's value.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::{Family, MetricConstructor};

use super::definition::{Buckets, Definition, Kind};

/// A label and its value.
pub type Label = (&'static str, String);

/// The value of a label that stands for all that there is no room for.
pub(super) const OTHER: &str = "other";
/// Sets of labels of one metric.
pub(super) const COUNTERS: usize = 20_000;
/// The same of histograms, of which each is some twenty numbers.
const HISTOGRAMS: usize = 4_000;

pub(super) type CounterFamily = Family<Vec<Label>, Counter>;
pub(super) type HistogramFamily = Family<Vec<Label>, HistogramWithExemplars<Vec<Label>>, MakeHistogram>;

/// Makes the histograms of a family.
#[derive(Clone)]
pub(super) struct MakeHistogram(Buckets);

impl MetricConstructor<HistogramWithExemplars<Vec<Label>>> for MakeHistogram {
    fn new_metric(&self) -> HistogramWithExemplars<Vec<Label>> {
        HistogramWithExemplars::new(self.0.bounds())
    }
}

/// Finds the labels of a number, within bounds.
#[derive(Debug, Clone)]
struct Labels {
    definition: &'static Definition,
    known: Arc<AtomicUsize>,
    most: usize,
}

impl Labels {
    fn new(definition: &'static Definition, most: usize) -> Self {
        Self { definition, known: Arc::default(), most }
    }

    fn of(&self, values: &[&str]) -> Vec<Label> {
        debug_assert_eq!(values.len(), self.definition.labels.len(), "{}", self.definition.name);
        self.definition.labels.iter().copied().zip(values.iter().map(|value| (*value).to_owned())).collect()
    }

    /// The labels to count a new set with.
    fn admit(&self, mut labels: Vec<Label>) -> Vec<Label> {
        if self.known.fetch_add(1, Ordering::Relaxed) >= self.most
            && let Some((_, value)) = labels.first_mut()
        {
            OTHER.clone_into(value);
        }
        labels
    }
}

/// A counter, with its labels. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Counters {
    labels: Labels,
    family: CounterFamily,
}

impl Counters {
    /// From 0.
    #[must_use]
    pub fn new(definition: &'static Definition) -> Self {
        debug_assert_eq!(definition.kind, Kind::Counter, "{}", definition.name);
        let family = CounterFamily::default();
        if definition.labels.is_empty() {
            // There is one number, so it is there from the beginning: what first appears as 1 has not grown, to Prometheus.
            drop(family.get_or_create(&Vec::new()));
        }
        Self { labels: Labels::new(definition, COUNTERS), family }
    }

    /// One more, with these values of the labels.
    pub fn one(&self, values: &[&str]) {
        self.add(values, 1);
    }

    /// So many more.
    pub fn add(&self, values: &[&str], more: u64) {
        let labels = self.labels.of(values);
        if let Some(counter) = self.family.get(&labels) {
            counter.inc_by(more);
            return;
        }
        self.family.get_or_create(&self.labels.admit(labels)).inc_by(more);
    }

    pub(super) fn definition(&self) -> &'static Definition {
        self.labels.definition
    }

    pub(super) fn family(&self) -> CounterFamily {
        self.family.clone()
    }
}

/// Counts by size, with labels. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Histograms {
    labels: Labels,
    family: HistogramFamily,
}

impl Histograms {
    /// Without any.
    ///
    /// # Panics
    /// If the definition is no histogram's.
    #[must_use]
    pub fn new(definition: &'static Definition) -> Self {
        let Kind::Histogram(buckets) = definition.kind else { panic!("{} is no histogram", definition.name) };
        let family = Family::new_with_constructor(MakeHistogram(buckets));
        Self { labels: Labels::new(definition, HISTOGRAMS), family }
    }

    /// One of this size, with these values of the labels. `trace` is the trace that it comes from, and when it was seen.
    pub fn observe(&self, values: &[&str], size: f64, trace: Option<(String, SystemTime)>) {
        let labels = self.labels.of(values);
        let (exemplar, at) = match trace {
            Some((id, at)) => (Some(vec![("trace_id", id)]), Some(at)),
            None => (None, None),
        };
        if let Some(histogram) = self.family.get(&labels) {
            histogram.observe(size, exemplar, at);
            return;
        }
        self.family.get_or_create(&self.labels.admit(labels)).observe(size, exemplar, at);
    }

    pub(super) fn definition(&self) -> &'static Definition {
        self.labels.definition
    }

    pub(super) fn family(&self) -> HistogramFamily {
        self.family.clone()
    }
}

impl std::fmt::Debug for Counters {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Counters").field(&self.labels.definition.name).finish()
    }
}

impl std::fmt::Debug for Histograms {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Histograms").field(&self.labels.definition.name).finish()
    }
}
