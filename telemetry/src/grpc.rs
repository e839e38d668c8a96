//! Trace context in gRPC metadata, as W3C Trace Context writes it.
//!
//! The calls of a [`traced`] channel carry the context of the span that each is made in; a server makes its span a
//! child of the caller's with [`follow_caller`]. Only `traceparent` travels: nobody here writes `tracestate`, and what a
//! caller puts there need not be kept. Where nobody traces both do nothing.

use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

const TRACEPARENT: &str = "traceparent";
/// Of the process that started this one, by the same name in capitals, as many programs that start others set it.
const VARIABLE: &str = "TRACEPARENT";
/// `VERSION-TRACE-PARENT-FLAGS` in hexadecimal digits (W3C Trace Context §3.2).
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// A channel whose calls carry the context of the span that each is made in.
pub type Traced = InterceptedService<Channel, fn(Request<()>) -> Result<Request<()>, Status>>;

/// What every client of ours speaks through.
#[must_use]
pub fn traced(channel: Channel) -> Traced {
    InterceptedService::new(channel, send_context)
}

fn send_context(mut request: Request<()>) -> Result<Request<()>, Status> {
    inject(&Span::current(), request.metadata_mut());
    Ok(request)
}

/// Writes the context of `span` into a call's metadata, for calls that no interceptor sees.
pub fn inject(span: &Span, metadata: &mut MetadataMap) {
    TraceContextPropagator::new().inject_context(&span.context(), &mut Outgoing(metadata));
}

/// Makes `span`, which was not entered yet, a child of the span that the caller names in `metadata`. What is
/// missing or malformed leaves it the beginning of its own trace.
pub fn follow_caller(span: &Span, metadata: &MetadataMap) {
    let context = TraceContextPropagator::new()
        .extract_with_context(&opentelemetry::Context::new(), &Incoming(metadata));
    // It fails where nothing is exported, and then there is no trace to join.
    let _ = span.set_parent(context);
}

/// The same by the variable `TRACEPARENT` of the environment.
pub(crate) fn follow_environment(span: &Span) {
    let mut metadata = MetadataMap::new();
    if let Ok(text) = std::env::var(VARIABLE)
        && let Ok(value) = MetadataValue::try_from(text)
    {
        metadata.insert(TRACEPARENT, value);
    }
    follow_caller(span, &metadata);
}

struct Outgoing<'a>(&'a mut MetadataMap);

impl Injector for Outgoing<'_> {
    fn set(&mut self, key: &str, value: String) {
        if key == TRACEPARENT
            && let Ok(value) = MetadataValue::try_from(value)
        {
            self.0.insert(TRACEPARENT, value);
        }
    }
}

struct Incoming<'a>(&'a MetadataMap);

impl Extractor for Incoming<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key != TRACEPARENT {
            return None;
        }
        well_formed(self.0.get(TRACEPARENT)?.to_str().ok()?)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// The part of a `traceparent` that is understood, when it has the form of W3C Trace Context §3.2. The library
/// takes fields of any length.
fn well_formed(value: &str) -> Option<&str> {
    let known = value.get(..LENGTH)?;
    let rest = &value[LENGTH..];
    let in_form = known.bytes().enumerate().all(|(place, byte)| match place {
        2 | 35 | 52 => byte == b'-',
        _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
    });
    // §3.2.4: a later version may go on behind a hyphen; version 00 may not.
    let ends_well = rest.is_empty() || (rest.starts_with('-') && !known.starts_with("00"));
    (in_form && ends_well).then_some(known)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::{TraceContextExt as _, TracerProvider as _};
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Runs `action` in a process that traces.
    fn traced<T>(action: impl FnOnce() -> T) -> T {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), action)
    }

    fn metadata_of(traceparent: &'static str) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        metadata.insert(TRACEPARENT, MetadataValue::from_static(traceparent));
        metadata
    }

    fn trace_of(span: &Span) -> String {
        span.context().span().span_context().trace_id().to_string()
    }

    #[test]
    fn a_servers_span_joins_the_callers_trace() {
        traced(|| {
            let client = tracing::info_span!("client");
            let request = client.in_scope(|| send_context(Request::new(()))).expect("it never refuses");
            let server = tracing::info_span!(parent: None, "server");
            follow_caller(&server, request.metadata());
            assert_eq!(trace_of(&client), trace_of(&server));
        });
    }

    #[test]
    fn only_traceparent_travels() {
        traced(|| {
            let span = tracing::info_span!("server");
            let mut received = metadata_of(CALLER);
            received.insert("tracestate", MetadataValue::from_static("vendor=secret"));
            follow_caller(&span, &received);
            let mut sent = MetadataMap::new();
            inject(&span, &mut sent);
            let traceparent = sent.get(TRACEPARENT).and_then(|value| value.to_str().ok()).expect("carried");
            assert!(traceparent.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{traceparent}");
            assert!(traceparent.ends_with("-01"), "the caller's decision to sample: {traceparent}");
            assert_eq!(sent.len(), 1);
        });
    }

    #[test]
    fn a_malformed_context_begins_a_trace_of_its_own() {
        for bad in [
            "",
            "00-1-1-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
            "00-+af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ] {
            traced(|| {
                let span = tracing::info_span!("server");
                follow_caller(&span, &metadata_of(bad));
                let own = trace_of(&span);
                assert!(!own.contains("af7651916cd43dd8448eb211c80319c"), "{bad}");
                assert_ne!(own, "00000000000000000000000000000000", "{bad}");
            });
        }
    }

    #[test]
    fn a_later_version_is_read_as_far_as_it_is_known() {
        traced(|| {
            let span = tracing::info_span!("server");
            let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more";
            follow_caller(&span, &metadata_of(later));
            assert_eq!(trace_of(&span), "0af7651916cd43dd8448eb211c80319c");
        });
    }

    #[test]
    fn where_nothing_is_exported_nothing_is_carried() {
        let span = tracing::info_span!("server");
        follow_caller(&span, &metadata_of(CALLER));
        let mut sent = MetadataMap::new();
        inject(&span, &mut sent);
        assert!(sent.is_empty());
    }
}
