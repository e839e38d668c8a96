//! What the planner sees of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use proto::Span;
use proto::catalog::{
    AgentSpec, HostSpec, ImageSpec, MirrorSpec, OrderSpec, ProfileSpec, Resource, SiteSpec,
};
use zeroize::Zeroizing;

use crate::catalog::Forms;

/// A secret's value, opened.
pub type SecretValue = Arc<Zeroizing<String>>;

/// What belongs to the whole fleet, by name.
#[derive(Debug, Clone, Default)]
pub struct Globals {
    /// Images.
    pub images: BTreeMap<String, Arc<Resource<ImageSpec>>>,
    /// Profiles.
    pub profiles: BTreeMap<String, Arc<Resource<ProfileSpec>>>,
    /// Package mirrors.
    pub mirrors: BTreeMap<String, Arc<Resource<MirrorSpec>>>,
    /// Secrets that could be opened.
    pub secrets: BTreeMap<String, SecretValue>,
    /// What was learnt of PXE ROMs.
    pub forms: Forms,
}

/// What belongs to one site, by name.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// The site itself.
    pub site: Option<Arc<Resource<SiteSpec>>>,
    /// Its hosts.
    pub hosts: BTreeMap<String, Arc<Resource<HostSpec>>>,
    /// Its orders.
    pub orders: BTreeMap<String, Arc<Resource<OrderSpec>>>,
    /// Its agents.
    pub agents: BTreeMap<String, Arc<Resource<AgentSpec>>>,
}

/// All that the plan of one site is made of, as of one revision.
#[derive(Debug, Clone, Copy)]
pub struct SiteView<'a> {
    /// The fleet's name.
    pub fleet: &'a str,
    /// The site's name.
    pub name: &'a str,
    /// What belongs to the fleet.
    pub globals: &'a Globals,
    /// What belongs to the site.
    pub local: &'a Local,
}

impl SiteView<'_> {
    /// How long this machine's link may carry nothing yet: the host's word, then its site's.
    /// Are machines of the site to send their syslog to the agent?
    pub(super) fn syslog(&self) -> bool {
        self.local.site.as_ref().is_some_and(|site| site.spec.syslog)
    }

    pub(super) fn link_wait(&self, host: &Resource<HostSpec>) -> Option<Span> {
        let site = self.local.site.as_ref().and_then(|site| site.spec.link_wait);
        host.spec.link_wait.or(site)
    }
}
