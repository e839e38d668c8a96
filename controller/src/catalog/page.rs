//! Lists a page at a time, in order of name, each document with what was seen of it.

use std::collections::BTreeMap;

use proto::catalog::{AnyResource, Kind};
use serde_json::Value;

use super::{Catalog, ReadError, keys};
use crate::store::{Entry, Key, Revision, Scan};

/// The most documents of a page.
pub const LARGEST_PAGE: usize = 1_000;

/// Which documents to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// Of this kind.
    pub kind: Kind,
    /// Of this site alone; without meaning for kinds of the whole fleet.
    pub site: Option<String>,
    /// With these labels.
    pub labels: BTreeMap<String, String>,
    /// After this name.
    pub after: Option<String>,
    /// At most so many; never more than [`LARGEST_PAGE`].
    pub limit: usize,
}

/// One page.
#[derive(Debug, Clone, PartialEq)]
pub struct DocumentPage {
    /// In order of name, with their status; secrets are still sealed in them.
    pub items: Vec<AnyResource>,
    /// The store's revision when the page was begun.
    pub revision: Revision,
    /// Do more follow?
    pub more: bool,
}

impl Catalog {
    /// A page of a list.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn page(&self, question: &Question) -> Result<DocumentPage, ReadError> {
        let Question { kind, site, labels, after, limit } = question;
        let limit = (*limit).clamp(1, LARGEST_PAGE);
        let prefix = match site {
            Some(site) if keys::in_site(*kind) => keys::resources(*kind, site)?,
            Some(_) | None if keys::in_site(*kind) || *kind == Kind::Site => keys::names(*kind),
            Some(_) | None => keys::resources(*kind, "")?,
        };
        let mut scan = Scan::prefix(&prefix).limit(LARGEST_PAGE);
        scan.after = match after {
            Some(after) => {
                Some(Key::parse(&format!("{prefix}{after}")).map_err(|_| keys::NotAName(after.clone()))?)
            }
            None => None,
        };
        let mut page =
            DocumentPage { items: Vec::new(), revision: self.store.revision().await?, more: false };
        loop {
            let names = self.store.scan(scan.clone()).await?;
            for entry in &names.entries {
                let Some(document) = self.named(*kind, &prefix, entry).await? else { continue };
                let elsewhere =
                    *kind == Kind::Site && site.as_ref().is_some_and(|site| site != document.name());
                if elsewhere
                    || !labels.iter().all(|label| document.labels().get_key_value(label.0) == Some(label))
                {
                    continue;
                }
                if page.items.len() == limit {
                    page.more = true;
                    return Ok(page);
                }
                page.items.push(document);
            }
            if !names.more {
                return Ok(page);
            }
            scan.after = names.entries.last().map(|entry| entry.key.clone());
        }
    }

    /// The document whose name a key ends with; None if it has gone meanwhile.
    async fn named(&self, kind: Kind, prefix: &str, entry: &Entry) -> Result<Option<AnyResource>, ReadError> {
        match entry.key.strip_prefix(prefix) {
            Some(name) => self.get_with_status(kind, name).await,
            None => Ok(None),
        }
    }

    /// A document with what was last seen of it.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn get_with_status(&self, kind: Kind, name: &str) -> Result<Option<AnyResource>, ReadError> {
        let Some(mut any) = self.get_any(kind, name).await? else { return Ok(None) };
        // An order at its end carries its own: see `keys`.
        if any.to_value().get("status").is_none() {
            let seen = self.status(kind, name).await?;
            any.set_status(match &any {
                AnyResource::Order(order) => Some(joined(seen, self.outlook(order).await?)),
                AnyResource::Site(_)
                | AnyResource::Agent(_)
                | AnyResource::Host(_)
                | AnyResource::Image(_)
                | AnyResource::Profile(_)
                | AnyResource::Mirror(_)
                | AnyResource::Secret(_)
                | AnyResource::Token(_)
                | AnyResource::Operator(_) => seen,
            });
        }
        Ok(Some(any))
    }

    /// The name of the host with this id; None where it was removed.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn host_name(&self, host: proto::HostId) -> Result<Option<String>, ReadError> {
        self.index(&keys::host_id_index(host)).await
    }

    /// The name of the order with this id; None where it is not kept any more.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn order_name(&self, order: proto::OrderId) -> Result<Option<String>, ReadError> {
        self.index(&keys::order_id_index(order)).await
    }
}

/// The fields of both.
fn joined(seen: Option<Value>, more: Value) -> Value {
    let mut all = seen.and_then(|seen| seen.as_object().cloned()).unwrap_or_default();
    all.extend(more.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}
