//! A process that exports: a collector on loopback receives its spans, and only those.
//!
//! One test, because tracing is started once in a process.

mod collector;

use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use telemetry::{Settings, StartError};
use tonic::metadata::{MetadataMap, MetadataValue};

fn serve_a_call() {
    let mut call = MetadataMap::new();
    let caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    call.insert("traceparent", MetadataValue::from_static(caller));
    let span = tracing::info_span!("follow", site = "lyon");
    telemetry::grpc::follow_caller(&span, &call);
    span.in_scope(|| tracing::info!("a snapshot"));
    drop(tracing::error_span!(target: "h2::client", "the exporter's own").entered());
    drop(tracing::debug_span!("detail").entered());
}

fn spans(batch: &ExportTraceServiceRequest) -> Vec<&Span> {
    batch.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_receives_our_spans_and_not_the_exporters() {
    let (endpoint, received) = collector::start().await;
    let settings = Settings { otlp: Some(endpoint.parse().expect("legal")), ..Settings::default() };
    let guard = telemetry::start("bootlane-test", "1.2.3", &settings).expect("starts");

    serve_a_call();
    let again = telemetry::start("bootlane-test", "1.2.3", &Settings::default());
    assert!(matches!(again, Err(StartError::Twice(_))), "{again:?}");
    // Stopping flushes: no waiting for the interval of the batches.
    tokio::time::timeout(Duration::from_secs(60), guard.stop()).await.expect("bounded");

    let batch = received.try_recv().expect("one batch was sent before the end");
    let [span] = spans(&batch)[..] else { panic!("one span: {batch:?}") };
    assert_eq!(span.name, "follow");
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&span.trace_id), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(hex(&span.parent_span_id), "b7ad6b7169203331");
    assert_eq!(span.events.len(), 1);
    let resource = format!("{:?}", batch.resource_spans[0].resource);
    assert!(resource.contains("bootlane-test") && resource.contains("1.2.3"), "{resource}");
    assert!(received.try_recv().is_err(), "no second batch: the exporter does not trace itself");
}
