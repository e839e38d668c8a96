//! How full the state file system is, and what that permits.
//!
//! DESIGN §6: a full disk stops pool grants and new orders, never a fixed address or a local boot, and
//! the ledger's reserve keeps order and lease records going meanwhile.

use std::path::Path;

use super::DiskError;

/// The room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What an unprivileged process may still write.
    pub free_bytes: u64,
    /// The whole size.
    pub total_bytes: u64,
}

impl Space {
    /// Asks the file system that holds `path`.
    ///
    /// # Errors
    /// [`DiskError`] when `path` is missing or cannot be asked about.
    pub fn of(path: &Path) -> Result<Self, DiskError> {
        let answer = rustix::fs::statvfs(path)
            .map_err(|errno| DiskError::at("ask for the free space of", path)(errno.into()))?;
        Ok(Self {
            free_bytes: answer.f_bavail.saturating_mul(answer.f_frsize),
            total_bytes: answer.f_blocks.saturating_mul(answer.f_frsize),
        })
    }
}

/// How much of the room that the ledger set aside is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReserveState {
    /// All of it.
    Whole,
    /// Part of it was given up, or there was no room to set it aside.
    InUse,
    /// It is gone, and the last commit found no room.
    Exhausted,
}

/// How hard the disk presses, in rising order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pressure {
    /// There is room.
    Normal,
    /// Less is free than the threshold: the cache should shrink.
    Low,
    /// The ledger lives on its reserve: grants from pools and new orders stop.
    ReserveInUse,
    /// Not even the ledger can write.
    Full,
}

impl Pressure {
    /// Judges the free space against `low_bytes`, and the reserve before it.
    #[must_use]
    pub fn judge(space: Space, low_bytes: u64, reserve: ReserveState) -> Self {
        match reserve {
            ReserveState::Exhausted => Self::Full,
            ReserveState::InUse => Self::ReserveInUse,
            ReserveState::Whole if space.free_bytes < low_bytes => Self::Low,
            ReserveState::Whole => Self::Normal,
        }
    }

    /// Whether images may be fetched into the cache.
    #[must_use]
    pub fn permits_fills(self) -> bool {
        self == Self::Normal
    }

    /// Whether addresses may be granted from pools and new orders accepted (DESIGN §6).
    #[must_use]
    pub fn permits_new_grants(self) -> bool {
        self <= Self::Low
    }

    /// Whether records of what already runs (renewals, order states) still get down.
    #[must_use]
    pub fn permits_records(self) -> bool {
        self < Self::Full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reserve_outranks_the_threshold() {
        let plenty = Space { free_bytes: 100, total_bytes: 100 };
        let scarce = Space { free_bytes: 9, total_bytes: 100 };
        let judge = |space, reserve| Pressure::judge(space, 10, reserve);
        assert_eq!(judge(plenty, ReserveState::Whole), Pressure::Normal);
        assert_eq!(judge(scarce, ReserveState::Whole), Pressure::Low);
        assert_eq!(judge(plenty, ReserveState::InUse), Pressure::ReserveInUse);
        assert_eq!(judge(scarce, ReserveState::Exhausted), Pressure::Full);
    }

    #[test]
    fn permissions_shrink_with_pressure() {
        let permitted = |pressure: Pressure| {
            (pressure.permits_fills(), pressure.permits_new_grants(), pressure.permits_records())
        };
        assert_eq!(permitted(Pressure::Normal), (true, true, true));
        assert_eq!(permitted(Pressure::Low), (false, true, true));
        assert_eq!(permitted(Pressure::ReserveInUse), (false, false, true));
        assert_eq!(permitted(Pressure::Full), (false, false, false));
    }

    #[test]
    fn a_real_file_system_answers() {
        let dir = tempfile::tempdir().expect("tempdir");
        let space = Space::of(dir.path()).expect("statvfs");
        assert!(space.total_bytes > 0 && space.free_bytes <= space.total_bytes, "{space:?}");
        let error = Space::of(&dir.path().join("missing")).expect_err("missing");
        assert!(error.to_string().starts_with("ask for the free space of /"), "{error}");
    }
}
