//! What others use, as contenders: servers of Debian packages, set up as their manuals say for speed.
//!
//! Each is run as a plain process that the bench has started, with a configuration and folders of its own; no service of
//! the machine is used or changed. What a peer's default would forbid (more than 50 transfers, more than 100 requests on
//! a connection) is lifted, and nothing that an administrator would keep is turned off but access logs.

mod apache;
mod dhcp;
mod http;
mod install;
mod tftp;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::contender::{Contender, Ready, Role, Server};
use super::ground::Ground;
use crate::lab::{Launch, packages};

pub use dhcp::{Pool, dnsmasq_dhcp, kea};
pub(in crate::bench) use http::nginx_launch;
pub use http::{apache, lighttpd, nginx};
pub use install::install;
pub use tftp::{atftpd, dnsmasq_tftp, hpa, rs_tftpd};

/// The most clients that any bench has at one time; peers are told to take so many.
const CLIENTS: u32 = 4_096;

/// Writes what a peer needs into its folder, and says how it is run.
type Prepare = Box<dyn Fn(&Ground, &Path) -> anyhow::Result<Launch>>;

/// A server that others use.
pub struct Peer {
    name: &'static str,
    version: String,
    ready: Ready,
    /// Why it cannot be run at all.
    absent: Option<String>,
    prepare: Prepare,
    starts: u32,
}

impl Peer {
    /// A program of a Debian package.
    fn packaged(
        name: &'static str,
        package: &str,
        ready: Ready,
        prepare: impl Fn(&Ground, &Path) -> anyhow::Result<Launch> + 'static,
    ) -> Self {
        let version = packages::version(package);
        let absent = version.is_none().then(|| format!("the package {package} is not installed"));
        let version = version.unwrap_or_default();
        Self { name, version, ready, absent, prepare: Box::new(prepare), starts: 0 }
    }
}

impl Peer {
    /// A program with its version, or why there is none.
    fn found(
        name: &'static str,
        found: Result<(PathBuf, String), String>,
        ready: Ready,
        launch: impl Fn(&Ground, &Path) -> Launch + 'static,
    ) -> Self {
        let (absent, version) = match &found {
            Ok((_, version)) => (None, version.clone()),
            Err(why) => (Some(why.clone()), String::new()),
        };
        let prepare = move |ground: &Ground, _: &Path| match &found {
            Ok((program, _)) => Ok(launch(ground, program)),
            Err(why) => bail!("{why}"),
        };
        Self { name, version, ready, absent, prepare: Box::new(prepare), starts: 0 }
    }
}

impl<P> Contender<P> for Peer {
    fn name(&self) -> &str {
        self.name
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn unable(&self, _piece: &P) -> Option<String> {
        self.absent.clone()
    }

    fn start(&mut self, ground: &Ground, _piece: &P) -> anyhow::Result<Server> {
        let folder = ground.fresh_folder(self.name).context("failed to make the peer's folder")?;
        self.starts += 1;
        let process = (self.prepare)(ground, &folder)?.numbered(self.starts).spawn(ground.run())?;
        Server::wait(vec![(process, self.ready)])
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Peer")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// A peer that cannot do some of the work, and says why.
pub struct Partly<P> {
    peer: Peer,
    unable: fn(&P) -> Option<&'static str>,
}

impl<P> Partly<P> {
    /// `unable` says why the peer cannot do a piece of work.
    #[must_use]
    pub fn new(peer: Peer, unable: fn(&P) -> Option<&'static str>) -> Self {
        Self { peer, unable }
    }
}

impl<P> Contender<P> for Partly<P> {
    fn name(&self) -> &str {
        Contender::<P>::name(&self.peer)
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn version(&self) -> String {
        Contender::<P>::version(&self.peer)
    }

    fn unable(&self, piece: &P) -> Option<String> {
        (self.unable)(piece).map(str::to_owned).or_else(|| self.peer.unable(piece))
    }

    fn start(&mut self, ground: &Ground, piece: &P) -> anyhow::Result<Server> {
        self.peer.start(ground, piece)
    }
}

impl<P> std::fmt::Debug for Partly<P> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.peer.fmt(out)
    }
}
