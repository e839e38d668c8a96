//! The ground of a kill loop: an agent with its disk in one namespace, machines in another, a cable between them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use ipnet::Ipv4Net;

use super::{inside, kill};
use crate::lab::{LabFolder, Namespace, Process, Run};

/// The fleet's name.
pub const FLEET: &str = "acme";
/// The site's name.
pub const SITE: &str = "lyon";
/// The agent's name.
pub const AGENT: &str = "lyon-1";
/// The segment. Nobody else's: it exists in these namespaces alone.
pub const NETWORK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(10, 77, 0, 0), 16);
/// The agent's address.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
/// The interface that the agent serves, and the other end of the cable.
pub const SERVED: &str = "served";
/// The interface of all machines.
pub const MACHINES: &str = "machines";
/// An address that is no machine's: the kernel sends nothing from an interface that has none.
const NOBODY: &str = "10.77.255.253/16";
/// How long an agent may take from its start to its first answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An agent's segment. Dropping it takes everything away.
#[derive(Debug)]
pub struct Segment {
    agent: Namespace,
    machines: Namespace,
    program: PathBuf,
    process: Option<Process>,
    starts: u32,
    // Last: the namespaces are gone before the folder is.
    folder: tempfile::TempDir,
    run: Run,
}

/// The controllers that an agent's file names.
#[derive(Debug, Clone)]
pub struct Controllers {
    /// `HOST:PORT` of the enrol listener.
    pub enrol: String,
    /// `HOST:PORT` of the fleet listener.
    pub fleet: String,
    /// Where the join token is; None: it is never enrolled.
    pub token: Option<PathBuf>,
}

impl Default for Controllers {
    /// Nobody at all: the discard port of the agent's own namespace.
    fn default() -> Self {
        Self { enrol: "127.0.0.1:9".into(), fleet: "127.0.0.1:10".into(), token: None }
    }
}

impl Segment {
    /// Makes the namespaces. `program` is `bootlane-agent`.
    ///
    /// # Errors
    /// Without root, or when the network cannot be made.
    pub fn create(program: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        let run = Run::begin(&LabFolder::from_environment())?;
        let (agent, machines) = (Namespace::create(&run, "agent")?, Namespace::create(&run, "machines")?);
        agent.connect(SERVED, &machines, MACHINES)?;
        agent.add_address(SERVED, Ipv4Net::new(SERVER, NETWORK.prefix_len())?)?;
        machines.add_address(MACHINES, NOBODY.parse()?)?;
        // Every address of the segment is local there, so that each machine fetches from its own.
        machines.ip(["route", "add", "local", "10.77.16.0/20", "dev", MACHINES])?;
        machines.ip(["route", "add", "local", "10.77.128.0/18", "dev", MACHINES])?;
        // So the kernel would also claim each of them when the agent asks whether it is free (RFC 5227 §2.1.1).
        machines.shell(
            "nft 'add table arp free; add chain arp free probes { type filter hook input priority 0; }; \
             add rule arp free probes arp saddr ip 0.0.0.0 drop'",
        )?;
        std::fs::create_dir(folder.path().join("state"))?;
        Ok(Self { agent, machines, program, process: None, starts: 0, folder, run })
    }

    /// The agent's state folder.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A folder of this segment's own, for whatever else a test writes.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where machines stand.
    #[must_use]
    pub fn machines(&self) -> &Namespace {
        &self.machines
    }

    /// Where the agent runs.
    #[must_use]
    pub fn agent(&self) -> &Namespace {
        &self.agent
    }

    /// The run that everything belongs to.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// Writes the agent's file.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn configure(&self, controllers: &Controllers) -> io::Result<()> {
        let Controllers { enrol, fleet, token } = controllers;
        let token = token.as_ref().map(|path| format!("token_file = {path:?}\n")).unwrap_or_default();
        let state = self.state();
        let text = format!(
            "state = {state:?}\nuser = \"root\"\nlow_disk = \"1MiB\"\nledger = \"16KiB\"\n[[interface]]\nname = \"{SERVED}\"\n[controller]\n\
             enrol = [\"{enrol}\"]\nfleet = [\"{fleet}\"]\nname = \"{AGENT}\"\n{token}"
        );
        std::fs::write(self.configuration(), text)
    }

    /// Starts the agent and waits until it answers.
    ///
    /// # Errors
    /// When it does not start, or ends by itself; its log is then in the message.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.starts += 1;
        let launch = self.agent.command(&format!("agent-{}", self.starts), &self.program);
        let process = launch.arg("--config").arg(self.configuration()).spawn(&self.run)?;
        self.process = Some(process);
        Ok(())
    }

    /// Waits until the agent listens.
    ///
    /// # Errors
    /// When it ends by itself, or does not listen in time; its log is then in the message.
    pub fn wait_until_it_listens(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.listens()? {
            let process = self.process.as_mut().context("it was not started")?;
            let ended = process.ended()?.is_some();
            let log = || std::fs::read_to_string(process.log()).unwrap_or_default();
            ensure!(!ended && Instant::now() < until, "the agent does not serve: {}", log());
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// `kill -9`. It must have lived until then.
    ///
    /// # Errors
    /// When it had ended by itself; its log is then in the message.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        kill(self.process.take().context("it was not started")?)
    }

    /// The number of the agent's process.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().and_then(Process::program_pid)
    }

    fn listens(&self) -> anyhow::Result<bool> {
        let connect = async || {
            TcpStream::connect_timeout(&SocketAddr::from((SERVER, 80)), Duration::from_secs(5)).is_ok()
        };
        let thread = inside::spawn(&self.machines, connect)?;
        thread.join().map_err(|_| anyhow::anyhow!("failed to look"))
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("agent.toml")
    }
}
