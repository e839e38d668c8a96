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

/// Below so many free bytes the disk is full, and above twice as many it is so no more: the ledger's next segment, and
/// what others write meanwhile.
pub const FULL_BYTES: u64 = 4 << 20;

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
    /// Nothing to speak of is free, or the ledger lives on its reserve: grants from pools and new orders stop.
    Tight,
    /// Not even the ledger can write.
    Full,
}

impl Pressure {
    /// Judges the free space against [`FULL_BYTES`] and `low_bytes`, and the reserve before them. `before` is what was
    /// judged last: who was short of room is so until there is clearly more.
    #[must_use]
    pub fn judge(before: Self, space: Space, low_bytes: u64, reserve: ReserveState) -> Self {
        let full_bytes = if before.permits_new_grants() { FULL_BYTES } else { 2 * FULL_BYTES };
        match reserve {
            ReserveState::Exhausted => Self::Full,
            ReserveState::InUse => Self::Tight,
            ReserveState::Whole if space.free_bytes < full_bytes => Self::Tight,
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
    fn the_reserve_outranks_the_thresholds() {
        let judge = |free_bytes, reserve| {
            Pressure::judge(Pressure::Normal, Space { free_bytes, total_bytes: 1 << 40 }, 1 << 30, reserve)
        };
        assert_eq!(judge(1 << 31, ReserveState::Whole), Pressure::Normal);
        assert_eq!(judge(1 << 29, ReserveState::Whole), Pressure::Low);
        assert_eq!(judge(FULL_BYTES, ReserveState::Whole), Pressure::Low);
        assert_eq!(judge(FULL_BYTES - 1, ReserveState::Whole), Pressure::Tight);
        assert_eq!(judge(0, ReserveState::Whole), Pressure::Tight);
        assert_eq!(judge(1 << 31, ReserveState::InUse), Pressure::Tight);
        assert_eq!(judge(1 << 29, ReserveState::Exhausted), Pressure::Full);
    }

    #[test]
    fn a_disk_at_its_brink_is_not_full_and_fine_by_turns() {
        let judge = |before, free_bytes| {
            Pressure::judge(before, Space { free_bytes, total_bytes: 1 << 40 }, 0, ReserveState::Whole)
        };
        assert_eq!(judge(Pressure::Tight, FULL_BYTES + 1), Pressure::Tight);
        assert_eq!(judge(Pressure::Full, FULL_BYTES + 1), Pressure::Tight);
        assert_eq!(judge(Pressure::Tight, 2 * FULL_BYTES), Pressure::Normal);
        assert_eq!(judge(Pressure::Normal, FULL_BYTES + 1), Pressure::Normal);
    }

    #[test]
    fn permissions_shrink_with_pressure() {
        let permitted = |pressure: Pressure| {
            (pressure.permits_fills(), pressure.permits_new_grants(), pressure.permits_records())
        };
        assert_eq!(permitted(Pressure::Normal), (true, true, true));
        assert_eq!(permitted(Pressure::Low), (false, true, true));
        assert_eq!(permitted(Pressure::Tight), (false, false, true));
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
