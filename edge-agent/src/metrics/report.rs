//! The agent's metrics as its controller takes them: one compressed message, with what has no name left out.

use std::io::Write as _;

use flate2::{Compression, write::GzEncoder};
use prost::Message as _;
use proto::v1;
use telemetry::metrics::{Exposition, Sample};

/// Everything of an exposition that is the agent's own.
pub(crate) fn pack(exposition: &Exposition) -> v1::MetricsReport {
    let sample = |sample: Sample| v1::MetricSample { labels: sample.labels, value: sample.value };
    let families = exposition.samples().map(|(definition, samples)| v1::MetricFamily {
        name: definition.full_name(),
        samples: samples.into_iter().map(sample).collect(),
    });
    let families = v1::MetricFamilies { families: families.collect() };
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Memory takes whatever is written.
    let _ = encoder.write_all(&families.encode_to_vec());
    v1::MetricsReport { gzip: encoder.finish().unwrap_or_default().into() }
}
