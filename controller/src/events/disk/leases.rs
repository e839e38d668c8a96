//! Leases on disk: what is asked of them, and how many of a site are kept.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use proto::Mac;

use super::group::Count;
use super::{Disk, unreadable};
use crate::events::key;
use crate::events::lease::{LeaseEntry, LeasePage};
use crate::events::store::{ReadError, Tuning};

impl Disk {
    /// Those that stand, from `after` on, which an answer named.
    pub(in crate::events) fn leases(
        &self,
        site: Option<&str>,
        after: &[u8],
        limit: usize,
    ) -> Result<LeasePage, ReadError> {
        let prefix = site.map_or_else(|| key::LEASES.to_vec(), key::leases);
        let from = if after > prefix.as_slice() { [after, &[0]].concat() } else { prefix.clone() };
        self.look(|db| {
            let mut page = LeasePage::default();
            let mut last = Vec::new();
            for found in db.range(from..) {
                let (key, json) = found.map_err(unreadable)?;
                if !key.starts_with(&prefix) {
                    break;
                }
                if page.leases.len() == limit {
                    page.next = Some(last);
                    break;
                }
                page.leases.push(parse(&json)?);
                last = key.to_vec();
            }
            Ok(page)
        })
    }

    /// The one that stands.
    pub(in crate::events) fn lease(
        &self,
        site: &str,
        address: Ipv4Addr,
    ) -> Result<Option<LeaseEntry>, ReadError> {
        self.look(|db| get(db, &key::lease(site, address)))
    }

    /// All of an address, the latest first.
    pub(in crate::events) fn leases_of_address(
        &self,
        site: &str,
        address: Ipv4Addr,
        limit: usize,
    ) -> Result<Vec<LeaseEntry>, ReadError> {
        self.look(|db| {
            let mut found: Vec<_> = get(db, &key::lease(site, address))?.into_iter().collect();
            for former in db.scan_prefix(key::former_leases(site, address)).values().rev() {
                found.push(parse(&former.map_err(unreadable)?)?);
            }
            found.truncate(limit);
            Ok(found)
        })
    }

    /// All of a machine, at one site or at all, the latest first.
    pub(in crate::events) fn leases_of_machine(
        &self,
        mac: Mac,
        at: Option<&str>,
        limit: usize,
    ) -> Result<Vec<LeaseEntry>, ReadError> {
        self.look(|db| {
            let mut found = Vec::new();
            for named in db.scan_prefix(key::machine_leases(mac)).keys().rev() {
                if found.len() == limit {
                    break;
                }
                let named = named.map_err(unreadable)?;
                let Some((began, address, site)) = key::lease_of_machine(&named) else { continue };
                if at.is_some_and(|at| at != site) {
                    continue;
                }
                let former = get(db, &key::former_lease(site, address, began))?;
                let standing = || get(db, &key::lease(site, address));
                let entry = former.map_or_else(standing, |former| Ok(Some(former)))?;
                found.extend(entry.filter(|entry| (entry.mac, entry.began_ms) == (mac, began)));
            }
            Ok(found)
        })
    }
}

fn get(db: &sled::Db, key: &[u8]) -> Result<Option<LeaseEntry>, ReadError> {
    db.get(key).map_err(unreadable)?.map(|json| parse(&json)).transpose()
}

fn parse(json: &[u8]) -> Result<LeaseEntry, ReadError> {
    serde_json::from_slice(json).map_err(unreadable)
}

/// How many leases there are of each site that was written to since the start.
#[derive(Debug, Default)]
pub(super) struct Held(HashMap<String, Count>);

impl Held {
    /// Takes in what a group has changed and forgets what is too many; needs no sync, since what comes back is
    /// forgotten again.
    pub(super) fn prune(
        &mut self,
        db: &sled::Db,
        changes: &BTreeMap<String, Count>,
        tuning: &Tuning,
    ) -> Result<(), String> {
        for (site, change) in changes {
            let count = match self.0.get(site) {
                Some(held) => {
                    Count { standing: held.standing + change.standing, ended: held.ended + change.ended }
                }
                None => Count {
                    standing: held(db, &key::leases(site)),
                    ended: held(db, &key::ended_leases(site)),
                },
            };
            let ended = excess(count.ended, tuning.ended_leases_per_site);
            let standing = excess(count.standing, tuning.leases_per_site);
            forget_ended(db, site, ended)?;
            forget_standing(db, site, standing)?;
            let signed = |count: usize| isize::try_from(count).unwrap_or(isize::MAX);
            let count =
                Count { standing: count.standing - signed(standing), ended: count.ended - signed(ended) };
            self.0.insert(site.clone(), count);
        }
        Ok(())
    }
}

fn held(db: &sled::Db, prefix: &[u8]) -> isize {
    isize::try_from(db.scan_prefix(prefix).count()).unwrap_or(isize::MAX)
}

fn excess(count: isize, limit: usize) -> usize {
    usize::try_from(count).unwrap_or(0).saturating_sub(limit)
}

fn forget_ended(db: &sled::Db, site: &str, count: usize) -> Result<(), String> {
    for end in db.scan_prefix(key::lease_ends(site)).keys().take(count) {
        let end = end.map_err(|error| error.to_string())?;
        let mut batch = sled::Batch::default();
        if let Some((address, began)) = key::end_of_lease(&end) {
            let place = key::former_lease(site, address, began);
            let entry = get(db, &place).map_err(|error| error.to_string())?;
            entry.iter().for_each(|entry| batch.remove(key::machine_lease(entry)));
            batch.remove(place);
        }
        batch.remove(end);
        db.apply_batch(batch).map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// More than an agent gives: it is not one of ours that tells of them.
fn forget_standing(db: &sled::Db, site: &str, count: usize) -> Result<(), String> {
    for found in db.scan_prefix(key::leases(site)).take(count) {
        let (place, json) = found.map_err(|error| error.to_string())?;
        let mut batch = sled::Batch::default();
        if let Ok(entry) = parse(&json) {
            batch.remove(key::machine_lease(&entry));
        }
        batch.remove(place);
        db.apply_batch(batch).map_err(|error| error.to_string())?;
    }
    Ok(())
}
