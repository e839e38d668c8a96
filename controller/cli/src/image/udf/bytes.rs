//! Numbers out of descriptors; what lies behind their end is 0, as in descriptors of older revisions.

/// Two bytes, the lower first.
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    number(bytes, at).map_or(0, u16::from_le_bytes)
}

/// Four bytes, the lowest first.
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    number(bytes, at).map_or(0, u32::from_le_bytes)
}

/// Eight bytes, the lowest first.
pub(super) fn le64(bytes: &[u8], at: usize) -> u64 {
    number(bytes, at).map_or(0, u64::from_le_bytes)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}
