//! From a change to the last agent that holds its plan.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use proto::v1::{self, admin_client::AdminClient};
use tokio::sync::mpsc::{self, Receiver};
use tokio::task::JoinSet;
use tonic::transport::Channel;

use super::agent::{Applied, Simulated};
use super::spread::Spread;
use crate::kills::controller::{ControllerStand, ENROL_ADDRESS, FLEET_ADDRESS};
use crate::kills::{dial, inside};
use crate::lab::Namespace;

/// Hosts of each site.
const HOSTS: usize = 50;
/// How long the last agent may take before the measurement is given up.
const PATIENCE: Duration = Duration::from_secs(20);
/// Plans applied that nobody has looked at; agents wait beyond it.
const APPLIED: usize = 65_536;
/// Between two changes: what the planner holds back after one is not to be measured with the next.
const REST: Duration = Duration::from_millis(200);

/// What is measured.
#[derive(Debug, Clone)]
pub struct Options {
    /// `bootlane-controller`
    pub controller: PathBuf,
    /// `bootlane`
    pub cli: PathBuf,
    /// How many agents, over all sites.
    pub agents: usize,
    /// How many sites they are spread over; a change is made to one host of each site, in one write.
    pub sites: usize,
    /// How often everything is repeated.
    pub rounds: usize,
    /// Changes of a round through the Admin service.
    pub changes: usize,
    /// Changes of a round through the CLI.
    pub cli_changes: usize,
}

/// The figures of one round: for each change and each agent, from the call to the decoded plan.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// From the call of Admin.Write.
    pub api: Spread,
    /// From the start of `bootlane apply`.
    pub cli: Spread,
}

/// A controller with its agents, all of them following.
pub struct Fleet {
    options: Options,
    namespace: String,
    credential: PathBuf,
    folder: PathBuf,
    client: AdminClient<Channel>,
    applied: Receiver<Applied>,
    following: JoinSet<anyhow::Result<()>>,
    changes: usize,
}

/// Brings a fleet up and measures it, round by round.
///
/// # Errors
/// When something does not run, or an agent does not get a change in time.
pub fn measure(options: Options) -> anyhow::Result<Vec<Round>> {
    let mut stand = ControllerStand::create(options.controller.clone())?;
    stand.start()?;
    let (credential, folder) = (stand.credential(), stand.folder().to_owned());
    let namespace = stand.namespace().name().to_owned();
    let work = async move || {
        let client = dial::operator(FLEET_ADDRESS, &credential).await?;
        let (sender, applied) = mpsc::channel(APPLIED);
        let following = JoinSet::new();
        let mut fleet =
            Fleet { options, namespace, credential, folder, client, applied, following, changes: 0 };
        fleet.populate().await?;
        fleet.enrol_all(sender).await?;
        fleet.rounds().await
    };
    join(stand.namespace(), work)
}

fn join<T: Send + 'static>(
    namespace: &Namespace,
    work: impl AsyncFnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    inside::spawn(namespace, work)?.join().map_err(|_| anyhow::anyhow!("the measurement has panicked"))?
}

impl Fleet {
    /// Sites with their hosts.
    async fn populate(&mut self) -> anyhow::Result<()> {
        for site in 0..self.options.sites {
            let mut documents = vec![site_document(site)];
            documents.extend((0..HOSTS).map(|host| host_document(site, host, 0)));
            for some in documents.chunks(20) {
                self.write(some.to_vec()).await?;
            }
        }
        Ok(())
    }

    async fn enrol_all(&mut self, applied: mpsc::Sender<Applied>) -> anyhow::Result<()> {
        for number in 0..self.options.agents {
            let site = format!("site-{}", number % self.options.sites);
            let request = v1::CreateTokenRequest { site, ..Default::default() };
            let token = self.client.create_token(request).await?.into_inner().token;
            let agent = Simulated::enrol(ENROL_ADDRESS, &token, &format!("agent-{number}"), number).await?;
            self.following.spawn(agent.follow(FLEET_ADDRESS, applied.clone()));
        }
        // Each has its first plan.
        self.wait_for(0).await.map(drop)
    }

    async fn rounds(&mut self) -> anyhow::Result<Vec<Round>> {
        let mut rounds = Vec::new();
        for _ in 0..self.options.rounds {
            let (mut api, mut cli) = (Vec::new(), Vec::new());
            for _ in 0..self.options.changes {
                api.extend(self.change_by_api().await?);
            }
            for _ in 0..self.options.cli_changes {
                cli.extend(self.change_by_cli().await?);
            }
            let spread = |times| Spread::of(times).context("nothing was measured");
            rounds.push(Round { api: spread(api)?, cli: spread(cli)? });
        }
        Ok(rounds)
    }

    async fn change_by_api(&mut self) -> anyhow::Result<Vec<Duration>> {
        let documents = self.next_change().await;
        let from = Instant::now();
        let revision = self.write(documents).await?;
        self.since(from, revision).await
    }

    async fn change_by_cli(&mut self) -> anyhow::Result<Vec<Duration>> {
        let documents = self.next_change().await;
        let file = self.folder.join("change.yaml");
        // JSON is YAML.
        tokio::fs::write(&file, documents.join("\n---\n")).await?;
        let mut command = tokio::process::Command::new("ip");
        command.args(["netns", "exec", &self.namespace]).arg(&self.options.cli);
        command.arg("--credential").arg(&self.credential).args(["apply", "-f"]).arg(&file);
        let before = self.revision().await?;
        let from = Instant::now();
        let output = command.output().await.context("failed to run the CLI")?;
        ensure!(output.status.success(), "the CLI failed: {}", String::from_utf8_lossy(&output.stderr));
        self.since(from, before + 1).await
    }

    /// Another variable on one host of each site.
    async fn next_change(&mut self) -> Vec<String> {
        tokio::time::sleep(REST).await;
        self.changes += 1;
        let host = self.changes % HOSTS;
        (0..self.options.sites).map(|site| host_document(site, host, self.changes)).collect()
    }

    async fn write(&mut self, documents: Vec<String>) -> anyhow::Result<u64> {
        let change = |json: String| {
            let document = v1::Document { json: json.into_bytes().into(), ..Default::default() };
            v1::Change { change: Some(v1::change::Change::Apply(document)) }
        };
        let changes = documents.into_iter().map(change).collect();
        let request = v1::WriteRequest { changes, manager: "cli".into(), ..Default::default() };
        Ok(self.client.write(request).await.context("a write was refused")?.into_inner().revision)
    }

    async fn revision(&mut self) -> anyhow::Result<u64> {
        let request = v1::ListRequest { kind: "Site".into(), ..Default::default() };
        Ok(self.client.list(request).await?.into_inner().revision)
    }

    async fn since(&mut self, from: Instant, revision: u64) -> anyhow::Result<Vec<Duration>> {
        let times = self.wait_for(revision).await?;
        Ok(times.into_iter().map(|at| at.saturating_duration_since(from)).collect())
    }

    /// When each agent first held a plan of this revision or a later one.
    async fn wait_for(&mut self, revision: u64) -> anyhow::Result<Vec<Instant>> {
        let mut times = vec![None; self.options.agents];
        let until = tokio::time::Instant::now() + PATIENCE;
        while times.iter().any(Option::is_none) {
            tokio::select! {
                Some(applied) = self.applied.recv() => {
                    if applied.generation.revision >= revision {
                        times[applied.agent].get_or_insert(applied.at);
                    }
                }
                Some(ended) = self.following.join_next() => ended??,
                () = tokio::time::sleep_until(until) => {
                    let late = times.iter().filter(|time| time.is_none()).count();
                    anyhow::bail!("{late} agents have no plan of revision {revision} after {PATIENCE:?}");
                }
            }
        }
        Ok(times.into_iter().flatten().collect())
    }
}

fn site_document(site: usize) -> String {
    format!(
        r#"{{"kind":"Site","name":"site-{site}","spec":{{"subnets":[{{"network":"10.{site}.0.0/24","router":"10.{site}.0.1"}}]}}}}"#
    )
}

/// The change is in what a plan shows: the host's address.
fn host_document(site: usize, host: usize, change: usize) -> String {
    let address = 10 + host + (change.div_ceil(HOSTS) % 2) * 100;
    format!(
        r#"{{"kind":"Host","name":"host-{site}-{host}","spec":{{"site":"site-{site}","address":"10.{site}.0.{address}","macs":["52:54:00:00:{site:02x}:{host:02x}"]}}}}"#
    )
}
