//! Traces of boot attempts for the OTLP collector (DESIGN §7): the attempt's id is the trace's, and times are those that
//! agents saw.
//!
//! Who knows what happened makes a [`Trace`] of it afterwards; here it becomes spans, which wait in a bounded queue of their
//! own. The ids of spans follow from the attempt's, so that a trace which is told of twice is the same trace.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks, SpanProcessor as _};

use crate::export::{self, Counts, Queue};
use crate::settings::Settings;
use crate::start::{FLUSH_TIMEOUT, StartError};

/// What the collector calls the source of these traces.
pub const SERVICE: &str = "bootlane-boots";

/// Something that took time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// What it was.
    pub name: Cow<'static, str>,
    /// When it began.
    pub from: SystemTime,
    /// When it ended.
    pub to: SystemTime,
    /// What is known of it.
    pub attributes: Vec<(&'static str, Value)>,
    /// Why it did not end well, in a sentence.
    pub failed: Option<String>,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Words.
    Text(String),
    /// A number.
    Number(i64),
}

/// A boot attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trace {
    /// The attempt's id.
    pub id: [u8; 16],
    /// All of it.
    pub root: Span,
    /// Its stages, in order.
    pub stages: Vec<Span>,
}

/// What became of spans of boots since the process started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Taken by the collector.
    pub exported: u64,
    /// Lost: the queue was full, or the collector did not take them.
    pub dropped: u64,
    /// Left out by the configured share.
    pub unsampled: u64,
}

/// The way of boots' traces to the collector, if there is one. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct Boots {
    way: Option<Arc<Way>>,
}

#[derive(Debug)]
struct Way {
    queue: Queue,
    ratio: f64,
    counts: Arc<Counts>,
    unsampled: AtomicU64,
}

impl Boots {
    /// To the collector that the settings name. Called within tokio.
    ///
    /// # Errors
    /// When the exporter cannot be made. A collector that is away is no error.
    pub fn new(version: &'static str, settings: &Settings) -> Result<Self, StartError> {
        let Some(endpoint) = &settings.otlp else { return Ok(Self::default()) };
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(StartError::NoRuntime);
        }
        let counts = Arc::new(Counts::default());
        let mut queue = export::processor(endpoint, settings, &counts)?;
        queue.set_resource(&export::resource(SERVICE, version));
        let (ratio, unsampled) = (settings.sample_boots.ratio(), AtomicU64::new(0));
        Ok(Self { way: Some(Arc::new(Way { queue, ratio, counts, unsampled })) })
    }

    /// Is there a collector at all?
    #[must_use]
    pub fn are_exported(&self) -> bool {
        self.way.is_some()
    }

    /// Hands a trace over. Never waits. One that failed is always sampled: it is what people look for.
    pub fn take(&self, trace: Trace) {
        let Some(way) = &self.way else { return };
        let spans = trace.stages.len() as u64 + 1;
        if trace.root.failed.is_none() && !is_sampled(&trace.id, way.ratio) {
            way.unsampled.fetch_add(spans, Ordering::Relaxed);
            return;
        }
        let (root, id) = (span_id(&trace.id, 0), TraceId::from_bytes(trace.id));
        for (number, stage) in (1..).zip(trace.stages) {
            way.queue.on_end(data(stage, (id, span_id(&trace.id, number)), root));
        }
        way.queue.on_end(data(trace.root, (id, root), SpanId::INVALID));
    }

    /// What became of spans so far.
    #[must_use]
    pub fn numbers(&self) -> Numbers {
        let Some(way) = &self.way else { return Numbers::default() };
        Numbers {
            exported: way.counts.exported(),
            dropped: way.counts.dropped(),
            unsampled: way.unsampled.load(Ordering::Relaxed),
        }
    }

    /// Sends what is left, for at most three seconds. Blocks; to be called at the end.
    pub fn stop(&self) {
        if let Some(way) = &self.way
            && let Err(error) = way.queue.shutdown_with_timeout(FLUSH_TIMEOUT)
        {
            tracing::warn!(%error, "the last traces of boots were not exported");
        }
    }
}

/// Is this trace among the share? All who ask of the same attempt hear the same.
fn is_sampled(id: &[u8; 16], ratio: f64) -> bool {
    let (_, last) = halves(id);
    // 2^64 shares; what is rounded off is of no account.
    #[expect(clippy::cast_precision_loss, reason = "a share of random numbers")]
    let place = last as f64 / u64::MAX as f64;
    ratio >= 1.0 || place < ratio
}

fn halves(id: &[u8; 16]) -> (u64, u64) {
    let number = u128::from_be_bytes(*id);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    let halves = ((number >> 64) as u64, number as u64);
    halves
}

/// Of the span with this number within its trace. 0 is no id.
fn span_id(id: &[u8; 16], number: u64) -> SpanId {
    let (first, _) = halves(id);
    let wanted = first.wrapping_add(number);
    SpanId::from_bytes((if wanted == 0 { u64::MAX } else { wanted }).to_be_bytes())
}

fn data(span: Span, (trace, id): (TraceId, SpanId), parent: SpanId) -> SpanData {
    let attributes = span.attributes.into_iter().map(|(name, value)| match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
    });
    SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: parent,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: span.name,
        start_time: span.from,
        end_time: span.to.max(span.from),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: span.failed.map_or(Status::Unset, Status::error),
        instrumentation_scope: InstrumentationScope::builder("bootlane").build(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_attempts_is_sampled_and_always_the_same() {
        let id = |number: u64| {
            let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (u128::from(number) << 64 | u128::from(spread)).to_be_bytes()
        };
        let sampled = (0..10_000).filter(|number| is_sampled(&id(*number), 0.25)).count();
        assert!((2_300..2_700).contains(&sampled), "{sampled}");
        assert!(is_sampled(&[0xff; 16], 1.0) && !is_sampled(&[0; 16], 0.0));
    }

    #[test]
    fn ids_of_spans_follow_from_the_attempt_and_are_never_zero() {
        let ids: std::collections::BTreeSet<_> =
            (0..20).map(|number| span_id(&[0xff; 16], number).to_bytes()).collect();
        assert!(ids.len() >= 19 && !ids.contains(&[0; 8]), "{ids:?}");
        assert_eq!(span_id(&[7; 16], 3), span_id(&[7; 16], 3));
    }

    #[test]
    fn without_a_collector_nothing_is_kept() {
        let boots = Boots::new("0", &Settings::default()).expect("nothing to make");
        let now = SystemTime::now();
        let root = Span { name: "boot".into(), from: now, to: now, attributes: vec![], failed: None };
        boots.take(Trace { id: [1; 16], root, stages: vec![] });
        assert_eq!((boots.are_exported(), boots.numbers()), (false, Numbers::default()));
    }
}
