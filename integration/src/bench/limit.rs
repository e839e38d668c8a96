//! The kernel as a contender: a process that does nothing but the system calls which the work cannot do without.
//!
//! It is this very program, started with other arguments (`lab bench limit NAME`), so that it has a core of its own and
//! its CPU time is counted as every server's is.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::contender::{Contender, Ready, Role, Server};
use super::ground::Ground;

/// What a limit needs to know of a piece of work.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// Behind the limit's name.
    pub words: Vec<String>,
    /// How it shows that it is ready.
    pub ready: Ready,
}

/// Of a piece of work; None: its limit is not measured.
type Ask<P> = Box<dyn Fn(&P) -> Option<Arguments>>;

/// The kernel's limit of a bench; `arguments` says how it is measured for a piece of work, or that it is not.
pub struct Limit<P> {
    name: &'static str,
    arguments: Ask<P>,
    starts: u32,
}

impl<P> Limit<P> {
    /// By its name in [`run`].
    #[must_use]
    pub fn new(name: &'static str, arguments: impl Fn(&P) -> Option<Arguments> + 'static) -> Self {
        Self { name, arguments: Box::new(arguments), starts: 0 }
    }
}

impl<P> Contender<P> for Limit<P> {
    fn name(&self) -> &str {
        "limit"
    }

    fn role(&self) -> Role {
        Role::Limit
    }

    fn version(&self) -> String {
        String::new()
    }

    fn unable(&self, piece: &P) -> Option<String> {
        (self.arguments)(piece).is_none().then(|| "–".to_owned())
    }

    fn start(&mut self, ground: &Ground, piece: &P) -> anyhow::Result<Server> {
        let Arguments { words, ready } = (self.arguments)(piece).context("there is no such limit")?;
        let program: PathBuf = std::env::current_exe().context("failed to find this program")?;
        self.starts += 1;
        let launch = ground.command("limit", program).numbered(self.starts);
        let process = launch.args(["bench", "limit", self.name]).args(words).spawn(ground.run())?;
        Server::wait(vec![(process, ready)])
    }
}

impl<P> std::fmt::Debug for Limit<P> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Limit").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Is the limit of this name, until it is ended.
///
/// # Errors
/// When there is no such limit, or its sockets fail.
pub fn run(name: &str, words: &[String]) -> anyhow::Result<()> {
    match name {
        "tftp" => super::tftp::limit(words),
        "http" => super::http::limit(words),
        "dhcp" => super::dhcp::limit(words),
        _ => bail!("there is no limit `{name}`"),
    }
}
