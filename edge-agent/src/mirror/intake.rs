//! The bytes of one fetch: from the upstream's answers to the disk and to all who follow, the rest again after a cut.

use std::{os::unix::fs::FileExt, sync::Arc, time::Duration};

use bytes::Bytes;
use netboot::cache::need::Need;
use proto::mirror::Upstream;
use reqwest::Response;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{
    arriving::Arriving,
    fetch::{Cut, Errand, blocking},
    given::Given,
    store::Draft,
    tempo::{Tempo, TooSlow},
    upstream::{AskError, Rest, transfer},
};
use crate::disk::DiskError;

/// How often the rest of a file is asked for after a cut.
const TRIES: u32 = 3;
/// The pause before the first of them; each next one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// Room for a file whose size is not known is set aside in steps of so many bytes: the first one, and the largest.
const STRIDES: (u64, u64) = (1 << 20, 16 << 20);
/// The first bytes of a file are shown as they come, so many of them.
const YOUNG: u64 = 64 << 10;
/// Later ones are gathered: so many at most, and for so long.
const GATHERED: (u64, Duration) = (256 << 10, Duration::from_millis(10));
/// While the WAN is limited no more is gathered than comes in this part of a second, but so much at least.
const LIMITED: (u64, u64) = (10, 16 << 10);
/// As what no machine waits for at its firmware: machines' images go before packages.
const NEED: Need = Need::Boot;

/// What has come in.
pub(super) struct Intake<'a> {
    errand: &'a Errand<'a>,
    upstream: &'a Upstream,
    given: &'a Given,
    arriving: Arc<Arriving>,
    pub(super) draft: Draft,
    pub(super) hash: Sha256,
    /// In bytes.
    pub(super) written: u64,
    tempo: Tempo,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        errand: &'a Errand<'a>,
        (upstream, given): (&'a Upstream, &'a Given),
        draft: Draft,
        arriving: Arc<Arriving>,
    ) -> Self {
        let tempo = Tempo::new(Instant::now(), &errand.fetches.limits);
        Self { errand, upstream, given, arriving, draft, hash: Sha256::new(), written: 0, tempo }
    }

    /// Takes in all of it; after a cut the rest is asked for, as long as it is the rest of the same version.
    pub(super) async fn pour(&mut self, mut response: Response) -> Result<(), Cut> {
        let mut tries = 0;
        loop {
            let error = match self.pour_one(&mut response).await {
                Err(Cut::Asked(error)) => error,
                done => return done,
            };
            response = self.go_on(error, &mut tries).await?;
        }
    }

    async fn go_on(&mut self, error: AskError, tries: &mut u32) -> Result<Response, Cut> {
        while *tries < TRIES {
            tokio::time::sleep(PAUSE * 2_u32.pow(*tries)).await;
            *tries += 1;
            let rest = Rest { offset: self.written, size: self.arriving.size, given: self.given };
            self.errand.kept.counters.questions.one();
            match self.errand.fetches.way.go_on(self.errand.question(self.upstream, None), rest).await {
                Ok(response) => return Ok(response),
                // Who drips is to blame, also where the rest cannot be asked for.
                Err(AskError::Changed) if matches!(error, AskError::Drips { .. }) => break,
                Err(AskError::Changed) => return Err(AskError::Changed.into()),
                Err(_) => {}
            }
        }
        Err(error.into())
    }

    async fn pour_one(&mut self, response: &mut Response) -> Result<(), Cut> {
        self.tempo.begin_anew(Instant::now());
        while self.arriving.size != Some(self.written) {
            self.keep_to_the_rate().await;
            let came = gather(response, self.written < YOUNG, self.most_at_once()).await;
            let now = Instant::now();
            self.take(came.bytes).await?;
            self.tempo.excuse(now.elapsed());
            match came.end {
                Some(Ok(())) => break,
                Some(Err(error)) => return Err(transfer(error).into()),
                None => self.tempo.judge(now, self.written)?,
            }
        }
        match self.arriving.size.filter(|expected| *expected != self.written) {
            Some(expected) => Err(Cut::WrongSize { expected, actual: self.written }),
            None => Ok(()),
        }
    }

    async fn keep_to_the_rate(&mut self) {
        while let Some(wait) = self.errand.fetches.wan.wait(NEED) {
            tokio::time::sleep(wait).await;
            self.tempo.excuse(wait);
        }
    }

    fn most_at_once(&self) -> u64 {
        let rate = self.errand.fetches.wan.rate();
        rate.map_or(GATHERED.0, |rate| (rate / LIMITED.0).clamp(LIMITED.1, GATHERED.0))
    }

    async fn take(&mut self, pieces: Vec<Bytes>) -> Result<(), Cut> {
        let length = sum(&pieces);
        self.errand.kept.counters.wan_bytes.add(length);
        self.errand.fetches.wan.spend(length);
        self.tempo.came(Instant::now(), length);
        let (most, end) = (self.errand.mirror.max_object_bytes, self.written.saturating_add(length));
        if end > most {
            return Err(Cut::TooLarge(most));
        }
        self.more_room(end).await?;
        self.write(pieces).await?;
        self.written = end;
        self.arriving.advance(end);
        Ok(())
    }

    /// Sees that room is set aside up to `end`, which is no more than a file may have.
    async fn more_room(&mut self, end: u64) -> Result<(), Cut> {
        let reserved = self.draft.reserved.bytes();
        if end <= reserved {
            return Ok(());
        }
        let most = self.errand.mirror.max_object_bytes - reserved;
        let more = reserved.clamp(STRIDES.0, STRIDES.1).max(end - reserved).min(most);
        let (kept, room) = (Arc::clone(self.errand.kept), self.errand.room());
        let more = blocking(move || kept.store.reserve(more, room)).await?;
        self.draft.reserved.join(more);
        Ok(())
    }

    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), DiskError> {
        let (file, mut offset) = (Arc::clone(&self.draft.file), self.written);
        let mut hash = std::mem::take(&mut self.hash);
        let write = move || {
            for piece in pieces {
                let at = || std::path::Path::new("a file that arrives");
                file.write_all_at(&piece, offset).map_err(DiskError::at("write", at()))?;
                hash.update(&piece);
                offset += piece.len() as u64;
            }
            Ok(hash)
        };
        self.hash = blocking(write).await?;
        Ok(())
    }
}

impl From<TooSlow> for Cut {
    fn from(slow: TooSlow) -> Self {
        match slow {
            TooSlow::Drips(least, within) => AskError::Drips { least, within }.into(),
            TooSlow::Whole => Self::TooSlow,
        }
    }
}

/// What came in one go.
struct Came {
    bytes: Vec<Bytes>,
    /// And how it ended after that, if it did.
    end: Option<Result<(), reqwest::Error>>,
}

/// The next bytes. Once a file is not `young` they are gathered, so that a thread takes over many frames at a time: HTTP's
/// are of some kilobytes.
async fn gather(response: &mut Response, young: bool, most: u64) -> Came {
    let mut came = Came { bytes: Vec::new(), end: None };
    came.add(response.chunk().await);
    let due = Instant::now() + GATHERED.1;
    while !young && came.end.is_none() && sum(&came.bytes) < most {
        match tokio::time::timeout_at(due, response.chunk()).await {
            Ok(next) => came.add(next),
            Err(_) => break,
        }
    }
    came
}

impl Came {
    fn add(&mut self, next: Result<Option<Bytes>, reqwest::Error>) {
        match next {
            Ok(Some(bytes)) => self.bytes.push(bytes),
            Ok(None) => self.end = Some(Ok(())),
            Err(error) => self.end = Some(Err(error)),
        }
    }
}

fn sum(pieces: &[Bytes]) -> u64 {
    pieces.iter().map(|piece| piece.len() as u64).sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::upstream::{Upstream, chunked};
    use super::*;

    #[tokio::test]
    async fn frames_that_come_together_are_taken_over_together() {
        certs::tls::install_provider();
        let upstream = Upstream::start().await;
        upstream.say("x", [chunked(&[&[7; 1_000][..]; 40])]);
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let ask = || client.get(format!("{}x", upstream.base)).send();
        let mut response = ask().await.expect("answers");
        let young = gather(&mut response, true, GATHERED.0).await;
        assert_eq!(young.bytes.len(), 1, "the first ones are shown as they come");
        let (mut goes, mut bytes, mut end) = (0, sum(&young.bytes), None);
        while end.is_none() {
            let came = gather(&mut response, false, GATHERED.0).await;
            (goes, bytes, end) = (goes + 1, bytes + sum(&came.bytes), came.end);
        }
        assert_eq!(bytes, 40_000);
        assert!(goes < 39 && matches!(end, Some(Ok(()))), "{goes} goes");
        let mut response = ask().await.expect("answers");
        let few = gather(&mut response, false, 2_500).await;
        assert!(sum(&few.bytes) <= 3_000, "no more than may come at once");
    }
}
