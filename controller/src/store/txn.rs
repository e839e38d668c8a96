//! Transactions: what must hold, what then changes, and every way that can fail.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::{Key, Revision};

/// The most compares, and the most operations, of one transaction: etcd's `max-txn-ops`.
pub const MAX_TXN_OPERATIONS: usize = 128;

/// The most bytes of one transaction: etcd's `max-request-bytes`.
pub const MAX_TXN_BYTES: usize = 3 * 512 * 1024;

/// What the wire form of one compare or operation adds to its key and value, at most.
const FRAMING_BYTES: usize = 32;

/// A condition: the key was last changed by exactly this revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    /// The key that is compared.
    pub key: Key,
    /// Its `mod_revision`; [`Revision::ZERO`] for a key that must be absent.
    pub expected: Revision,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Sets a key, whether it exists or not.
    Put {
        /// The key to set.
        key: Key,
        /// Its new value.
        value: Bytes,
    },
    /// Removes a key; nothing happens where it is absent.
    Delete {
        /// The key to remove.
        key: Key,
    },
}

impl Operation {
    /// The key that it changes.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }

    fn bytes(&self) -> usize {
        let value = match self {
            Self::Put { value, .. } => value.len(),
            Self::Delete { .. } => 0,
        };
        FRAMING_BYTES + self.key().len() + value
    }
}

/// A transaction: all operations if all compares hold, else none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Txn {
    /// What must hold. Looked at in this order; the first that fails is reported.
    pub compare: Vec<Compare>,
    /// What changes. A key appears once at most.
    pub operations: Vec<Operation>,
}

impl Txn {
    /// A transaction that changes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if `key` was last changed by `mod_revision`.
    #[must_use]
    pub fn expect(mut self, key: Key, mod_revision: Revision) -> Self {
        self.compare.push(Compare { key, expected: mod_revision });
        self
    }

    /// Only if `key` does not exist.
    #[must_use]
    pub fn expect_absent(self, key: Key) -> Self {
        self.expect(key, Revision::ZERO)
    }

    /// Sets `key`.
    #[must_use]
    pub fn put(mut self, key: Key, value: impl Into<Bytes>) -> Self {
        self.operations.push(Operation::Put { key, value: value.into() });
        self
    }

    /// Removes `key`.
    #[must_use]
    pub fn delete(mut self, key: Key) -> Self {
        self.operations.push(Operation::Delete { key });
        self
    }

    /// The size that counts against [`MAX_TXN_BYTES`], in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let compares: usize = self.compare.iter().map(|compare| FRAMING_BYTES + compare.key.len()).sum();
        compares + self.operations.iter().map(Operation::bytes).sum::<usize>()
    }

    /// Refuses what etcd would refuse whatever it holds.
    pub(super) fn check_limits(&self) -> Result<(), TxnError> {
        let count = self.compare.len().max(self.operations.len());
        if count > MAX_TXN_OPERATIONS {
            return Err(TxnError::TooManyOperations { count });
        }
        let bytes = self.bytes();
        if bytes > MAX_TXN_BYTES {
            return Err(TxnError::TooLarge { bytes });
        }
        let mut seen = BTreeSet::new();
        match self.operations.iter().find(|operation| !seen.insert(operation.key())) {
            Some(twice) => Err(TxnError::DuplicateKey { key: twice.key().clone() }),
            None => Ok(()),
        }
    }
}

/// Why a transaction did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxnError {
    /// Someone else was faster: read again and decide anew. Nothing was changed.
    #[error("key {key} is at revision {actual}, not at {expected} (0 = absent)")]
    Conflict {
        /// The first key whose compare failed.
        key: Key,
        /// The revision that the transaction expected.
        expected: Revision,
        /// The revision that it has; [`Revision::ZERO`] where it is absent.
        actual: Revision,
    },
    /// More than [`MAX_TXN_OPERATIONS`] compares or operations.
    #[error("transaction of {count} compares or operations is over the limit of {MAX_TXN_OPERATIONS}")]
    TooManyOperations {
        /// How many there were.
        count: usize,
    },
    /// More than [`MAX_TXN_BYTES`].
    #[error("transaction of {bytes} bytes is over the limit of {MAX_TXN_BYTES}")]
    TooLarge {
        /// How many there were.
        bytes: usize,
    },
    /// Two operations on one key.
    #[error("transaction changes key {key} twice")]
    DuplicateKey {
        /// The key.
        key: Key,
    },
    /// The store would grow over its quota. Deletes still pass.
    #[error("store of {used} bytes has no room for {wanted} more under its quota of {quota}")]
    QuotaExceeded {
        /// Bytes of keys and values now.
        used: u64,
        /// Bytes that the transaction would add.
        wanted: u64,
        /// The most that the store may hold.
        quota: u64,
    },
    /// The store takes no writes; see [`super::Health`]. Nothing was changed.
    #[error("the store is read-only: {cause}")]
    ReadOnly {
        /// What made it so.
        cause: String,
    },
    /// The medium failed while the change was being written: it may or may not be there when the
    /// store opens again. Read before repeating it.
    #[error("the outcome of the transaction is unknown: {cause}")]
    Unknown {
        /// What the medium said.
        cause: String,
    },
    /// The store was closed. Nothing was changed.
    #[error("the store is closed")]
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Key {
        Key::parse(text).expect("tests use good keys")
    }

    #[test]
    fn limits_are_those_of_etcd() {
        let many = |count: usize| (0..count).fold(Txn::new(), |txn, n| txn.delete(key(&format!("/k/{n}"))));
        assert_eq!(many(128).check_limits(), Ok(()));
        assert_eq!(many(129).check_limits(), Err(TxnError::TooManyOperations { count: 129 }));

        let compares = (0..129).fold(Txn::new(), |txn, n| txn.expect_absent(key(&format!("/k/{n}"))));
        assert_eq!(compares.check_limits(), Err(TxnError::TooManyOperations { count: 129 }));
    }

    #[test]
    fn size_is_counted_to_the_byte() {
        let room = MAX_TXN_BYTES - FRAMING_BYTES - "/k".len();
        assert_eq!(Txn::new().put(key("/k"), vec![0; room]).check_limits(), Ok(()));
        assert_eq!(
            Txn::new().put(key("/k"), vec![0; room + 1]).check_limits(),
            Err(TxnError::TooLarge { bytes: MAX_TXN_BYTES + 1 })
        );
    }

    #[test]
    fn one_key_changes_once() {
        let txn = Txn::new().put(key("/k"), "a").delete(key("/k"));
        assert_eq!(txn.check_limits(), Err(TxnError::DuplicateKey { key: key("/k") }));
    }
}
