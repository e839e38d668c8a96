//! Starting tracing for the whole process, and ending it without losing the last spans.

use std::env;
use std::io::{self, IsTerminal as _};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::Layer as _;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};

use crate::export::Counts;
use crate::settings::{Filter, FilterError, Settings};
use crate::{export, lines, metrics};

/// The environment variable that goes before the configured filter.
pub const FILTER_VARIABLE: &str = "BOOTLANE_LOG";
/// How long the end of a process waits for its last spans to be taken.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// What became of the spans of this process: tracing is started once.
static SPANS: LazyLock<Arc<Counts>> = LazyLock::new(Arc::default);

/// What became of the spans of this process' own work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SpanNumbers {
    /// Taken by the collector.
    pub exported: u64,
    /// Lost: the queue was full, or the collector did not take them.
    pub dropped: u64,
}

/// What became of the spans of this process' own work so far.
#[must_use]
pub fn spans() -> SpanNumbers {
    SpanNumbers { exported: SPANS.exported(), dropped: SPANS.dropped() }
}

/// Failure to start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The environment's filter cannot be obeyed.
    #[error("read {FILTER_VARIABLE}")]
    Environment(#[source] FilterError),
    /// The environment's filter is not even text.
    #[error("{FILTER_VARIABLE} is not UTF-8")]
    NotText,
    /// An exporter was asked for outside of a tokio runtime, which it needs.
    #[error("spans are exported from within a tokio runtime only")]
    NoRuntime,
    /// The exporter could not be made.
    #[error("set up the OTLP exporter")]
    Export(#[from] opentelemetry_otlp::ExporterBuildError),
    /// This process traces already.
    #[error("start tracing, which can be done once only")]
    Twice(#[from] TryInitError),
}

/// Keeps the exporter; the last spans leave when it is stopped or dropped.
#[derive(Debug)]
#[must_use = "dropping it ends the export"]
pub struct Guard {
    provider: Option<SdkTracerProvider>,
}

/// Starts tracing for this process, which calls itself `service` (its binary's name) at `version`.
///
/// # Errors
/// When `BOOTLANE_LOG` cannot be obeyed, when an endpoint is set outside of a tokio runtime, or when
/// tracing was started before. A collector that is away is no error: what it misses is dropped.
pub fn start(service: &'static str, version: &'static str, settings: &Settings) -> Result<Guard, StartError> {
    let filter = filter_from_environment()?.unwrap_or_else(|| settings.filter.clone());
    let provider = match &settings.otlp {
        Some(_) if tokio::runtime::Handle::try_current().is_err() => return Err(StartError::NoRuntime),
        Some(endpoint) => Some(export::provider((service, version), endpoint, settings, &SPANS)?),
        None => None,
    };
    tracing_subscriber::registry()
        .with(lines::layer(settings.format, wants_colours(), io::stderr).with_filter(filter.directives()))
        .with(provider.as_ref().map(export::layer))
        .try_init()?;
    metrics::note_start();
    Ok(Guard { provider })
}

fn filter_from_environment() -> Result<Option<Filter>, StartError> {
    match env::var(FILTER_VARIABLE) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => text.parse().map(Some).map_err(StartError::Environment),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(StartError::NotText),
    }
}

/// On a terminal, unless <https://no-color.org> is obeyed.
fn wants_colours() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

impl Guard {
    /// Sends what is left, for at most three seconds. To be called at the end of `main`, while the runtime
    /// still turns; merely dropping the guard blocks its thread for as long.
    pub async fn stop(self) {
        // The task can only fail by a panic of the exporter, and the process ends here anyway.
        let _ = tokio::task::spawn_blocking(move || drop(self)).await;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(provider) = self.provider.take()
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_TIMEOUT)
        {
            tracing::warn!(%error, "the last spans were not exported");
        }
    }
}
