//! An agent's process: its configuration, its state, its life; and what is known of it from outside.

use std::fs;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::controller::{LIFE, check};
use super::{ENROL_PORT, FLEET_PORT, Fleet, FleetError, Ledger, START_TIMEOUT};
use crate::binaries::Binaries;
use crate::lab::netns::BRIDGE;
use crate::lab::{Namespace, Process, Run};

/// After an outage an agent pauses for up to 30 s before it tries again, and a try may take 10 s.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(120);
/// What an agent logs once its servers are up.
const SERVES: &str = "serving";

/// An agent with its folder; running or not.
#[derive(Debug)]
pub struct AgentProcess {
    name: String,
    site: usize,
    folder: PathBuf,
    process: Option<Process>,
    /// How much of the log belongs to earlier lives.
    log_before: usize,
}

impl AgentProcess {
    /// Writes the configuration and the join token of an agent that has never run.
    pub(super) fn prepare(
        run: &Run,
        name: &str,
        site: usize,
        token: &str,
        controller: Ipv4Addr,
    ) -> Result<Self, FleetError> {
        let folder = run.folder().join(format!("agent-{name}"));
        fs::create_dir_all(&folder).map_err(FleetError::file(&folder))?;
        let file = folder.join("join-token");
        write_private(&file, token).map_err(FleetError::file(&file))?;
        let file = folder.join("agent.toml");
        fs::write(&file, configuration(&folder, name, controller)).map_err(FleetError::file(&file))?;
        Ok(Self { name: name.to_owned(), site, folder, process: None, log_before: 0 })
    }

    /// Its name in the fleet.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number of its site.
    #[must_use]
    pub fn site(&self) -> usize {
        self.site
    }

    /// Everything that outlives its restarts.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        state(&self.folder)
    }

    /// The number of its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.process.as_ref().and_then(Process::program_pid)
    }

    pub(super) fn start(&mut self, namespace: &Namespace, binaries: &Binaries) -> Result<(), FleetError> {
        self.kill();
        let process = namespace
            .command(&format!("agent-{}", self.name), &binaries.agent)
            .arg("--config")
            .arg(self.folder.join("agent.toml"))
            .bound(LIFE)
            .spawn(namespace.run())?;
        self.process = Some(process);
        Ok(())
    }

    /// That it has not ended by itself.
    pub(super) fn check(&mut self) -> Result<(), FleetError> {
        check(&format!("agent {}", self.name), self.process.as_mut())
    }

    /// Whether its servers are up, by its log.
    pub(super) fn serves(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            let said = fs::read(process.log()).unwrap_or_default();
            String::from_utf8_lossy(said.get(self.log_before..).unwrap_or_default()).contains(SERVES)
        })
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.log_before = fs::metadata(process.log()).map_or(0, |log| log.len() as usize);
        }
    }
}

impl Fleet {
    /// Waits until the controller has this agent connected.
    ///
    /// # Errors
    /// When the agent has ended, or the time is up.
    pub fn wait_connected(&mut self, agent: usize) -> Result<(), FleetError> {
        self.wait_agent(agent, "the agent's connection", RECONNECT_TIMEOUT, |agent, _| {
            agent.pointer("/status/connected").and_then(Value::as_bool).unwrap_or(false)
        })
    }

    /// Waits until this agent obeys the newest plan of its site.
    ///
    /// # Errors
    /// When the agent has ended, or the time is up.
    pub fn wait_applied(&mut self, agent: usize) -> Result<(), FleetError> {
        self.wait_agent(agent, "the agent's newest plan", START_TIMEOUT, is_applied)
    }

    /// Waits until this agent has every file of a profile's images on its own disk.
    ///
    /// # Errors
    /// When there is no such profile or image, the agent has ended, or the time is up.
    pub fn wait_files(&mut self, agent: usize, profile: &str, bound: Duration) -> Result<(), FleetError> {
        let digests = self.digests_of(profile)?;
        let agent = &mut self.agents[agent];
        let blobs = agent.state().join("cache/blobs/sha256");
        self.interrupt.wait(format!("the files of {profile} at the edge"), bound).until(|| {
            agent.check()?;
            let is_missing = |digest: &&String| !blobs.join(&digest[..2]).join(digest).exists();
            let missing = digests.iter().filter(is_missing).count();
            Ok(if missing == 0 { Ok(()) } else { Err(format!("{missing} of {} are missing", digests.len())) })
        })
    }

    /// The SHA-256 of all files of the images that a profile names.
    fn digests_of(&self, profile: &str) -> Result<Vec<String>, FleetError> {
        let spec = self.cli.json(&["profile", "get", profile])?;
        let images = ["/spec/image", "/spec/installer"];
        let images = images.iter().filter_map(|field| spec.pointer(field)).filter_map(Value::as_str);
        let mut digests = Vec::new();
        for image in images {
            let image = self.cli.json(&["image", "get", image])?;
            let files = image.pointer("/spec/files").and_then(Value::as_object).into_iter().flatten();
            digests.extend(files.filter_map(|(_, file)| file["sha256"].as_str().map(str::to_owned)));
        }
        Ok(digests)
    }

    /// Waits until the controller has heard that an order is in this phase.
    ///
    /// # Errors
    /// When there is no such order, or the time is up.
    pub fn wait_order(&self, order: &str, phase: &str, bound: Duration) -> Result<(), FleetError> {
        self.interrupt.wait(format!("order {order} to be {phase}"), bound).until(|| {
            let seen = self.cli.json(&["order", "get", order])?;
            let found = seen.pointer("/status/phase").and_then(Value::as_str).unwrap_or("not heard of");
            Ok(if found == phase { Ok(()) } else { Err(format!("it is {found}")) })
        })
    }

    /// Waits until the controller has acknowledged every event that this agent has written down.
    ///
    /// # Errors
    /// When the agent has ended, its ledger is damaged, or the time is up.
    pub fn wait_reported(&mut self, agent: usize) -> Result<(), FleetError> {
        let agent = &mut self.agents[agent];
        self.interrupt.wait("the agent's events", START_TIMEOUT).until(|| {
            agent.check()?;
            let ledger = Ledger::read(&agent.state())?;
            let (last, acknowledged) =
                (ledger.events.last().map_or(0, |event| event.number), ledger.acknowledged);
            let words = || format!("{acknowledged} of {last} are acknowledged");
            Ok((acknowledged == last).then_some(()).ok_or_else(words))
        })
    }

    fn wait_agent(
        &mut self,
        agent: usize,
        what: &str,
        bound: Duration,
        good: impl Fn(&Value, &Value) -> bool,
    ) -> Result<(), FleetError> {
        let agent = &mut self.agents[agent];
        let label = self.network.sites[agent.site()].namespace().label();
        let cli = &self.cli;
        self.interrupt.wait(what, bound).until(|| {
            agent.check()?;
            let seen = match cli.json(&["agent", "get", agent.name()]) {
                Ok(seen) => seen,
                Err(error) => return Ok(Err(error.to_string())),
            };
            let site = cli.json(&["site", "get", label])?;
            let status = |document: &Value| document.get("status").map_or_else(String::new, Value::to_string);
            let last = || format!("the agent's status is {}, the site's {}", status(&seen), status(&site));
            Ok(good(&seen, &site).then_some(()).ok_or_else(last))
        })
    }
}

fn is_applied(agent: &Value, site: &Value) -> bool {
    let applied = agent.pointer("/status/applied").and_then(Value::as_str).unwrap_or_default();
    let newest = site.pointer("/status/plan").and_then(Value::as_str);
    Some(applied) == newest
}

fn state(folder: &Path) -> PathBuf {
    folder.join("state")
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    fs::File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?
        .write_all(text.as_bytes())
}

fn configuration(folder: &Path, name: &str, controller: Ipv4Addr) -> String {
    let (state, token) = (state(folder), folder.join("join-token"));
    // The cache's limits are those of a small disk: a test folder may stand on one. A proxy of this machine is none of the lab's.
    format!(
        "state = {state:?}\nuser = \"root\"\nlow_disk = \"64MiB\"\nmirror_proxy = \"none\"\n\n\
         [[interface]]\nname = \"{BRIDGE}\"\n\n\
         [controller]\nenrol = [\"{controller}:{ENROL_PORT}\"]\nfleet = [\"{controller}:{FLEET_PORT}\"]\n\
         name = \"{name}\"\ntoken_file = {token:?}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_the_agent_takes() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("agent.toml");
        fs::write(&file, configuration(folder.path(), "demo-1", Ipv4Addr::new(10, 99, 0, 2)))
            .expect("written");
        let config = edge_agent::config::Config::load(&file).expect("legal");
        assert_eq!(config.controller.enrol, ["10.99.0.2:7444"]);
        assert_eq!(config.state, state(folder.path()));
    }

    #[test]
    fn an_agent_with_the_sites_newest_plan_has_applied_it() {
        let site = serde_json::json!({"status": {"plan": "1.7/ab"}});
        let agent = |applied: &str| serde_json::json!({"status": {"applied": applied}});
        assert!(is_applied(&agent("1.7/ab"), &site));
        assert!(!is_applied(&agent("1.6/cd"), &site));
        assert!(!is_applied(&agent(""), &serde_json::json!({})));
    }
}
