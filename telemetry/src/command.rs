//! Programs that an operator runs: their calls have a trace of their own, and nothing is exported or logged here.

use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Instrument as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::{export, grpc};

/// Does the work of a program, so that all its calls by [`grpc::traced`] channels are one trace, which others export: a new
/// one, or that of the variable `TRACEPARENT` (W3C Trace Context §3.2) in its environment. To be called once.
pub async fn one_trace<T>(work: impl Future<Output = T>) -> T {
    let provider = SdkTracerProvider::builder().build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("bootlane"));
    // Where somebody traces already the work is a part of that.
    let _ = tracing_subscriber::registry().with(layer.with_filter(export::exported())).try_init();
    let span = tracing::info_span!("command");
    grpc::follow_environment(&span);
    work.instrument(span).await
}
