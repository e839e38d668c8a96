//! What the engine has decided in one turn: records, and what rests on them.

use netboot::dhcp::Destination;
use proto::{OrderId, ledger::Record};
use tokio::sync::oneshot;

use super::{FileReply, ReportReply};

/// Records as the ledger keeps them, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Records {
    bytes: Vec<u8>,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Records {
    pub(super) fn push(&mut self, record: &Record) {
        record.encode_to(&mut self.bytes);
        self.ends.push(self.bytes.len());
    }

    pub(super) fn append(&mut self, others: &Self) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(&others.bytes);
        self.ends.extend(others.ends.iter().map(|end| before + end));
    }

    pub(super) fn get(&self, number: usize) -> Option<&[u8]> {
        let end = *self.ends.get(number)?;
        let start = number.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0);
        self.bytes.get(start..end)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).filter_map(|number| self.get(number))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Keeps its memory, unless that is much.
    pub(super) fn clear(&mut self) {
        const MUCH: usize = 1 << 20;
        if self.bytes.capacity() > MUCH {
            *self = Self::default();
        }
        self.bytes.clear();
        self.ends.clear();
    }
}

impl FromIterator<Record> for Records {
    fn from_iter<I: IntoIterator<Item = Record>>(records: I) -> Self {
        let mut all = Self::default();
        records.into_iter().for_each(|record| all.push(&record));
        all
    }
}

/// What leaves once the records before it are on disk.
#[derive(Debug)]
pub(super) enum Held {
    /// A DHCP message, and the interface that it leaves by.
    Datagram { interface: u32, datagram: Vec<u8>, to: Destination },
    /// To whoever asked for a file.
    File(oneshot::Sender<FileReply>, FileReply),
    /// To an installer.
    Report(oneshot::Sender<ReportReply>, ReportReply),
}

/// One turn.
#[derive(Debug, Default)]
pub(super) struct Bundle {
    pub(super) records: Records,
    pub(super) held: Vec<Held>,
    /// Orders at their end: nobody is told before that is on disk.
    pub(super) ended: Vec<OrderId>,
    /// The number of the engine's last event.
    pub(super) last_event: u64,
    /// Takes the place of the whole ledger, these records among it, or a part of what does.
    pub(super) snapshot: Option<Part>,
}

/// Of a snapshot: all of it, or a piece, since to copy a million leases in one turn would hold the engine up. Every record of the
/// turns behind the first piece stands behind the snapshot, so it does not matter that pieces have some of that already: a
/// record says what holds, whatever held before.
#[derive(Debug)]
pub(super) enum Part {
    /// All, as of this turn.
    Whole(Records),
    /// Everything but the leases, as of this turn.
    First(Records),
    /// Leases, as of this turn.
    Next(Records),
    /// The last of them.
    Last(Records),
}

impl Part {
    /// Does it begin a snapshot? Then it stands behind what was recorded until this turn, and before all else.
    pub(super) fn begins(&self) -> bool {
        match self {
            Self::Whole(_) | Self::First(_) => true,
            Self::Next(_) | Self::Last(_) => false,
        }
    }
}

impl Bundle {
    /// Is there nothing to be put on disk?
    pub(super) fn is_light(&self) -> bool {
        self.records.is_empty() && self.snapshot.is_none()
    }

    pub(super) fn begins_snapshot(&self) -> bool {
        self.snapshot.as_ref().is_some_and(Part::begins)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.is_light() && self.held.is_empty() && self.ended.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proto::Wall;

    use super::*;

    #[test]
    fn records_come_back_one_by_one() {
        let records: Vec<Record> = (0..5).map(|n| Record::Wall(Wall(n * 1_000))).collect();
        let mut all: Records = records[..2].iter().cloned().collect();
        all.append(&records[2..].iter().cloned().collect());
        let decoded: Vec<_> = all.iter().map(|bytes| Record::decode(bytes).expect("our own")).collect();
        assert_eq!(decoded, records);
        assert_eq!(all.get(5), None);
        all.clear();
        assert!(all.is_empty() && all.get(0).is_none());
    }
}
