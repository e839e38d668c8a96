//! How much of a blob is here that is on its way.

use proto::Digest;

use super::Cache;

impl Cache {
    /// The bytes of a blob whose fill is under way that may be read by now; None: no fill of it is.
    #[must_use]
    pub fn arrived(&self, digest: &Digest) -> Option<u64> {
        self.index().filling.get(digest).map(|progress| progress.now().0)
    }
}
