//! How many boot attempts are under way: a gauge of its own, since they are counted one by one and forgotten at 0.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use telemetry::metrics::{Exposition, of_controller as name};

/// How many attempts are under way at each site in each stage. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct InProgress(Arc<Mutex<BTreeMap<(String, &'static str), u64>>>);

impl InProgress {
    /// Adds the numbers to those of the controller.
    pub(crate) fn add_to(&self, exposition: &mut Exposition) {
        for ((site, stage), count) in self.counts().iter() {
            #[expect(clippy::cast_precision_loss, reason = "there are few")]
            exposition.set_with(&name::BOOTS_IN_PROGRESS, &[site, stage], *count as f64);
        }
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<(String, &'static str), u64>> {
        // Nothing panics between two steps of a change, so a poisoned table is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more.
    pub(crate) fn enter(&self, site: &str, stage: &'static str) {
        *self.counts().entry((site.to_owned(), stage)).or_insert(0) += 1;
    }

    /// One less.
    pub(crate) fn leave(&self, site: &str, stage: &'static str) {
        let mut counts = self.counts();
        let key = (site.to_owned(), stage);
        if let Some(count) = counts.get_mut(&key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                counts.remove(&key);
            }
        }
    }
}
