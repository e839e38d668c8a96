//! The agent as a contender: alone, with a plan on its disk that was made for the bench and every blob of it in its cache, as
//! after a start with no controller up. So nothing but the work itself is measured.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use edge_agent::disk::cache::Cache;
use edge_agent::plans::PlanStore;
use proto::plan::{
    BlobRef, DhcpMode, Entry, HostPlan, LoaderSet, Network, PlanDocument, ReplySettings, Subnet,
    UnknownMachines, host_entry, loaders_entry, network_entry,
};
use proto::{BlobSource, Digest, Generation, HostId, Mac, Platform, Program, Range};
use sha2::{Digest as _, Sha256};

use super::contender::{Contender, Ready, Role, Server};
use super::ground::{Ground, NETWORK, SERVED, SERVER};
use super::telemetry::METRICS;

/// As goals and tables name us.
pub const NAME: &str = "bootlane";
/// The same, which tells nothing but events.
pub(super) const SILENT: &str = "bootlane-silent";
/// Only these folders of an agent's state outlive a start: it begins with no lease, no event and no identity.
const KEPT: [&str; 2] = ["plans", "cache"];
/// The loader set that holds the files of a bench.
const SET: &str = "bench";
/// How long a lease lasts: longer than any bench.
const LEASE: Duration = Duration::from_secs(3_600);
/// A copy's buffer.
const CHUNK: usize = 1 << 20;

/// What the agent is to offer, besides what its site always has.
#[derive(Debug, Clone, Default)]
pub struct Offer {
    /// Files of [`Ground::files`] that every machine of the segment may fetch, by TFTP as `NAME` and by HTTP as `/NAME`.
    pub files: Vec<String>,
    /// The loaders that firmware is told of, among the files.
    pub loaders: BTreeMap<Platform, String>,
    /// What is leased. None: another server leases, and every address of the segment may fetch.
    pub pool: Option<Range>,
    /// Addresses that fetch without having asked for a lease before; each is a host's of the plan.
    pub clients: Vec<Ipv4Addr>,
    /// Where blobs are fetched from that are not in the cache.
    pub blob_sources: Vec<BlobSource>,
    /// Other entries of the plan: hosts, orders.
    pub entries: Vec<(String, Entry)>,
    /// Files of [`Ground::files`] that those entries name as blobs.
    pub blobs: Vec<String>,
}

/// What the agent tells of itself besides its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// As it is shipped: packets are captured.
    Shipped,
    /// Metrics and traces too.
    Everything,
    /// Not even captures.
    Nothing,
}

impl Telling {
    /// As goals and tables name who does so.
    fn name(self) -> &'static str {
        match self {
            Self::Shipped | Self::Everything => NAME,
            Self::Nothing => SILENT,
        }
    }

    /// Lines of the configuration, before its tables and behind them. Nobody listens at the collector's address.
    fn lines(self) -> (&'static str, String) {
        match self {
            Self::Shipped => ("", String::new()),
            Self::Everything => (
                "",
                format!(
                    "[metrics]\nlisten = \"{SERVER}:{METRICS}\"\n[telemetry]\notlp = \"http://127.0.0.1:9\"\n"
                ),
            ),
            Self::Nothing => ("captures = \"0\"\n", String::new()),
        }
    }
}

/// The agent. Started anew for each piece of work.
#[derive(Debug)]
pub struct Ours {
    telling: Telling,
    program: PathBuf,
    state: PathBuf,
    configuration: PathBuf,
    starts: u32,
}

impl Ours {
    /// Lays down plan and blobs for `program`, which is `bootlane-agent`.
    ///
    /// # Errors
    /// When the disk fails, or a file is missing.
    pub fn lay_down(ground: &Ground, program: PathBuf, offer: Offer) -> anyhow::Result<Self> {
        Self::telling(ground, program, offer, Telling::Shipped)
    }

    /// The same, for one that tells more or less than it does as shipped.
    ///
    /// # Errors
    /// When the disk fails, or a file is missing.
    pub fn telling(
        ground: &Ground,
        program: PathBuf,
        offer: Offer,
        telling: Telling,
    ) -> anyhow::Result<Self> {
        let folder = ground.fresh_folder(telling.name())?;
        let state = folder.join("state");
        fs::create_dir(&state)?;
        let files = store(&state, &ground.files(), offer.files.iter().chain(&offer.blobs))?;
        adopt(&state, plan(&offer, &files))?;
        let configuration = folder.join("agent.toml");
        fs::write(&configuration, text(&state, telling))?;
        Ok(Self { telling, program, state, configuration, starts: 0 })
    }

    /// The agent's state folder.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }

    fn forget(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.state)? {
            let entry = entry?;
            let kept = KEPT.iter().any(|kept| entry.file_name() == *kept);
            match entry.file_type()?.is_dir() {
                _ if kept => {}
                true => fs::remove_dir_all(entry.path())?,
                false => fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }
}

impl<P> Contender<P> for Ours {
    fn name(&self) -> &str {
        self.telling.name()
    }

    fn role(&self) -> Role {
        match self.telling {
            Telling::Shipped | Telling::Everything => Role::Ours,
            Telling::Nothing => Role::Peer,
        }
    }

    fn version(&self) -> String {
        proto::VERSION.to_owned()
    }

    fn start(&mut self, ground: &Ground, _piece: &P) -> anyhow::Result<Server> {
        self.forget().context("failed to tidy up the agent's state")?;
        self.starts += 1;
        let launch = ground.command(self.telling.name(), &self.program).numbered(self.starts);
        let process = launch.arg("--config").arg(&self.configuration).spawn(ground.run())?;
        Server::wait(vec![(process, Ready::Says("serving"))])
    }
}

/// Copies files into the agent's cache.
fn store<'a>(
    state: &Path,
    from: &Path,
    names: impl Iterator<Item = &'a String>,
) -> anyhow::Result<BTreeMap<String, BlobRef>> {
    let (cache, _) = Cache::open(&state.join("cache"), SystemTime::now(), Duration::from_secs(60))?;
    let cache = Arc::new(cache);
    let mut stored = BTreeMap::new();
    for name in names {
        let path = from.join(name);
        let blob = blob_of(&path).with_context(|| format!("failed to read {}", path.display()))?;
        let mut fill = cache.fill(blob.digest, blob.size)?;
        read(&path, |chunk| Ok(fill.write(chunk)?))?;
        fill.finish()?;
        stored.insert(name.clone(), blob);
    }
    Ok(stored)
}

/// What a file's bytes are called.
///
/// # Errors
/// When it cannot be read.
pub fn blob_of(path: &Path) -> anyhow::Result<BlobRef> {
    let (mut hash, mut size) = (Sha256::new(), 0);
    read(path, |chunk| {
        hash.update(chunk);
        size += chunk.len() as u64;
        Ok(())
    })?;
    Ok(BlobRef { digest: Digest(hash.finalize().into()), size })
}

fn read(path: &Path, mut each: impl FnMut(&[u8]) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let mut file = BufReader::new(File::open(path)?);
    let mut chunk = vec![0; CHUNK];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(()),
            length => each(&chunk[..length])?,
        }
    }
}

fn adopt(state: &Path, plan: PlanDocument) -> anyhow::Result<()> {
    let (mut plans, _) = PlanStore::open(&state.join("plans"))?;
    let id = plan.id();
    plans.adopt(plan)?;
    // It is started often, and is not to give the plan up for that.
    plans.settle(id)?;
    Ok(())
}

fn plan(offer: &Offer, files: &BTreeMap<String, BlobRef>) -> PlanDocument {
    let set = LoaderSet {
        name: SET.into(),
        program: Program::Ipxe,
        entries: offer.loaders.clone(),
        files: offer.files.iter().filter_map(|name| Some((name.clone(), *files.get(name)?))).collect(),
        site_default: true,
        texts: BTreeMap::new(),
    };
    let mut entries = vec![network_entry(&network(offer)), loaders_entry(&set)];
    entries.extend(offer.clients.iter().map(|address| host_entry(&host_at(*address))));
    entries.extend(offer.entries.iter().cloned());
    PlanDocument::assemble("bench", "bench", Generation { epoch: 1, revision: 1 }, 1, entries)
}

fn network(offer: &Offer) -> Network {
    let pool = offer.pool;
    let subnet = Subnet {
        network: NETWORK,
        pools: pool.into_iter().collect(),
        router: Some(SERVER),
        dns: vec![SERVER],
        ntp: vec![],
        domain: None,
        lease: LEASE,
        shared: None,
    };
    Network {
        dhcp: if pool.is_some() { DhcpMode::Authoritative } else { DhcpMode::Proxy },
        subnets: vec![subnet],
        unknown: UnknownMachines::Lease,
        blob_sources: offer.blob_sources.clone(),
        ..Network::default()
    }
}

/// A host that has nothing but this address.
#[must_use]
pub fn host_at(address: Ipv4Addr) -> HostPlan {
    let [a, b, c, d] = address.octets();
    let mut id = [b'c'; 16];
    id[12..].copy_from_slice(&[a, b, c, d]);
    HostPlan {
        id: HostId(id),
        name: format!("client-{a}-{b}-{c}-{d}"),
        macs: vec![Mac([0x52, 0x55, a, b, c, d])],
        uuid: None,
        serial: None,
        address: Some(address),
        locked: false,
        boot: None,
        tftp_single_port: false,
        reply: ReplySettings::default(),
    }
}

/// The shipped defaults but for the user, who is whoever runs the bench. Nobody listens at the controller's address.
fn text(state: &Path, telling: Telling) -> String {
    let (before, behind) = telling.lines();
    format!(
        "state = {state:?}\nuser = \"root\"\n{before}[[interface]]\nname = \"{SERVED}\"\n[controller]\n\
         enrol = [\"127.0.0.1:9\"]\nfleet = [\"127.0.0.1:10\"]\nname = \"bench-1\"\n{behind}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_takes_its_file_and_finds_its_plan_and_blobs() {
        let folder = tempfile::tempdir().expect("a folder");
        let (state, files) = (folder.path().join("state"), folder.path().join("files"));
        fs::create_dir_all(&state).expect("made");
        fs::create_dir_all(&files).expect("made");
        fs::write(files.join("small"), b"0123456789").expect("written");
        let names = ["small".to_owned()];
        let stored = store(&state, &files, names.iter()).expect("stored");
        let clients = vec![Ipv4Addr::new(10, 64, 0, 9)];
        let offer = Offer { files: names.into(), clients, ..Offer::default() };
        adopt(&state, plan(&offer, &stored)).expect("adopted");

        let path = folder.path().join("agent.toml");
        for (telling, metrics, captures) in [
            (Telling::Shipped, false, true),
            (Telling::Everything, true, true),
            (Telling::Nothing, false, false),
        ] {
            fs::write(&path, text(&state, telling)).expect("written");
            let config = edge_agent::config::Config::load(&path).expect("legal");
            assert_eq!(config.state, state);
            let told = (config.metrics.listen.is_some(), config.captures.memory_bytes > 0);
            assert_eq!(told, (metrics, captures), "{telling:?}");
        }
        let (plans, _) = PlanStore::open(&state.join("plans")).expect("opened");
        let adopted = plans.current().expect("it was adopted");
        let plan = proto::plan::SitePlan::decode(adopted).expect("a plan");
        assert!(plan.doubts.is_empty(), "{:?}", plan.doubts);
        assert_eq!(plan.hosts.values().filter_map(|host| host.address).collect::<Vec<_>>(), offer.clients);
        let blob = plan.blobs().next().expect("the file's");
        assert_eq!((blob.digest, blob.size), (Digest::of(b"0123456789"), 10));
        let (cache, _) = Cache::open(&state.join("cache"), SystemTime::now(), Duration::ZERO).expect("open");
        assert!(cache.get(&blob.digest).expect("readable").is_some());
    }
}
