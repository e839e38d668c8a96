//! What the store holds beside a document, so that it is found and its references are: written with the document.

use std::collections::BTreeSet;

use proto::catalog::{AnyResource, HostSpec, Kind, MenuSpec, OrderSpec, ProfileSpec, Resource, SiteSpec};

use super::{
    keys::{self, NotAName},
    orders,
};
use crate::store::Key;

/// One entry of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Indexed {
    /// Where.
    pub(super) key: Key,
    /// A plain name, or nothing.
    pub(super) value: String,
    /// The field that claims the key for its document alone; None where no other document can want it.
    pub(super) claim: Option<Claim>,
}

/// A field whose value only one document may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// The path of the field.
    pub(super) field: String,
    /// The value, for people.
    pub(super) value: String,
}

/// Every entry of a document. Its names must be legal.
pub(super) fn entries(resource: &AnyResource) -> Result<Vec<Indexed>, NotAName> {
    let (kind, name) = (resource.kind(), resource.name());
    let mut all = Vec::new();
    match resource {
        AnyResource::Site(site) => {
            all.push(plain(keys::name_index(kind, name)?, ""));
            all.extend(of_site(site)?);
        }
        AnyResource::Host(host) => {
            all.push(plain(keys::name_index(kind, name)?, &host.spec.site));
            all.extend(of_host(host)?);
        }
        AnyResource::Order(order) => {
            all.push(plain(keys::name_index(kind, name)?, &order.spec.site));
            all.extend(of_order(order)?);
        }
        AnyResource::Agent(agent) => all.push(plain(keys::name_index(kind, name)?, &agent.spec.site)),
        AnyResource::Token(token) => all.push(plain(keys::name_index(kind, name)?, &token.spec.site)),
        AnyResource::Profile(profile) => all.extend(of_profile(profile)?),
        AnyResource::Image(_)
        | AnyResource::Mirror(_)
        | AnyResource::Secret(_)
        | AnyResource::Operator(_) => {}
    }
    Ok(all)
}

fn of_site(site: &Resource<SiteSpec>) -> Result<Vec<Indexed>, NotAName> {
    let user = (Kind::Site, site.name.as_str());
    let loaders = site.spec.loaders.iter().map(|name| (Kind::Image, name.as_str()));
    let prefetch = &site.spec.prefetch;
    let profiles = prefetch.profiles.iter().map(|name| (Kind::Profile, name.as_str()));
    let images = prefetch.images.iter().map(|name| (Kind::Image, name.as_str()));
    let used = loaders.chain(of_menu(site.spec.menu.as_ref())).chain(profiles).chain(images);
    // One may be named in several places.
    BTreeSet::from_iter(used)
        .into_iter()
        .map(|(kind, name)| Ok(plain(keys::uses((kind, name), user)?, "")))
        .collect()
}

fn of_menu(menu: Option<&MenuSpec>) -> impl Iterator<Item = (Kind, &str)> {
    menu.into_iter().flat_map(MenuSpec::profiles).map(|(_, name)| (Kind::Profile, name))
}

fn of_profile(profile: &Resource<ProfileSpec>) -> Result<Vec<Indexed>, NotAName> {
    let user = (Kind::Profile, profile.name.as_str());
    let ProfileSpec { image, installer, loaders, .. } = &profile.spec;
    let images = BTreeSet::from_iter([Some(image), installer.as_ref(), loaders.as_ref()]);
    images.into_iter().flatten().map(|image| Ok(plain(keys::uses((Kind::Image, image), user)?, ""))).collect()
}

fn of_host(host: &Resource<HostSpec>) -> Result<Vec<Indexed>, NotAName> {
    let HostSpec { site, macs, address, profile, .. } = &host.spec;
    let claim = |field: String, value: String| Some(Claim { field, value });
    let mut all = Vec::new();
    for (index, mac) in macs.iter().enumerate() {
        let claim = claim(format!("spec.macs[{index}]"), mac.to_string());
        all.push(Indexed { key: keys::mac_index(*mac), value: host.name.clone(), claim });
    }
    if let Some(uuid) = host.spec.uuid_bytes() {
        let claim = claim("spec.uuid".into(), host.spec.uuid.clone().unwrap_or_default());
        all.push(Indexed { key: keys::uuid_index(uuid), value: host.name.clone(), claim });
    }
    if let Some(address) = address {
        let claim = claim("spec.address".into(), address.to_string());
        all.push(Indexed { key: keys::address_index(site, *address)?, value: host.name.clone(), claim });
    }
    if let Some(id) = host.id() {
        all.push(plain(keys::host_id_index(id.into()), &host.name));
    }
    let used = profile.iter().map(|name| (Kind::Profile, name.as_str()));
    let used = used.chain(host.spec.loaders.iter().map(|name| (Kind::Image, name.as_str())));
    // The host's profile may be in its menu too.
    for (kind, name) in BTreeSet::from_iter(used.chain(of_menu(host.spec.menu.as_ref()))) {
        all.push(plain(keys::uses((kind, name), (Kind::Host, &host.name))?, ""));
    }
    Ok(all)
}

/// An order that may still be obeyed holds on to what it needs.
fn of_order(order: &Resource<OrderSpec>) -> Result<Vec<Indexed>, NotAName> {
    let by_id = plain(keys::order_id_index(order.id().unwrap_or(proto::Uid([0; 16])).into()), &order.name);
    if orders::at_end(order) {
        return Ok(vec![by_id]);
    }
    let user = (Kind::Order, order.name.as_str());
    let OrderSpec { host, profile, agent, .. } = &order.spec;
    let used = [(Kind::Host, host), (Kind::Profile, profile), (Kind::Agent, agent)];
    let uses = used.into_iter().map(|(kind, name)| Ok(plain(keys::uses((kind, name), user)?, "")));
    std::iter::once(Ok(by_id)).chain(uses).collect()
}

fn plain(key: Key, value: &str) -> Indexed {
    Indexed { key, value: value.into(), claim: None }
}
