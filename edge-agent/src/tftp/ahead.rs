//! Reading ahead for transfers that go block by block: one read of the file for several blocks.
//!
//! A *lane* is a buffer of the outbox's that holds the next packets of one transfer, headers and all, so that a block is read
//! once and copied by nobody but the kernel. Lanes are few and used again: many transfers cost little memory, and who gets
//! none reads each block. Here is who has which; the outbox has the bytes.

use std::ops::Range;

/// Bytes of a lane: some eleven packets.
pub(super) const LANE: usize = 16 << 10;

/// Lanes at one time.
const LANES: usize = 512;

/// What lies ready of one transfer.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    lane: Option<usize>,
    /// Which bytes of the file.
    bytes: Range<u64>,
    /// Of a whole block, in bytes.
    block: usize,
    /// The outbox's flushes when a packet of it was last put in.
    put_in: u64,
}

/// The lanes that nobody has.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    spare: Vec<(usize, u64)>,
    made: usize,
}

impl Ahead {
    /// Where in its lane the packet of the block at `offset` lies; none if it is not there.
    pub(super) fn find(&self, offset: u64, len: usize, header: usize) -> Option<(usize, Range<usize>)> {
        let lane = self.lane?;
        let before = usize::try_from(offset.checked_sub(self.bytes.start)?).ok()?;
        let is_there = offset.checked_add(len as u64)? <= self.bytes.end;
        if len == 0 || !is_there || !before.is_multiple_of(self.block) {
            return None;
        }
        let start = before / self.block * (self.block + header);
        Some((lane, start..start + header + len))
    }

    /// A packet of it waits to leave.
    pub(super) fn is_put_in(&mut self, flushes: u64) {
        self.put_in = flushes;
    }

    /// Its lane, or a new one, to be filled with the blocks from `offset` on; none if all are taken. The second number is
    /// that of the flushes after which it may be written to.
    pub(super) fn begin(&mut self, lanes: &mut Lanes) -> Option<(usize, u64)> {
        self.bytes = 0..0;
        if self.lane.is_none() {
            let (lane, put_in) = lanes.lend()?;
            (self.lane, self.put_in) = (Some(lane), put_in);
        }
        Some((self.lane?, self.put_in))
    }

    /// Its lane holds these bytes of the file now, in blocks of so many.
    pub(super) fn is_filled(&mut self, bytes: Range<u64>, block: usize) {
        (self.bytes, self.block) = (bytes, block);
    }
}

impl Lanes {
    fn lend(&mut self) -> Option<(usize, u64)> {
        if let Some(spare) = self.spare.pop() {
            return Some(spare);
        }
        let made = self.made;
        self.made += usize::from(made < LANES);
        (made < LANES).then_some((made, u64::MAX))
    }

    /// A transfer is over.
    pub(super) fn take_back(&mut self, ahead: &Ahead) {
        self.spare.extend(ahead.lane.map(|lane| (lane, ahead.put_in)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_are_few_and_come_back() {
        let mut lanes = Lanes::default();
        let mut all: Vec<Ahead> = (0..LANES).map(|_| Ahead::default()).collect();
        let lent: std::collections::BTreeSet<usize> =
            all.iter_mut().map(|ahead| ahead.begin(&mut lanes).expect("there are some").0).collect();
        assert_eq!((lent.len(), lent.last()), (LANES, Some(&(LANES - 1))));
        assert_eq!(Ahead::default().begin(&mut lanes), None);
        all[7].is_put_in(99);
        lanes.take_back(&all[7]);
        assert_eq!(Ahead::default().begin(&mut lanes), Some((7, 99)), "it may still have to leave");
    }

    #[test]
    fn what_lies_ready_is_found() {
        let mut ahead = Ahead::default();
        assert_eq!(ahead.find(0, 8, 4), None);
        ahead.begin(&mut Lanes::default());
        ahead.is_filled(80..100, 8);
        assert_eq!(ahead.find(80, 8, 4), Some((0, 0..12)));
        assert_eq!(ahead.find(96, 4, 4), Some((0, 24..32)), "the last, which is shorter");
        ahead.is_filled(80..96, 8);
        assert_eq!(ahead.find(96, 0, 4), None, "an empty last one lies in no lane");
        for (offset, len) in [(72, 8), (81, 8), (88, 9), (96, 8), (104, 8), (u64::MAX, 8)] {
            assert_eq!(ahead.find(offset, len, 4), None, "{len} from {offset}");
        }
    }
}
