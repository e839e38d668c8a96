//! Spans to an OTLP collector over gRPC.
//!
//! Spans wait in a bounded queue and leave in batches from a thread of the exporter; when the collector is away
//! or slow they are dropped there, and counted, and nothing else waits for it.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{ExporterBuildError, SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData, SpanExporter,
    SpanProcessor,
};
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

use crate::settings::{OtlpEndpoint, Settings};

/// How long one batch may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// What became of spans since the process started.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    waiting: AtomicU64,
    exported: AtomicU64,
    dropped: AtomicU64,
}

impl Counts {
    /// Taken by the collector.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Lost: the queue was full, or the collector did not take them.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Makes what collects and sends the spans of `service`. The caller runs within tokio.
pub(crate) fn provider(
    (service, version): (&'static str, &'static str),
    endpoint: &OtlpEndpoint,
    settings: &Settings,
    counts: &Arc<Counts>,
) -> Result<SdkTracerProvider, ExporterBuildError> {
    // Who follows a caller samples as the caller does.
    let share = Sampler::TraceIdRatioBased(settings.sample.ratio());
    Ok(SdkTracerProvider::builder()
        .with_span_processor(processor(endpoint, settings, counts)?)
        .with_sampler(Sampler::ParentBased(Box::new(share)))
        .with_resource(resource(service, version))
        .build())
}

pub(crate) fn resource(service: &'static str, version: &'static str) -> Resource {
    Resource::builder()
        .with_service_name(service)
        .with_attribute(opentelemetry::KeyValue::new("service.version", version))
        .build()
}

/// A queue, a thread that empties it, and what becomes of spans in between.
pub(crate) fn processor(
    endpoint: &OtlpEndpoint,
    settings: &Settings,
    counts: &Arc<Counts>,
) -> Result<Queue, ExporterBuildError> {
    let exporter = OtlpExporter::builder()
        .with_tonic()
        .with_endpoint(endpoint.as_str())
        .with_timeout(EXPORT_TIMEOUT)
        .build()?;
    let exporter = Counted { exporter, counts: Arc::clone(counts) };
    let (most, batch) = (settings.queue_spans.count(), settings.batch_spans.count());
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(most)
        .with_max_export_batch_size(batch.min(most))
        .build();
    let batches = BatchSpanProcessor::builder(exporter).with_batch_config(config).build();
    Ok(Queue { batches, most: most as u64, counts: Arc::clone(counts) })
}

/// The queue before the exporter. It is bounded here as well, since the one within drops without a word.
#[derive(Debug)]
pub(crate) struct Queue {
    batches: BatchSpanProcessor,
    most: u64,
    counts: Arc<Counts>,
}

impl SpanProcessor for Queue {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if !span.span_context.is_sampled() {
            return;
        }
        if self.counts.waiting.fetch_add(1, Ordering::Relaxed) >= self.most {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// An exporter that is watched.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    counts: Arc<Counts>,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    fn export(&self, batch: Vec<SpanData>) -> impl Future<Output = OTelSdkResult> + Send {
        let spans = batch.len() as u64;
        let exporting = self.exporter.export(batch);
        async move {
            let outcome = exporting.await;
            self.counts.waiting.fetch_sub(spans, Ordering::Relaxed);
            let counted = if outcome.is_ok() { &self.counts.exported } else { &self.counts.dropped };
            counted.fetch_add(spans, Ordering::Relaxed);
            outcome
        }
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
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
pub(crate) fn exported() -> Targets {
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
