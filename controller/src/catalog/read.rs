//! Reading the catalog: one resource by name, all of a kind, and what was seen of them.

use proto::{
    Mac,
    catalog::{
        AgentSpec, AnyResource, HostSpec, ImageSpec, Kind, OrderSpec, ProfileSpec, Resource, SiteSpec, Spec,
    },
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    Catalog,
    keys::{self, NotAName, Place},
};
use crate::store::{self, Entry, Key, Revision, Scan, Versioned};

/// Why the catalog could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// The store.
    #[error(transparent)]
    Store(#[from] store::ReadError),
    /// What is asked for cannot exist.
    #[error(transparent)]
    Name(#[from] NotAName),
    /// What the store holds is no document of this build: it was written by a later one, or is damaged.
    #[error("{key} in the store is no document that this build reads: {cause}")]
    Damaged {
        /// Where it is.
        key: String,
        /// What is wrong with it.
        cause: String,
    },
}

/// All resources of a question, as of one revision.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed<T> {
    /// In order of site and name.
    pub items: Vec<T>,
    /// The store's revision that they are as of.
    pub revision: Revision,
}

/// The orders of one host: the value of [`keys::host_orders`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostOrders {
    /// The highest number that was ever given.
    pub number: u64,
    /// The name of the order that is not at its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
}

/// As many names as are read from an index at a time.
const PAGE: usize = 1_000;

impl Catalog {
    /// One resource, with `meta.revision` filled in; None where there is none.
    ///
    /// # Errors
    /// [`ReadError`]; a name that cannot exist is no error but None.
    pub async fn get<S: Spec>(&self, name: &str) -> Result<Option<Resource<S>>, ReadError> {
        let Some(key) = self.locate(S::KIND, name).await? else { return Ok(None) };
        self.read(&key).await
    }

    /// One resource of a kind that is known only now.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_any(&self, kind: Kind, name: &str) -> Result<Option<AnyResource>, ReadError> {
        let Some(key) = self.locate(kind, name).await? else { return Ok(None) };
        let found = self.store.get(&key).await?;
        found.map(|version| parse_any(&key, kind, &version)).transpose()
    }

    /// A host by name.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_host(&self, name: &str) -> Result<Option<Resource<HostSpec>>, ReadError> {
        self.get(name).await
    }

    /// A site by name.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_site(&self, name: &str) -> Result<Option<Resource<SiteSpec>>, ReadError> {
        self.get(name).await
    }

    /// An agent by name.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_agent(&self, name: &str) -> Result<Option<Resource<AgentSpec>>, ReadError> {
        self.get(name).await
    }

    /// An image by name.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_image(&self, name: &str) -> Result<Option<Resource<ImageSpec>>, ReadError> {
        self.get(name).await
    }

    /// A profile by name.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_profile(&self, name: &str) -> Result<Option<Resource<ProfileSpec>>, ReadError> {
        self.get(name).await
    }

    /// An order by name; its `status` is set only at its end, see [`keys`].
    ///
    /// # Errors
    /// As [`Self::get`].
    pub async fn get_order(&self, name: &str) -> Result<Option<Resource<OrderSpec>>, ReadError> {
        self.get(name).await
    }

    /// The name of the host that has this link address.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn host_of_mac(&self, mac: Mac) -> Result<Option<String>, ReadError> {
        self.index(&keys::mac_index(mac)).await
    }

    /// All resources of a kind: of `site` if it is given, of the whole fleet if not. Sites: that one, or all.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn list<S: Spec>(&self, site: Option<&str>) -> Result<Listed<Resource<S>>, ReadError> {
        let listed = self.entries(S::KIND, site).await?;
        let items =
            listed.items.iter().map(|entry| parse(&entry.key, &entry.version)).collect::<Result<_, _>>()?;
        Ok(Listed { items, revision: listed.revision })
    }

    /// All resources of a kind that is known only now; as [`Self::list`].
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn list_any(&self, kind: Kind, site: Option<&str>) -> Result<Listed<AnyResource>, ReadError> {
        let listed = self.entries(kind, site).await?;
        let read = |entry: &Entry| parse_any(&entry.key, kind, &entry.version);
        let items = listed.items.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Listed { items, revision: listed.revision })
    }

    /// The names of all sites.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn site_names(&self) -> Result<Vec<String>, ReadError> {
        let page = self.store.scan(Scan::prefix(keys::SITE_NAMES)).await?;
        let name = |entry: &Entry| entry.key.strip_prefix(keys::SITE_NAMES).map(str::to_owned);
        Ok(page.entries.iter().filter_map(name).collect())
    }

    /// What was seen of a resource: JSON as its kind's status type writes it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn status(&self, kind: Kind, name: &str) -> Result<Option<Value>, ReadError> {
        let key = keys::status(kind, name)?;
        let found = self.store.get(&key).await?;
        found.map(|version| from_json(&key, &version.value)).transpose()
    }

    /// The orders of a host; zero and none where it never had one.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn host_orders(&self, host: &str) -> Result<HostOrders, ReadError> {
        let key = keys::host_orders(host)?;
        let found = self.store.get(&key).await?;
        found.map_or_else(|| Ok(HostOrders::default()), |version| from_json(&key, &version.value))
    }

    /// The key of a resource, whose site is looked up where its place depends on it.
    pub(super) async fn locate(&self, kind: Kind, name: &str) -> Result<Option<Key>, ReadError> {
        let Ok(named) = keys::name_index(kind, name) else { return Ok(None) };
        if !keys::in_site(kind) {
            return Ok(Some(keys::resource(kind, name, name)?));
        }
        let site = self.index(&named).await?;
        Ok(site.map(|site| keys::resource(kind, &site, name)).transpose()?)
    }

    pub(super) async fn read<S: Spec>(&self, key: &Key) -> Result<Option<Resource<S>>, ReadError> {
        let found = self.store.get(key).await?;
        found.map(|version| parse(key, &version)).transpose()
    }

    /// The plain name that an index holds.
    pub(super) async fn index(&self, key: &Key) -> Result<Option<String>, ReadError> {
        let Some(found) = self.store.get(key).await? else { return Ok(None) };
        let name = String::from_utf8(found.value.to_vec());
        name.map(Some).map_err(|error| damaged(key, error.utf8_error()))
    }

    async fn entries(&self, kind: Kind, site: Option<&str>) -> Result<Listed<Entry>, ReadError> {
        if let (Some(site), true) = (site, keys::in_site(kind) || kind == Kind::Site) {
            return self.entries_below(kind, keys::resources(kind, site)?, None).await;
        }
        if !keys::in_site(kind) && kind != Kind::Site {
            return self.entries_below(kind, keys::resources(kind, "")?, None).await;
        }
        let mut revision = self.store.revision().await?;
        let mut items = Vec::new();
        let sites = self.store.scan(Scan::prefix(keys::SITE_NAMES).at(revision)).await?;
        for entry in &sites.entries {
            let site = entry.key.strip_prefix(keys::SITE_NAMES).unwrap_or_default();
            let below = self.entries_below(kind, keys::resources(kind, site)?, Some(revision)).await?;
            revision = below.revision;
            items.extend(below.items);
        }
        Ok(Listed { items, revision })
    }

    async fn entries_below(
        &self,
        kind: Kind,
        prefix: String,
        at: Option<Revision>,
    ) -> Result<Listed<Entry>, ReadError> {
        let mut scan = Scan { prefix, at, after: None, limit: Some(PAGE) };
        let mut items = Vec::new();
        loop {
            let page = self.store.scan(scan.clone()).await?;
            scan.after = page.entries.last().map(|entry| entry.key.clone());
            scan.at = Some(page.revision);
            let of_kind = |entry: &Entry| Place::parse(&entry.key).is_some_and(|place| place.kind == kind);
            items.extend(page.entries.into_iter().filter(of_kind));
            if !page.more {
                return Ok(Listed { items, revision: page.revision });
            }
        }
    }
}

/// The document in a value, with its revision.
///
/// # Errors
/// [`ReadError::Damaged`].
pub(super) fn parse<S: Spec>(key: &Key, version: &Versioned) -> Result<Resource<S>, ReadError> {
    let mut resource: Resource<S> = from_json(key, &version.value)?;
    if let Some(meta) = &mut resource.meta {
        meta.revision = version.mod_revision.0;
    }
    Ok(resource)
}

/// The document in a value of a known kind, with its revision.
///
/// # Errors
/// [`ReadError::Damaged`].
pub(super) fn parse_any(key: &Key, kind: Kind, version: &Versioned) -> Result<AnyResource, ReadError> {
    let value = from_json(key, &version.value)?;
    let mut any = AnyResource::from_value(kind, value).map_err(|error| damaged(key, error))?;
    let meta = any.meta().cloned().map(|mut meta| {
        meta.revision = version.mod_revision.0;
        meta
    });
    any.set_meta(meta);
    Ok(any)
}

pub(super) fn from_json<T: DeserializeOwned>(key: &Key, json: &[u8]) -> Result<T, ReadError> {
    serde_json::from_slice(json).map_err(|error| damaged(key, error))
}

pub(super) fn damaged(key: &Key, cause: impl std::fmt::Display) -> ReadError {
    ReadError::Damaged { key: key.to_string(), cause: cause.to_string() }
}
