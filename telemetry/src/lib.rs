//! What a process of the fleet says about itself: log lines, and spans for an OpenTelemetry collector.
//!
//! [`start()`] is called once, first thing in `main`. Log lines go to the error output, as text for people or
//! JSON for programs. Where an OTLP endpoint is named, spans are exported as well, and [`grpc`] carries
//! their context between processes.
//!
//! The traces of boot attempts (DESIGN §7) are not made here, nor are metrics: they are built from the journal.

mod export;
pub mod grpc;
mod lines;
mod settings;
mod start;

pub use settings::{Filter, FilterError, Format, OtlpEndpoint, OtlpEndpointError, Settings};
pub use start::{FILTER_VARIABLE, Guard, StartError, start};
