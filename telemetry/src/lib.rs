//! What a process of the fleet says about itself: log lines, metrics, and spans for an OpenTelemetry
//! collector.
//!
//! [`start()`] is called once, first thing in `main`. Log lines go to the error output, as text for people or
//! JSON for programs. Where an OTLP endpoint is named, spans are exported as well, and [`grpc`] carries
//! their context between processes. What operators type does neither: its calls are [`one_trace`].
//!
//! [`metrics`] has what there is to count, defined once, and serves it. The traces of boot attempts (DESIGN §7) are
//! made by the controller, from what agents report, and leave through [`boots`].

pub mod boots;
mod command;
mod export;
pub mod grpc;
mod lines;
pub mod metrics;
mod settings;
mod start;

pub use command::one_trace;
pub use settings::{
    Filter, FilterError, Format, OtlpEndpoint, OtlpEndpointError, Settings, Share, ShareError, Spans,
    SpansError,
};
pub use start::{FILTER_VARIABLE, Guard, SpanNumbers, StartError, spans, start};
