//! The planner's one decision: a site's plan from the catalog (DESIGN §4 "Planning"). Pure: no clock, no I/O.
//!
//! [`plan`] makes every choice; agents make none. A mistake in one host, profile or template costs that host's boot
//! and locks the host, never the site's plan: it comes back as a [`PlanProblem`]. The order's token stands in the
//! kernel's arguments, and so in the script that `/a/ATTEMPT/boot.ipxe` gives to the machine whose attempt it is: the
//! installer needs it to report, and there is no other way to hand it over.

mod boot;
mod chunks;
mod loaders;
mod mirrors;
mod network;
mod script;
mod supply;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proto::catalog::{Dhcp, HostSpec, Kind, MenuSpec, Mode, OrderSpec, OrderStatus, Resource};
use proto::plan::{
    BlobRef, Boot, Content, Entry, Guard, HostPlan, OrderPlan, PlanDocument, PlannedFile, Stage,
    chunks_entry, host_entry, loaders_entry, mirror_entry, network_entry, order_entry, secrets_entry,
};
use proto::{Digest, Generation};
use serde::{Deserialize, Serialize};

pub use supply::OrderNeed;
pub use view::{Globals, Local, SecretValue, SiteView};

use boot::BootMaker;
use supply::OrderedBoot;

/// The version of this planner: raise it with every change to what it makes of the same catalog.
pub const PLANNER: u32 = 8;

/// What stands in a menu's place for the name of a profile.
const MENU: &str = "menu";

/// A mistake that costs a part of the plan; for the site's status.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PlanProblem {
    /// The kind of the resource that lost something.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Where the mistake is, for example `profile web: templates.preseed.cfg`; "" for the whole.
    pub field: String,
    /// What is wrong, and what was expected.
    pub message: String,
}

/// A plan, and what there is to say of it.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The plan.
    pub document: PlanDocument,
    /// What it lacks.
    pub problems: Vec<PlanProblem>,
    /// The images, profiles and secrets that it rests on, whether they exist or not.
    pub uses: BTreeSet<(Kind, String)>,
    /// The blobs that it names.
    pub blobs: BTreeMap<Digest, u64>,
    /// The agents that serve the site.
    pub agents: Vec<String>,
    /// What must be at the site for each order that is not at its end, by name.
    pub orders: BTreeMap<String, OrderNeed>,
}

/// Plans a site; None where the site itself is not (or not yet) in the catalog.
#[must_use]
pub fn plan(view: &SiteView<'_>, generation: Generation) -> Option<Planned> {
    let site = view.local.site.as_ref()?;
    let mut planner = SitePlanner { view, out: Gathered::default() };
    planner.network(&site.spec);
    let broken = planner.orders();
    planner.hosts(&broken);
    planner.prefetch(&site.spec.prefetch);
    let loaders = planner.loaders(&site.spec);
    planner.chunks();
    planner.out.entries.extend(mirrors::of(view, site).map(|mirror| mirror_entry(&mirror)));
    planner.check_budget(&site.spec);
    let Gathered { entries, mut problems, uses, blobs, ordered, .. } = planner.out;
    problems.sort();
    let default = site.spec.loaders.as_ref();
    let orders = ordered.into_iter().map(|boot| (boot.name.clone(), boot.need(default, &loaders))).collect();
    let document = PlanDocument::assemble(view.fleet, &site.name, generation, PLANNER, entries);
    let agents = supply::names(view.local);
    Some(Planned { document, problems, uses, blobs, agents, orders })
}

#[derive(Default)]
struct Gathered {
    entries: Vec<(String, Entry)>,
    problems: Vec<PlanProblem>,
    uses: BTreeSet<(Kind, String)>,
    blobs: BTreeMap<Digest, u64>,
    /// The names of the sets of loaders that something names.
    loaders: BTreeSet<String>,
    ordered: Vec<OrderedBoot>,
}

impl Gathered {
    fn blob(&mut self, blob: BlobRef) {
        self.blobs.insert(blob.digest, blob.size);
    }
}

struct SitePlanner<'a> {
    view: &'a SiteView<'a>,
    out: Gathered,
}

/// A mistake, before it is known whom it costs what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistake {
    field: String,
    message: String,
}

impl Mistake {
    fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: field.into(), message: message.into() }
    }
}

impl SitePlanner<'_> {
    fn network(&mut self, site: &proto::catalog::SiteSpec) {
        let mut default = None;
        if let Some(name) = &site.loaders {
            self.out.uses.insert((Kind::Image, name.clone()));
            self.out.loaders.insert(name.clone());
            match loaders::image(self.view, name) {
                Ok(image) => default = Some(image),
                Err(message) => {
                    self.problem(Kind::Site, self.view.name, Mistake::new("spec.loaders", message));
                }
            }
        }
        let mut network = network::network(site, default, self.view.local);
        let proxy = network.is_proxy();
        self.view.globals.forms.plan_models(self.view.name, proxy, &mut network.reply);
        self.out.entries.push(network_entry(&network));
    }

    /// The sets that the site and its boots name, and the files of each.
    fn loaders(&mut self, site: &proto::catalog::SiteSpec) -> BTreeMap<String, Vec<BlobRef>> {
        let mut all = BTreeMap::new();
        for name in std::mem::take(&mut self.out.loaders) {
            // A mistake was told where the name stands.
            let Ok(image) = loaders::image(self.view, &name) else { continue };
            let set = loaders::set(&name, image, site);
            set.files.values().for_each(|blob| self.out.blob(*blob));
            self.out.entries.push(loaders_entry(&set));
            all.insert(name, set.files.into_values().collect());
        }
        all
    }

    /// What agents may read instead of a whole blob. Nothing for nothing: such a plan has the digest that it had.
    fn chunks(&mut self) {
        let lists = chunks::lists(self.view.globals, &self.out.uses, &self.out.blobs);
        lists.values().for_each(|of| self.out.blob(of.list));
        if !lists.is_empty() {
            self.out.entries.push(chunks_entry(&lists));
        }
    }

    /// Plans the orders that stand; returns the hosts that lost one.
    fn orders(&mut self) -> BTreeSet<proto::HostId> {
        let mut broken = BTreeSet::new();
        let (waiting, armed): (Vec<_>, Vec<_>) = self
            .view
            .local
            .orders
            .values()
            .filter(|order| stands(order))
            .partition(|order| order.spec.waiting.is_some());
        waiting.into_iter().for_each(|order| self.wait_for(order));
        for order in armed {
            match self.order(order) {
                Ok(plan) => {
                    plan.boot.blobs().for_each(|blob| self.out.blob(blob));
                    self.out.ordered.push(OrderedBoot::of(order, &plan.boot));
                    self.out.entries.push(order_entry(&plan));
                    self.out.entries.extend(secrets_entry(&plan));
                }
                Err(mistake) => {
                    broken.insert(order.spec.host_id);
                    // An entry that no agent understands: in doubt, and so not taken for revoked.
                    let doubt = Entry { body: Vec::new().into(), level: u32::MAX };
                    self.out.entries.extend(order.id().map(|id| (format!("order/{id}"), doubt)));
                    self.problem(Kind::Order, &order.name, mistake);
                }
            }
        }
        broken
    }

    fn order(&mut self, order: &Resource<OrderSpec>) -> Result<OrderPlan, Mistake> {
        let id = order.id().ok_or_else(|| Mistake::new("", "has no id"))?;
        let host =
            self.view.local.hosts.values().find(|host| host.id().map(Into::into) == Some(order.spec.host_id));
        let host = host.ok_or_else(|| Mistake::new("spec.host", "the host is no longer at this site"))?;
        let made = self.boot(host, &order.spec.profile, Mode::Install, Some(&order.name))?;
        let profile = &self.view.globals.profiles[&order.spec.profile].spec;
        Ok(OrderPlan {
            id: id.into(),
            host: order.spec.host_id,
            number: order.spec.number,
            not_after: order.spec.not_after_ms,
            agent: order.spec.agent.clone(),
            boot: made.boot,
            install: order.spec.install_time.unwrap_or(profile.install_time).into(),
            attempts: profile.attempts,
            secrets: made.secrets,
        })
    }

    fn hosts(&mut self, broken: &BTreeSet<proto::HostId>) {
        let site = self.view.local.site.as_ref();
        let single_port = site.is_some_and(|site| site.spec.tftp_single_port);
        let proxy = site.is_some_and(|site| site.spec.dhcp == Dhcp::Proxy);
        for host in self.view.local.hosts.values() {
            let Some(id) = host.id() else {
                self.problem(Kind::Host, &host.name, Mistake::new("", "has no id"));
                continue;
            };
            let boot = self.run_boot(host);
            let mut plan = bare_host(host, id.into(), single_port);
            self.view.globals.forms.plan_cards(&plan.macs, proxy, &mut plan.reply);
            plan.locked |= boot.is_err() || broken.contains(&plan.id);
            match boot {
                Ok(boot) => plan.boot = boot,
                Err(mistake) => self.problem(Kind::Host, &host.name, mistake),
            }
            plan.boot.iter().flat_map(Boot::blobs).for_each(|blob| self.out.blob(blob));
            self.out.entries.push(host_entry(&plan));
        }
    }

    /// What a host boots without an order: its profile of mode `run`, or its disk.
    fn run_boot(&mut self, host: &Resource<HostSpec>) -> Result<Option<Boot>, Mistake> {
        let Some(name) = &host.spec.profile else { return self.menu_of(host) };
        self.out.uses.insert((Kind::Profile, name.clone()));
        match self.view.globals.profiles.get(name).map(|profile| profile.spec.mode) {
            None => Err(Mistake::new("spec.profile", format!("there is no profile {name:?}"))),
            Some(Mode::Install) => self.menu_of(host),
            Some(Mode::Run) => self.boot(host, name, Mode::Run, None).map(|made| Some(made.boot)),
        }
    }

    fn menu_of(&mut self, host: &Resource<HostSpec>) -> Result<Option<Boot>, Mistake> {
        let site = self.view.local.site.as_ref().and_then(|site| site.spec.menu.as_ref());
        match host.spec.menu.as_ref().or(site) {
            Some(menu) => self.menu(host, menu).map(Some),
            None => Ok(None),
        }
    }

    /// A choice between profiles of mode `run` and the disk.
    fn menu(&mut self, host: &Resource<HostSpec>, menu: &MenuSpec) -> Result<Boot, Mistake> {
        let chosen = loaders::choose(self.view, [host.spec.loaders.as_ref(), None])?;
        let shown = script::Menu::of(&host.name, menu);
        let script = |program: &proto::Program| {
            let content = Content::Parts(script::menu(*program, &shown));
            let file = PlannedFile { stage: Stage::Script, guard: Guard::Attempt, content };
            (program.script().to_owned(), file)
        };
        let mut files: BTreeMap<_, _> = chosen.programs.iter().map(script).collect();
        files.extend(self.autoexec(host));
        for (_, name) in menu.profiles() {
            let made = self.boot_in(host, name, Mode::Run, None, &format!("{name}/"))?;
            files.extend(made.boot.files);
        }
        self.out.loaders.extend(chosen.named.iter().cloned());
        let entry = proto::Program::Ipxe.script().to_owned();
        Ok(Boot {
            profile: MENU.to_owned(),
            image: String::new(),
            entry,
            files,
            loaders: chosen.named,
            menu: true,
        })
    }

    fn boot(
        &mut self,
        host: &Resource<HostSpec>,
        profile: &str,
        mode: Mode,
        order: Option<&str>,
    ) -> Result<boot::Made, Mistake> {
        let mut made = self.boot_in(host, profile, mode, order, "")?;
        made.boot.files.extend(self.autoexec(host));
        Ok(made)
    }

    /// What iPXE runs first on this host, where that is more than what the set of loaders has for all.
    fn autoexec(&self, host: &Resource<HostSpec>) -> Option<(String, PlannedFile)> {
        let content = Content::Parts(script::autoexec(Some(self.view.link_wait(host)?)));
        let file = PlannedFile { stage: Stage::Loader, guard: Guard::Attempt, content };
        Some((proto::Program::AUTOEXEC.to_owned(), file))
    }

    fn boot_in(
        &mut self,
        host: &Resource<HostSpec>,
        profile: &str,
        mode: Mode,
        order: Option<&str>,
        folder: &str,
    ) -> Result<boot::Made, Mistake> {
        let maker = BootMaker { view: self.view, host, profile, mode, order, folder };
        maker.uses(|kind, name| {
            self.out.uses.insert((kind, name.to_owned()));
        });
        let made = maker.make()?;
        self.out.loaders.extend(made.boot.loaders.iter().cloned());
        let secrets = made.secrets.keys().map(|name| name.split('|').next().unwrap_or(name).to_owned());
        self.out.uses.extend(secrets.map(|name| (Kind::Secret, name)));
        Ok(made)
    }

    fn problem(&mut self, kind: Kind, name: &str, mistake: Mistake) {
        let Mistake { field, message } = mistake;
        self.out.problems.push(PlanProblem { kind, name: name.to_owned(), field, message });
    }
}

/// Is the order neither revoked nor at its end? Whether its time is over is the agent's to judge and to report: a plan
/// that depended on the clock would not follow from its revision.
fn stands(order: &Resource<OrderSpec>) -> bool {
    let status = order.status.as_ref().and_then(|status| OrderStatus::deserialize(status).ok());
    !order.spec.revoked && !status.is_some_and(|status| status.phase.is_end())
}

fn bare_host(host: &Arc<Resource<HostSpec>>, id: proto::HostId, site_wide_port: bool) -> HostPlan {
    HostPlan {
        id,
        name: host.name.clone(),
        macs: host.spec.macs.clone(),
        uuid: host.spec.uuid_bytes(),
        serial: host.spec.serial.clone(),
        address: host.spec.address,
        locked: host.spec.locked,
        boot: None,
        tftp_single_port: host.spec.tftp_single_port.unwrap_or(site_wide_port),
        reply: network::reply(&host.spec.options, host.spec.response_delay, host.spec.reply_form),
    }
}

#[cfg(test)]
mod tests;
