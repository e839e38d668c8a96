//! The controller's process: its configuration, its state, its life.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{ENROL_PORT, FLEET_NAME, FLEET_PORT, FleetError, METRICS_PORT, logs};
use crate::binaries::Binaries;
use crate::lab::{Namespace, Process, Run};

/// The name that the controller gives to the file (`ADMIN_CREDENTIAL` of controller/src/run.rs).
const CREDENTIAL: &str = "admin.credential";
/// The longest that a fleet is kept up: `cargo lab demo --keep` over a day.
pub(super) const LIFE: Duration = Duration::from_secs(24 * 3_600);

/// A controller with its folder; running or not.
#[derive(Debug)]
pub(super) struct ControllerProcess {
    folder: PathBuf,
    process: Option<Process>,
}

impl ControllerProcess {
    /// Writes the configuration of a controller that has never run.
    pub(super) fn prepare(run: &Run, address: Ipv4Addr) -> Result<Self, FleetError> {
        let folder = run.folder().join("controller");
        fs::create_dir_all(&folder).map_err(FleetError::file(&folder))?;
        let file = folder.join("controller.toml");
        fs::write(&file, configuration(&folder, address)).map_err(FleetError::file(&file))?;
        Ok(Self { folder, process: None })
    }

    /// The first operator's credential; its first start makes it.
    pub(super) fn credential(&self) -> PathBuf {
        state(&self.folder).join(CREDENTIAL)
    }

    pub(super) fn start(&mut self, namespace: &Namespace, binaries: &Binaries) -> Result<(), FleetError> {
        self.kill();
        let process = namespace
            .command("controller", &binaries.controller)
            .args(["serve", "--config"])
            .arg(self.folder.join("controller.toml"))
            .bound(LIFE)
            .spawn(namespace.run())?;
        self.process = Some(process);
        Ok(())
    }

    /// That it has not ended by itself.
    pub(super) fn check(&mut self) -> Result<(), FleetError> {
        check("the controller", self.process.as_mut())
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }
}

/// That a process, if there is one, has not ended by itself.
pub(super) fn check(name: &str, process: Option<&mut Process>) -> Result<(), FleetError> {
    let Some(process) = process else { return Ok(()) };
    let ended = process.ended().map_err(FleetError::file(process.log()))?;
    match ended {
        None => Ok(()),
        Some(status) => Err(FleetError::Ended {
            name: name.to_owned(),
            status: status.to_string(),
            tail: logs::tail(process.log()),
        }),
    }
}

fn state(folder: &Path) -> PathBuf {
    folder.join("state")
}

fn configuration(folder: &Path, address: Ipv4Addr) -> String {
    let (state, blobs) = (state(folder), folder.join("blobs"));
    format!(
        "fleet = \"{FLEET_NAME}\"\nstate = {state:?}\nblobs = {blobs:?}\n\n\
         [listen]\nfleet = \"0.0.0.0:{FLEET_PORT}\"\nenrol = \"0.0.0.0:{ENROL_PORT}\"\nnames = [\"{address}\"]\n\n\
         [metrics]\nlisten = \"127.0.0.1:{METRICS_PORT}\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_one_that_the_controller_takes() {
        let text = configuration(Path::new("/run/here"), Ipv4Addr::new(10, 99, 0, 2));
        let config = controller::config::Config::parse(Path::new("controller.toml"), &text).expect("legal");
        assert_eq!(config.listen.fleet.port(), FLEET_PORT);
        assert_eq!(config.state.join(CREDENTIAL), Path::new("/run/here/state/admin.credential"));
    }
}
