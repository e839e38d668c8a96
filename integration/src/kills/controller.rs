//! A real controller in a network namespace of its own, to be killed and started again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use proto::v1::admin_client::AdminClient;
use tonic::transport::Channel;

use super::{dial, inside, kill};
use crate::lab::{LabFolder, Namespace, Process, Run};

/// Where its fleet listener is reached within the namespace; it listens on all addresses.
pub const FLEET_ADDRESS: &str = "127.0.0.1:7443";
/// Where its enrol listener is reached.
pub const ENROL_ADDRESS: &str = "127.0.0.1:7444";
/// How long it may take from its start to its first answer.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// A controller with its disk. Dropping it takes everything away.
#[derive(Debug)]
pub struct ControllerStand {
    namespace: Namespace,
    program: PathBuf,
    process: Option<Process>,
    starts: u32,
    folder: tempfile::TempDir,
    run: Run,
}

impl ControllerStand {
    /// Makes the namespace and the configuration. `program` is `bootlane-controller`.
    ///
    /// # Errors
    /// Without root, or when the disk fails.
    pub fn create(program: PathBuf) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("failed to make a folder")?;
        let run = Run::begin(&LabFolder::from_environment())?;
        let namespace = Namespace::create(&run, "controller")?;
        let state = folder.path().join("state");
        let text = format!(
            "fleet = \"acme\"\nstate = {state:?}\n[listen]\nfleet = \"0.0.0.0:7443\"\nenrol = \"0.0.0.0:7444\"\n\
             names = [\"127.0.0.1\"]\n[keep]\nrevisions = 10000000\n[telemetry]\nfilter = \"warn\"\n"
        );
        std::fs::write(folder.path().join("controller.toml"), text)?;
        Ok(Self { namespace, program, process: None, starts: 0, folder, run })
    }

    /// Its folder of state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// A folder for whatever else is written.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where it runs, and whoever calls it.
    #[must_use]
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The run that everything belongs to.
    #[must_use]
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// The first operator's credential.
    #[must_use]
    pub fn credential(&self) -> PathBuf {
        self.state().join(controller::ADMIN_CREDENTIAL)
    }

    /// Starts it and waits until it answers its operator.
    ///
    /// # Errors
    /// When it ends by itself or does not answer in time; its log is then in the message.
    pub fn start(&mut self) -> anyhow::Result<()> {
        self.starts += 1;
        let launch = self.namespace.command(&format!("controller-{}", self.starts), &self.program);
        let configuration = self.folder.path().join("controller.toml");
        self.process = Some(launch.args(["serve", "--config"]).arg(configuration).spawn(&self.run)?);
        let credential = self.credential();
        let waiting = inside::spawn(&self.namespace, async move || wait_for(&credential).await)?;
        let answers = waiting.join().map_err(|_| anyhow::anyhow!("failed to wait"))?;
        ensure!(answers.is_some(), "the controller does not answer: {}", self.log());
        Ok(())
    }

    /// `kill -9`. It must have lived until then.
    ///
    /// # Errors
    /// When it had ended by itself; its log is then in the message.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        kill(self.process.take().context("it was not started")?)
    }

    fn log(&self) -> String {
        let log = self.process.as_ref().map(|process| std::fs::read_to_string(process.log()));
        log.and_then(Result::ok).unwrap_or_default()
    }
}

/// An operator's client, as soon as the controller answers; None: it does not.
async fn wait_for(credential: &Path) -> Option<AdminClient<Channel>> {
    let until = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < until {
        if let Ok(mut client) = dial::operator(FLEET_ADDRESS, credential).await
            && client.who_am_i(proto::v1::WhoAmIRequest {}).await.is_ok()
        {
            return Some(client);
        }
        tokio::time::sleep(PAUSE).await;
    }
    None
}
