//! The controller's configuration: TOML of people, checked as a whole, every mistake reported in one go.
//!
//! `deploy/controller.toml` is the commented default and the manual.

mod page;
mod section;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use certs::{ControllerName, FleetName};
use proto::{ByteSize, Span};
use toml::Table;

pub use page::{Files, Page};
use section::Section;

/// The exit code for a configuration that cannot be used: EX_USAGE of sysexits.
pub const EXIT_CONFIG: u8 = 64;

/// A controller's configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The fleet that it controls.
    pub fleet: FleetName,
    /// Its own name in the fleet.
    pub name: ControllerName,
    /// The folder of its store, keys and events.
    pub state: PathBuf,
    /// The folder of image bytes.
    pub blobs: PathBuf,
    /// Where it listens.
    pub listen: Listen,
    /// What it takes at most.
    pub limits: Limits,
    /// How much it keeps.
    pub keep: Keep,
    /// The page for browsers; None: none is served.
    pub page: Option<Page>,
    /// What it logs, and where spans go.
    pub telemetry: telemetry::Settings,
    /// Where metrics are served, if anywhere.
    pub metrics: telemetry::metrics::Metrics,
}

/// Where it listens, and how others reach it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// For agents and operators: a client certificate is required.
    pub fleet: SocketAddr,
    /// For agents that enrol or recover.
    pub enrol: SocketAddr,
    /// Host names and addresses under which others reach it.
    pub names: Vec<String>,
}

/// What it takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Open connections of a listener.
    pub connections: usize,
    /// Calls and streams of one connection at a time.
    pub calls: u32,
    /// TLS handshakes at a time.
    pub handshakes: usize,
    /// How long a TLS handshake may take.
    pub handshake: Span,
    /// How often a silent connection is asked whether it is alive; it has twice as long to answer.
    pub keep_alive: Span,
}

/// How much it keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Revisions that watches can resume from.
    pub revisions: u64,
    /// Bytes of the catalog; all of them are in memory.
    pub catalog: ByteSize,
    /// Boot attempts of each host.
    pub boots: usize,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not TOML.
    #[error("{} is not TOML: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// All that is wrong, one line each.
    #[error("{} has {}:\n  {}", path.display(), count(mistakes.len()), mistakes.join("\n  "))]
    Mistakes {
        /// The file.
        path: PathBuf,
        /// `listen.fleet: …`
        mistakes: Vec<String>,
    },
}

fn count(mistakes: usize) -> String {
    if mistakes == 1 { "a mistake".into() } else { format!("{mistakes} mistakes") }
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], with every mistake.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(path, &text)
    }

    /// Reads the text of a file; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError`], with every mistake.
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let mut mistakes = Vec::new();
        let config = read(table, &mut mistakes);
        match config {
            Some(config) if mistakes.is_empty() => Ok(config),
            Some(_) | None => Err(ConfigError::Mistakes { path: path.to_owned(), mistakes }),
        }
    }
}

/// None only if a mistake was noted.
fn read(table: Table, mistakes: &mut Vec<String>) -> Option<Config> {
    let mut top = Section::new("", table, mistakes);
    let fleet = top.required::<FleetName>("fleet", "the fleet's name, for example \"acme\"");
    let name = top.parsed("name", "controller".parse().expect("a legal name"));
    let state: PathBuf = top.value("state", "/var/lib/bootlane-controller".into());
    let blobs = top.value("blobs", state.join("blobs"));
    let (listen, limits) = (top.table("listen"), top.table("limits"));
    let (keep, page) = (top.table("keep"), top.table("page"));
    let (telemetry, metrics) = (top.table("telemetry"), top.table("metrics"));
    top.end();
    let listen = read_listen(Section::new("listen", listen, mistakes));
    let limits = read_limits(Section::new("limits", limits, mistakes));
    let keep = read_keep(Section::new("keep", keep, mistakes));
    let page = page::read(Section::new("page", page, mistakes), [listen.fleet, listen.enrol]);
    let telemetry = read_telemetry(Section::new("telemetry", telemetry, mistakes));
    let metrics = read_metrics(Section::new("metrics", metrics, mistakes));
    Some(Config { fleet: fleet?, name, state, blobs, listen, limits, keep, page, telemetry, metrics })
}

fn read_listen(mut section: Section<'_>) -> Listen {
    let any = |port| SocketAddr::from(([0, 0, 0, 0], port));
    let listen = Listen {
        fleet: section.address("fleet").unwrap_or(any(7443)),
        enrol: section.address("enrol").unwrap_or(any(7444)),
        names: section.value("names", vec!["localhost".to_owned()]),
    };
    if listen.names.is_empty() {
        section.mistake("names", "is empty: agents and operators need a name or address to call");
    }
    for name in &listen.names {
        if rustls::pki_types::ServerName::try_from(name.as_str()).is_err() {
            section.mistake("names", format!("{name:?} is neither a host name nor an address"));
        }
    }
    if listen.fleet == listen.enrol && listen.fleet.port() != 0 {
        section.mistake("enrol", format!("{} is the fleet listener's: choose another port", listen.enrol));
    }
    section.end();
    listen
}

fn read_limits(mut section: Section<'_>) -> Limits {
    let limits = Limits {
        connections: section.within("connections", 20_000, 1..=1_000_000),
        calls: section.within("calls", 64, 4..=10_000),
        handshakes: section.within("handshakes", 256, 1..=100_000),
        handshake: section.parsed("handshake", Span::seconds(10)),
        keep_alive: section.parsed("keep_alive", Span::seconds(5)),
    };
    for (name, span) in [("handshake", limits.handshake), ("keep_alive", limits.keep_alive)] {
        if !(1..=3_600).contains(&span.as_seconds()) {
            section.mistake(name, format!("is {span}, expected 1s to 1h"));
        }
    }
    section.end();
    limits
}

fn read_keep(mut section: Section<'_>) -> Keep {
    let keep = Keep {
        revisions: section.within("revisions", 10_000, 100..=10_000_000),
        catalog: section.parsed("catalog", ByteSize(2 << 30)),
        boots: section.within("boots", 50, 1..=10_000),
    };
    if keep.catalog.0 < 1 << 20 {
        section.mistake("catalog", format!("is {}, expected at least 1MiB", keep.catalog));
    }
    section.end();
    keep
}

fn read_telemetry(mut section: Section<'_>) -> telemetry::Settings {
    let settings = telemetry::Settings {
        format: section.value("format", telemetry::Format::default()),
        filter: section.parsed("filter", telemetry::Filter::default()),
        otlp: section.optional("otlp"),
        sample: section.value("sample", telemetry::Share::default()),
        sample_boots: section.value("sample_boots", telemetry::Share::default()),
        queue_spans: section.value("queue_spans", telemetry::Spans::default()),
        batch_spans: section.value("batch_spans", telemetry::Spans::default()),
    };
    section.end();
    settings
}

fn read_metrics(mut section: Section<'_>) -> telemetry::metrics::Metrics {
    let metrics = telemetry::metrics::Metrics { listen: section.optional("listen") };
    section.end();
    metrics
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, ConfigError> {
        Config::parse(Path::new("controller.toml"), text)
    }

    fn mistakes(text: &str) -> Vec<String> {
        match parse(text) {
            Err(ConfigError::Mistakes { mistakes, .. }) => mistakes,
            other => panic!("expected mistakes, found {other:?}"),
        }
    }

    #[test]
    fn the_shipped_file_says_what_is_the_default() {
        let shipped = include_str!("../../deploy/controller.toml");
        let config = parse(shipped).expect("the shipped file is right");
        assert_eq!(
            config,
            parse(&format!("fleet = \"{}\"", config.fleet)).expect("all but the fleet has a default")
        );
        let uncommented: String = shipped
            .lines()
            .map(|line| line.strip_prefix("#: ").unwrap_or(line))
            .collect::<Vec<_>>()
            .join("\n");
        assert_eq!(parse(&uncommented).expect("the defaults that it shows are right"), config);
    }

    #[test]
    fn the_collector_that_the_shipped_file_shows_is_one() {
        let shipped = include_str!("../../deploy/controller.toml");
        let otlp = shipped.lines().find_map(|line| line.strip_prefix("#otlp = ")).expect("it is shown");
        let text = format!("fleet = \"acme\"\n[telemetry]\notlp = {otlp}");
        assert!(parse(&text).expect("legal").telemetry.otlp.is_some());
    }

    #[test]
    fn the_page_that_the_shipped_file_shows_is_one() {
        let shipped = include_str!("../../deploy/controller.toml");
        let (_, after) = shipped.split_once("[page]").expect("it is shown");
        let (section, _) = after.split_once("\n[").expect("another section follows");
        let shown = section.lines().map(|line| line.trim_start_matches(['#', ':', ' ']));
        let keys: Vec<_> = shown.filter(|line| line.contains(" = ")).collect();
        let page = |keys: &str| parse(&format!("fleet = \"acme\"\n[page]\n{keys}")).expect("legal").page;
        let shown = page(&keys.join("\n")).expect("it listens");
        assert!(shown.url.is_some() && shown.files.is_some(), "{shown:?}");
        assert_eq!(page("connections = 9"), None, "off unless it is told where to listen");
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let text = "
            fleet = \"A\"
            colour = \"red\"
            state = 7
            [listen]
            fleet = \"nowhere\"
            enrol = \"0.0.0.0:7444\"
            names = [\"a b\"]
            port = 1
            [limits]
            handshake = \"0s\"
            calls = 0
            [page]
            listen = \"0.0.0.0:7444\"
            url = \"http://boot.example/page\"
            certificate = \"/etc/bootlane/page.crt\"
            connections = 0
            [telemetry]
            format = \"xml\"
            filter = \"controller=loud\"
            otlp = \"collector\"
            sample = 2.0
            batch_spans = 0
            [metrics]
            listen = \"9464\"
            [moon]
        ";
        let mistakes = mistakes(text);
        let fields: Vec<_> = mistakes.iter().map(|line| line.split(':').next().unwrap_or_default()).collect();
        let expected = [
            "fleet",
            "state",
            "colour",
            "moon",
            "listen.fleet",
            "listen.names",
            "listen.port",
            "limits.calls",
            "limits.handshake",
            "page.connections",
            "page.listen",
            "page.url",
            "page.key",
            "telemetry.format",
            "telemetry.filter",
            "telemetry.otlp",
            "telemetry.sample",
            "telemetry.batch_spans",
            "metrics.listen",
        ];
        assert_eq!(fields, expected, "{mistakes:#?}");
    }

    #[test]
    fn what_is_no_address_is_told_in_words_of_the_file() {
        let mistakes = mistakes("fleet = \"acme\"\n[listen]\nfleet = \"7443\"\n[page]\nlisten = \"here\"\n");
        assert!(mistakes[0].starts_with("listen.fleet: \"7443\" is no ADDRESS:PORT"), "{mistakes:?}");
        assert!(mistakes[1].starts_with("page.listen: \"here\" is no ADDRESS:PORT"), "{mistakes:?}");
    }

    #[test]
    fn a_fleet_must_be_named() {
        assert!(mistakes("")[0].starts_with("fleet: is missing"), "{:?}", mistakes(""));
        assert!(matches!(parse("fleet = "), Err(ConfigError::Syntax { .. })));
    }
}
