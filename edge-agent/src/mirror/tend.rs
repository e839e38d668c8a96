//! What is done for mirrors while nobody asks: opening them, making room for others, removing what is left of them.

use std::{fs, io, path::Path, time::Duration};

use proto::plan::SitePlan;

use super::{Mirrors, fetch::blocking};
use crate::disk::DiskError;

/// How often the room on the disk is looked at.
const LOOK: Duration = Duration::from_secs(10);

impl Mirrors {
    /// Opens the plan's mirrors before somebody waits for them, and removes what is left of those that it names no
    /// more. Runs until the plan has no sender any more.
    pub async fn tend(self) {
        let mut plan = self.0.plan.clone();
        loop {
            let now = plan.borrow_and_update().clone();
            if let Some(now) = now {
                self.open_all(&now).await;
                self.forget_others(&now).await;
            }
            loop {
                tokio::select! {
                    changed = plan.changed() => match changed {
                        Ok(()) => break,
                        Err(_) => return,
                    },
                    () = tokio::time::sleep(LOOK) => self.give_way().await,
                }
            }
        }
    }

    /// On a disk that is filling up mirrors give way to all else.
    async fn give_way(&self) {
        let kept: Vec<_> = self.opened().values().filter_map(|cell| cell.get().cloned()).collect();
        let low_disk = self.0.fetches.low_disk;
        for kept in kept {
            let name = kept.name.clone();
            if let Err(error) = blocking(move || kept.store.give_way(low_disk)).await {
                tracing::warn!(
                    mirror = name,
                    error = &error as &dyn std::error::Error,
                    "failed to make room"
                );
            }
        }
    }

    async fn open_all(&self, plan: &SitePlan) {
        for mirror in plan.mirrors.values() {
            let budget = mirror.budget_bytes;
            let tended = match self.kept(&mirror.name).await {
                Ok(kept) => blocking(move || kept.store.evict_to(budget)).await,
                Err(error) => Err(error),
            };
            if let Err(error) = tended {
                tracing::error!(
                    mirror = mirror.name,
                    error = &error as &dyn std::error::Error,
                    "failed to open"
                );
            }
        }
    }

    async fn forget_others(&self, plan: &SitePlan) {
        self.opened().retain(|name, _| plan.mirrors.contains_key(name));
        let (folder, names) = (self.0.folder.clone(), plan.mirrors.keys().cloned().collect::<Vec<_>>());
        let removed = blocking(move || remove_others(&folder, &names)).await;
        if let Err(error) = removed {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "failed to remove what is left of a mirror"
            );
        }
    }
}

/// Removes the folders of mirrors that are none of `names`.
fn remove_others(folder: &Path, names: &[String]) -> Result<(), DiskError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(DiskError::at("list", folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(DiskError::at("list", folder))?;
        if !names.iter().any(|name| entry.file_name() == name.as_str()) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(DiskError::at("remove", &path))?;
            tracing::info!(mirror = %entry.file_name().display(), "what was kept of a mirror is removed");
        }
    }
    Ok(())
}
