//! One blob on its way: from its first missing byte to its place in the cache.
//!
//! Bytes come from the sources in their order, each going on at the byte where another broke off. They are written and
//! shown to followers as they come: at once while the blob is young, then gathered for [`LINGER`], so that hundreds of
//! followers do not wake for every packet. Who gives what is not the blob is named, put aside, and the blob fetched anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use netboot::cache::{
    need::Need,
    sources::{Choice, Fault, Givers, Name},
};
use netboot::time::Mono;
use proto::plan::BlobRef;
use tokio::time::Instant;

use super::{
    assemble,
    error::{FetchError, SourceError},
    pace::Pace,
    parts::Body,
    source::Answer,
    supply::Supply,
};
use crate::disk::cache::{Fill, FillError};

/// Bytes that are put on disk in one go, at most about.
const CHUNK: usize = 1 << 20;
/// The first bytes of a blob are shown as they come, so many of them.
const YOUNG: u64 = 256 << 10;
/// How long later ones are gathered.
const LINGER: Duration = Duration::from_millis(10);
/// How often a blob is fetched anew because what came was wrong, before it waits for its turn again.
const ANEW: u32 = 4;

/// What a fetch is for, which may change while it runs.
#[derive(Debug, Clone)]
pub(super) struct Purpose {
    need: Need,
    /// What the blob is, for people.
    pub(super) what: Arc<str>,
    waited_for: Arc<AtomicBool>,
}

impl Purpose {
    pub(super) fn new(need: Need, what: &str) -> Self {
        Self { need, what: what.into(), waited_for: Arc::new(AtomicBool::new(need == Need::Waiting)) }
    }

    /// A machine waits for it now.
    pub(super) fn raise(&self) {
        self.waited_for.store(true, Ordering::Relaxed);
    }

    pub(super) fn need(&self) -> Need {
        if self.waited_for.load(Ordering::Relaxed) { Need::Waiting } else { self.need }
    }
}

/// How a blob came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Fetched {
    /// Bytes, by source.
    pub(super) from: BTreeMap<Name, u64>,
    /// Bytes that other blobs of the cache had.
    pub(super) copied: u64,
    /// Bytes that an earlier fetch had left here.
    pub(super) found: u64,
}

/// Fetches a blob, unless the cache has it.
pub(super) async fn fetch(
    supply: &Arc<Supply>,
    blob: BlobRef,
    purpose: &Purpose,
) -> Result<Fetched, FetchError> {
    let what = &*purpose.what;
    let (mut alone, mut mishap) = (false, None);
    for _ in 1..ANEW {
        let ended = once(supply, blob, purpose, alone, mishap.take()).await;
        mishap = ended.as_ref().err().and_then(FetchError::mishap);
        if let Some(mishap) = &mishap {
            supply.anew(&blob, format!("{mishap}; it is fetched again"));
        }
        match ended {
            Err(FetchError::Disputed(digest)) => {
                tracing::warn!(what, blob = %blob.digest, found = %digest, "several sources gave a blob, and it is wrong: it is fetched anew from one alone");
                alone = true;
            }
            Err(FetchError::Misassembled(digest)) => {
                tracing::warn!(what, blob = %blob.digest, found = %digest, "a blob was put together from chunks, and is wrong: it is fetched whole");
                alone = true;
            }
            Err(FetchError::Source { source, .. }) if source.fault() == Some(Fault::Wrong) => {}
            ended => return ended,
        }
    }
    once(supply, blob, purpose, alone, mishap).await
}

/// `mishap`: why what had come before was thrown away.
async fn once(
    supply: &Arc<Supply>,
    blob: BlobRef,
    purpose: &Purpose,
    alone: bool,
    mishap: Option<String>,
) -> Result<Fetched, FetchError> {
    match Transfer::begin(supply, blob, purpose, alone).await {
        Ok(mut transfer) => {
            transfer.mishap = mishap;
            if let Some(list) = supply.list_of(&blob.digest).filter(|_| !alone) {
                assemble::put_together(&mut transfer, list).await?;
            }
            transfer.fetch_to(blob.size).await?;
            transfer.finish().await
        }
        Err(FetchError::Fill(FillError::Present(_))) => Ok(Fetched::default()),
        Err(error) => Err(error),
    }
}

/// A fill, and those who give to it.
pub(super) struct Transfer<'a> {
    pub(super) supply: &'a Arc<Supply>,
    pub(super) blob: BlobRef,
    pub(super) purpose: &'a Purpose,
    /// None only while it is at work in another thread, and when it has ended.
    fill: Option<Fill>,
    givers: Givers,
    /// They do not have it.
    without: BTreeSet<Name>,
    /// One source gives all of it, so that it is known who is to blame.
    alone: bool,
    /// The one, once it has begun.
    giver: Option<Name>,
    last_byte: Instant,
    last_failure: Option<(Name, SourceError)>,
    /// From whom it came so far.
    fetched: Fetched,
    /// Why what had come of it before was thrown away.
    mishap: Option<String>,
}

/// Why a source's part of a transfer ended before its end.
pub(super) enum Broke {
    /// The source; what came before counts.
    Source(SourceError),
    /// The cache.
    Fill(FillError),
}

impl From<FillError> for Broke {
    fn from(error: FillError) -> Self {
        Self::Fill(error)
    }
}

impl From<SourceError> for Broke {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl<'a> Transfer<'a> {
    /// Begins behind what an earlier one left.
    pub(super) async fn begin(
        supply: &'a Arc<Supply>,
        blob: BlobRef,
        purpose: &'a Purpose,
        alone: bool,
    ) -> Result<Self, FetchError> {
        let cache = Arc::clone(&supply.cache);
        let fill = blocking(move || cache.fill(blob.digest, blob.size)).await?;
        let givers = Givers::resuming(fill.offset());
        let fetched = Fetched { found: fill.offset(), ..Fetched::default() };
        Ok(Self {
            supply,
            blob,
            purpose,
            fill: Some(fill),
            givers,
            without: BTreeSet::new(),
            alone,
            giver: None,
            last_byte: Instant::now(),
            last_failure: None,
            fetched,
            mishap: None,
        })
    }

    /// Where the next byte belongs.
    pub(super) fn offset(&self) -> u64 {
        self.fill.as_ref().map_or(self.blob.size, Fill::offset)
    }

    /// Takes bytes from the sources until there are `until`.
    pub(super) async fn fetch_to(&mut self, until: u64) -> Result<(), FetchError> {
        while self.offset() < until {
            let name = self.choose().await?;
            match self.take_from(&name, until).await {
                Ok(()) => {}
                Err(Broke::Fill(error)) => return Err(error.into()),
                Err(Broke::Source(error)) => self.broke(name, error)?,
            }
        }
        Ok(())
    }

    /// Publishes the blob if its digest holds; else says whose fault that is.
    pub(super) async fn finish(mut self) -> Result<Fetched, FetchError> {
        let Some(fill) = self.fill.take() else { return Ok(self.fetched) };
        let digest = match blocking(move || fill.finish()).await {
            Ok(()) => {
                self.supply.spare(self.fetched.copied);
                self.givers.only().into_iter().for_each(|name| self.supply.proved(name));
                return Ok(self.fetched);
            }
            Err(FillError::WrongDigest { actual, .. }) => actual,
            Err(error) => return Err(error.into()),
        };
        if self.fetched.copied > 0 {
            return Err(FetchError::Misassembled(digest));
        }
        let Some(name) = self.givers.only().cloned() else { return Err(FetchError::Disputed(digest)) };
        let source = SourceError::OtherDigest(digest);
        self.supply.put_aside(&name, &self.blob, &self.purpose.what, &source);
        Err(FetchError::Source { name, source })
    }

    /// Whom to ask now; waits for the first who may be asked.
    pub(super) async fn choose(&mut self) -> Result<Name, FetchError> {
        loop {
            let is_patient = self.last_byte.elapsed() < self.supply.patience.cut;
            match self.choice() {
                Choice::Now(name) => return Ok(name),
                Choice::At(at) if is_patient => self.supply.until(at).await,
                // Followers wait for a moment's cut to be over; who has nothing yet is told at once.
                Choice::Nobody if is_patient && self.offset() > 0 && self.without.is_empty() => {
                    self.supply.until(Mono(Duration::MAX)).await;
                }
                Choice::At(_) | Choice::Nobody => return Err(self.given_up()),
            }
        }
    }

    fn choice(&self) -> Choice {
        let Some(giver) = self.giver.as_ref().filter(|_| self.alone) else {
            return self.supply.choose(&self.without);
        };
        match self.supply.may_ask(giver).filter(|_| !self.without.contains(giver)) {
            Some(at) if at <= self.supply.now().mono => Choice::Now(giver.clone()),
            Some(at) => Choice::At(at),
            None => Choice::Nobody,
        }
    }

    fn given_up(&mut self) -> FetchError {
        if !self.without.is_empty() {
            return FetchError::Absent(std::mem::take(&mut self.without));
        }
        match self.last_failure.take() {
            Some((name, source)) => FetchError::Source { name, source },
            None if self.last_byte.elapsed() >= self.supply.patience.cut => {
                FetchError::TimeUp(self.supply.patience.cut)
            }
            None => FetchError::Nobody,
        }
    }

    pub(super) fn broke(&mut self, name: Name, error: SourceError) -> Result<(), FetchError> {
        let shown = &error as &dyn std::error::Error;
        tracing::debug!(what = &*self.purpose.what, blob = %self.blob.digest, source = %name, error = shown, at = self.offset(), "a source broke off");
        match error.fault() {
            None => {
                self.supply.lacks(&name, &error);
                self.without.insert(name.clone());
            }
            Some(Fault::Failed) => self.supply.failed(&name, &error),
            Some(Fault::Wrong) => {
                self.supply.put_aside(&name, &self.blob, &self.purpose.what, &error);
                if self.giver.as_ref() == Some(&name) {
                    // What else it gave is no better.
                    self.fill.take().into_iter().for_each(Fill::discard);
                    return Err(FetchError::Source { name, source: error });
                }
            }
        }
        self.last_failure = Some((name, error));
        Ok(())
    }

    /// Asks for several ranges in one answer. None: this source gives but one.
    pub(super) async fn ask_parts(
        &self,
        name: &Name,
        ranges: Vec<Range<u64>>,
    ) -> Result<Option<Answer>, SourceError> {
        let source = self.supply.source(name).ok_or(SourceError::Absent)?;
        let rate = self.supply.rate().filter(|_| source.place.is_afar());
        let (link, patience) = (self.supply.link(), self.supply.patience.stalled);
        source.ask_parts(&link, rate, patience, &self.blob, ranges).await
    }

    /// Takes the next range of an answer, which ends before the byte `until`.
    pub(super) async fn pour_range(&mut self, name: &Name, body: &mut Body, until: u64) -> Result<(), Broke> {
        let afar = self.supply.source(name).is_none_or(|source| source.place.is_afar());
        self.pour(name, body, until, afar).await
    }

    /// All ranges of an answer were taken: its connection may be used again.
    pub(super) async fn keep(&self, name: &Name, answer: Answer) -> Result<(), Broke> {
        let ended = tokio::time::timeout(self.supply.patience.stalled, answer.body.finish()).await;
        ended.map_err(|_| SourceError::Stalled)??;
        if let Some(source) = self.supply.source(name) {
            source.keep(answer.connection);
        }
        Ok(())
    }

    /// Takes the next bytes, which another blob has.
    pub(super) async fn write_copied(&mut self, bytes: Vec<u8>) -> Result<(), FillError> {
        self.last_byte = Instant::now();
        let Some(mut fill) = self.fill.take() else { return Ok(()) };
        self.fetched.copied += bytes.len() as u64;
        self.fill = Some(blocking(move || fill.write(&bytes).map(|()| fill)).await?);
        Ok(())
    }

    async fn take_from(&mut self, name: &Name, until: u64) -> Result<(), Broke> {
        let source = self.supply.source(name).ok_or(SourceError::Absent)?;
        let (link, rate) = (self.supply.link(), self.supply.rate());
        let rate = rate.filter(|_| source.place.is_afar());
        let answer = source
            .ask(&link, rate, self.supply.patience.stalled, &self.blob, &(self.offset()..until))
            .await?;
        let mut body = answer.body;
        self.pour(name, &mut body, until, source.place.is_afar()).await?;
        source.keep(answer.connection);
        Ok(())
    }

    /// Takes what comes until there are `until` bytes and the body has ended.
    async fn pour(&mut self, name: &Name, body: &mut Body, until: u64, afar: bool) -> Result<(), Broke> {
        let mut gathered = Gathered::default();
        let mut pace = Pace::new(Instant::now(), self.supply.patience.stalled);
        let ended = loop {
            let data = tokio::select! {
                biased;
                data = body.data() => data,
                () = tokio::time::sleep_until(gathered.due), if gathered.bytes > 0 => {
                    let ours = Instant::now();
                    self.write(&mut gathered).await?;
                    pace.excuse(ours.elapsed());
                    continue;
                }
                () = tokio::time::sleep_until(pace.silent()) => break Err(SourceError::Stalled),
            };
            let data = match data {
                None => break Ok(()),
                Some(Err(error)) => break Err(error),
                Some(Ok(data)) => data,
            };
            if data.len() as u64 > until - self.offset() - gathered.bytes as u64 {
                break Err(SourceError::TooMany);
            }
            self.came(name, data.len() as u64, afar);
            let ours = Instant::now();
            pace.came(ours, data.len() as u64);
            gathered.push(data);
            if gathered.bytes >= CHUNK || self.offset() < YOUNG || gathered.due <= Instant::now() {
                self.write(&mut gathered).await?;
            }
            if afar {
                self.keep_to_the_rate(&mut gathered).await?;
            }
            pace.excuse(ours.elapsed());
            if self.offset() + (gathered.bytes as u64) < until && self.is_to_be_left(name, &mut pace) {
                break Err(SourceError::Stalled);
            }
        };
        self.write(&mut gathered).await?;
        ended?;
        match until - self.offset() {
            0 => Ok(()),
            short => Err(SourceError::TooFew(short).into()),
        }
    }

    /// It only drips, and another can be asked at once.
    fn is_to_be_left(&self, name: &Name, pace: &mut Pace) -> bool {
        let now = Instant::now();
        if !pace.drips(now) {
            return false;
        }
        let mut without = self.without.clone();
        without.insert(name.clone());
        let others = !self.alone && matches!(self.supply.choose(&without), Choice::Now(_));
        if !others {
            pace.begin_anew(now);
        }
        others
    }

    fn came(&mut self, name: &Name, bytes: u64, afar: bool) {
        self.last_byte = Instant::now();
        self.supply.gave(name, bytes);
        if self.giver.as_ref() != Some(name) {
            self.giver = Some(name.clone());
            self.givers.add(name);
            if let Some(mishap) = &self.mishap {
                self.supply.anew(&self.blob, format!("{mishap}; fetched again from {name}"));
            }
        }
        match self.fetched.from.get_mut(name) {
            Some(came) => *came += bytes,
            None => drop(self.fetched.from.insert(name.clone(), bytes)),
        }
        if afar {
            self.supply.spend(bytes);
        }
    }

    async fn keep_to_the_rate(&mut self, gathered: &mut Gathered) -> Result<(), Broke> {
        while let Some(wait) = self.supply.wait(self.purpose.need()) {
            if wait > LINGER {
                self.write(gathered).await?;
            }
            tokio::time::sleep(wait).await;
            // It is we who wait.
            self.last_byte = Instant::now();
        }
        Ok(())
    }

    async fn write(&mut self, gathered: &mut Gathered) -> Result<(), Broke> {
        let chunks = std::mem::take(gathered).chunks;
        if chunks.is_empty() {
            return Ok(());
        }
        let Some(mut fill) = self.fill.take() else { return Ok(()) };
        let written = blocking(move || fill.write_all(chunks.iter().map(AsRef::as_ref)).map(|()| fill)).await;
        self.fill = Some(written.map_err(Broke::Fill)?);
        Ok(())
    }
}

/// Bytes that have come and were not written yet.
struct Gathered {
    chunks: Vec<Bytes>,
    bytes: usize,
    due: Instant,
}

impl Default for Gathered {
    fn default() -> Self {
        Self { chunks: Vec::new(), bytes: 0, due: Instant::now() }
    }
}

impl Gathered {
    fn push(&mut self, data: Bytes) {
        if self.bytes == 0 {
            self.due = Instant::now() + LINGER;
        }
        self.bytes += data.len();
        self.chunks.push(data);
    }
}

/// Disk work off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static, E: Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, E> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
