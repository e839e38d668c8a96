//! Addresses that operators want freed: kept until the agent of the site has answered.
//!
//! An agent that is away finds the wish when it comes back. Of one address there is one wish at a time, the latest. One that
//! the agent has refused is kept with the reason until the next, for who looks at the lease; of a site's the latest
//! hundred.

use std::net::Ipv4Addr;

use proto::{
    LeaseRelease, Mac, ReleaseId, Wall,
    catalog::{Kind, OrderStatus},
    event::OrderPhase,
};
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

use super::{
    Catalog, ReadError,
    audit::Change,
    keys,
    orders::RecordError,
    read,
    roles::Actor,
    write::{ChangeError, new_meta},
};
use crate::store::{Key, Scan, Txn, TxnError};

/// Wishes that may be told before a follower that is slow reads them all anew.
const BEHIND: usize = 64;
/// Wishes of one site at a time.
const MOST: usize = 1_000;
/// Refused ones of one site that are kept.
const REFUSED: usize = 100;
/// The longest reason that is kept, in characters.
const REASON: usize = 200;

/// An operator wants an address freed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What the agent's answer names.
    pub id: ReleaseId,
    /// Which.
    pub address: Ipv4Addr,
    /// Whose it is to be no more.
    pub mac: Mac,
    /// When it was wanted.
    pub at_ms: Wall,
    /// By whom.
    pub actor: String,
    /// What its agent said, if it did not obey; such a wish is told to nobody any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// Why an agent did not free an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// When, by the agent's clock.
    pub at_ms: Wall,
    /// In its words.
    pub why: String,
}

impl From<&Release> for LeaseRelease {
    fn from(release: &Release) -> Self {
        let Release { id, address, mac, at_ms, .. } = release;
        Self { id: *id, address: *address, mac: *mac, at: Some(*at_ms) }
    }
}

pub(super) fn channel() -> broadcast::Sender<String> {
    broadcast::channel(BEHIND).0
}

impl Catalog {
    /// Wants an address of a site freed that is this machine's.
    ///
    /// # Errors
    /// [`ChangeError`]: not this operator's site, or an installation runs under the address.
    pub async fn release(
        &self,
        actor: &Actor,
        site: &str,
        (address, mac): (Ipv4Addr, Mac),
        now: Wall,
    ) -> Result<Release, ChangeError> {
        actor.require_site(site, &format!("releasing the lease of {address}"))?;
        self.check_installs_nothing(address, mac).await?;
        if self.releases(site).await?.len() >= MOST {
            let text = format!("{MOST} releases wait for the agent of site {site} already");
            return Err(ChangeError::Precondition(text));
        }
        let id = ReleaseId(new_meta(now)?.id.0);
        let release = Release { id, address, mac, at_ms: now, actor: actor.label(), refused: None };
        let json = serde_json::to_vec(&release).expect("plain fields");
        let key = keys::release(site, address).map_err(ReadError::from)?;
        let mut attempts = self.attempts().await;
        loop {
            let mut draft = attempts.begin().await?;
            draft.put_along(key.clone(), Some(json.clone()));
            let detail = format!("{address} of {mac}");
            draft.note(Change {
                action: "release-lease".into(),
                kind: Kind::Site,
                name: site.into(),
                detail,
            });
            if attempts.commit(draft, &actor.label(), now).await?.is_some() {
                // Nobody follows: the next who does reads it from the store.
                let _ = self.releases.send(site.to_owned());
                return Ok(release);
            }
        }
    }

    async fn check_installs_nothing(&self, address: Ipv4Addr, mac: Mac) -> Result<(), ChangeError> {
        let Some(host) = self.host_of_mac(mac).await? else { return Ok(()) };
        let Some(order) = self.host_orders(&host).await?.live else { return Ok(()) };
        let seen = self.status(Kind::Order, &order).await?;
        let seen: Option<OrderStatus> = seen.and_then(|seen| serde_json::from_value(seen).ok());
        if seen.is_some_and(|seen| seen.phase == OrderPhase::Started) {
            let text = format!("order {order} has started: {host} is being installed at {address}");
            return Err(ChangeError::Precondition(text));
        }
        Ok(())
    }

    /// The addresses of a site that are to be freed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn releases(&self, site: &str) -> Result<Vec<Release>, ReadError> {
        let all = self.releases_and_refused(site).await?;
        Ok(all.into_iter().filter(|release| release.refused.is_none()).collect())
    }

    /// The same, with those that the site's agents have refused.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn releases_and_refused(&self, site: &str) -> Result<Vec<Release>, ReadError> {
        let page = self.store.scan(Scan::prefix(keys::releases(site)?).limit(MOST + REFUSED)).await?;
        page.entries.iter().map(|entry| read::from_json(&entry.key, &entry.version.value)).collect()
    }

    /// The sites where an address is to be freed, from now on.
    #[must_use]
    pub fn watch_releases(&self) -> broadcast::Receiver<String> {
        self.releases.subscribe()
    }

    /// The agent of a site has answered. Safe to repeat.
    ///
    /// # Errors
    /// [`RecordError`]; call again.
    pub async fn release_answered(
        &self,
        site: &str,
        (address, id): (Ipv4Addr, ReleaseId),
        refused: Option<Refused>,
    ) -> Result<(), RecordError> {
        let key = keys::release(site, address).map_err(ReadError::from)?;
        let Some(stored) = self.store.get(&key).await.map_err(ReadError::from)? else { return Ok(()) };
        let release: Release = read::from_json(&key, &stored.value)?;
        if release.id != id {
            return Ok(());
        }
        let txn = Txn::new().expect(key.clone(), stored.mod_revision);
        let txn = match refused {
            None => txn.delete(key),
            Some(Refused { at_ms, why }) => {
                let why = why.chars().filter(|c| !c.is_control()).take(REASON).collect();
                let kept = Release { refused: Some(Refused { at_ms, why }), ..release };
                let txn = txn.put(key, serde_json::to_vec(&kept).expect("plain fields"));
                self.oldest_refused(site, address).await?.into_iter().fold(txn, Txn::delete)
            }
        };
        match self.store.txn(txn).await {
            // A newer wish took its place meanwhile.
            Ok(_) | Err(TxnError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Of the refused wishes, but for this address, those that one more would be too many beside.
    async fn oldest_refused(&self, site: &str, but: Ipv4Addr) -> Result<Vec<Key>, ReadError> {
        let all = self.releases_and_refused(site).await?;
        let refused = |release: Release| release.refused.map(|refused| (refused.at_ms, release.address));
        let mut kept: Vec<_> = all.into_iter().filter_map(refused).filter(|(_, of)| *of != but).collect();
        kept.sort_unstable();
        let more = (kept.len() + 1).saturating_sub(REFUSED);
        kept.truncate(more);
        kept.into_iter().map(|(_, address)| Ok(keys::release(site, address)?)).collect()
    }
}
