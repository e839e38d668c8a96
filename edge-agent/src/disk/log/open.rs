//! Opening a ledger: lock, replay, and only when all of it was read, tidy up.

use std::fs::File;
use std::path::Path;

use super::error::{Damage, OpenError};
use super::fault::Step;
use super::frame::{Kind, Mark, encode};
use super::lock::Lock;
use super::replay::{self, Chain, End, Found, Tally, Visitor};
use super::reserve::Reserve;
use super::segment::{self, Beginning, Header, Listing, Unborn};
use super::{Content, Ledger, Live, Opened, Options};
use crate::disk::{DiskError, atomic};

/// What [`salvage`] could read.
#[derive(Debug)]
pub struct Salvaged {
    /// Records that were visited.
    pub records: u64,
    /// Bytes of a torn tail, as [`Opened::torn_bytes`].
    pub torn_bytes: u64,
    /// What ended the reading before the end, if anything did.
    pub damage: Option<OpenError>,
}

/// Shows `visit` every record up to the first damage, and changes nothing.
///
/// What it finds is no ledger: leases, orders or events after the damage are unknown. It is for people
/// and for a recovery that treats all orders as in doubt.
///
/// # Errors
/// [`OpenError`] if the ledger is in use or the directory cannot be listed. Damage is no error here.
pub fn salvage(directory: &Path, visit: &mut Visitor<'_>) -> Result<Salvaged, OpenError> {
    let _lock = Lock::take(directory)?;
    let listing = segment::list(directory)?;
    let mut tally = Tally::default();
    let read = replay::find_chain(directory, &listing)
        .and_then(|chain| chain.map(|chain| replay::replay(&chain, &mut tally, visit)).transpose());
    let (torn_bytes, damage) = match read {
        Ok(end) => (end.map_or(0, |end| end.torn_bytes), None),
        Err(error) => (0, Some(error)),
    };
    Ok(Salvaged { records: tally.records, torn_bytes, damage })
}

pub(super) fn open(
    directory: &Path,
    options: Options,
    visit: &mut Visitor<'_>,
) -> Result<(Ledger, Opened), OpenError> {
    atomic::make_directory(directory)?;
    let lock = Lock::take(directory)?;
    let listing = segment::list(directory)?;
    let mut tally = Tally::default();
    let (content, opened) = match replay::find_chain(directory, &listing)? {
        Some(chain) => {
            let end = replay::replay(&chain, &mut tally, visit)?;
            let opened = Opened { records: tally.records, torn_bytes: end.torn_bytes, created: false };
            (settle(directory, &options, chain, end, tally)?, opened)
        }
        None => {
            let opened = Opened { records: 0, torn_bytes: 0, created: true };
            (create_first(directory, &options)?, opened)
        }
    };
    remove_leftovers(directory, &options, &listing, content.oldest)?;
    let reserve = Reserve::open(directory, options.reserve_bytes, &options.faults)?;
    segment::sync_directory(directory, &options.faults)?;
    Ok((Ledger::assemble(directory, lock, options, content, reserve), opened))
}

/// Cuts the torn tail and zeros, makes what was replayed durable, and goes on behind it.
fn settle(
    directory: &Path,
    options: &Options,
    mut chain: Chain,
    end: End,
    tally: Tally,
) -> Result<Content, OpenError> {
    let oldest = chain.segments.first().map_or(1, |found| found.header.number);
    let Some(last) = chain.segments.pop() else {
        return Err(OpenError::MissingSegment { file: segment::path_of(directory, oldest) });
    };
    let mut sealed_bytes = chain.segments.iter().map(|found| length_of(&found.file)).sum();
    cut_and_sync(&last, options, end)?;
    let live = if end.sealed {
        sealed_bytes += end.length;
        let number = next_number(&last)?;
        create(directory, Header { beginning: Beginning::Continues, number, ..last.header }, options)?
    } else {
        let (length, Found { path, file, header }) = (end.length, last);
        Live { file, header, path, length, room: length, written: length }
    };
    Ok(Content { live, oldest, sealed_bytes, snapshot_bytes: tally.snapshot_bytes })
}

/// What was replayed may never have been synced: the process that wrote it may have died first.
fn cut_and_sync(last: &Found, options: &Options, end: End) -> Result<(), DiskError> {
    if length_of(&last.file) > end.length {
        options
            .faults
            .before(Step::CutSegment)
            .and_then(|()| last.file.set_len(end.length))
            .map_err(DiskError::at("cut", &last.path))?;
    }
    last.file.sync_all().map_err(DiskError::at("sync", &last.path))
}

fn next_number(last: &Found) -> Result<u64, OpenError> {
    let number = last.header.number.checked_add(1);
    number.ok_or_else(|| OpenError::damaged(&last.path, 0, Damage::Number { found: last.header.number }))
}

fn length_of(file: &File) -> u64 {
    file.metadata().map_or(0, |metadata| metadata.len())
}

fn create_first(directory: &Path, options: &Options) -> Result<Content, OpenError> {
    let header =
        Header { beginning: Beginning::Snapshot, number: 1, incarnation: options.incarnation_if_new };
    let live = create(directory, header, options)?;
    let snapshot_bytes = live.length;
    Ok(Content { live, oldest: 1, sealed_bytes: 0, snapshot_bytes })
}

/// Makes an empty segment, durably.
fn create(directory: &Path, header: Header, options: &Options) -> Result<Live, OpenError> {
    let mut unborn = Unborn::create(directory, header, &options.faults)?;
    if header.beginning == Beginning::Snapshot {
        let mut frame = Vec::new();
        let kind = Kind::Mark(Mark::SnapshotEnd);
        encode(&mut frame, header.seed(), unborn.length, kind, true, &0_u64.to_le_bytes());
        unborn.write(&frame)?;
    }
    unborn.sync()?;
    unborn.publish()?;
    segment::sync_directory(directory, &options.faults)?;
    Ok(Live::of(unborn))
}

fn remove_leftovers(
    directory: &Path,
    options: &Options,
    listing: &Listing,
    oldest: u64,
) -> Result<(), DiskError> {
    let superseded = listing.segments.iter().filter(|number| **number < oldest);
    let superseded = superseded.map(|number| segment::path_of(directory, *number));
    for path in superseded.chain(listing.temporary.iter().cloned()) {
        match segment::remove(&path, &options.faults) {
            Err(DiskError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
            done => done?,
        }
    }
    Ok(())
}
