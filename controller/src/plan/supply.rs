//! What a site is to hold before any machine asks for it, from whom its agents may have it, and whether it all fits.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use proto::catalog::{AgentSpec, HostSpec, Kind, OrderSpec, PrefetchSpec, Resource, SiteSpec};
use proto::plan::{BlobRef, Boot, Need, Peer, Prefetch, prefetch_entry};
use proto::{ByteSize, Digest, Wall};

use super::boot::BootMaker;
use super::{Local, Mistake, SitePlanner};

/// What a site's agent must hold before an order can be obeyed from there alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderNeed {
    /// The agent that may obey the order.
    pub agent: String,
    /// Until when the order waits for it, which is no permission before; None: it does not wait.
    pub waits_until: Option<Wall>,
    /// What its boot fetches, loaders included, with sizes in bytes.
    pub blobs: BTreeMap<Digest, u64>,
}

/// An order whose boot is known; which loaders go with it is known only when all is planned.
pub(super) struct OrderedBoot {
    pub(super) name: String,
    pub(super) agent: String,
    pub(super) waits_until: Option<Wall>,
    pub(super) blobs: Vec<BlobRef>,
    pub(super) loaders: Vec<String>,
}

impl OrderedBoot {
    pub(super) fn of(order: &Resource<OrderSpec>, boot: &Boot) -> Self {
        Self {
            name: order.name.clone(),
            agent: order.spec.agent.clone(),
            waits_until: order.spec.waiting.as_ref().map(|waiting| waiting.until_ms),
            blobs: boot.blobs().collect(),
            loaders: boot.loaders.clone(),
        }
    }

    /// `loaders`: the files of each planned set.
    pub(super) fn need(
        self,
        default: Option<&String>,
        loaders: &BTreeMap<String, Vec<BlobRef>>,
    ) -> OrderNeed {
        let sets = self.loaders.iter().chain(default).filter_map(|name| loaders.get(name));
        let blobs = sets.flatten().chain(&self.blobs).map(|blob| (blob.digest, blob.size)).collect();
        OrderNeed { agent: self.agent, waits_until: self.waits_until, blobs }
    }
}

impl SitePlanner<'_> {
    /// The bytes that an order waits for are wanted; the order itself is not in the plan.
    pub(super) fn wait_for(&mut self, order: &Resource<OrderSpec>) {
        match self.order(order) {
            Ok(plan) => {
                let blobs = plan.boot.blobs().collect();
                self.out.ordered.push(OrderedBoot::of(order, &plan.boot));
                self.want(format!("order/{}", order.name), (Need::Order, 0), blobs);
            }
            Err(mistake) => self.problem(Kind::Order, &order.name, mistake),
        }
    }

    /// What the site says is to be there.
    pub(super) fn prefetch(&mut self, site: &PrefetchSpec) {
        let mut ranks = 0..;
        let mut rank = || (Need::Site, ranks.next().unwrap_or(u32::MAX));
        for (index, name) in site.profiles.iter().enumerate() {
            let rank = rank();
            match self.blobs_of_profile(name) {
                Ok(blobs) => self.want(format!("profile/{name}"), rank, blobs),
                Err(Mistake { message, .. }) => {
                    let field = format!("spec.prefetch.profiles[{index}]");
                    self.problem(Kind::Site, self.view.name, Mistake::new(field, message));
                }
            }
        }
        for (index, name) in site.images.iter().enumerate() {
            let rank = rank();
            self.out.uses.insert((Kind::Image, name.clone()));
            match self.view.globals.images.get(name) {
                Some(image) => {
                    let blob =
                        |file: &proto::catalog::FileEntry| BlobRef { digest: file.sha256, size: file.size };
                    let blobs = image.spec.files.values().map(blob).collect();
                    self.want(format!("image/{name}"), rank, blobs);
                }
                None => {
                    let field = format!("spec.prefetch.images[{index}]");
                    let mistake = Mistake::new(field, format!("there is no image {name:?}"));
                    self.problem(Kind::Site, self.view.name, mistake);
                }
            }
        }
    }

    /// What any host would fetch that boots this profile, answer files and scripts aside, which need no cache.
    fn blobs_of_profile(&mut self, name: &str) -> Result<Vec<BlobRef>, Mistake> {
        let profile = self.view.globals.profiles.get(name);
        let mode = profile.map(|profile| profile.spec.mode).unwrap_or_default();
        let host = nobody(self.view.name);
        let maker = BootMaker { view: self.view, host: &host, profile: name, mode, order: None, folder: "" };
        maker.uses(|kind, name| {
            self.out.uses.insert((kind, name.to_owned()));
        });
        let (blobs, loaders) = maker.blobs()?;
        self.out.loaders.extend(loaders);
        Ok(blobs)
    }

    fn want(&mut self, name: String, (need, rank): (Need, u32), mut blobs: Vec<BlobRef>) {
        let mut seen = BTreeSet::new();
        blobs.retain(|blob| seen.insert(blob.digest));
        blobs.iter().for_each(|blob| self.out.blob(*blob));
        self.out.entries.push(prefetch_entry(&Prefetch { name, need, rank, blobs }));
    }

    /// A plan that does not fit is obeyed all the same: what is needed last is then fetched when it is asked for.
    pub(super) fn check_budget(&mut self, site: &SiteSpec) {
        let Some(cache) = site.cache else { return };
        let total: u64 = self.out.blobs.values().sum();
        if total > cache.0 {
            let message = format!(
                "is {cache}, and what the site is to hold takes {}: what is needed last is fetched anew at each need",
                rounded(total)
            );
            self.problem(Kind::Site, self.view.name, Mistake::new("spec.cache", message));
        }
    }
}

/// In whole MiB, rounded up.
fn rounded(bytes: u64) -> ByteSize {
    ByteSize(bytes.div_ceil(1 << 20) << 20)
}

/// A host that says nothing.
fn nobody(site: &str) -> Resource<HostSpec> {
    let spec = HostSpec {
        site: site.to_owned(),
        macs: Vec::new(),
        uuid: None,
        serial: None,
        asset_tag: None,
        address: None,
        profile: None,
        loaders: None,
        menu: None,
        locked: false,
        tftp_single_port: None,
        options: BTreeMap::new(),
        response_delay: None,
        link_wait: None,
        reply_form: None,
        variables: BTreeMap::new(),
    };
    Resource::new("nobody", spec)
}

/// The agents that serve a site.
fn serving(local: &Local) -> impl Iterator<Item = &Resource<AgentSpec>> {
    local.agents.values().map(AsRef::as_ref).filter(|agent| !agent.spec.revoked)
}

/// Their names.
pub(super) fn names(local: &Local) -> Vec<String> {
    serving(local).map(|agent| agent.name.clone()).collect()
}

/// How many share its WAN, at least one.
pub(super) fn agents(local: &Local) -> u64 {
    (serving(local).count() as u64).max(1)
}

/// Who gives blobs to its neighbours. What an agent says of itself leads nowhere but into the site's own subnets (S8).
pub(super) fn peers(local: &Local, site: &SiteSpec) -> Vec<Peer> {
    let within = |address: &std::net::SocketAddr| match address.ip() {
        IpAddr::V4(address) => site.subnets.iter().any(|subnet| subnet.network.contains(&address)),
        IpAddr::V6(_) => false,
    };
    let peer = |agent: &Resource<AgentSpec>| {
        let addresses: Vec<_> = agent.spec.peer_addresses.iter().copied().filter(within).collect();
        (!addresses.is_empty()).then(|| Peer { name: agent.name.clone(), addresses })
    };
    let peers: Vec<_> = serving(local).filter_map(peer).collect();
    // One alone has nobody to ask.
    if peers.len() > 1 { peers } else { Vec::new() }
}
