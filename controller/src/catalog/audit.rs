//! The audit log: who changed what and when, in the transaction of the change itself (S17).
//!
//! One entry per transaction, numbered without gaps. A writer takes the next number and its transaction holds only if
//! nobody else took it meanwhile, so an entry is also the catalog's turnstile: what a writer read between looking at
//! the newest number and taking the next cannot have been changed by another writer. Entries are never changed or
//! removed by anything but a restore.

use proto::{Wall, catalog::Kind};
use serde::{Deserialize, Serialize};

use super::{Catalog, ReadError, keys, read};
use crate::store::{Entry as StoreEntry, Revision, Scan};

/// What one transaction changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When, by the controller's clock.
    #[serde(rename = "at_ms")]
    pub at: Wall,
    /// Who: `operator/NAME`, `agent/NAME` or `controller`.
    pub actor: String,
    /// What, change by change.
    pub changes: Vec<Change>,
}

/// One change of an [`Entry`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// A verb: `create`, `change`, `remove`, `revoke`, `enrol`, ….
    pub action: String,
    /// Of what.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Which fields, for people; never values of secrets.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// One line of the log as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The revision that the change made.
    pub revision: Revision,
    /// When.
    pub at: Wall,
    /// Who.
    pub actor: String,
    /// What.
    pub change: Change,
}

/// The most lines of one question; an entry is never cut in two, so a few more may come.
pub const MOST_LINES: usize = 1_000;
/// Entries that are read at a time.
const PAGE: usize = 100;

impl Catalog {
    /// The newest lines before revision `before` (None: up to now), newest first, about `limit` of them.
    ///
    /// To read on, pass the last line's revision as `before`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub async fn audit_log(&self, before: Option<Revision>, limit: usize) -> Result<Vec<Line>, ReadError> {
        let limit = limit.clamp(1, MOST_LINES);
        let mut scan = Scan::prefix(keys::AUDIT).limit(PAGE);
        scan.after = self.newer_than(before).await?.map(keys::audit);
        let mut lines = Vec::new();
        loop {
            let page = self.store.scan(scan.clone()).await?;
            for entry in &page.entries {
                if lines.len() >= limit {
                    return Ok(lines);
                }
                lines.extend(read_lines(entry)?);
            }
            if !page.more {
                return Ok(lines);
            }
            scan.after = page.entries.last().map(|entry| entry.key.clone());
        }
    }

    /// The number of the newest entry; 0 before the first.
    pub(super) async fn audit_head(&self) -> Result<u64, ReadError> {
        let page = self.store.scan(Scan::prefix(keys::AUDIT).limit(1)).await?;
        Ok(page.entries.first().and_then(|entry| keys::parse_audit(&entry.key)).unwrap_or(0))
    }

    /// The lowest number whose entry is at or after `before`: its successors in the scan are what is asked for.
    /// Numbers rise with revisions, so it is found by halving.
    async fn newer_than(&self, before: Option<Revision>) -> Result<Option<u64>, ReadError> {
        let Some(before) = before else { return Ok(None) };
        let (mut low, mut high) = (1, self.audit_head().await?.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let found = self.store.get(&keys::audit(middle)).await?;
            match found {
                Some(entry) if entry.create_revision < before => low = middle + 1,
                Some(_) | None => high = middle,
            }
        }
        Ok(Some(low))
    }
}

fn read_lines(entry: &StoreEntry) -> Result<Vec<Line>, ReadError> {
    let Entry { at, actor, changes } = read::from_json(&entry.key, &entry.version.value)?;
    let revision = entry.version.create_revision;
    let line = |change| Line { revision, at, actor: actor.clone(), change };
    Ok(changes.into_iter().map(line).collect())
}
