//! One fetch: the upstreams in order, and what comes of what they say.

use std::sync::Arc;

use http::header::TRANSFER_ENCODING;
use netboot::mirror::{ObjectPath, Seen, named_digest};
use proto::{Digest, Wall, mirror::Upstream, plan::MirrorPlan};
use reqwest::Response;
use sha2::Digest as _;

use super::{
    Limits,
    arriving::{Arriving, State},
    flight::{Failure, FailureKind, Outcome},
    given::Given,
    intake::Intake,
    kept::{Flying, Kept, wall_now},
    store::{Draft, Known, NoRoom, Room},
    upstream::{Answer, AskError, Question, Way},
};
use crate::{disk::DiskError, fetch::Budget};

/// What all fetches share.
#[derive(Debug)]
pub(super) struct Fetches {
    pub(super) way: Way,
    pub(super) limits: Limits,
    /// What the site may take over the WAN.
    pub(super) wan: Arc<Budget>,
    /// This many bytes of the disk are left alone.
    pub(super) low_disk: u64,
}

/// Why a fetch ends before the file does.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    #[error(transparent)]
    Asked(#[from] AskError),
    #[error("the file arrives too slowly: it would hold up others")]
    TooSlow,
    #[error("the file has more than {0} bytes, which is all that this mirror takes")]
    TooLarge(u64),
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
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
            Self::Asked(_) | Self::TooSlow | Self::WrongDigest { .. } | Self::WrongSize { .. } => {
                FailureKind::Upstream
            }
            Self::TooLarge(_) => FailureKind::Refused,
            Self::NoRoom(_) | Self::Disk(_) => FailureKind::Here,
        }
    }

    /// Is another upstream worth a try before this one?
    fn is_for_others(&self) -> bool {
        match self {
            Self::Asked(AskError::Changed) => false,
            Self::Asked(_) | Self::TooSlow => true,
            Self::TooLarge(_)
            | Self::NoRoom(_)
            | Self::WrongDigest { .. }
            | Self::WrongSize { .. }
            | Self::Disk(_) => false,
        }
    }
}

impl Fetches {
    /// Asks for a file, and lands its flight.
    pub(super) async fn run(self: Arc<Self>, mirror: MirrorPlan, flying: Flying) {
        let turn = flying.kept.turns.take(flying.flight.asker);
        let turn = tokio::time::timeout(self.limits.patience, turn).await;
        let Ok(Some(_turn)) = turn else {
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
pub(super) struct Errand<'a> {
    pub(super) fetches: &'a Fetches,
    pub(super) mirror: &'a MirrorPlan,
    pub(super) kept: &'a Arc<Kept>,
    object: &'a ObjectPath,
}

/// What the upstreams said that gave nothing.
#[derive(Debug, Default)]
struct Round {
    /// So many have no such file.
    absent: usize,
    /// One does not give it, and why.
    refused: Option<String>,
    /// One did not answer, and why.
    away: Option<String>,
}

impl Round {
    fn failure(self) -> Failure {
        if let Some(why) = self.refused {
            return Failure::new(FailureKind::Refused, why);
        }
        let why = self.away.unwrap_or_else(|| "no upstream has answered for a while".into());
        let why = if self.absent == 0 { why } else { format!("not all upstreams answer: {why}") };
        Failure::new(FailureKind::Upstream, why)
    }
}

impl Errand<'_> {
    /// The upstreams in order, until one has the file or says that what is held is it.
    async fn ask_all(&self, flying: &Flying) -> Result<Outcome, Cut> {
        let held = self.held().await?;
        let mut round = Round::default();
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
                Ok(Answer::Absent) => round.absent += 1,
                Err(error) if error.is_refusal() => {
                    self.kept.note_refusal(&name, self.object, &error.to_string());
                    round.refused = Some(error.to_string());
                }
                Err(error) => {
                    self.kept.note_away(&name, &error.to_string());
                    round.away = Some(error.to_string());
                }
            }
        }
        self.nothing(round).await
    }

    /// A file is gone when all upstreams say so: as long as one of them is not heard, what is held is the better answer.
    async fn nothing(&self, round: Round) -> Result<Outcome, Cut> {
        if round.absent == self.mirror.upstreams.len() {
            self.kept.note_answer();
            self.kept.note_nothing(self.object, Outcome::Absent);
            let (kept, path) = (Arc::clone(self.kept), self.object.as_str().to_owned());
            blocking(move || kept.store.remove(&path)).await?;
            return Ok(Outcome::Absent);
        }
        let failure = round.failure();
        let outcome = Outcome::Failed(failure.clone());
        // Who is away is remembered as such; who refuses this file may give the next one.
        if failure.kind == FailureKind::Refused {
            self.kept.note_nothing(self.object, outcome.clone());
        }
        Ok(outcome)
    }

    pub(super) fn question<'a>(&'a self, upstream: &'a Upstream, held: Option<&'a Known>) -> Question<'a> {
        Question { mirror: self.mirror, upstream, object: self.object, held }
    }

    pub(super) fn room(&self) -> Room {
        Room { budget: self.mirror.budget_bytes, low_disk: self.fetches.low_disk }
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

    fn promised(&self) -> Option<Digest> {
        named_digest(self.mirror, self.object.as_str())
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
        let keeps = size.is_some() || is_chunked(&response) || self.promised().is_some();
        let draft = self.draft(size.unwrap_or(0)).await?;
        let verified = self.promised().is_some();
        let arriving = Arriving::new(Arc::clone(&draft.file), size, given.clone(), verified);
        flying.flight.land(Outcome::Arriving(Arc::clone(&arriving)));
        let mut intake = Intake::new(self, (upstream, &given), draft, Arc::clone(&arriving));
        let poured = intake.pour(response).await;
        if let Err(cut) = &poured
            && cut.is_for_others()
        {
            self.kept.note_away(&upstream.to_string(), &crate::outage::chain(cut));
        }
        let finished = match poured {
            Ok(()) => self.finish(intake, Version { upstream, given: &given, seen, held, keeps }).await,
            Err(cut) => Err(cut),
        };
        arriving.end(match &finished {
            Ok(size) => State::Whole(*size),
            Err(_) => State::Broken,
        });
        finished.map(|_| Outcome::Arriving(arriving))
    }

    async fn draft(&self, size: u64) -> Result<Draft, Cut> {
        let (kept, room) = (Arc::clone(self.kept), self.room());
        blocking(move || Ok(kept.store.draft(kept.store.reserve(size, room)?)?)).await
    }

    /// Publishes what came, if it is what its name promises.
    async fn finish(&self, intake: Intake<'_>, version: Version<'_>) -> Result<u64, Cut> {
        let Version { upstream, given, seen, held, keeps } = version;
        let (size, draft) = (intake.written, intake.draft);
        let sha256 = Digest(intake.hash.finalize().into());
        if self.promised().is_some_and(|promised| promised != sha256) {
            return Err(Cut::WrongDigest { actual: sha256 });
        }
        let (path, upstream) = (self.object.as_str().to_owned(), upstream.to_string());
        tracing::debug!(mirror = self.mirror.name, path, bytes = size, keeps, "fetched");
        if !keeps {
            return Ok(size);
        }
        // The same bytes again are the same version, which an upstream without validators cannot say: what belongs to
        // it need not be asked after.
        let same = held.filter(|held| held.sha256 == sha256);
        let fetched = same.map_or(seen.fetched, |held| held.fetched);
        let known = Known { path, upstream, given: given.clone(), fetched, size, sha256 };
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
    given: &'a Given,
    seen: Seen,
    held: Option<&'a Known>,
    /// Its end was told. If it was but the end of the connection, it may be a cut: such a file is passed on, and not kept.
    keeps: bool,
}

/// Its last chunk says that it is the last (RFC 9112 §6.3).
fn is_chunked(response: &Response) -> bool {
    let codings = response.headers().get(TRANSFER_ENCODING).and_then(|field| field.to_str().ok());
    codings.is_some_and(|codings| codings.trim_end().to_ascii_lowercase().ends_with("chunked"))
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
