//! A change in the making: what is stored, seen through what is about to be written, until it is committed whole.
//!
//! A draft begins with the number of the newest audit entry and is committed under the next one. The store takes it
//! only if no other change of the catalog came between, so everything that was read and checked still holds; see
//! [`super::audit`]. What agents report of orders is no such change, so each document must also still be at the revision
//! that its edit began with. Indices are worked out here, for all documents of the draft together.

use std::collections::{BTreeMap, BTreeSet};

use proto::{
    Wall,
    catalog::{AnyResource, Kind, Problem},
};

use super::{
    Catalog, ReadError,
    audit::{Change, Entry},
    index::{self, Indexed},
    keys,
};
use crate::store::{Key, MAX_TXN_BYTES, MAX_TXN_OPERATIONS, Revision, Txn, TxnError};

/// A kind and a name.
pub(super) type Id = (Kind, String);
/// What happens to keys: a new value, or None for a deletion.
type Operations = BTreeMap<Key, Option<Vec<u8>>>;
/// Documents that are written together, and their operations.
type Part<'a> = (Vec<&'a Id>, Operations);

/// A change in the making.
#[derive(Debug)]
pub(super) struct Draft {
    catalog: Catalog,
    /// The newest audit entry when the draft began.
    head: u64,
    edits: BTreeMap<Id, Edit>,
    /// What goes along with the documents.
    extra: Operations,
    /// What the audit log says of it.
    notes: Vec<Change>,
}

/// What a draft does to one document.
#[derive(Debug, Clone)]
pub(super) struct Edit {
    /// As it is stored, with its revision.
    pub(super) before: Option<AnyResource>,
    /// As it is to be; None: removed.
    pub(super) after: Option<AnyResource>,
    /// For the audit log.
    pub(super) action: String,
    /// For the audit log.
    pub(super) detail: String,
}

/// Why a draft was not committed. Nothing was written, unless `written` says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// Reading on the way.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Another writer was faster.
    #[error("another writer changed the catalog meanwhile")]
    Conflict,
    /// More than one transaction takes.
    #[error(
        "{operations} operations and {bytes} bytes are more than one change takes \
         ({MAX_TXN_OPERATIONS} and {MAX_TXN_BYTES}): split it into smaller ones"
    )]
    TooLarge {
        /// How many operations there were.
        operations: usize,
        /// How many bytes.
        bytes: usize,
    },
    /// A value passes from one document to another, which only one transaction can do.
    #[error(
        "{value} passes from one document to another within more than one change takes: send those two alone"
    )]
    Handover {
        /// The MAC address, UUID or address.
        value: String,
    },
    /// The operating system gave no random bytes for an id.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// The store took none of it.
    #[error(transparent)]
    Store(TxnError),
}

impl From<TxnError> for CommitError {
    fn from(error: TxnError) -> Self {
        match error {
            TxnError::Conflict { .. } => Self::Conflict,
            TxnError::TooManyOperations { .. }
            | TxnError::TooLarge { .. }
            | TxnError::DuplicateKey { .. }
            | TxnError::QuotaExceeded { .. }
            | TxnError::ReadOnly { .. }
            | TxnError::Unknown { .. }
            | TxnError::Closed => Self::Store(error),
        }
    }
}

impl From<keys::NotAName> for CommitError {
    fn from(error: keys::NotAName) -> Self {
        Self::Read(error.into())
    }
}

impl Draft {
    /// Begins a draft on what is stored now.
    pub(super) async fn begin(catalog: &Catalog) -> Result<Self, ReadError> {
        let head = catalog.audit_head().await?;
        let (edits, extra, notes) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self { catalog: catalog.clone(), head, edits, extra, notes })
    }

    /// The catalog as it is stored.
    pub(super) fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// The edits so far.
    pub(super) fn edits(&self) -> &BTreeMap<Id, Edit> {
        &self.edits
    }

    /// Does the draft touch this document?
    pub(super) fn touches(&self, kind: Kind, name: &str) -> bool {
        self.edits.contains_key(&(kind, name.to_owned()))
    }

    /// Adds an edit; one document has one.
    pub(super) fn edit(&mut self, kind: Kind, name: &str, edit: Edit) {
        self.edits.insert((kind, name.to_owned()), edit);
    }

    /// Puts (or deletes) a value that is no document along with the draft.
    pub(super) fn put_along(&mut self, key: Key, value: Option<Vec<u8>>) {
        self.extra.insert(key, value);
    }

    /// A line of the audit log about what goes along.
    pub(super) fn note(&mut self, change: Change) {
        self.notes.push(change);
    }

    /// Does it change nothing?
    pub(super) fn is_empty(&self) -> bool {
        self.edits.is_empty() && self.notes.is_empty()
    }

    /// A document as it will be.
    pub(super) async fn get(&self, kind: Kind, name: &str) -> Result<Option<AnyResource>, ReadError> {
        match self.edits.get(&(kind, name.to_owned())) {
            Some(edit) => Ok(edit.after.clone()),
            None => self.catalog.get_any(kind, name).await,
        }
    }

    /// What is claimed twice: by document, the field and who has the value already.
    pub(super) async fn clashes(&self) -> Result<Vec<(Id, Problem)>, ReadError> {
        let mut claimed: BTreeMap<Key, (&Id, String)> = BTreeMap::new();
        let mut found = Vec::new();
        for (id, edit) in &self.edits {
            for Indexed { key, claim, .. } in entries_of(edit.after.as_ref())? {
                let Some(claim) = claim else { continue };
                let other = match claimed.get(&key) {
                    Some((other, field)) if *other != id => {
                        Some(format!("{} (its {field})", describe(other)))
                    }
                    Some(_) => None,
                    None => self.owner_elsewhere(id, &key).await?,
                };
                if let Some(other) = other {
                    let message = format!("{} belongs to {other} already", claim.value);
                    found.push((id.clone(), Problem::new(claim.field, message)));
                } else {
                    claimed.insert(key, (id, claim.field));
                }
            }
        }
        Ok(found)
    }

    /// The stored host that has this value, unless the draft takes it away.
    async fn owner_elsewhere(&self, id: &Id, key: &Key) -> Result<Option<String>, ReadError> {
        let Some(owner) = self.catalog.index(key).await? else { return Ok(None) };
        let owner = (Kind::Host, owner);
        let stays = !self.edits.contains_key(&owner);
        Ok((owner != *id && stays).then(|| describe(&owner)))
    }

    /// All operations, by document: its own, those of its indices, and what goes along.
    fn operations(&self) -> Result<BTreeMap<&Id, Operations>, CommitError> {
        let mut wanted: BTreeMap<Key, (&Id, String)> = BTreeMap::new();
        for (id, edit) in &self.edits {
            let entries = entries_of(edit.after.as_ref()).map_err(CommitError::from)?;
            wanted.extend(entries.into_iter().map(|entry| (entry.key, (id, entry.value))));
        }
        let mut all: BTreeMap<&Id, Operations> = BTreeMap::new();
        let mut stored: BTreeMap<Key, String> = BTreeMap::new();
        for (id, edit) in &self.edits {
            let own = all.entry(id).or_default();
            own.extend(document_operations(id, edit)?);
            for entry in entries_of(edit.before.as_ref()).map_err(CommitError::from)? {
                if !wanted.contains_key(&entry.key) {
                    own.insert(entry.key.clone(), None);
                }
                stored.insert(entry.key, entry.value);
            }
        }
        for (key, (id, value)) in wanted {
            if stored.get(&key) != Some(&value) {
                all.entry(id).or_default().insert(key, Some(value.into_bytes()));
            }
        }
        Ok(all)
    }

    /// The values that one document of the draft gives up and another takes.
    fn handover(&self) -> Result<Option<String>, ReadError> {
        let mut given: BTreeMap<Key, &Id> = BTreeMap::new();
        for (id, edit) in &self.edits {
            given.extend(entries_of(edit.before.as_ref())?.into_iter().map(|entry| (entry.key, id)));
        }
        for (id, edit) in &self.edits {
            for entry in entries_of(edit.after.as_ref())? {
                let giver = given.get(&entry.key).filter(|giver| **giver != id);
                if let (Some(claim), Some(_)) = (entry.claim, giver) {
                    return Ok(Some(claim.value));
                }
            }
        }
        Ok(None)
    }

    /// Commits everything in one transaction; the store's revision after it.
    ///
    /// # Errors
    /// [`CommitError`]; nothing was written.
    pub(super) async fn commit(self, actor: &str, at: Wall) -> Result<Revision, CommitError> {
        let operations = self.operations()?;
        let documents: Vec<&Id> = operations.keys().copied().collect();
        let all = operations.into_values().flatten().chain(self.extra.clone()).collect();
        let mut entry = self.entry(&documents, actor, at);
        entry.changes.extend(self.notes.clone());
        let txn = self.transaction(self.head, &documents, all, entry)?;
        check_size(&txn)?;
        Ok(self.catalog.store.txn(txn).await?)
    }

    /// Commits in as many transactions as it takes, each whole by itself: what is referred to comes first.
    ///
    /// # Errors
    /// [`CommitError`]. On [`CommitError::Conflict`] the first transactions may have been written: begin anew, what is
    /// written is then found unchanged.
    pub(super) async fn commit_in_parts(self, actor: &str, at: Wall) -> Result<Revision, CommitError> {
        let mut rest: Vec<_> = self.operations()?.into_iter().collect();
        rest.sort_by_key(|(id, _)| (Kind::ALL.iter().position(|kind| *kind == id.0), &id.1));
        let mut parts = Vec::new();
        let (mut documents, mut operations) = (Vec::new(), BTreeMap::new());
        for (id, own) in rest {
            let mut more = operations.clone();
            more.extend(own.clone());
            let those = [documents.as_slice(), &[id]].concat();
            let fits = self.transaction(0, &those, more.clone(), self.entry(&those, actor, at));
            if check_size(&fits?).is_err() && !documents.is_empty() {
                parts.push((std::mem::take(&mut documents), std::mem::take(&mut operations)));
                more = own;
            }
            documents.push(id);
            operations = more;
        }
        parts.push((documents, operations));
        if let (true, Some(value)) = (parts.len() > 1, self.handover()?) {
            return Err(CommitError::Handover { value });
        }
        self.commit_parts(parts, actor, at).await
    }

    async fn commit_parts(
        &self,
        parts: Vec<Part<'_>>,
        actor: &str,
        at: Wall,
    ) -> Result<Revision, CommitError> {
        let mut txns = Vec::new();
        for (head, (documents, operations)) in (self.head..).zip(parts) {
            txns.push(self.transaction(head, &documents, operations, self.entry(&documents, actor, at))?);
        }
        // All are checked before the first is written.
        txns.iter().try_for_each(check_size)?;
        let mut revision = Revision::ZERO;
        for txn in txns {
            revision = self.catalog.store.txn(txn).await?;
        }
        Ok(revision)
    }

    fn transaction(
        &self,
        head: u64,
        documents: &[&Id],
        operations: Operations,
        entry: Entry,
    ) -> Result<Txn, CommitError> {
        let number = head.checked_add(1).ok_or(CommitError::Conflict)?;
        let json = serde_json::to_vec(&entry).expect("an audit entry is plain text and numbers");
        let mut txn = Txn::new().expect_absent(keys::audit(number)).put(keys::audit(number), json);
        for id in documents {
            let found = self.edits.get(*id).map(|edit| expected(id, edit)).transpose()?.flatten();
            txn = found.into_iter().fold(txn, |txn, (key, revision)| txn.expect(key, revision));
        }
        Ok(operations.into_iter().fold(txn, |txn, (key, value)| match value {
            Some(value) => txn.put(key, value),
            None => txn.delete(key),
        }))
    }

    fn entry(&self, documents: &[&Id], actor: &str, at: Wall) -> Entry {
        let change = |id: &&Id| {
            let edit = self.edits.get(*id)?;
            let (action, detail) = (edit.action.clone(), edit.detail.clone());
            Some(Change { action, kind: id.0, name: id.1.clone(), detail })
        };
        Entry { at, actor: actor.to_owned(), changes: documents.iter().filter_map(change).collect() }
    }
}

/// Where the document was when its edit began, and at which revision; zero where it was not.
fn expected((kind, name): &Id, edit: &Edit) -> Result<Option<(Key, Revision)>, CommitError> {
    let Some(any) = edit.before.as_ref().or(edit.after.as_ref()) else { return Ok(None) };
    let key = keys::resource(*kind, any.site().unwrap_or_default(), name)?;
    let revision = edit.before.as_ref().and_then(AnyResource::meta).map_or(0, |meta| meta.revision);
    Ok(Some((key, Revision(revision))))
}

/// What happens to the document itself, and to what was seen of it.
fn document_operations((kind, name): &Id, edit: &Edit) -> Result<Operations, CommitError> {
    let place = |any: &AnyResource| keys::resource(*kind, any.site().unwrap_or_default(), name);
    let mut own = BTreeMap::new();
    if let Some(before) = &edit.before {
        own.insert(place(before)?, None);
    }
    match &edit.after {
        Some(after) => {
            own.insert(place(after)?, Some(encode(after)));
        }
        None => {
            own.insert(keys::status(*kind, name)?, None);
            if *kind == Kind::Agent {
                own.insert(keys::holding(name)?, None);
            }
            if *kind == Kind::Site {
                own.insert(keys::alarms(name)?, None);
            }
        }
    }
    Ok(own)
}

/// A document as it is stored: the revision is the store's to say.
pub(super) fn encode(any: &AnyResource) -> Vec<u8> {
    let mut any = any.clone();
    let meta = any.meta().cloned().map(|mut meta| {
        meta.revision = 0;
        meta
    });
    any.set_meta(meta);
    serde_json::to_vec(&any.to_value()).expect("string keys and plain values")
}

fn entries_of(any: Option<&AnyResource>) -> Result<Vec<Indexed>, keys::NotAName> {
    any.map_or_else(|| Ok(Vec::new()), index::entries)
}

fn check_size(txn: &Txn) -> Result<(), CommitError> {
    let (operations, bytes) = (txn.operations.len(), txn.bytes());
    let small = operations <= MAX_TXN_OPERATIONS && bytes <= MAX_TXN_BYTES;
    if small { Ok(()) } else { Err(CommitError::TooLarge { operations, bytes }) }
}

/// As people say it: `Host web-1`.
pub(super) fn describe((kind, name): &Id) -> String {
    format!("{kind} {name}")
}

/// The documents that refer to another, as it will be.
pub(super) async fn users(draft: &Draft, kind: Kind, name: &str) -> Result<BTreeSet<Id>, ReadError> {
    let prefix = keys::users(kind, name)?;
    let page = draft.catalog.store.scan(crate::store::Scan::prefix(&prefix)).await?;
    let stored = page.entries.iter().filter_map(|entry| keys::parse_user(&entry.key));
    let mut all: BTreeSet<Id> = stored
        .map(|(kind, name)| (kind, name.to_owned()))
        .filter(|id| !draft.edits.contains_key(id))
        .collect();
    for (id, edit) in &draft.edits {
        let refers = entries_of(edit.after.as_ref())?.iter().any(|entry| entry.key.starts_with(&prefix));
        if refers {
            all.insert(id.clone());
        }
    }
    Ok(all)
}
