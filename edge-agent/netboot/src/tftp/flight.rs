//! Which blocks of one file are acknowledged, in flight, and allowed to go: block arithmetic without time.
//!
//! Blocks are counted from 1 without end; the wire shows the count modulo 65536 (QUIRKS 42). A file of `size`
//! bytes has `size / block_size + 1` blocks: the last is shorter than the others, possibly empty.

use super::options::BlockSize;

/// A run of blocks of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Number on the wire of the first block.
    pub first: u16,
    /// How many blocks, at least one; their numbers wrap from 65535 to 0.
    pub count: u16,
    /// Where the first block starts in the file.
    pub offset: u64,
    /// Bytes of all blocks together. All but the last block are full; the last may even be empty.
    pub len: u64,
}

/// The window over one file.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    block_size: u64,
    window: u64,
    size: u64,
    available: u64,
    /// The highest block acknowledged in sequence; 0 before the first.
    base: u64,
    /// The next block to send.
    next: u64,
    /// The highest block ever sent.
    highest: u64,
    /// Blocks sent again.
    repeats: u64,
}

impl Flight {
    pub(super) fn new(block_size: BlockSize, window: u16, size: u64, available: u64) -> Self {
        Self {
            block_size: u64::from(block_size.get()),
            window: u64::from(window),
            size,
            available: available.min(size),
            base: 0,
            next: 1,
            highest: 0,
            repeats: 0,
        }
    }

    pub(super) fn total(&self) -> u64 {
        self.size / self.block_size + 1
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn base(&self) -> u64 {
        self.base
    }

    pub(super) fn highest(&self) -> u64 {
        self.highest
    }

    pub(super) fn repeats(&self) -> u64 {
        self.repeats
    }

    pub(super) fn is_complete(&self) -> bool {
        self.base == self.total()
    }

    /// Has every byte been sent, and all but one block of them been acknowledged, and one at least: else nothing shows that
    /// the peer took any? An empty block may still be due.
    pub(super) fn has_given_all(&self) -> bool {
        let sent = self.highest.saturating_mul(self.block_size);
        self.base > 0 && sent >= self.size && self.acknowledged().saturating_add(self.block_size) >= self.size
    }

    pub(super) fn is_lockstep(&self) -> bool {
        self.window == 1
    }

    /// Bytes that the peer has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.base.saturating_mul(self.block_size).min(self.size)
    }

    /// The file has grown to `available` bytes; it never shrinks.
    pub(super) fn arrived(&mut self, available: u64) {
        self.available = self.available.max(available.min(self.size));
    }

    /// Blocks in flight.
    pub(super) fn in_flight(&self) -> u64 {
        self.next - 1 - self.base
    }

    /// Whether the window would hold more blocks if more of the file were here: no acknowledgement is due.
    pub(super) fn waits_for_source(&self) -> bool {
        self.next <= self.edge() && self.next > self.sendable()
    }

    /// The block that an acknowledgement means: the base, or one in flight; none if it is stale or absurd.
    pub(super) fn place(&self, wire: u16) -> Option<u64> {
        let distance = u64::from(wire.wrapping_sub(low_bits(self.base)));
        (distance <= self.in_flight()).then(|| self.base + distance)
    }

    /// Moves the base to `block`, which [`Self::place`] gave.
    pub(super) fn acknowledge(&mut self, block: u64) {
        self.base = block;
    }

    /// Everything after the base is to be sent again.
    pub(super) fn rewind(&mut self) {
        self.next = self.base + 1;
    }

    /// Takes all blocks that may go now; none if the window is full or the file is not here yet.
    pub(super) fn fill(&mut self) -> Option<Range> {
        let last = self.edge().min(self.sendable());
        if self.next > last {
            return None;
        }
        let first = self.next;
        self.repeats += (self.highest + 1).min(last + 1).saturating_sub(first);
        self.highest = self.highest.max(last);
        self.next = last + 1;
        Some(self.range(first, last))
    }

    /// Takes the last block in flight once more, where there are several and the peer has acknowledged blocks before; the
    /// window stays as it is.
    pub(super) fn last_again(&mut self) -> Option<Range> {
        let last = self.next - 1;
        (self.base > 0 && self.in_flight() > 1).then(|| {
            self.repeats += 1;
            self.range(last, last)
        })
    }

    fn range(&self, first: u64, last: u64) -> Range {
        let offset = (first - 1) * self.block_size;
        let end = (last * self.block_size).min(self.size);
        let count = u16::try_from(last + 1 - first).expect("a window has at most 65535 blocks");
        Range { first: low_bits(first), count, offset, len: end - offset }
    }

    /// The last block that the window allows.
    fn edge(&self) -> u64 {
        (self.base + self.window).min(self.total())
    }

    /// The last block whose bytes are all here.
    fn sendable(&self) -> u64 {
        if self.available == self.size { self.total() } else { self.available / self.block_size }
    }
}

/// A block's number as the wire shows it.
fn low_bits(block: u64) -> u16 {
    u16::try_from(block & 0xffff).expect("sixteen bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flight(block: u16, window: u16, size: u64) -> Flight {
        Flight::new(BlockSize::new(block).expect("legal"), window, size, size)
    }

    #[test]
    fn a_multiple_of_the_block_ends_with_an_empty_block() {
        assert_eq!(flight(512, 1, 0).total(), 1);
        assert_eq!(flight(512, 1, 511).total(), 1);
        assert_eq!(flight(512, 1, 512).total(), 2);
        let mut flight = flight(512, 4, 1024);
        assert_eq!(flight.fill(), Some(Range { first: 1, count: 3, offset: 0, len: 1024 }));
        assert_eq!(flight.fill(), None);
    }

    #[test]
    fn quirk_42_numbers_wrap_to_zero() {
        let mut flight = flight(8, 4, 8 * 70_000);
        while flight.base() < 65_534 {
            flight.fill();
            flight.acknowledge((flight.base() + 4).min(65_534));
            flight.rewind();
        }
        assert_eq!(flight.fill(), Some(Range { first: 65_535, count: 4, offset: 8 * 65_534, len: 32 }));
        assert_eq!(flight.place(65_535), Some(65_535));
        assert_eq!(flight.place(0), Some(65_536));
        assert_eq!(flight.place(2), Some(65_538));
        assert_eq!(flight.place(3), None);
        assert_eq!(flight.place(65_534), Some(65_534));
        assert_eq!(flight.place(65_533), None);
    }

    #[test]
    fn sends_only_what_has_arrived() {
        let mut flight = Flight::new(BlockSize::DEFAULT, 4, 2000, 1000);
        assert_eq!(flight.fill().map(|range| (range.first, range.len)), Some((1, 512)));
        assert!(flight.waits_for_source());
        flight.arrived(1024);
        assert_eq!(flight.fill().map(|range| (range.first, range.len)), Some((2, 512)));
        flight.arrived(1999);
        assert_eq!(flight.fill().map(|range| (range.first, range.len)), Some((3, 512)));
        flight.arrived(9999);
        assert_eq!(flight.fill().map(|range| (range.first, range.len)), Some((4, 2000 - 3 * 512)));
        assert!(!flight.waits_for_source());
    }

    #[test]
    fn the_last_in_flight_goes_again_and_moves_nothing() {
        let mut flight = flight(512, 4, 512 * 5 + 7);
        flight.fill();
        assert_eq!(flight.last_again(), None, "nothing was acknowledged yet");
        flight.acknowledge(4);
        flight.fill();
        let last = Range { first: 6, count: 1, offset: 512 * 5, len: 7 };
        assert_eq!(flight.last_again(), Some(last));
        assert_eq!((flight.in_flight(), flight.fill(), flight.repeats()), (2, None, 1));
        flight.acknowledge(5);
        assert_eq!(flight.last_again(), None, "one in flight is all that can be lost");
    }

    #[test]
    fn counts_what_is_sent_again() {
        let mut flight = flight(512, 4, 512 * 20);
        flight.fill();
        flight.acknowledge(2);
        flight.rewind();
        flight.fill();
        assert_eq!((flight.repeats(), flight.highest()), (2, 6));
    }
}
