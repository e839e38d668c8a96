//! What went over a segment's wire, as a pcap file in the run's folder.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::netns::{BRIDGE, Namespace};
use super::process::{LaunchError, Process};

/// Bytes kept of each packet. More, and tcpdump's ring drops packets behind 64 KiB segments.
const SNAP_LENGTH: &str = "2000";
const START_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running capture of a bridge. Dropping it ends it, with the file complete.
#[derive(Debug)]
pub struct Capture {
    process: Process,
    path: PathBuf,
}

impl Capture {
    /// Captures everything on the namespace's bridge into `LABEL-NAME.pcap`, at most for `bound`.
    /// Returns once packets are being captured.
    ///
    /// # Errors
    /// When tcpdump cannot be started.
    pub fn start(namespace: &Namespace, name: &str, bound: Duration) -> Result<Self, LaunchError> {
        let path = namespace.run().folder().join(format!("{}-{name}.pcap", namespace.label()));
        let process = namespace
            .command(&format!("{name}-tcpdump"), "tcpdump")
            // -U: each packet is in the file at once; -Z root: it may write where only root may.
            .args(["-i", BRIDGE, "-s", SNAP_LENGTH, "-n", "-U", "-Z", "root", "-w"])
            .arg(&path)
            .bound(bound)
            .spawn(namespace.run())?;
        let mut capture = Self { process, path };
        capture.wait_until_listening();
        Ok(capture)
    }

    /// The pcap file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Ends the capture and returns the complete file.
    #[must_use]
    pub fn finish(mut self) -> PathBuf {
        self.process.stop();
        self.path.clone()
    }

    /// tcpdump says `listening on …` when its socket is open. If it never does, the file's absence tells.
    fn wait_until_listening(&mut self) {
        let until = Instant::now() + START_TIMEOUT;
        while Instant::now() < until && matches!(self.process.ended(), Ok(None)) {
            let said = std::fs::read_to_string(self.process.log()).unwrap_or_default();
            if said.contains("listening on") {
                return;
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}
