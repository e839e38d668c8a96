//! Where everything is in the store: the one place that spells keys.
//!
//! ```text
//! /global/image/NAME   /global/profile/NAME   /global/secret/NAME   /global/operator/NAME
//! /global/form/model/MODEL /global/form/card/MAC   what was learnt of PXE ROMs: [`super::Forms`]
//! /site/SITE/site                              the site itself
//! /site/SITE/host/NAME /site/SITE/order/NAME /site/SITE/agent/NAME /site/SITE/token/NAME
//! /status/KIND/NAME                            what was seen; planning never watches it
//! /status/alarm/SITE                           the last alarms of a site: [`super::Alarm`]
//! /status/holding/AGENT                        what an agent lacked of its plan: [`crate::holdings`]
//! /index/site/NAME                             which sites there are
//! /index/host|order|agent|token/NAME -> SITE   names are unique in the fleet
//! /index/mac/MAC, /index/uuid/HEX -> HOST      unique in the fleet
//! /index/address/SITE/ADDRESS -> HOST          unique in the site
//! /index/order-id/HEX -> ORDER                 what agents' events name
//! /index/host-id/HEX -> HOST                   likewise
//! /index/uses/KIND/NAME/KIND/NAME              the second refers to the first, which must stay
//! /index/orders/HOST                           the number of the last order and the live one: [`super::HostOrders`]
//! /audit/COUNTDOWN                             the newest record first
//! /release/SITE/ADDRESS                        an address to be freed: [`super::Release`]
//! ```
//!
//! Values below `/global/` (but `/global/form/`) and `/site/` are the JSON of [`proto::catalog::AnyResource`]; an index's value is a plain
//! name. `/site/SITE/` and `/global/` together are all that the plan of a site is made of, so a watch on these two
//! misses nothing. Agents and tokens stand below their site because everything about them is bounded by it, and a
//! site is removed only when nothing but itself is left below its prefix.
//!
//! **Order phases.** Planning does not watch `/status/`, yet an order at its end must leave the plan. So the phases
//! before the end (`armed`, `offered`, `started`) are written to `/status/order/NAME` alone, and the phase that ends it
//! becomes the `status` of the document `/site/SITE/order/NAME`, in the transaction that clears the live order of
//! `/index/orders/HOST`. [`super::Catalog::record_order_phase`] does both. The planner leaves out an order whose own
//! `status` is at its end and one that is `spec.revoked`.

use std::net::Ipv4Addr;

use proto::{
    FirmwareModel, HostId, Mac, OrderId,
    catalog::{Kind, check_name},
};

use crate::store::Key;

/// Everything that belongs to the whole fleet.
pub const GLOBAL: &str = "/global/";
/// All sites, with everything in them.
pub const SITES: &str = "/site/";
/// The names of all sites.
pub const SITE_NAMES: &str = "/index/site/";
/// What was learnt of the forms of replies: [`super::Forms`].
pub const FORMS: &str = "/global/form/";
/// The same by firmware model.
pub const FORM_MODELS: &str = "/global/form/model/";
/// The same by link address.
pub const FORM_CARDS: &str = "/global/form/card/";
/// The alarms of all sites.
pub const ALARMS: &str = "/status/alarm/";
/// The audit log, newest first.
pub const AUDIT: &str = "/audit/";

/// A text that cannot be part of a key, because it is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name")]
pub struct NotAName(pub String);

/// Where a resource is; `site` is ignored for kinds of the whole fleet and for sites themselves.
///
/// # Errors
/// [`NotAName`] for a name or site that is none; never a key outside of the kind's own place.
pub fn resource(kind: Kind, site: &str, name: &str) -> Result<Key, NotAName> {
    checked(name)?;
    match kind {
        Kind::Image | Kind::Profile | Kind::Mirror | Kind::Secret | Kind::Operator => {
            key(format!("{GLOBAL}{}/{name}", segment(kind)))
        }
        Kind::Site => key(format!("{SITES}{name}/site")),
        Kind::Host | Kind::Order | Kind::Agent | Kind::Token => {
            key(format!("{SITES}{}/{}/{name}", checked(site)?, segment(kind)))
        }
    }
}

/// The prefix of all resources of a kind: within `site`, for kinds that live in one.
///
/// # Errors
/// [`NotAName`].
pub fn resources(kind: Kind, site: &str) -> Result<String, NotAName> {
    Ok(match kind {
        Kind::Image | Kind::Profile | Kind::Mirror | Kind::Secret | Kind::Operator => {
            format!("{GLOBAL}{}/", segment(kind))
        }
        Kind::Site => format!("{SITES}{}/site", checked(site)?),
        Kind::Host | Kind::Order | Kind::Agent | Kind::Token => {
            format!("{SITES}{}/{}/", checked(site)?, segment(kind))
        }
    })
}

/// The prefix of everything in a site, itself included.
///
/// # Errors
/// [`NotAName`].
pub fn site(site: &str) -> Result<String, NotAName> {
    Ok(format!("{SITES}{}/", checked(site)?))
}

/// Where what was seen of a resource is.
///
/// # Errors
/// [`NotAName`].
pub fn status(kind: Kind, name: &str) -> Result<Key, NotAName> {
    key(format!("/status/{}/{}", segment(kind), checked(name)?))
}

/// Where a site's alarms are.
///
/// # Errors
/// [`NotAName`].
pub fn alarms(site: &str) -> Result<Key, NotAName> {
    key(format!("{ALARMS}{}", checked(site)?))
}

/// Where what an agent lacks of its plan is.
///
/// # Errors
/// [`NotAName`].
pub fn holding(agent: &str) -> Result<Key, NotAName> {
    key(format!("/status/holding/{}", checked(agent)?))
}

/// Which site a name of this kind is in; only for kinds that [`in_site`].
///
/// # Errors
/// [`NotAName`].
pub fn name_index(kind: Kind, name: &str) -> Result<Key, NotAName> {
    key(format!("/index/{}/{}", segment(kind), checked(name)?))
}

/// Which host has this link address.
#[must_use]
pub fn mac_index(mac: Mac) -> Key {
    infallible(format!("/index/mac/{}", mac.dashed()))
}

/// Which host has this SMBIOS UUID.
#[must_use]
pub fn uuid_index(uuid: [u8; 16]) -> Key {
    infallible(format!("/index/uuid/{}", proto::Uid(uuid)))
}

/// Which host of a site has this address.
///
/// # Errors
/// [`NotAName`].
pub fn address_index(site: &str, address: Ipv4Addr) -> Result<Key, NotAName> {
    key(format!("/index/address/{}/{address}", checked(site)?))
}

/// Which order has this id.
#[must_use]
pub fn order_id_index(order: OrderId) -> Key {
    infallible(format!("/index/order-id/{order}"))
}

/// Which host has this id.
#[must_use]
pub fn host_id_index(host: HostId) -> Key {
    infallible(format!("/index/host-id/{host}"))
}

/// The prefix of the names of all resources of a kind; only for sites and for kinds that [`in_site`].
#[must_use]
pub fn names(kind: Kind) -> String {
    format!("/index/{}/", segment(kind))
}

/// All addresses of a site's hosts.
///
/// # Errors
/// [`NotAName`].
pub fn addresses(site: &str) -> Result<String, NotAName> {
    Ok(format!("/index/address/{}/", checked(site)?))
}

/// Everything that refers to a resource.
///
/// # Errors
/// [`NotAName`].
pub fn users(kind: Kind, name: &str) -> Result<String, NotAName> {
    Ok(format!("/index/uses/{}/{}/", segment(kind), checked(name)?))
}

/// The mark that `user` refers to `used`.
///
/// # Errors
/// [`NotAName`].
pub fn uses(used: (Kind, &str), user: (Kind, &str)) -> Result<Key, NotAName> {
    let (kind, name) = user;
    key(format!("{}{}/{}", users(used.0, used.1)?, segment(kind), checked(name)?))
}

/// The user that a key below [`users`] names.
#[must_use]
pub fn parse_user(key: &str) -> Option<(Kind, &str)> {
    let mut parts = key.strip_prefix("/index/uses/")?.splitn(4, '/');
    let (_, _, kind, name) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    Some((kind.parse().ok()?, name))
}

/// The orders of a host; see [`super::HostOrders`]. It outlives the host, so that no order's name comes twice.
///
/// # Errors
/// [`NotAName`].
pub fn host_orders(host: &str) -> Result<Key, NotAName> {
    key(format!("/index/orders/{}", checked(host)?))
}

/// What was learnt of a firmware model.
#[must_use]
pub fn form_model(model: FirmwareModel) -> Key {
    infallible(format!("{FORM_MODELS}{model}"))
}

/// What was learnt of the machine with this link address.
#[must_use]
pub fn form_card(mac: Mac) -> Key {
    infallible(format!("{FORM_CARDS}{}", mac.dashed()))
}

/// The addresses of a site that operators want freed.
///
/// # Errors
/// [`NotAName`].
pub fn releases(site: &str) -> Result<String, NotAName> {
    Ok(format!("/release/{}/", checked(site)?))
}

/// The wish to free this one.
///
/// # Errors
/// [`NotAName`].
pub fn release(site: &str, address: Ipv4Addr) -> Result<Key, NotAName> {
    key(format!("{}{address}", releases(site)?))
}

/// The audit record of this number. Counts down, so that a scan meets the newest first.
#[must_use]
pub fn audit(number: u64) -> Key {
    infallible(format!("{AUDIT}{:020}", u64::MAX - number))
}

/// The number of an audit record.
#[must_use]
pub fn parse_audit(key: &str) -> Option<u64> {
    key.strip_prefix(AUDIT)?.parse::<u64>().ok().map(|countdown| u64::MAX - countdown)
}

/// What a key below [`GLOBAL`] or [`SITES`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The kind of the resource.
    pub kind: Kind,
    /// Where it is; None for what belongs to the whole fleet.
    pub site: Option<&'a str>,
    /// Its name.
    pub name: &'a str,
}

impl<'a> Place<'a> {
    /// Reads a key of a resource; None for any other key.
    #[must_use]
    pub fn parse(key: &'a str) -> Option<Self> {
        if let Some(rest) = key.strip_prefix(GLOBAL) {
            let (kind, name) = rest.split_once('/')?;
            let kind = kind.parse().ok().filter(|kind| !in_site(*kind) && *kind != Kind::Site)?;
            return Some(Self { kind, site: None, name });
        }
        let (site, rest) = key.strip_prefix(SITES)?.split_once('/')?;
        if rest == "site" {
            return Some(Self { kind: Kind::Site, site: Some(site), name: site });
        }
        let (kind, name) = rest.split_once('/')?;
        let kind = kind.parse().ok().filter(|kind| in_site(*kind))?;
        Some(Self { kind, site: Some(site), name })
    }
}

/// Does a resource of this kind stand below a site, so that its name needs an index?
#[must_use]
pub const fn in_site(kind: Kind) -> bool {
    match kind {
        Kind::Host | Kind::Order | Kind::Agent | Kind::Token => true,
        Kind::Site | Kind::Image | Kind::Profile | Kind::Mirror | Kind::Secret | Kind::Operator => false,
    }
}

/// The kind as it stands in keys.
const fn segment(kind: Kind) -> &'static str {
    match kind {
        Kind::Site => "site",
        Kind::Agent => "agent",
        Kind::Host => "host",
        Kind::Image => "image",
        Kind::Profile => "profile",
        Kind::Mirror => "mirror",
        Kind::Order => "order",
        Kind::Secret => "secret",
        Kind::Token => "token",
        Kind::Operator => "operator",
    }
}

fn checked(name: &str) -> Result<&str, NotAName> {
    match check_name("name", name) {
        None => Ok(name),
        Some(_) => Err(NotAName(name.chars().take(80).collect())),
    }
}

fn key(text: String) -> Result<Key, NotAName> {
    Key::parse(&text).map_err(|_| NotAName(text))
}

fn infallible(text: String) -> Key {
    Key::parse(&text).expect("a short text of letters, digits, slashes and hyphens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        for kind in Kind::ALL {
            let key = resource(kind, "lyon", "web-1").expect("names");
            let place = Place::parse(&key).expect("a resource");
            assert_eq!((place.kind, place.name), (kind, "web-1"), "{key}");
            assert_eq!(place.site.is_some(), in_site(kind) || kind == Kind::Site, "{key}");
        }
    }

    #[test]
    fn other_keys_are_no_resources() {
        for key in [
            "/global/form/model/0102030405060708",
            "/site/lyon",
            "/global/host/a",
            "/site/lyon/image/a",
            "/index/mac/a",
            "/status/host/a",
        ] {
            assert_eq!(Place::parse(key), None, "{key}");
        }
    }

    #[test]
    fn no_name_leads_out_of_its_place() {
        for name in ["", "a/b", "..", "../secret/a", "a\0", "A"] {
            assert!(resource(Kind::Host, "lyon", name).is_err(), "{name:?}");
            assert!(resource(Kind::Host, name, "a").is_err(), "{name:?}");
            assert!(status(Kind::Host, name).is_err() && name_index(Kind::Host, name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_user_is_read_back() {
        let key = uses((Kind::Image, "debian-12"), (Kind::Profile, "web")).expect("names");
        assert_eq!(parse_user(&key), Some((Kind::Profile, "web")));
    }

    #[test]
    fn newer_records_come_first() {
        assert!(audit(8) < audit(7) && audit(u64::MAX) < audit(0));
        assert_eq!(parse_audit(&audit(8)), Some(8));
    }
}
