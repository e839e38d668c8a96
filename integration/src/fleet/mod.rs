//! A whole fleet on one machine: the real controller, real agents and the real CLI, as separate processes in
//! separate network namespaces, with a router between them that lets only the controller's two ports through.
//!
//! [`Fleet::start`] makes the network and the controller; [`Fleet::enrol`] adds an agent the way an operator does.
//! Everything goes into the run's folder: configurations, state, and a log for each process. Dropping a fleet ends
//! its processes and takes its network away. The calls block, as those of [`crate::lab`] do.
//!
//! What machines boot is not decided here; see [`crate::cases`].

mod agent;
mod cli;
mod controller;
pub mod example;
mod journal;
mod logs;
mod stock;
mod wait;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use agent::AgentProcess;
pub use cli::{Cli, CliError};
pub use journal::{Ledger, LedgerError};
pub use logs::last_lines;
pub use stock::{DISK_LABEL, LabMedia, Stock, installer_for_any_card, signed_loaders};
pub use wait::{Interrupt, Wait};

use crate::binaries::Binaries;
use crate::lab::netns::NetworkError;
use crate::lab::process::LaunchError;
use crate::lab::site::SitePlan;
use crate::lab::{FleetNetwork, Run, Site};
use controller::ControllerProcess;

/// The fleet's name, which stands in every certificate.
pub const FLEET_NAME: &str = "demo";
/// Where agents and operators call.
pub const FLEET_PORT: u16 = 7443;
/// Where agents enrol.
pub const ENROL_PORT: u16 = 7444;
/// Where the controller serves its metrics, on its own loopback.
pub const METRICS_PORT: u16 = 9464;
/// How long a controller or an agent may take until it answers.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a fleet does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The network.
    #[error("failed to make the fleet's network")]
    Network(#[from] NetworkError),
    /// A process could not be started.
    #[error("failed to start a process of the fleet")]
    Launch(#[from] LaunchError),
    /// The CLI did not do it.
    #[error(transparent)]
    Cli(#[from] CliError),
    /// An agent's ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A file of the fleet.
    #[error("failed to use {path}")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The time was up.
    #[error("waited {}s for {what}; {last}", .bound.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// For how long.
        bound: Duration,
        /// What was seen last.
        last: String,
    },
    /// A process ended that should have stayed.
    #[error("{name} has ended ({status}); its log ends with:\n{tail}")]
    Ended {
        /// Which.
        name: String,
        /// How.
        status: String,
        /// The last lines of its log.
        tail: String,
    },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl FleetError {
    fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// A controller, its agents, and what lies between them.
#[derive(Debug)]
pub struct Fleet {
    // Dropped in this order: first the processes, then the network under them.
    agents: Vec<AgentProcess>,
    controller: ControllerProcess,
    network: FleetNetwork,
    cli: Cli,
    binaries: Binaries,
    run: Run,
    interrupt: Interrupt,
}

impl Fleet {
    /// Makes the network with a site for each of `plans`, and starts a controller that has never run before. It is
    /// ready when this returns: its first start has left the operator's credential, and the CLI is answered.
    ///
    /// # Errors
    /// Without root, or when the controller does not come up.
    pub fn start(
        run: &Run,
        binaries: &Binaries,
        plans: &[SitePlan],
        interrupt: &Interrupt,
    ) -> Result<Self, FleetError> {
        let network = FleetNetwork::create(run, [FLEET_PORT, ENROL_PORT], plans)?;
        let controller = ControllerProcess::prepare(run, network.controller_address())?;
        let cli = Cli::new(network.controller.name().to_owned(), &binaries.cli, controller.credential(), run);
        let mut fleet = Self {
            agents: Vec::new(),
            controller,
            network,
            cli,
            binaries: binaries.clone(),
            run: run.clone(),
            interrupt: interrupt.clone(),
        };
        fleet.start_controller()?;
        Ok(fleet)
    }

    /// The CLI, with the first operator's credential.
    #[must_use]
    pub fn cli(&self) -> &Cli {
        &self.cli
    }

    /// The networks.
    #[must_use]
    pub fn network(&self) -> &FleetNetwork {
        &self.network
    }

    /// A site, by its place in the plans that the fleet was started with.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn site(&self, site: usize) -> &Site {
        &self.network.sites[site]
    }

    /// An agent, by the number that [`Fleet::enrol`] gave.
    ///
    /// # Panics
    /// When there are not so many.
    #[must_use]
    pub fn agent(&self, agent: usize) -> &AgentProcess {
        &self.agents[agent]
    }

    /// What ends the waits of this fleet.
    #[must_use]
    pub fn interrupt(&self) -> &Interrupt {
        &self.interrupt
    }

    /// Starts the controller, as it was left.
    ///
    /// # Errors
    /// When it does not come up, or the CLI is not answered.
    pub fn start_controller(&mut self) -> Result<(), FleetError> {
        self.controller.start(&self.network.controller, &self.binaries)?;
        let (controller, cli) = (&mut self.controller, &self.cli);
        self.interrupt.wait("the controller's first answer", START_TIMEOUT).until(|| {
            controller.check()?;
            if !controller.credential().exists() {
                return Ok(Err("no credential yet".to_owned()));
            }
            Ok(cli.run(&["whoami"]).map_err(|error| error.to_string()))
        })?;
        Ok(())
    }

    /// Ends the controller at once, as a power cut would (`kill -9`).
    pub fn kill_controller(&mut self) {
        self.controller.kill();
    }

    /// Adds an agent to a site of the catalog (`label` of its plan): makes a join token with the CLI, gives it to a
    /// new agent process, and waits until the controller has it connected. Returns the agent's number.
    ///
    /// # Errors
    /// When the token is not made, or the agent does not enrol in time.
    pub fn enrol(&mut self, site: usize, name: &str) -> Result<usize, FleetError> {
        let label = self.network.sites[site].namespace().label().to_owned();
        let token = self.cli.run(&["token", "add", "--site", &label, "--agent", name])?;
        let mut agent =
            AgentProcess::prepare(&self.run, name, site, token.trim(), self.network.controller_address())?;
        agent.start(self.network.sites[site].namespace(), &self.binaries)?;
        self.agents.push(agent);
        let number = self.agents.len() - 1;
        self.wait_connected(number)?;
        Ok(number)
    }

    /// Starts an agent, as it was left. It serves before it is connected; see [`Fleet::wait_connected`].
    ///
    /// # Errors
    /// When the process cannot be started, or does not serve in time.
    pub fn start_agent(&mut self, agent: usize) -> Result<(), FleetError> {
        let agent = &mut self.agents[agent];
        agent.start(self.network.sites[agent.site()].namespace(), &self.binaries)?;
        self.interrupt.wait("the agent's servers", START_TIMEOUT).until(|| {
            agent.check()?;
            Ok(agent.serves().then_some(()).ok_or_else(|| "it does not serve yet".to_owned()))
        })
    }

    /// Ends an agent at once, as a power cut would (`kill -9`).
    pub fn kill_agent(&mut self, agent: usize) {
        self.agents[agent].kill();
    }

    /// Cuts a site off from the controller.
    ///
    /// # Errors
    /// When the network cannot be changed.
    pub fn cut_wan(&self, site: usize) -> Result<(), FleetError> {
        Ok(self.network.sites[site].set_upstream(false)?)
    }

    /// Connects it again.
    ///
    /// # Errors
    /// When the network cannot be changed.
    pub fn restore_wan(&self, site: usize) -> Result<(), FleetError> {
        Ok(self.network.sites[site].set_upstream(true)?)
    }
}
