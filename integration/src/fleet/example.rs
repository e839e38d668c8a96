//! The example that operators read and copy: one site with one agent, declared in deploy/examples/demo.

use std::path::{Path, PathBuf};

use super::{Fleet, FleetError, Interrupt};
use crate::binaries::Binaries;
use crate::lab::Run;
use crate::lab::site::SitePlan;

/// The site's name, in site.yaml.
pub const SITE: &str = "demo";
/// The one agent's name.
pub const AGENT: &str = "demo-1";
/// The profile that installs the disk image, in disk.yaml.
pub const PROFILE: &str = "demo-disk";
/// The agent's address on the site's segment, with the segment's prefix length, as site.yaml has it.
const SEGMENT: &str = "192.168.77.1/24";

/// A file of the example.
#[must_use]
pub fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples/demo").join(name)
}

impl Fleet {
    /// Starts a fleet with the network of the example. Nothing is in its catalog yet.
    ///
    /// # Errors
    /// As [`Fleet::start`].
    pub fn start_example(run: &Run, binaries: &Binaries, interrupt: &Interrupt) -> Result<Self, FleetError> {
        let address = SEGMENT.parse().expect("a test reads it");
        Self::start(run, binaries, &[SitePlan { label: SITE.to_owned(), address }], interrupt)
    }
}

#[cfg(test)]
mod tests {
    use ipnet::Ipv4Net;
    use proto::catalog::Kind;

    use super::*;

    #[test]
    fn the_network_is_the_one_that_is_declared() {
        let segment: Ipv4Net = SEGMENT.parse().expect("an address with a prefix length");
        let text = std::fs::read_to_string(file("site.yaml")).expect("it is there");
        let network = format!("- network: {}", segment.trunc());
        assert!(text.contains(&network), "no {network:?} in {text}");
        assert!(text.contains(&format!("name: {SITE}\n")) && text.contains(&format!("kind: {}", Kind::Site)));
        assert!(text.contains(&format!("router: {}", segment.addr())));
        let text = std::fs::read_to_string(file("disk.yaml")).expect("it is there");
        assert!(text.contains(&format!("name: {PROFILE}\n")));
    }
}
