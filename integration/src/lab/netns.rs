//! Network namespaces and what is plugged into them, by the `ip` command.
//!
//! Interfaces are made inside their namespaces and never appear in the machine's own network, so only
//! the namespaces need names that no other run uses. Deleting a namespace deletes all of it.

use std::ffi::OsStr;
use std::io;
use std::process::Command;

use ipnet::Ipv4Net;

use super::process::Launch;
use super::run::Run;

/// The bridge of a site, to which machines' TAPs are plugged.
pub const BRIDGE: &str = "br0";
/// Where `ip netns` keeps them.
pub(crate) const NAMESPACES: &str = "/run/netns";
/// The longest name the kernel takes for an interface (`IFNAMSIZ` without the final NUL).
const INTERFACE_NAME_LIMIT: usize = 15;

/// Failure to change the network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// Namespaces and TAP devices need root.
    #[error("network namespaces and TAP devices can only be made by root")]
    NotRoot,
    /// The program could not be run at all.
    #[error("run `{command}`")]
    Run {
        /// The command line.
        command: String,
        /// Why not.
        source: io::Error,
    },
    /// The program said no.
    #[error("`{command}`: {message}")]
    Refused {
        /// The command line.
        command: String,
        /// Its error output.
        message: String,
    },
    /// The kernel would cut or refuse this name.
    #[error("interface name {0:?} is empty or longer than 15 bytes")]
    InterfaceName(String),
}

/// A network namespace of this run. Dropping it removes it.
#[derive(Debug)]
pub struct Namespace {
    label: String,
    name: String,
    run: Run,
}

impl Namespace {
    /// Makes the namespace, with its loopback up.
    ///
    /// # Errors
    /// Without root, or when `ip` is not there or refuses.
    pub fn create(run: &Run, label: &str) -> Result<Self, NetworkError> {
        if !rustix::process::geteuid().is_root() {
            return Err(NetworkError::NotRoot);
        }
        let name = run.namespace_name(label);
        ip(["netns", "add", &name])?;
        let namespace = Self { label: label.to_owned(), name, run: run.clone() };
        namespace.ip(["link", "set", "lo", "up"])?;
        // Link-local IPv6 addresses are usable at once: nobody here could own them twice.
        namespace.shell("for v in all default; do echo 0 > /proc/sys/net/ipv6/conf/$v/accept_dad; done")?;
        Ok(namespace)
    }

    /// The short name that it was created with.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The full name, unique on this machine, as `ip netns exec` takes it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The run that it belongs to.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// A program to be run inside, logged as `LABEL-NAME.log`.
    #[must_use]
    pub fn command(&self, name: &str, program: impl AsRef<OsStr>) -> Launch {
        Launch::new(format!("{}-{name}", self.label), program).in_namespace(&self.name)
    }

    /// Runs `ip` inside.
    ///
    /// # Errors
    /// When it is not there or refuses.
    pub fn ip<const N: usize>(&self, arguments: [&str; N]) -> Result<(), NetworkError> {
        execute(Command::new("ip").args(["-n", &self.name]).args(arguments)).map(drop)
    }

    /// Runs a line of shell inside, to its end, and returns its output.
    ///
    /// # Errors
    /// When it fails.
    pub fn shell(&self, script: &str) -> Result<String, NetworkError> {
        execute(Command::new("ip").args(["netns", "exec", &self.name, "sh", "-ec", script]))
    }

    /// Makes a bridge that forwards at once (no spanning tree) and floods multicast like a plain switch.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn add_bridge(&self, bridge: &str) -> Result<(), NetworkError> {
        check_interface_name(bridge)?;
        self.ip([
            "link",
            "add",
            bridge,
            "type",
            "bridge",
            "forward_delay",
            "0",
            "stp_state",
            "0",
            "mcast_snooping",
            "0",
        ])?;
        self.ip(["link", "set", bridge, "up"])
    }

    /// Makes a TAP for a machine and plugs it into `bridge`.
    ///
    /// # Errors
    /// When the name is too long, or `ip` refuses.
    pub fn add_tap(&self, tap: &str, bridge: &str) -> Result<(), NetworkError> {
        check_interface_name(tap)?;
        self.ip(["tuntap", "add", tap, "mode", "tap"])?;
        self.ip(["link", "set", tap, "master", bridge, "up"])
    }

    /// Gives an interface an address.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn add_address(&self, interface: &str, address: Ipv4Net) -> Result<(), NetworkError> {
        self.ip(["address", "add", &address.to_string(), "dev", interface])
    }

    /// Sets an interface up or down.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn set_link(&self, interface: &str, up: bool) -> Result<(), NetworkError> {
        self.ip(["link", "set", interface, if up { "up" } else { "down" }])
    }

    /// Sends everything that no other route takes through `gateway`.
    ///
    /// # Errors
    /// When `ip` refuses.
    pub fn set_default_route(&self, gateway: std::net::Ipv4Addr) -> Result<(), NetworkError> {
        self.ip(["route", "replace", "default", "via", &gateway.to_string()])
    }

    /// Lays a cable: a veth pair between `here` in this namespace and `there` in the other.
    ///
    /// # Errors
    /// When a name is too long, or `ip` refuses.
    pub fn connect(&self, here: &str, other: &Self, there: &str) -> Result<(), NetworkError> {
        check_interface_name(here)?;
        check_interface_name(there)?;
        self.ip(["link", "add", here, "type", "veth", "peer", "name", there, "netns", &other.name])?;
        self.set_link(here, true)?;
        other.set_link(there, true)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = remove_namespace(&self.name) {
            tracing::warn!(namespace = self.name, %error, "namespace not removed; a sweep will");
        }
    }
}

/// All namespaces of this machine, by name. Not by `ip netns list`, which asks the kernel about each and stumbles over
/// those that others remove meanwhile.
pub(crate) fn list_namespaces() -> Result<Vec<String>, NetworkError> {
    match std::fs::read_dir(NAMESPACES) {
        Ok(entries) => {
            Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
        // Nobody has made one since the machine was started.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(NetworkError::Run { command: format!("ls {NAMESPACES}"), source }),
    }
}

/// The processes that run in a namespace. One that is gone already, as when another process sweeps too, has none.
pub(crate) fn processes_in(name: &str) -> Result<Vec<i32>, NetworkError> {
    match execute(Command::new("ip").args(["netns", "pids", name])) {
        Ok(listed) => Ok(listed.lines().filter_map(|line| line.trim().parse().ok()).collect()),
        Err(_) if !list_namespaces()?.iter().any(|listed| listed == name) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Removes a namespace. One that is gone already, as when another process sweeps too, is no error.
pub(crate) fn remove_namespace(name: &str) -> Result<(), NetworkError> {
    match ip(["netns", "delete", name]) {
        Err(_) if !list_namespaces()?.iter().any(|listed| listed == name) => Ok(()),
        removed => removed,
    }
}

fn ip<const N: usize>(arguments: [&str; N]) -> Result<(), NetworkError> {
    execute(Command::new("ip").args(arguments)).map(drop)
}

fn check_interface_name(name: &str) -> Result<(), NetworkError> {
    if name.is_empty() || name.len() > INTERFACE_NAME_LIMIT {
        return Err(NetworkError::InterfaceName(name.to_owned()));
    }
    Ok(())
}

fn execute(command: &mut Command) -> Result<String, NetworkError> {
    let words = || {
        let mut words = vec![command.get_program().to_string_lossy().into_owned()];
        words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
        words.join(" ")
    };
    let line = words();
    let output = command.output().map_err(|source| NetworkError::Run { command: line.clone(), source })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(NetworkError::Refused {
        command: line,
        message: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interface_names_fit_the_kernel() {
        assert!(check_interface_name("tap-machine-001").is_ok());
        assert!(check_interface_name("tap-machine-0001").is_err());
        assert!(check_interface_name("").is_err());
    }

    #[test]
    fn a_namespace_that_is_gone_holds_no_processes() {
        assert_eq!(processes_in("bootlane-1-1-0-gone").expect("no error"), [0; 0]);
    }

    #[test]
    fn a_refusal_carries_the_command_and_its_words() {
        let error = execute(Command::new("sh").args(["-c", "echo no such thing >&2; exit 3"]))
            .expect_err("exit status 3");
        assert_eq!(error.to_string(), "`sh -c echo no such thing >&2; exit 3`: no such thing");
    }
}
