//! Whether the agent could start here: everything that a start needs is looked at, and nothing is changed.
//!
//! A mistake keeps the agent from starting or from joining its fleet; a warning is about what may be otherwise when it
//! starts: a link, a controller, another user. Nobody's word is final but the start's.

mod controllers;

use std::{
    error::Error,
    fmt::Display,
    fs, io,
    net::{IpAddr, SocketAddr, TcpListener},
    num::NonZeroU8,
    path::Path,
};

use certs::{AgentIdentity, JoinToken};

use self::controllers::Known;
use crate::{
    config::{Config, ControllerConfig, InterfaceConfig},
    dhcp,
    disk::{log, space::Space},
    holder::{Port, Protocol},
    interfaces::{self, TFTP_PORT, TFTP_SOCKETS},
    ipv6,
    outage::chain,
    sys::user::{self, Ids},
    syslog, tftp, uplink,
};

/// What the agent keeps in its state folder.
const PARTS: [&str; 5] = ["identity", "ledger", "plans", "cache", "captures"];

/// What was found, for people.
#[derive(Debug, Default)]
pub struct Findings {
    /// What keeps the agent from starting or from joining its fleet.
    pub mistakes: Vec<String>,
    /// What is worth a second look.
    pub warnings: Vec<String>,
    /// An agent runs with the state folder.
    pub running: bool,
}

impl Findings {
    fn mistake(&mut self, key: &str, what: impl Display) {
        self.mistakes.push(format!("{key}: {what}"));
    }

    fn warn(&mut self, key: &str, what: impl Display) {
        self.warnings.push(format!("{key}: {what}"));
    }

    /// A socket that cannot be opened: in use by the agent that runs, not ours to try, or really taken.
    fn socket(
        &mut self,
        key: &str,
        (what, port): (impl Display, Option<Port>),
        error: &(dyn Error + 'static),
        running: Running,
    ) {
        let system = std::iter::successors(Some(error), |&error| error.source())
            .find_map(|error| error.downcast_ref());
        let (Some(io::ErrorKind::AddrInUse), Some(port)) = (system.map(io::Error::kind), port) else {
            return match system.map(io::Error::kind) {
                Some(io::ErrorKind::PermissionDenied) => {
                    self.warn(key, format!("{what} was not looked at: run the check as root"));
                }
                _ => self.mistake(key, format!("{what} cannot be used: {}", chain(error))),
            };
        };
        match (running, port.holder()) {
            (Running::Yes, None) => {}
            (Running::Yes, Some(holder)) if holder.name == ours() => {}
            (Running::Unknown, None) => {
                self.warn(
                    key,
                    format!("{what} is in use, perhaps by the agent itself: run the check as root"),
                );
            }
            (_, Some(holder)) => {
                self.mistake(key, format!("{what} is in use by {holder}: stop that, or disable its service"));
            }
            (Running::No, None) => {
                self.mistake(
                    key,
                    format!("{what} is in use by another program: run the check as root to see which"),
                );
            }
        }
    }
}

/// Does an agent run with this state folder?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Running {
    Yes,
    No,
    /// This process may not look.
    Unknown,
}

/// The name of this program, as the kernel tells it of others: up to 15 characters.
fn ours() -> String {
    let comm = fs::read_to_string("/proc/self/comm").unwrap_or_default();
    comm.trim_end().to_owned()
}

/// Looks at all of it.
#[must_use]
pub fn check(config: &Config) -> Findings {
    let mut findings = Findings::default();
    let (user, running) = check_machine(&mut findings, config);
    let known = check_membership(&mut findings, config, user);
    check_listeners(&mut findings, config, running);
    controllers::check(&mut findings, &config.controller, &known);
    findings
}

/// The same of this machine alone: what a start needs that has failed.
#[must_use]
pub fn check_start(config: &Config) -> Findings {
    let mut findings = Findings::default();
    let (_, running) = check_machine(&mut findings, config);
    check_listeners(&mut findings, config, running);
    findings
}

fn check_machine(findings: &mut Findings, config: &Config) -> (Option<Ids>, Running) {
    let running = match log::is_in_use(&config.state.join("ledger")) {
        Some(true) => Running::Yes,
        Some(false) => Running::No,
        None => Running::Unknown,
    };
    if running == Running::Yes {
        findings.running = true;
        let state = config.state.display();
        let what = format!(
            "an agent runs with {state} already: its own ports count as free, and a second one does not start beside it"
        );
        findings.warn("state", what);
    }
    for interface in &config.interfaces {
        check_interface(findings, interface, running);
    }
    let user = check_user(findings, config.user.as_deref());
    check_state(findings, config, user);
    (user, running)
}

fn check_interface(findings: &mut Findings, interface: &InterfaceConfig, running: Running) {
    let key = format!("interface {}", interface.name);
    let (subnet, up) = match interfaces::look(interface) {
        Ok(found) => found,
        Err(error) => return findings.mistake(&key, error),
    };
    if !up {
        findings.warn(&key, "the link is down: no machine is heard before it is up");
    }
    let address = subnet.addr();
    if let Err(error) = dhcp::Bound::open(&interface.name) {
        findings.socket(&key, dhcp_socket(&error), &error, running);
    }
    if let Err(error) = ipv6::open(&interface.name) {
        findings.socket(&key, ("the packet socket for IPv6", None), &error, running);
    }
    if let Err(error) = tftp::Sockets::bind(address, TFTP_PORT, TFTP_SOCKETS, NonZeroU8::MIN) {
        let port = Port { protocol: Protocol::Udp, address: Some(address), number: TFTP_PORT };
        let what = format!("UDP port {TFTP_PORT} (TFTP) at {address}");
        findings.socket(&key, (what, Some(port)), &error, running);
    }
    if let Err(error) = syslog::bind(address)
        && !(running == Running::Yes && error.kind() == io::ErrorKind::AddrInUse)
    {
        let what = format!("UDP port {} (syslog) at {address} cannot be used ({error})", syslog::PORT);
        findings.warn(&key, format!("{what}: what machines say by syslog is not told with their boots"));
    }
}

/// A TCP port that the configuration tells the agent to listen at.
struct Listener {
    /// Whose words it is of.
    key: String,
    /// What for.
    job: &'static str,
    address: SocketAddr,
}

/// All of them: none may be another's, neither of this configuration nor of another program.
fn check_listeners(findings: &mut Findings, config: &Config, running: Running) {
    let wanted = listeners(config);
    for (place, listener) in wanted.iter().enumerate() {
        let Listener { key, job, address } = listener;
        let what = format!("TCP port {} ({job}) at {}", address.port(), address.ip());
        if let Some(other) = wanted[..place].iter().find(|other| overlap(other.address, *address)) {
            let taken = format!("{what} is that of {} ({}) already: choose another", other.key, other.job);
            findings.mistake(key, taken);
        } else if let Err(error) = TcpListener::bind(address) {
            let own = match address.ip() {
                IpAddr::V4(own) => Some(own),
                IpAddr::V6(_) => None,
            };
            let port = Port { protocol: Protocol::Tcp, address: own, number: address.port() };
            findings.socket(key, (what, Some(port)), &error, running);
        }
    }
    if let Some(telemetry::metrics::Listen(address)) = config.metrics.listen
        && !address.ip().is_loopback()
    {
        let what = format!("at {address} nobody is asked who he is: let only the monitoring reach it");
        findings.warn("metrics.listen", what);
    }
}

fn listeners(config: &Config) -> Vec<Listener> {
    let http = config.interfaces.iter().filter_map(|interface| {
        let (subnet, _) = interfaces::look(interface).ok()?;
        let address = SocketAddr::from((subnet.addr(), config.http_port));
        Some(Listener { key: format!("interface {}", interface.name), job: "HTTP", address })
    });
    let peers = config.peers.map(|address| Listener { key: "peers".into(), job: "other agents", address });
    let metrics = config.metrics.listen.map(|telemetry::metrics::Listen(address)| Listener {
        key: "metrics.listen".into(),
        job: "metrics",
        address,
    });
    http.chain(peers).chain(metrics).collect()
}

/// Can only one of them be listened at?
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let any = one.ip().is_unspecified() || other.ip().is_unspecified();
    one.port() == other.port() && (any || one.ip() == other.ip())
}

/// Which of the sockets for DHCP it is about.
fn dhcp_socket(error: &dhcp::OpenError) -> (String, Option<Port>) {
    match error {
        // Bound at every address, so whoever has it at any stands in the way.
        dhcp::OpenError::Udp { port: number, .. } => {
            let port = Port { protocol: Protocol::Udp, address: None, number: *number };
            (format!("UDP port {number} (DHCP)"), Some(port))
        }
        dhcp::OpenError::Packet(_) | dhcp::OpenError::Watch { .. } => {
            ("the packet socket for DHCP".into(), None)
        }
    }
}

/// Who the agent will be; None: not known.
fn check_user(findings: &mut Findings, wanted: Option<&str>) -> Option<Ids> {
    let now = Ids::ours();
    let Some(name) = wanted else {
        if now.is_root() {
            findings
                .warn("user", "is not set: the agent starts from an unprivileged user alone, not from root");
            return None;
        }
        return Some(now);
    };
    match user::look_up(name) {
        Ok(ids) => {
            if !now.is_root() && ids != now {
                findings
                    .warn("user", format!("only root can become {name}, and the check does not run as root"));
            }
            Some(ids)
        }
        Err(error) => {
            findings.mistake("user", error);
            None
        }
    }
}

fn check_state(findings: &mut Findings, config: &Config, user: Option<Ids>) {
    let state = &config.state;
    let there = state.ancestors().find(|folder| folder.exists()).unwrap_or(state);
    if !there.is_dir() {
        return findings.mistake("state", format!("{} is no folder", there.display()));
    }
    if let Some(why) = holds_no_files(there) {
        return findings.mistake("state", format!("{} {why}", there.display()));
    }
    let parts = PARTS.map(|part| state.join(part));
    for folder in
        std::iter::once(there).chain(parts.iter().map(AsRef::as_ref).filter(|part: &&Path| part.exists()))
    {
        if let (Some(user), Ok(metadata)) = (user, fs::metadata(folder))
            && !user.may(&metadata, 0o3)
        {
            let remedy = format!("chown -R {} {}", user.uid, state.display());
            findings.mistake(
                "state",
                format!("the agent's user may not write to {}: {remedy}", folder.display()),
            );
        }
    }
    if let Ok(space) = Space::of(there)
        && space.free_bytes < config.low_disk_bytes
    {
        let free = space.free_bytes >> 20;
        findings
            .warn("state", format!("only {free} MiB are free at {}: no image is fetched", there.display()));
    }
}

/// Why nothing can be written there, by whomever.
fn holds_no_files(folder: &Path) -> Option<&'static str> {
    // EROFS comes whoever asks.
    if rustix::fs::access(folder, rustix::fs::Access::WRITE_OK) == Err(rustix::io::Errno::ROFS) {
        return Some("is on a file system that is read-only");
    }
    let is_the_kernels = Space::of(folder).is_ok_and(|space| space.total_bytes == 0);
    is_the_kernels.then_some("is on a file system of the kernel's own, which keeps no files")
}

/// What the agent knows of its fleet, by its identity or by a join token.
fn check_membership(findings: &mut Findings, config: &Config, user: Option<Ids>) -> Known {
    let known = check_identity(findings, &config.state.join("identity"));
    let enrolled = !matches!(known, Known::Nothing);
    match check_token(findings, &config.controller, user, enrolled) {
        Some(token) => Known::Invited(token),
        None => known,
    }
}

/// Is the agent a member of a fleet? What cannot be looked at may be an identity.
fn check_identity(findings: &mut Findings, folder: &Path) -> Known {
    match fs::metadata(folder) {
        Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Known::Nothing,
        Ok(_) | Err(_) => {}
    }
    match AgentIdentity::load(folder) {
        Ok(identity) => Known::Member(Box::new(identity)),
        Err(error) if error.is_not_found() => Known::Nothing,
        Err(error) => {
            findings.warn("state", chain(&error));
            Known::Hidden
        }
    }
}

/// The token that the agent would enrol by.
fn check_token(
    findings: &mut Findings,
    controller: &ControllerConfig,
    user: Option<Ids>,
    enrolled: bool,
) -> Option<Box<JoinToken>> {
    const KEY: &str = "controller.token_file";
    let Some(path) = &controller.token_file else {
        if !enrolled {
            findings.mistake(KEY, "is not set, and the agent is no member of a fleet yet");
        }
        return None;
    };
    let metadata = match fs::metadata(path) {
        Ok(_) if enrolled => {
            findings.warn(KEY, format!("{} has served: delete it", path.display()));
            return None;
        }
        Ok(metadata) => metadata,
        Err(_) if enrolled => return None,
        Err(error) => {
            findings.mistake(KEY, format!("{}: {error}", path.display()));
            return None;
        }
    };
    if let Some(user) = user
        && !user.may(&metadata, 0o4)
    {
        let remedy = format!("chown {} {}", user.uid, path.display());
        findings.mistake(KEY, format!("the agent's user may not read {}: {remedy}", path.display()));
    }
    match uplink::read_token(path) {
        Ok((_, token)) => Some(Box::new(token)),
        Err(error) => {
            findings.mistake(KEY, chain(&error));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt, path::PathBuf};

    use super::*;

    /// The loopback, an HTTP port that is free, and controllers that are not there.
    fn config(folder: &Path) -> Config {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let text = format!(
            "state = {:?}\nhttp_port = {free}\nlow_disk = \"1B\"\n[[interface]]\nname = \"lo\"\n\
             [controller]\nenrol = [\"127.0.0.1:1\"]\nfleet = [\"127.0.0.1:2\"]\nname = \"a-1\"\n\
             token_file = {:?}\n",
            folder.join("state"),
            folder.join("token"),
        );
        let file = folder.join("agent.toml");
        fs::write(&file, text).expect("written");
        Config::load(&file).expect("legal")
    }

    fn token(folder: &Path, mode: u32) -> PathBuf {
        let path = folder.join("token");
        let (fleet, site) = ("acme".parse().expect("legal"), "lyon".parse().expect("legal"));
        let key = certs::KeyPair::generate().expect("a key");
        let token = certs::JoinToken::generate(fleet, site, key.fingerprint()).expect("random");
        fs::write(&path, token.reveal().as_bytes()).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("set");
        path
    }

    fn with<'a>(lines: &'a [String], key: &str) -> Vec<&'a str> {
        lines.iter().map(String::as_str).filter(|line| line.starts_with(key)).collect()
    }

    #[test]
    fn all_mistakes_are_named_at_once_and_warnings_told_apart() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(folder.path());
        fs::write(&config.state, b"no folder").expect("written");
        config.user = Some("no such user".into());
        config.interfaces[0].name = "none0".into();
        let Findings { mistakes, warnings, running } = check(&config);
        assert!(!running);
        for key in ["interface none0: there is no", "user: there is no", "state: ", "controller.token_file: "]
        {
            assert_eq!(with(&mistakes, key).len(), 1, "{key} in {mistakes:?}");
        }
        assert_eq!(mistakes.len(), 4);
        for key in ["controller.enrol: 127.0.0.1:1 was not reached", "controller.fleet: 127.0.0.1:2"] {
            assert_eq!(with(&warnings, key).len(), 1, "{key} in {warnings:?}");
        }
    }

    #[test]
    fn a_token_that_everybody_can_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let path = token(folder.path(), 0o644);
        let mistakes = check(&config).mistakes;
        let [mistake] = with(&mistakes, "controller.token_file")[..] else { panic!("{mistakes:?}") };
        assert!(mistake.contains("mode 0644") && mistake.contains("chmod 600"), "{mistake}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("set");
        assert_eq!(with(&check(&config).mistakes, "controller.token_file"), [""; 0]);
        fs::write(&path, b"cut off").expect("written");
        assert_eq!(with(&check(&config).mistakes, "controller.token_file").len(), 1);
    }

    #[test]
    fn a_socket_for_dhcp_is_named_by_what_failed() {
        let (interface, source) = ("lo".to_owned(), io::ErrorKind::AddrInUse.into());
        let error = dhcp::OpenError::Udp { interface, port: 4011, source };
        assert_eq!(dhcp_socket(&error).0, "UDP port 4011 (DHCP)");
    }

    #[test]
    fn a_taken_port_is_a_mistake_unless_the_agent_itself_has_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let _taken = TcpListener::bind(("127.0.0.1", config.http_port)).expect("free");
        let http =
            |findings: &Findings| findings.mistakes.iter().filter(|line| line.contains("(HTTP)")).count();
        let alone = check(&config);
        assert_eq!(http(&alone), 1);
        // What has it is this test, whatever the kernel calls it.
        let named = format!("is in use by {} (process {})", ours(), std::process::id());
        assert!(alone.mistakes.iter().any(|line| line.contains(&named)), "{named}: {:?}", alone.mistakes);
        let ledger = config.state.join("ledger");
        fs::create_dir_all(&ledger).expect("made");
        let options = log::Options::new(proto::Incarnation([1; 16]));
        let _running = log::Ledger::open(&ledger, options, &mut |_| Ok(())).expect("opens");
        let beside = check(&config);
        assert!(beside.running && http(&beside) == 0);
        let state = with(&beside.warnings, "state: an agent runs with");
        assert_eq!(state.len(), 1, "{:?}", beside.warnings);
    }

    #[test]
    fn a_state_folder_that_keeps_nothing_is_a_mistake() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = Config { state: "/proc/bootlane".into(), ..config(folder.path()) };
        let mistakes = check(&config).mistakes;
        let [state] = with(&mistakes, "state: ")[..] else { panic!("{mistakes:?}") };
        assert!(state.contains("/proc is on a file system of the kernel's own"), "{state}");
    }

    #[test]
    fn no_port_is_listened_at_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let plain = config(folder.path());
        let address: SocketAddr = ([127, 0, 0, 1], plain.http_port).into();
        let listen = telemetry::metrics::Listen(([0, 0, 0, 0], plain.http_port).into());
        let metrics = telemetry::metrics::Metrics { listen: Some(listen) };
        let mistakes = check(&Config { peers: Some(address), metrics, ..plain }).mistakes;
        for key in ["peers: ", "metrics.listen: "] {
            let [mistake] = with(&mistakes, key)[..] else { panic!("{key}: {mistakes:?}") };
            assert!(mistake.contains("is that of interface lo (HTTP) already"), "{mistake}");
        }
    }

    #[test]
    fn a_start_says_what_the_check_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(folder.path());
        let _taken = TcpListener::bind(("127.0.0.1", config.http_port)).expect("free");
        let all = check(&config).mistakes;
        let start = check_start(&config).mistakes;
        assert!(start.iter().any(|mistake| mistake.contains("(HTTP)")), "{start:?}");
        assert!(start.iter().all(|mistake| all.contains(mistake)), "{start:?} of {all:?}");
    }
}
