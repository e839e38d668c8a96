//! Spans to an OTLP collector over gRPC.
//!
//! Spans wait in a bounded queue and leave in batches from a thread of the exporter; when the collector is away
//! or slow they are dropped there, and nothing else waits for it.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::settings::OtlpEndpoint;

/// Spans that wait for the collector; more are dropped.
const QUEUE_SPANS: usize = 2_048;
/// How long one batch may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes what collects and sends the spans of `service`. The caller runs within tokio.
pub(crate) fn provider(
    service: &'static str,
    version: &'static str,
    endpoint: &OtlpEndpoint,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    let exporter = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.as_str())
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let queue = BatchConfigBuilder::default().with_max_queue_size(QUEUE_SPANS).build();
    let resource = Resource::builder()
        .with_service_name(service)
        .with_attribute(opentelemetry::KeyValue::new("service.version", version))
        .build();
    Ok(SdkTracerProvider::builder()
        .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(queue).build())
        .with_resource(resource)
        .build())
}

/// The layer that hands spans to `provider`.
pub(crate) fn layer<S>(provider: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
{
    tracing_opentelemetry::layer().with_tracer(provider.tracer("bootlane")).with_filter(exported())
}

/// The libraries that the exporter itself runs on are left out: otherwise each batch would make the spans of
/// the next one. A name stands for all that begin with it (`hyper` for `hyper_util`).
fn exported() -> Targets {
    let silent = ["h2", "hyper", "tonic", "tower", "opentelemetry"].map(|name| (name, LevelFilter::OFF));
    Targets::new().with_default(LevelFilter::INFO).with_targets(silent)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn the_exporters_own_libraries_are_not_exported() {
        let exported = exported();
        for target in
            ["h2::client", "hyper_util::client", "tonic::transport", "tower::buffer", "opentelemetry-otlp"]
        {
            assert!(!exported.would_enable(target, &Level::ERROR), "{target}");
        }
        assert!(exported.would_enable("edge_agent::tftp", &Level::INFO));
        assert!(!exported.would_enable("edge_agent::tftp", &Level::DEBUG));
    }
}
