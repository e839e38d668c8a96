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
            "#,
        )
        .expect("legal");
        assert_eq!(settings.format, Format::Json);
        assert_eq!(settings.filter.to_string(), "warn,edge_agent::tftp=trace");
        assert_eq!(settings.otlp.as_ref().map(OtlpEndpoint::as_str), Some("http://127.0.0.1:4317"));
    }

    #[test]
    fn mistakes_name_what_is_wrong() {
        for (document, expected) in [
            ("colour = 1", "unknown field `colour`"),
            ("format = \"xml\"", "unknown variant `xml`"),
            ("filter = \"edge_agent=loud\"", "`edge_agent=loud` is not a list"),
            ("otlp = \"http://a b\"", "is no URL"),
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
