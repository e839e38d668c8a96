//! What to log and where to export to, as a configuration file says it.
//!
//! The types can only hold what [`super::start()`] obeys: a mistake is found where the file is read.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// The `[telemetry]` section of a configuration file. Every key may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// How log lines look.
    pub format: Format,
    /// Which are written; the environment variable `BOOTLANE_LOG` goes before it.
    pub filter: Filter,
    /// Where spans are exported to, if anywhere.
    pub otlp: Option<OtlpEndpoint>,
    /// The share of traces of the process' own work that are exported; who follows a caller does as the caller.
    pub sample: Share,
    /// The share of traces of boots that are exported, beside those that failed, which all are.
    pub sample_boots: Share,
    /// Spans that wait for the collector at most; further ones are dropped, and counted.
    pub queue_spans: Spans<2_048>,
    /// Spans of one batch at most.
    pub batch_spans: Spans<512>,
}

/// A part of a whole, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub struct Share {
    millionths: u32,
}

/// It is no part of a whole.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no share, which goes from 0.0 to 1.0")]
pub struct ShareError(f64);

impl Share {
    /// As a number.
    #[must_use]
    pub fn ratio(self) -> f64 {
        f64::from(self.millionths) / 1e6
    }
}

impl Default for Share {
    /// All of it.
    fn default() -> Self {
        Self { millionths: 1_000_000 }
    }
}

impl TryFrom<f64> for Share {
    type Error = ShareError;

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is from 0 to a million")]
    fn try_from(share: f64) -> Result<Self, Self::Error> {
        let within = (0.0..=1.0).contains(&share);
        within.then(|| Self { millionths: (share * 1e6).round() as u32 }).ok_or(ShareError(share))
    }
}

/// A number of spans, with what it is unless something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "usize")]
pub struct Spans<const DEFAULT: usize>(usize);

/// So many are not kept, or none.
#[derive(Debug, thiserror::Error)]
#[error("{0} is no number of spans, expected 1 to 1000000")]
pub struct SpansError(usize);

impl<const DEFAULT: usize> Spans<DEFAULT> {
    /// As a number.
    #[must_use]
    pub const fn count(self) -> usize {
        self.0
    }
}

impl<const DEFAULT: usize> Default for Spans<DEFAULT> {
    fn default() -> Self {
        Self(DEFAULT)
    }
}

impl<const DEFAULT: usize> TryFrom<usize> for Spans<DEFAULT> {
    type Error = SpansError;

    fn try_from(count: usize) -> Result<Self, Self::Error> {
        (1..=1_000_000).contains(&count).then_some(Self(count)).ok_or(SpansError(count))
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One line each, for people and journald.
    #[default]
    Text,
    /// One JSON object each, for log collectors.
    Json,
}

/// Which log lines are written: directives like `info` or `warn,edge_agent=debug`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Filter(String);

/// Failure to read a filter.
#[derive(Debug, thiserror::Error)]
#[error("the log filter `{text}` is not a list of LEVEL or TARGET=LEVEL")]
pub struct FilterError {
    text: String,
    source: tracing_subscriber::filter::ParseError,
}

impl Filter {
    pub(crate) fn directives(&self) -> EnvFilter {
        parse(&self.0).expect("it was parsed when it was made")
    }
}

fn parse(text: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::builder().parse(text)
}

impl Default for Filter {
    /// `info`: what an operator wants to see of a healthy process.
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Filter {
    type Error = FilterError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match parse(&text) {
            Ok(_) => Ok(Self(text)),
            Err(source) => Err(FilterError { text, source }),
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

/// The address of an OTLP collector that takes gRPC, for example `http://127.0.0.1:4317`.
///
/// Without TLS: the collector stands on the same host or on a network that is trusted with spans. Spans hold
/// no secrets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OtlpEndpoint(String);

/// Failure to read an endpoint.
#[derive(Debug, thiserror::Error)]
pub enum OtlpEndpointError {
    /// It is no address at all.
    #[error("the OTLP endpoint `{text}` is no URL")]
    Url {
        /// What was given.
        text: String,
        /// What is wrong with it.
        source: http::uri::InvalidUri,
    },
    /// It is one that cannot be used.
    #[error("the OTLP endpoint `{0}` is not of the form http://HOST:PORT")]
    Form(String),
}

impl OtlpEndpoint {
    /// The URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for OtlpEndpoint {
    type Error = OtlpEndpointError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        match text.parse::<http::Uri>() {
            Ok(uri) if is_plain_host_and_port(&uri) => Ok(Self(text)),
            Ok(_) => Err(OtlpEndpointError::Form(text)),
            Err(source) => Err(OtlpEndpointError::Url { text, source }),
        }
    }
}

/// gRPC adds its own path, and the exporter would drop one of ours without a word.
fn is_plain_host_and_port(uri: &http::Uri) -> bool {
    uri.scheme() == Some(&http::uri::Scheme::HTTP)
        && uri.host().is_some_and(|host| !host.is_empty())
        && uri.port_u16().is_some_and(|port| port > 0)
        && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
        && uri.path_and_query().is_none_or(|path| path == "/")
}

impl FromStr for OtlpEndpoint {
    type Err = OtlpEndpointError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.to_owned().try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(document: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(document)
    }

    #[test]
    fn an_empty_section_logs_text_and_exports_nothing() {
        let settings = read("").expect("every key has a default");
        assert_eq!(settings, Settings::default());
        assert_eq!((settings.format, settings.filter.to_string().as_str()), (Format::Text, "info"));
    }

    #[test]
    fn a_full_section_is_read() {
        let settings = read(
            r#"
            format = "json"
            filter = "warn,edge_agent::tftp=trace"
            otlp = "http://127.0.0.1:4317"
            sample = 0.25
            sample_boots = 1
            queue_spans = 10
            batch_spans = 5
            "#,
        )
        .expect("legal");
        assert_eq!(settings.format, Format::Json);
        assert_eq!(settings.filter.to_string(), "warn,edge_agent::tftp=trace");
        assert_eq!(settings.otlp.as_ref().map(OtlpEndpoint::as_str), Some("http://127.0.0.1:4317"));
        assert_eq!((settings.sample.ratio(), settings.sample_boots), (0.25, Share::default()));
        assert_eq!((settings.queue_spans.count(), settings.batch_spans.count()), (10, 5));
    }

    #[test]
    fn mistakes_name_what_is_wrong() {
        for (document, expected) in [
            ("colour = 1", "unknown field `colour`"),
            ("format = \"xml\"", "unknown variant `xml`"),
            ("filter = \"edge_agent=loud\"", "`edge_agent=loud` is not a list"),
            ("otlp = \"http://a b\"", "is no URL"),
            ("sample = 1.5", "1.5 is no share"),
            ("sample_boots = -1", "-1 is no share"),
            ("sample = nan", "is no share"),
            ("queue_spans = 0", "0 is no number of spans"),
            ("batch_spans = 10000000", "is no number of spans"),
        ] {
            let error = read(document).expect_err(document).to_string();
            assert!(error.contains(expected), "{document}: {error}");
        }
    }

    #[test]
    fn endpoints_that_would_be_misread_are_refused() {
        for bad in [
            "127.0.0.1:4317",
            "https://collector:4317",
            "http://collector",
            "http://collector:0",
            "http://collector:4317/v1/traces",
            "http://user:password@collector:4317",
        ] {
            let refused = bad.parse::<OtlpEndpoint>();
            assert!(matches!(refused, Err(OtlpEndpointError::Form(_))), "{bad}: {refused:?}");
        }
        for good in ["http://collector:4317", "http://[::1]:4317/"] {
            assert!(good.parse::<OtlpEndpoint>().is_ok(), "{good}");
        }
    }
}
