//! Putting a blob together: chunks that other blobs of the cache have are copied, the rest is fetched (docs/adr/0014).
//!
//! What to do is said by [`netboot::cache::assembly`]. Each chunk that is copied is checked; a blob whose chunks do not
//! hold is left alone from then on, and they are fetched. Whatever goes wrong here costs time: a blob without a list, with
//! a list that cannot be had, or with one that lies is fetched whole.

use std::{
    collections::{BTreeSet, VecDeque},
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    sync::Arc,
};

use netboot::cache::{
    assembly::{Assembly, Source, Step},
    sources::Name,
};
use proto::{
    Digest,
    chunks::{Chunk, ChunkList, ChunkName, Cut},
    plan::{BlobRef, ChunkListRef},
};

use super::{
    error::FetchError,
    source::Answer,
    transfer::{Broke, Purpose, Transfer, blocking},
};
use crate::disk::cache::{Cache, FillError};

/// The most ranges of one question: its head is some 6 KiB then, which servers take.
const RANGES: usize = 256;
/// Bytes that are copied in one go, about.
const COPIED: u64 = 1 << 20;
/// A list is fetched if what is missing is so many times as long.
const WORTH: u64 = 8;

/// Takes from other blobs what they have of this one, and fetches what lies between. What it leaves undone is to be
/// fetched as if it had not been there.
pub(super) async fn put_together(transfer: &mut Transfer<'_>, of: ChunkListRef) -> Result<(), FetchError> {
    let Some(list) = list(transfer, of).await? else { return Ok(()) };
    let mut pieces = Pieces::find(transfer, list).await?;
    while pieces.has_copies() {
        pieces.go_on(transfer).await?;
    }
    Ok(())
}

/// The list, if it helps and can be had.
async fn list(transfer: &Transfer<'_>, of: ChunkListRef) -> Result<Option<ChunkList>, FetchError> {
    let blob = transfer.blob;
    let missing = blob.size - transfer.offset();
    let repeats = of.distinct_bytes.saturating_add(2 * of.list.size) < blob.size;
    let cache = Arc::clone(&transfer.supply.cache);
    let others = move || Ok::<_, FillError>(cache.listed().is_ok_and(|listed| !listed.is_empty()));
    if of.list.size > missing / WORTH || !(repeats || blocking(others).await?) {
        return Ok(None);
    }
    if let Err(error) = fetch_list(transfer, of.list).await {
        let error = &error as &dyn std::error::Error;
        tracing::info!(what = &*transfer.purpose.what, blob = %blob.digest, error, "the list of a blob's chunks cannot be had: the blob is fetched whole");
        return Ok(None);
    }
    let cache = Arc::clone(&transfer.supply.cache);
    let list = blocking(move || Ok::<_, FillError>(read_list(&cache, of.list))).await?;
    let fits = list.filter(|list| list.size() == blob.size && Cut::of_size(blob.size) == Some(list.cut()));
    if fits.is_none() {
        tracing::warn!(what = &*transfer.purpose.what, blob = %blob.digest, list = %of.list.digest, "the list of a blob's chunks is none, or another's: the blob is fetched whole");
    }
    Ok(fits)
}

async fn fetch_list(transfer: &Transfer<'_>, list: BlobRef) -> Result<(), FetchError> {
    let purpose: &Purpose = transfer.purpose;
    match Transfer::begin(transfer.supply, list, purpose, false).await {
        Ok(mut of_list) => {
            of_list.fetch_to(list.size).await?;
            of_list.finish().await.map(drop)
        }
        Err(FetchError::Fill(FillError::Present(_))) => Ok(()),
        Err(error) => Err(error),
    }
}

fn read_list(cache: &Cache, list: BlobRef) -> Option<ChunkList> {
    let blob = cache.get(&list.digest).ok()??;
    let mut bytes = vec![0; usize::try_from(blob.size).ok().filter(|_| blob.size <= ChunkList::MAX_BYTES)?];
    blob.file.read_exact_at(&mut bytes, 0).ok()?;
    ChunkList::parse(&bytes).ok()
}

/// A blob with chunks of the new one.
#[derive(Debug)]
struct Held {
    digest: Digest,
    /// Opened when the first chunk is copied. Stays readable when the blob is evicted.
    file: Option<Arc<File>>,
}

/// What is copied, what is fetched, and how far that is.
struct Pieces {
    assembly: Assembly,
    held: Vec<Held>,
    steps: VecDeque<Step>,
    /// What was written of the new blob itself.
    own: Option<Arc<File>>,
    /// They do not give several ranges in one answer, or not those that were asked for in their order, which servers are
    /// free to do (RFC 9110 §15.3.7.2).
    single: BTreeSet<Name>,
}

impl Pieces {
    /// Looks for the chunks among all blobs of the cache that have a list.
    async fn find(transfer: &Transfer<'_>, list: ChunkList) -> Result<Self, FetchError> {
        let (cache, offset) = (Arc::clone(&transfer.supply.cache), transfer.offset());
        let (assembly, held) = blocking(move || Ok::<_, FillError>(search(&cache, list))).await?;
        let steps = assembly.steps(offset).into();
        Ok(Self { assembly, held, steps, own: None, single: BTreeSet::new() })
    }

    fn has_copies(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Copy { .. }))
    }

    /// Copies up to the next fetch, or fetches by one question and copies what lies between.
    async fn go_on(&mut self, transfer: &mut Transfer<'_>) -> Result<(), FetchError> {
        match self.steps.front().cloned() {
            Some(Step::Copy { from, offset, chunks }) => {
                self.copy(transfer, from, offset, chunks).await?;
                Ok(())
            }
            Some(Step::Fetch(range)) => {
                let ranges = self.ranges();
                if ranges.len() > 1 {
                    let name = transfer.choose().await?;
                    if !self.single.contains(&name) {
                        return self.fetch(transfer, name, ranges).await;
                    }
                }
                transfer.fetch_to(range.end).await?;
                self.steps.pop_front();
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// What the next question asks for.
    fn ranges(&self) -> Vec<Range<u64>> {
        let fetched = self.steps.iter().filter_map(|step| match step {
            Step::Fetch(range) => Some(range.clone()),
            Step::Copy { .. } => None,
        });
        fetched.take(RANGES).collect()
    }

    async fn fetch(
        &mut self,
        transfer: &mut Transfer<'_>,
        name: Name,
        ranges: Vec<Range<u64>>,
    ) -> Result<(), FetchError> {
        let source = match transfer.ask_parts(&name, ranges.clone()).await {
            Ok(Some(answer)) => self.take(transfer, &name, answer, ranges.len()).await,
            Ok(None) => {
                self.single.insert(name);
                return Ok(());
            }
            Err(error) => Err(Broke::Source(error)),
        };
        match source {
            Ok(()) => Ok(()),
            Err(Broke::Fill(error)) => Err(error.into()),
            Err(Broke::Source(error)) => {
                if error.is_of_parts() {
                    self.single.insert(name);
                } else {
                    transfer.broke(name, error)?;
                }
                self.steps = self.assembly.steps(transfer.offset()).into();
                Ok(())
            }
        }
    }

    /// Takes so many ranges of an answer, and copies what lies between them.
    async fn take(
        &mut self,
        transfer: &mut Transfer<'_>,
        name: &Name,
        mut answer: Answer,
        mut ranges: usize,
    ) -> Result<(), Broke> {
        while ranges > 0 {
            match self.steps.front().cloned() {
                Some(Step::Fetch(range)) => {
                    transfer.pour_range(name, &mut answer.body, range.end).await?;
                    self.steps.pop_front();
                    ranges -= 1;
                }
                Some(Step::Copy { from, offset, chunks }) => {
                    if !self.copy(transfer, from, offset, chunks).await? {
                        // The steps are others now, and the rest of the answer is for the former ones.
                        return Ok(());
                    }
                }
                None => return Ok(()),
            }
        }
        transfer.keep(name, answer).await
    }

    /// Copies chunks, the first step. False: they do not hold, and the steps are others now.
    async fn copy(
        &mut self,
        transfer: &mut Transfer<'_>,
        from: Source,
        offset: u64,
        chunks: Range<usize>,
    ) -> Result<bool, FillError> {
        let chunks = self.assembly.list().chunks()[chunks].to_vec();
        let copied = match self.open(transfer, from).await {
            Some(file) => copy(transfer, file, offset, chunks).await?,
            None => false,
        };
        if copied {
            self.steps.pop_front();
        } else {
            self.distrust(transfer, from);
            self.steps = self.assembly.steps(transfer.offset()).into();
        }
        Ok(copied)
    }

    async fn open(&mut self, transfer: &Transfer<'_>, from: Source) -> Option<Arc<File>> {
        let cache = Arc::clone(&transfer.supply.cache);
        let (slot, digest) = match from {
            Source::Itself => (&mut self.own, transfer.blob.digest),
            Source::Held(number) => {
                let held = self.held.get_mut(number as usize)?;
                (&mut held.file, held.digest)
            }
        };
        if slot.is_none() {
            let opened = move || {
                Ok::<_, FillError>(match from {
                    Source::Itself => cache.follow(&digest).ok().flatten().map(|(file, _)| file),
                    Source::Held(_) => cache.get(&digest).ok().flatten().map(|blob| blob.file),
                })
            };
            *slot = blocking(opened).await.ok().flatten().map(Arc::new);
        }
        slot.clone()
    }

    fn distrust(&mut self, transfer: &Transfer<'_>, from: Source) {
        self.assembly.distrust(from);
        let Source::Held(number) = from else { return };
        let Some(held) = self.held.get(number as usize) else { return };
        tracing::warn!(what = &*transfer.purpose.what, blob = %transfer.blob.digest, from = %held.digest, "chunks of a blob are not there, or are not what its list says: they are fetched");
        transfer.supply.cache.drop_list(&held.digest);
    }
}

/// Blobs are asked in the order of their digests, until nothing is missing.
fn search(cache: &Cache, list: ChunkList) -> (Assembly, Vec<Held>) {
    let mut assembly = Assembly::new(list);
    let mut held = Vec::new();
    let mut listed = cache.listed().unwrap_or_default();
    listed.sort_unstable();
    for digest in listed {
        if assembly.is_complete() {
            break;
        }
        let Some(list) = cache.list_of(&digest) else { continue };
        assembly.offer(u32::try_from(held.len()).unwrap_or(u32::MAX), &list);
        held.push(Held { digest, file: None });
    }
    (assembly, held)
}

/// Copies chunks that lie one behind the other; false: one of them does not hold, and those before it were copied.
async fn copy(
    transfer: &mut Transfer<'_>,
    file: Arc<File>,
    mut offset: u64,
    chunks: Vec<Chunk>,
) -> Result<bool, FillError> {
    let mut chunks = VecDeque::from(chunks);
    while !chunks.is_empty() {
        let mut length = 0;
        let mut some = Vec::new();
        while length < COPIED
            && let Some(chunk) = chunks.pop_front()
        {
            length += u64::from(chunk.length);
            some.push(chunk);
        }
        let (file, from) = (Arc::clone(&file), offset);
        let held = blocking(move || Ok::<_, FillError>(read(&file, from, &some))).await?;
        let Ok(bytes) = held else { return Ok(false) };
        transfer.write_copied(bytes).await?;
        offset += length;
    }
    Ok(true)
}

/// Chunks that lie one behind the other, each checked.
fn read(file: &File, offset: u64, chunks: &[Chunk]) -> io::Result<Vec<u8>> {
    let length = chunks.iter().map(|chunk| chunk.length as usize).sum();
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    let mut rest = &bytes[..];
    for chunk in chunks {
        let (found, behind) = rest.split_at(chunk.length as usize);
        if ChunkName::of(found) != chunk.name {
            return Err(io::ErrorKind::InvalidData.into());
        }
        rest = behind;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
