//! One fetch: the upstreams in order, the bytes to disk and to all who follow, the rest again after a cut.

use std::{os::unix::fs::FileExt, sync::Arc, time::Duration};

use bytes::Bytes;
use netboot::mirror::{ObjectPath, Seen, named_digest};
use proto::{Digest, Wall, mirror::Upstream, plan::MirrorPlan};
use reqwest::Response;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{
    arriving::{Arriving, State},
    flight::{Failure, FailureKind, Outcome},
    given::Given,
    kept::{Flying, Kept, wall_now},
    store::{Draft, Known},
    upstream::{Answer, AskError, Question, Rest, Way, transfer},
};
use crate::disk::DiskError;

/// How often the rest of a file is asked for after a cut.
const TRIES: u32 = 3;
/// The pause before the first of them; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// Room on the disk is looked for again after so many bytes of a file whose size is not known.
const STRIDE: u64 = 16 << 20;

/// What all fetches share.
#[derive(Debug)]
pub(super) struct Fetches {
    pub(super) way: Way,
    /// How many may run at once.
    pub(super) turns: Semaphore,
    /// How long one waits for its turn.
    pub(super) patience: Duration,
    /// This many bytes of the disk are left alone.
    pub(super) low_disk: u64,
}

/// Why a fetch ends before the file does.
#[derive(Debug, thiserror::Error)]
enum Cut {
    #[error(transparent)]
    Asked(#[from] AskError),
    #[error("the file has more than {0} bytes, which is all that this mirror takes")]
    TooLarge(u64),
    #[error("the disk has no room")]
    NoRoom,
    #[error("the bytes have digest {actual}, which is not the one that their name promises")]
    WrongDigest { actual: Digest },
    #[error("{actual} bytes came instead of {expected}")]
    WrongSize { expected: u64, actual: u64 },
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Cut {
    fn kind(&self) -> FailureKind {
        match self {
            Self::Asked(_) | Self::WrongDigest { .. } | Self::WrongSize { .. } => FailureKind::Upstream,
            Self::TooLarge(_) => FailureKind::TooLarge,
            Self::NoRoom | Self::Disk(_) => FailureKind::Here,
        }
    }
}

impl Fetches {
    /// Asks for a file, and lands its flight.
    pub(super) async fn run(self: Arc<Self>, mirror: MirrorPlan, flying: Flying) {
        let turn = tokio::time::timeout(self.patience, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else {
            let failure = Failure::new(FailureKind::Here, "too many files are being fetched");
            return flying.flight.land(Outcome::Failed(failure));
        };
        let errand = Errand { fetches: &self, mirror: &mirror, kept: &flying.kept, object: &flying.object };
        let outcome = match errand.ask_all(&flying).await {
            Ok(outcome) => outcome,
            Err(cut) => {
                let why = crate::outage::chain(&cut);
                tracing::warn!(mirror = mirror.name, path = flying.object.as_str(), why, "failed to fetch");
                Outcome::Failed(Failure::new(cut.kind(), why))
            }
        };
        flying.flight.land(outcome);
    }
}

/// One file, and all that is needed to get it.
struct Errand<'a> {
    fetches: &'a Fetches,
    mirror: &'a MirrorPlan,
    kept: &'a Arc<Kept>,
    object: &'a ObjectPath,
}

impl Errand<'_> {
    /// The upstreams in order, until one has the file or says that what is held is it.
    async fn ask_all(&self, flying: &Flying) -> Result<Outcome, Cut> {
        let held = self.held().await?;
        let (mut absent, mut why) = (false, String::from("no upstream has answered for a while"));
        for upstream in &self.mirror.upstreams {
            let name = upstream.to_string();
            if self.kept.is_away(&name) {
                continue;
            }
            let began = wall_now();
            self.kept.counters.questions.one();
            match self.fetches.way.ask(self.question(upstream, held.as_ref())).await {
                Ok(Answer::Bytes(response)) => {
                    self.kept.note_answer();
                    let seen = Seen { asked: began, fetched: wall_now() };
                    return self.receive(flying, upstream, response, seen, held.as_ref()).await;
                }
                Ok(Answer::Unchanged) => {
                    self.kept.note_answer();
                    return self.unchanged(began).await;
                }
                Ok(Answer::Absent) => absent = true,
                Err(error) => {
                    why = error.to_string();
                    self.kept.note_away(&name, &why);
                }
            }
        }
        if absent {
            self.kept.note_answer();
            return self.absent().await;
        }
        Ok(Outcome::Failed(Failure::new(FailureKind::Upstream, why)))
    }

    fn question<'a>(&'a self, upstream: &'a Upstream, held: Option<&'a Known>) -> Question<'a> {
        Question { mirror: self.mirror, upstream, object: self.object, held }
    }

    /// What is held, as far as it is of an upstream that is declared still.
    async fn held(&self) -> Result<Option<Known>, Cut> {
        let (kept, path) = (Arc::clone(self.kept), self.object.as_str().to_owned());
        let held = blocking(move || kept.store.get(&path)).await?;
        let declared =
            |known: &Known| self.mirror.upstreams.iter().any(|one| one.to_string() == known.upstream);
        Ok(held.map(|held| Known::clone(&held.known)).filter(declared))
    }

    async fn unchanged(&self, began: Wall) -> Result<Outcome, Cut> {
        let (kept, path) = (Arc::clone(self.kept), self.object.as_str().to_owned());
        blocking(move || kept.store.asked(&path, began)).await?;
        Ok(Outcome::Unchanged)
    }

    async fn absent(&self) -> Result<Outcome, Cut> {
        self.kept.note_absent(self.object);
        let (kept, path) = (Arc::clone(self.kept), self.object.as_str().to_owned());
        blocking(move || kept.store.remove(&path)).await?;
        Ok(Outcome::Absent)
    }

    /// The file arrives: whoever waits is told at its beginning, and reads what is there.
    async fn receive(
        &self,
        flying: &Flying,
        upstream: &Upstream,
        response: Response,
        seen: Seen,
        held: Option<&Known>,
    ) -> Result<Outcome, Cut> {
        let (size, given) = (response.content_length(), Given::read(response.headers()));
        let most = self.mirror.max_object_bytes;
        if size.is_some_and(|size| size > most) {
            return Err(Cut::TooLarge(most));
        }
        let draft = self.draft(size.unwrap_or(0)).await?;
        let verified = named_digest(self.mirror, self.object.as_str()).is_some();
        let arriving = Arriving::new(Arc::clone(&draft.file), size, given.clone(), verified);
        flying.flight.land(Outcome::Arriving(Arc::clone(&arriving)));
        let mut intake = Intake { arriving: Arc::clone(&arriving), hash: Sha256::new(), written: 0 };
        let poured = self.pour(upstream, response, &mut intake, &given).await;
        let finished = match poured {
            Ok(()) => self.finish(draft, intake, Version { upstream, given, seen, held }).await,
            Err(cut) => Err(cut),
        };
        arriving.end(match &finished {
            Ok(size) => State::Whole(*size),
            Err(_) => State::Broken,
        });
        finished.map(|_| Outcome::Arriving(arriving))
    }

    async fn draft(&self, size: u64) -> Result<Draft, Cut> {
        let (kept, low_disk) = (Arc::clone(self.kept), self.fetches.low_disk);
        let budget = self.mirror.budget_bytes.saturating_sub(size);
        blocking(move || {
            kept.store.evict_to(budget)?;
            match kept.store.make_room(size, low_disk)? {
                true => kept.store.draft().map(Ok),
                false => Ok(Err(Cut::NoRoom)),
            }
        })
        .await?
    }

    /// Takes in all of it; after a cut the rest is asked for, as long as it is the rest of the same version.
    async fn pour(
        &self,
        upstream: &Upstream,
        mut response: Response,
        intake: &mut Intake,
        given: &Given,
    ) -> Result<(), Cut> {
        let mut tries = 0;
        loop {
            let error = match self.pour_one(&mut response, intake).await {
                Err(Cut::Asked(error)) => error,
                done => return done,
            };
            loop {
                tries += 1;
                if tries > TRIES {
                    return Err(error.into());
                }
                tokio::time::sleep(PAUSE * 2_u32.pow(tries - 1)).await;
                let rest = Rest { offset: intake.written, size: intake.arriving.size, given };
                self.kept.counters.questions.one();
                match self.fetches.way.go_on(self.question(upstream, None), rest).await {
                    Ok(again) => {
                        response = again;
                        break;
                    }
                    Err(AskError::Changed) => return Err(AskError::Changed.into()),
                    Err(_) => {}
                }
            }
        }
    }

    async fn pour_one(&self, response: &mut Response, intake: &mut Intake) -> Result<(), Cut> {
        let most = self.mirror.max_object_bytes;
        while let Some(chunk) = response.chunk().await.map_err(transfer)? {
            let length = chunk.len() as u64;
            self.kept.counters.wan_bytes.add(length);
            let end = intake.written.saturating_add(length);
            if end > most {
                return Err(Cut::TooLarge(most));
            }
            if intake.arriving.size.is_none() && intake.written / STRIDE != end / STRIDE {
                self.more_room().await?;
            }
            intake.take(chunk).await?;
        }
        match intake.arriving.size {
            Some(expected) if expected != intake.written => {
                Err(Cut::WrongSize { expected, actual: intake.written })
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn more_room(&self) -> Result<(), Cut> {
        let (kept, low_disk) = (Arc::clone(self.kept), self.fetches.low_disk);
        match blocking(move || kept.store.make_room(STRIDE, low_disk)).await? {
            true => Ok(()),
            false => Err(Cut::NoRoom),
        }
    }

    /// Publishes what came, if it is what its name promises.
    async fn finish(&self, draft: Draft, intake: Intake, version: Version<'_>) -> Result<u64, Cut> {
        let Version { upstream, given, seen, held } = version;
        let promised = named_digest(self.mirror, self.object.as_str());
        let sha256 = Digest(intake.hash.finalize().into());
        if promised.is_some_and(|promised| promised != sha256) {
            return Err(Cut::WrongDigest { actual: sha256 });
        }
        let size = intake.written;
        let (path, upstream) = (self.object.as_str().to_owned(), upstream.to_string());
        tracing::debug!(mirror = self.mirror.name, path, bytes = size, "fetched");
        // The same bytes again are the same version, which an upstream without validators cannot say: what belongs to
        // it need not be asked after.
        let same = held.filter(|held| held.sha256 == sha256);
        let fetched = same.map_or(seen.fetched, |held| held.fetched);
        let known = Known { path, upstream, given, fetched, size, sha256 };
        let (kept, budget) = (Arc::clone(self.kept), self.mirror.budget_bytes);
        // A disk that fails now costs the next machine a fetch, and this one nothing: its bytes are all there.
        let published = blocking(move || {
            kept.store.publish(draft, &known, seen.asked)?;
            kept.store.evict_to(budget)
        });
        if let Err(error) = published.await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(mirror = self.mirror.name, error, "failed to keep a file of a mirror");
        }
        Ok(size)
    }
}

/// What is known of what came, and what was held before.
struct Version<'a> {
    upstream: &'a Upstream,
    given: Given,
    seen: Seen,
    held: Option<&'a Known>,
}

/// What has come in.
struct Intake {
    arriving: Arc<Arriving>,
    hash: Sha256,
    written: u64,
}

impl Intake {
    async fn take(&mut self, chunk: Bytes) -> Result<(), Cut> {
        let (file, offset, length) = (Arc::clone(&self.arriving.file), self.written, chunk.len() as u64);
        let mut hash = std::mem::take(&mut self.hash);
        let at = || std::path::Path::new("a file that arrives");
        let write = move || {
            file.write_all_at(&chunk, offset).map_err(DiskError::at("write", at()))?;
            hash.update(&chunk);
            Ok(hash)
        };
        self.hash = blocking(write).await?;
        self.written += length;
        self.arriving.advance(self.written);
        Ok(())
    }
}

/// Disk work off the runtime's threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, DiskError> + Send + 'static,
) -> Result<T, DiskError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
