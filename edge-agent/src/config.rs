//! The agent's own file: what it needs to start with no controller up. Everything else comes with the plan.
//!
//! `deploy/agent.toml` is the commented default and the manual. Unknown keys are refused, and every mistake is
//! reported in one go.

mod mistakes;

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use certs::AgentName;
use serde::Deserialize;

use self::mistakes::Found;
use crate::mirror::Proxy;

/// The shipped default.
pub const DEFAULT: &str = include_str!("../../deploy/agent.toml");

/// A legal configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Everything that must outlive a restart.
    pub state: PathBuf,
    /// Who the process becomes once its sockets are open; None: whoever started it.
    pub user: Option<String>,
    /// Where machines are served.
    pub interfaces: Vec<InterfaceConfig>,
    /// The port of the HTTP server.
    pub http_port: u16,
    /// Diagnostics that wait for the controller, at most.
    pub journal_events: usize,
    /// Bytes that the image cache may take where the site's plan says nothing.
    pub cache_bytes: u64,
    /// Below this many free bytes nothing more is fetched.
    pub low_disk_bytes: u64,
    /// After so many bytes of records the ledger is written anew, without what is over.
    pub ledger_bytes: u64,
    /// Where other agents of the site may fetch blobs; None: nowhere.
    pub peers: Option<SocketAddr>,
    /// How the upstreams of package mirrors are reached.
    pub mirror_proxy: Proxy,
    /// What is kept of boots' packets.
    pub captures: CapturesConfig,
    /// The controllers.
    pub controller: ControllerConfig,
    /// What is logged, and how.
    pub telemetry: telemetry::Settings,
    /// Where metrics are served, if anywhere.
    pub metrics: telemetry::metrics::Metrics,
}

/// Where machines are served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterfaceConfig {
    /// The interface's name.
    pub name: String,
    /// Our address there; None: the interface's first.
    pub address: Option<Ipv4Addr>,
}

/// How much is kept of boots' packets. Both 0: nothing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapturesConfig {
    /// Bytes of memory for the last packets of all machines.
    pub memory_bytes: usize,
    /// Bytes on disk for captures of boots that failed.
    pub disk_bytes: u64,
}

/// The controllers, any of which will do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControllerConfig {
    /// `HOST:PORT` of enrol listeners.
    pub enrol: Vec<String>,
    /// `HOST:PORT` of fleet listeners.
    pub fleet: Vec<String>,
    /// The name to enrol by.
    pub name: AgentName,
    /// Where the join token is read from at the first start.
    pub token_file: Option<PathBuf>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read {path}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no TOML, or has keys that are unknown, mistyped or missing, or values that cannot be used.
    #[error("{path}: {problems}")]
    Mistakes {
        /// Which.
        path: PathBuf,
        /// All of them.
        problems: Problems,
    },
}

/// Every mistake, those of a line of the file with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl fmt::Display for Problems {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|problem| write!(out, "\n  {}", problem.replace('\n', "\n  ")))
    }
}

/// The file, in which anything may be missing: what must not be is said of all of it at once.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    state: Option<PathBuf>,
    user: Option<String>,
    #[serde(default)]
    interface: Vec<RawInterface>,
    #[serde(default = "http_port")]
    http_port: u16,
    #[serde(default = "journal_events")]
    journal_events: usize,
    #[serde(default = "cache")]
    cache: String,
    #[serde(default = "low_disk")]
    low_disk: String,
    #[serde(default = "ledger")]
    ledger: String,
    peers: Option<String>,
    mirror_proxy: Option<String>,
    #[serde(default = "captures")]
    captures: String,
    #[serde(default = "capture_memory")]
    capture_memory: String,
    #[serde(default)]
    controller: RawController,
    #[serde(default)]
    telemetry: telemetry::Settings,
    #[serde(default)]
    metrics: telemetry::metrics::Metrics,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawInterface {
    name: Option<String>,
    address: Option<Ipv4Addr>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct RawController {
    enrol: Vec<String>,
    fleet: Vec<String>,
    name: Option<String>,
    token_file: Option<PathBuf>,
}

fn http_port() -> u16 {
    80
}

/// A week of 500 hosts that boot once a day, 20 events each (DESIGN §1).
fn journal_events() -> usize {
    70_000
}

fn cache() -> String {
    "20GiB".into()
}

fn low_disk() -> String {
    "512MiB".into()
}

fn ledger() -> String {
    "16MiB".into()
}

fn captures() -> String {
    "64MiB".into()
}

fn capture_memory() -> String {
    "8MiB".into()
}

/// More memory than this is a mistake: a boot takes some 10 KiB.
const MOST_CAPTURE_MEMORY: u64 = 256 << 20;

/// A file as it was found.
#[derive(Debug)]
pub struct Examined {
    /// What can be made of it, also where there are mistakes. None: it lacks what nothing can stand in for.
    pub config: Option<Config>,
    /// Every mistake.
    pub problems: Problems,
}

impl Config {
    /// Reads the file.
    ///
    /// # Errors
    /// Names the file, and every key and value that is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        match Self::examine(path)? {
            Examined { config: Some(config), problems: Problems(problems) } if problems.is_empty() => {
                Ok(config)
            }
            Examined { problems, .. } => Err(ConfigError::Mistakes { path: path.into(), problems }),
        }
    }

    /// Reads the file as far as it can be.
    ///
    /// # Errors
    /// Where it cannot be read at all.
    pub fn examine(path: &Path) -> Result<Examined, ConfigError> {
        let text =
            fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })?;
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Examined {
        let (raw, mut found) = mistakes::read::<Raw>(text);
        let config = raw.and_then(|raw| raw.check(&mut found));
        Examined { config, problems: Problems(found.problems) }
    }
}

impl Raw {
    /// None only if a problem was found.
    fn check(self, found: &mut Found) -> Option<Config> {
        let state = required(self.state, "state", found);
        let interfaces = interfaces(self.interface, found);
        let problems = &mut found.problems;
        if self.http_port == 0 {
            problems.push("http_port: is 0, expected 1 to 65535".into());
        }
        if !(1_000..=1_000_000).contains(&self.journal_events) {
            problems.push(format!("journal_events: is {}, expected 1000 to 1000000", self.journal_events));
        }
        let cache_bytes = keep(self.cache.parse::<proto::ByteSize>(), "cache", problems);
        let low_disk_bytes = keep(self.low_disk.parse::<proto::ByteSize>(), "low_disk", problems);
        let ledger_bytes = keep(ledger_bytes(&self.ledger), "ledger", problems);
        let peers = self.peers.as_deref().and_then(|address| peer_address(address, problems));
        let mirror_proxy = keep(proxy(self.mirror_proxy), "mirror_proxy", problems);
        let captures = keep_captures(&self.captures, &self.capture_memory, problems);
        let controller = self.controller.check(found);
        Some(Config {
            state: state?,
            user: self.user,
            interfaces,
            http_port: self.http_port,
            journal_events: self.journal_events,
            cache_bytes: cache_bytes.map_or(0, |size| size.0),
            low_disk_bytes: low_disk_bytes.map_or(0, |size| size.0),
            ledger_bytes: ledger_bytes.unwrap_or(LEAST_LEDGER),
            peers,
            mirror_proxy: mirror_proxy.unwrap_or(Proxy::None),
            captures: captures.unwrap_or(CapturesConfig { memory_bytes: 0, disk_bytes: 0 }),
            controller: controller?,
            telemetry: self.telemetry,
            metrics: self.metrics,
        })
    }
}

impl RawController {
    fn check(self, found: &mut Found) -> Option<ControllerConfig> {
        let Self { enrol, fleet, name, token_file } = self;
        addresses("controller.enrol", &enrol, found);
        addresses("controller.fleet", &fleet, found);
        let twice = enrol.iter().filter(|address| fleet.contains(address));
        found.problems.extend(twice.map(|address| {
            format!(
                "controller.fleet: {address} is the enrol listener, too: a controller has a port for each"
            )
        }));
        let name = required(name, "controller.name", found)?;
        let name = keep(name.parse::<AgentName>(), "controller.name", &mut found.problems)?;
        Some(ControllerConfig { enrol, fleet, name, token_file })
    }
}

fn required<T>(value: Option<T>, key: &str, found: &mut Found) -> Option<T> {
    if value.is_none() && !found.has_left_out(key) {
        found.problems.push(format!("{key}: is missing"));
    }
    value
}

fn interfaces(all: Vec<RawInterface>, found: &mut Found) -> Vec<InterfaceConfig> {
    if all.is_empty() && !found.has_left_out("interface") {
        let missing = "interface: is missing: name at least one [[interface]] to serve";
        found.problems.push(missing.into());
    }
    let mut interfaces: Vec<InterfaceConfig> = Vec::new();
    for RawInterface { name, address } in all {
        let Some(name) = required(name, "interface.name", found) else { continue };
        if interfaces.iter().any(|interface| interface.name == name) {
            found.problems.push(format!("interface: {name} is named twice"));
        } else {
            interfaces.push(InterfaceConfig { name, address });
        }
    }
    interfaces
}

/// A smaller ledger would be written anew at each step...
const LEAST_LEDGER: u64 = 16 << 10;
/// ...and a larger one takes a start long to read.
const LARGEST_LEDGER: u64 = 1 << 30;

fn ledger_bytes(text: &str) -> Result<u64, String> {
    let size = text.parse::<proto::ByteSize>().map_err(|error| error.to_string())?;
    let expected = || format!("is {text}, expected 16KiB to 1GiB");
    Some(size.0).filter(|bytes| (LEAST_LEDGER..=LARGEST_LEDGER).contains(bytes)).ok_or_else(expected)
}

/// What is kept on disk comes from memory: without either nothing is kept.
fn keep_captures(disk: &str, memory: &str, problems: &mut Vec<String>) -> Option<CapturesConfig> {
    let proto::ByteSize(disk) = keep(disk.parse(), "captures", problems)?;
    let proto::ByteSize(memory) = keep(memory.parse(), "capture_memory", problems)?;
    if memory > MOST_CAPTURE_MEMORY {
        problems.push(format!("capture_memory: is {} MiB, expected at most 256 MiB", memory >> 20));
    }
    let memory_bytes = if disk == 0 { 0 } else { usize::try_from(memory).ok()? };
    Some(CapturesConfig { memory_bytes, disk_bytes: disk })
}

/// The URL of a proxy, `none`, or nothing: as the environment says.
fn proxy(text: Option<String>) -> Result<Proxy, String> {
    match text {
        None => Ok(Proxy::AsEnvironment),
        Some(text) if text == "none" => Ok(Proxy::None),
        Some(text) if text.starts_with("http://") || text.starts_with("https://") => Ok(Proxy::At(text)),
        // Not repeated: it may hold a password.
        Some(_) => Err("expected http://HOST:PORT, https://HOST:PORT or \"none\"".into()),
    }
}

fn keep<T, E: fmt::Display>(value: Result<T, E>, key: &str, problems: &mut Vec<String>) -> Option<T> {
    value.map_err(|error| problems.push(format!("{key}: {error}"))).ok()
}

/// Other agents are told it, so it must be one that they can call.
fn peer_address(text: &str, problems: &mut Vec<String>) -> Option<SocketAddr> {
    match text.parse::<SocketAddr>() {
        Ok(address) if !address.ip().is_unspecified() && address.port() != 0 => Some(address),
        Ok(_) | Err(_) => {
            problems.push(format!("peers: {text:?} is no ADDRESS:PORT of ours that other agents could call"));
            None
        }
    }
}

fn addresses(key: &str, addresses: &[String], found: &mut Found) {
    if addresses.is_empty() && !found.has_left_out(key) {
        found.problems.push(format!("{key}: names none: expected at least one HOST:PORT"));
    }
    let good = |address: &str| {
        address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    let bad = addresses.iter().filter(|address| !good(address));
    found.problems.extend(bad.map(|address| format!("{key}: {address:?} is no HOST:PORT")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn legal(text: &str) -> Config {
        let Examined { config, problems } = Config::parse(text);
        assert_eq!(problems.0, [""; 0]);
        config.expect("there are no problems")
    }

    fn problems(text: &str) -> String {
        let Examined { problems, .. } = Config::parse(text);
        assert_ne!(problems.0, [""; 0], "a mistake");
        problems.to_string()
    }

    #[test]
    fn the_shipped_default_is_legal() {
        let config = legal(DEFAULT);
        assert_eq!(config.http_port, 80);
        assert_eq!(config.journal_events, journal_events());
    }

    #[test]
    fn every_mistake_is_named_at_once() {
        let text = "state = '/x'\nhttp_port = 0\ncache = 'much'\n[controller]\nenrol = []\nfleet = ['here']\nname = 'A'";
        let problems = problems(text);
        for key in [
            "interface:",
            "http_port:",
            "cache:",
            "controller.enrol:",
            "controller.fleet:",
            "controller.name:",
        ] {
            assert!(problems.contains(key), "{key} in {problems}");
        }
    }

    #[test]
    fn types_are_named_in_words_of_the_file() {
        let controller = "[controller]\nenrol = ['c:1']\nfleet = ['c:2']\nname = 'a'\n";
        for (text, plain) in [
            (format!("state = '/x'\nhttp_port = 70000\n{controller}"), "expected a number from 1 to 65535"),
            (format!("state = '/x'\nhttp_port = 'web'\n{controller}"), "expected a number from 1 to 65535"),
            (format!("state = '/x'\njournal_events = -1\n{controller}"), "expected a whole number"),
            (format!("state = '/x'\n[interface]\nname = 'eth1'\n{controller}"), "as in [[interface]]"),
            (format!("state = '/x'\n{}", controller.replace("['c:1']", "'c:1'")), "expected a list"),
            ("state = '/x'\ncontroller = 'c:1'\n".into(), "expected the section [controller]"),
        ] {
            let problems = problems(&text);
            assert!(problems.contains(plain) && problems.contains("line "), "{plain} in {problems}");
            for technical in ["u16", "usize", "sequence", "struct", "map"] {
                assert!(!problems.contains(technical), "{technical} in {problems}");
            }
        }
    }

    #[test]
    fn what_the_writer_wrote_is_quoted_as_it_is() {
        let line = "http_port = 'expected u16' # expected usize";
        let problems = problems(&format!("state = '/x'\n{line}\n"));
        assert!(problems.contains(line) && problems.contains("a number from 1 to 65535"), "{problems}");
    }

    #[test]
    fn a_ledger_is_neither_tiny_nor_huge() {
        let ledger = |text: &str| Config::parse(text).config.expect("whole").ledger_bytes;
        assert_eq!(ledger(DEFAULT), crate::core::Snapshots::default().after_bytes);
        let with = |size: &str| format!("ledger = '{size}'\n{DEFAULT}");
        assert_eq!(ledger(&with("16KiB")), 16 << 10);
        for size in ["1KiB", "2GiB"] {
            let Problems(problems) = Config::parse(&with(size)).problems;
            assert!(problems.iter().any(|problem| problem.contains("16KiB to 1GiB")), "{size}: {problems:?}");
        }
    }

    #[test]
    fn an_interface_is_named_once() {
        let interface = "[[interface]]\nname = 'eth1'\n";
        let controller = "[controller]\nenrol = ['c:1']\nfleet = ['c:2']\nname = 'a'\n";
        let problems = problems(&format!("state = '/x'\n{interface}{interface}{controller}"));
        assert!(problems.contains("eth1 is named twice"), "{problems}");
    }

    #[test]
    fn other_agents_are_told_an_address_that_they_can_call() {
        let controller = "[controller]\nenrol = ['c:1']\nfleet = ['c:2']\nname = 'a'\n";
        let text = |peers: &str| {
            format!("state = '/x'\npeers = '{peers}'\n[[interface]]\nname = 'eth1'\n{controller}")
        };
        let config = legal(&text("10.1.0.2:7445"));
        assert_eq!(config.peers, Some(([10, 1, 0, 2], 7445).into()));
        for wrong in ["0.0.0.0:7445", "10.1.0.2:0", "10.1.0.2", "agent:7445"] {
            assert!(problems(&text(wrong)).contains("peers:"), "{wrong}");
        }
    }

    #[test]
    fn metrics_are_served_where_it_is_said_and_nowhere_else() {
        let rest =
            "[[interface]]\nname = 'eth1'\n[controller]\nenrol = ['c:1']\nfleet = ['c:2']\nname = 'a'\n";
        let text = |metrics: &str| format!("state = '/x'\n{rest}{metrics}");
        let listen = |metrics: &str| {
            let config = legal(&text(metrics));
            config.metrics.listen.map(|listen| listen.to_string())
        };
        assert_eq!(listen(""), None);
        assert_eq!(listen("[metrics]\nlisten = '127.0.0.1:9465'").as_deref(), Some("127.0.0.1:9465"));
        let problems = problems(&text("[metrics]\nlisten = '9465'"));
        assert!(problems.contains("\"9465\" is no ADDRESS:PORT"), "{problems}");
    }

    #[test]
    fn captures_can_be_turned_off_and_bounded() {
        let rest =
            "[[interface]]\nname = 'eth1'\n[controller]\nenrol = ['c:1']\nfleet = ['c:2']\nname = 'a'\n";
        let captures = |lines: &str| {
            let text = format!("state = '/x'\n{lines}\n{rest}");
            legal(&text).captures
        };
        assert_eq!(captures(""), CapturesConfig { memory_bytes: 8 << 20, disk_bytes: 64 << 20 });
        assert_eq!(captures("captures = '0'").memory_bytes, 0, "nothing is kept that nobody will read");
        assert_eq!(captures("capture_memory = '1MiB'").memory_bytes, 1 << 20);
        for (wrong, said) in [
            ("captures = 'all'", "captures: expected a size"),
            ("capture_memory = '1GiB'", "at most 256 MiB"),
        ] {
            let problems = problems(&format!("state = '/x'\n{wrong}\n{rest}"));
            assert!(problems.contains(said), "{problems}");
        }
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let problems = problems("state = '/x'\ncolour = 'red'\n");
        assert!(problems.contains("line 2") && problems.contains("colour"), "{problems}");
    }

    #[test]
    fn no_mistake_hides_another() {
        let text = "stat = '/x'\nhttp_port = 'web'\ncache = 'much'\npeers = 'here'\n[[interface]]\nname = 7\n\
                    [controller]\nenrol = ['c:1']\nfleet = ['c:1']\nname = 'A'\n[telemetry]\nformt = 'text'\n[moon]\nx = 1\n";
        let Examined { config, problems: Problems(problems) } = Config::parse(text);
        assert!(config.is_none(), "there is no state folder");
        for said in [
            "unknown field `stat`: did you mean `state`?",
            "expected a number from 1 to 65535",
            "cache: ",
            "peers: ",
            "invalid type: integer `7`",
            "controller.fleet: c:1 is the enrol listener, too",
            "controller.name: ",
            "unknown field `formt`: did you mean `format`?",
            "unknown field `moon`",
            "state: is missing",
        ] {
            let with = problems.iter().filter(|problem| problem.contains(said)).count();
            assert_eq!(with, 1, "{said} in {problems:#?}");
        }
        assert_eq!(problems.len(), 10, "{problems:#?}");
    }

    #[test]
    fn what_is_mistyped_is_not_missing_and_the_rest_is_used() {
        let text = "state = '/x'\ncolour = 'red'\ninterface = 'eth1'\n[controller]\nenrol = 'c:1'\nfleet = ['c:2']\nname = 'a'\n";
        let Examined { config, problems: Problems(problems) } = Config::parse(text);
        assert_eq!(problems.len(), 3, "{problems:#?}");
        assert_eq!(config.expect("nothing needed is missing").state, Path::new("/x"));
    }

    #[test]
    fn of_what_is_no_toml_the_place_is_told() {
        let Examined { config, problems: Problems(problems) } = Config::parse("state = '/x\nuser = 'me'\n");
        assert!(config.is_none());
        assert!(problems[0].starts_with("line 1, column "), "{problems:?}");
    }
}
