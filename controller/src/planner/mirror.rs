//! What plans are made of, parsed once and kept up to date change by change.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use proto::catalog::{Kind, Resource, SecretSpec, Spec};

use crate::catalog::keys::{self, Place};
use crate::plan::{Globals, Local, SecretValue, SiteView};
use crate::store::Change;
use crate::vault::Vault;

/// A part of the catalog in memory.
#[derive(Default)]
pub(super) struct Mirror {
    globals: Globals,
    sites: BTreeMap<String, Local>,
    /// By what is used, the sites whose last plan used it.
    users: HashMap<(Kind, String), BTreeSet<String>>,
    uses: HashMap<String, BTreeSet<(Kind, String)>>,
}

impl Mirror {
    /// The names of all sites that have anything in them.
    pub(super) fn sites(&self) -> impl Iterator<Item = &str> {
        self.sites.keys().map(String::as_str)
    }

    /// What the plan of a site is made of.
    pub(super) fn view<'a>(&'a self, fleet: &'a str, site: &'a str) -> Option<SiteView<'a>> {
        let local = self.sites.get(site)?;
        Some(SiteView { fleet, name: site, globals: &self.globals, local })
    }

    /// Notes what a site's plan rests on.
    pub(super) fn note_uses(&mut self, site: &str, uses: BTreeSet<(Kind, String)>) {
        let old = self.uses.insert(site.to_owned(), uses.clone()).unwrap_or_default();
        for gone in old.difference(&uses) {
            if let Some(users) = self.users.get_mut(gone) {
                users.remove(site);
                if users.is_empty() {
                    self.users.remove(gone);
                }
            }
        }
        for used in uses {
            self.users.entry(used).or_default().insert(site.to_owned());
        }
    }

    /// Takes a change in and adds the sites that it touches.
    pub(super) fn apply(&mut self, vault: &Vault, change: &Change, touched: &mut BTreeSet<String>) {
        let value = change.now.as_ref().map(|version| &version.value);
        self.put(vault, &change.key, value, touched);
    }

    /// Takes one key in.
    pub(super) fn put(
        &mut self,
        vault: &Vault,
        key: &str,
        value: Option<&Bytes>,
        touched: &mut BTreeSet<String>,
    ) {
        if key.starts_with(keys::FORMS) {
            return self.put_form(key, value, touched);
        }
        let Some(place) = Place::parse(key) else { return };
        let name = place.name;
        match (place.kind, place.site) {
            (Kind::Image, _) => set(&mut self.globals.images, key, name, value),
            (Kind::Profile, _) => set(&mut self.globals.profiles, key, name, value),
            (Kind::Mirror, _) => {
                set(&mut self.globals.mirrors, key, name, value);
                // Which sites it is for is said by labels, before and after the change.
                touched.extend(self.sites.keys().cloned());
            }
            (Kind::Secret, _) => set_secret(&mut self.globals.secrets, vault, key, name, value),
            (Kind::Site, Some(site)) => self.local(site).site = value.and_then(|value| parse(key, value)),
            (Kind::Host, Some(site)) => set(&mut self.local(site).hosts, key, name, value),
            (Kind::Order, Some(site)) => set(&mut self.local(site).orders, key, name, value),
            (Kind::Agent, Some(site)) => set(&mut self.local(site).agents, key, name, value),
            (Kind::Token | Kind::Operator, _)
            | (Kind::Site | Kind::Host | Kind::Order | Kind::Agent, None) => return,
        }
        match place.site {
            Some(site) => {
                touched.insert(site.to_owned());
            }
            None => {
                let users = self.users.get(&(place.kind, name.to_owned()));
                touched.extend(users.into_iter().flatten().cloned());
            }
        }
    }

    fn put_form(&mut self, key: &str, value: Option<&Bytes>, touched: &mut BTreeSet<String>) {
        match self.globals.forms.put(key, value) {
            Some(sites) => touched.extend(sites),
            None => touched.extend(self.sites.keys().cloned()),
        }
    }

    fn local(&mut self, site: &str) -> &mut Local {
        self.sites.entry(site.to_owned()).or_default()
    }

    /// Forgets a site that has nothing left.
    pub(super) fn forget_if_empty(&mut self, site: &str) {
        let empty = |local: &Local| {
            let Local { site, hosts, orders, agents } = local;
            site.is_none() && hosts.is_empty() && orders.is_empty() && agents.is_empty()
        };
        if self.sites.get(site).is_some_and(empty) {
            self.sites.remove(site);
            self.note_uses(site, BTreeSet::new());
            self.uses.remove(site);
        }
    }
}

fn set<S: Spec>(map: &mut BTreeMap<String, Arc<Resource<S>>>, key: &str, name: &str, value: Option<&Bytes>) {
    match value.and_then(|value| parse(key, value)) {
        Some(resource) => drop(map.insert(name.to_owned(), resource)),
        None => drop(map.remove(name)),
    }
}

/// A document that this build cannot read is left out: what rests on it boots the local disk.
fn parse<S: Spec>(key: &str, value: &Bytes) -> Option<Arc<Resource<S>>> {
    match serde_json::from_slice(value) {
        Ok(resource) => Some(Arc::new(resource)),
        Err(error) => {
            tracing::error!(key, %error, "a document of the catalog cannot be read and is left out of plans");
            None
        }
    }
}

fn set_secret(
    map: &mut BTreeMap<String, SecretValue>,
    vault: &Vault,
    key: &str,
    name: &str,
    value: Option<&Bytes>,
) {
    match value.and_then(|value| open(vault, key, name, value)) {
        Some(secret) => drop(map.insert(name.to_owned(), secret)),
        None => drop(map.remove(name)),
    }
}

fn open(vault: &Vault, key: &str, name: &str, value: &Bytes) -> Option<SecretValue> {
    let secret = parse::<SecretSpec>(key, value)?;
    match vault.open(name, secret.spec.sealed.as_deref().unwrap_or_default()) {
        Ok(value) => Some(Arc::new(value)),
        Err(error) => {
            tracing::error!(key, %error, "a secret cannot be opened and is left out of plans");
            None
        }
    }
}
